"""Two wide indexes for the lists of sessions, in place of seven narrow ones; one of odd declared ids."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NARROW = (
    "ix_sessions_completed_activity",
    "ix_sessions_content_changed_at",
    "ix_sessions_current_phase_content_changed_at",
    "ix_sessions_effective_status_content_changed_at",
    "ix_sessions_project_activity",
    "ix_sessions_project_phase_activity",
    "ix_sessions_total_activity",
)
_LISTED = (
    "missing_since",
    "current_phase",
    "effective_status",
    "checkpoints_total",
    "checkpoints_completed",
)
_MOST = {"current_phase": 150, "status": 150, "effective_status": 150, "declared_id": 500}
"""Characters that fit an index entry of PostgreSQL, with what else it holds."""


def upgrade() -> None:
    for name in _NARROW:
        op.drop_index(name, table_name="sessions")
    _cut_words()
    op.create_index("ix_sessions_recent", "sessions", ["content_changed_at", *_LISTED, "slug"])
    op.create_index("ix_sessions_project_recent", "sessions", ["project_id", "content_changed_at", *_LISTED])
    op.create_index(
        "ix_sessions_mismatched",
        "sessions",
        ["declared_id"],
        postgresql_where=sa.text("declared_id != slug"),
        sqlite_where=sa.text("declared_id != slug"),
    )


def _cut_words() -> None:
    """Cut what is too long to share an entry of an index, as the mapping does from now on."""
    for name, most in _MOST.items():
        op.execute(
            f"UPDATE sessions SET {name} = substr({name}, 1, {most - 1}) || '…' WHERE length({name}) > {most}"
        )
