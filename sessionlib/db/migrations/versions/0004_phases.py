"""How long a session stood in each phase, as a sum; ids in the indexes of the lists."""

import sqlalchemy as sa
from alembic import op

from sessionlib.db import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_LISTED = (
    "missing_since",
    "current_phase",
    "effective_status",
    "checkpoints_total",
    "checkpoints_completed",
)

_MICROS_POSTGRES = "(EXTRACT(EPOCH FROM at) * 1000000)::bigint"
_MICROS_SQLITE = (
    "(CAST(strftime('%s', substr(at, 1, 19)) AS INTEGER) * 1000000 + CAST(substr(at, 21, 6) AS INTEGER))"
)

_CORRECT = """
UPDATE session_versions AS v SET (phase, status) = (
  SELECT s.current_phase, s.effective_status FROM sessions AS s
  WHERE s.project_id = v.project_id AND s.session_id = v.session_id
)
WHERE EXISTS (
  SELECT 1 FROM sessions AS s
  WHERE s.project_id = v.project_id AND s.session_id = v.session_id AND s.version_seq = v.seq
    AND (
      s.current_phase <> v.phase OR (s.current_phase IS NULL) <> (v.phase IS NULL)
      OR s.effective_status <> v.status OR v.status IS NULL
    )
)
"""
"""The last version says what its session shows: a later mapping may have understood its content otherwise."""

_LEFT = """
INSERT INTO session_phases (project_id, session_id, phase, stood_us)
SELECT v.project_id, v.session_id, v.phase, CAST(sum(v.stood) AS bigint)
FROM (
  SELECT project_id, session_id, phase,
         lead(micros) OVER (PARTITION BY project_id, session_id ORDER BY seq) - micros AS stood
  FROM (SELECT project_id, session_id, seq, phase, {micros} AS micros FROM session_versions) AS w
) AS v
JOIN sessions AS s ON s.project_id = v.project_id AND s.session_id = v.session_id
WHERE v.stood IS NOT NULL AND v.phase IS NOT NULL
  AND (s.current_phase IS NULL OR v.phase <> s.current_phase)
GROUP BY v.project_id, v.session_id, v.phase
"""

_SINCE = """
UPDATE sessions SET (phase_since_us, phase_stood_us) = (
  SELECT CAST(max(CASE WHEN v.stood IS NULL THEN v.micros END)
              - coalesce(sum(CASE WHEN v.phase = sessions.current_phase THEN v.stood END), 0) AS bigint),
         CASE
           WHEN count(*) > 0
             AND (sessions.current_phase = 'complete' OR sessions.effective_status IN ('complete', 'failed'))
           THEN CAST(coalesce(sum(CASE WHEN v.phase = sessions.current_phase THEN v.stood END), 0) AS bigint)
         END
  FROM (
    SELECT phase, micros, lead(micros) OVER (ORDER BY seq) - micros AS stood
    FROM (
      SELECT seq, phase, {micros} AS micros FROM session_versions
      WHERE session_versions.project_id = sessions.project_id
        AND session_versions.session_id = sessions.session_id
    ) AS w
  ) AS v
)
"""


def upgrade() -> None:
    op.add_column("sessions", sa.Column("phase_since_us", sa.BigInteger(), nullable=True))
    op.add_column("sessions", sa.Column("phase_stood_us", sa.BigInteger(), nullable=True))
    op.create_table(
        "session_phases",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("phase", types.TextType, nullable=False),
        sa.Column("stood_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "session_id"],
            ["sessions.project_id", "sessions.session_id"],
            name=op.f("fk_session_phases_project_id_session_id_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "session_id", "phase", name=op.f("pk_session_phases")),
    )
    _fill()
    for name in ("ix_sessions_recent", "ix_sessions_project_recent"):
        op.drop_index(name, table_name="sessions")
    op.create_index(
        "ix_sessions_recent", "sessions", ["content_changed_at", *_LISTED, "slug", "project_id", "session_id"]
    )
    op.create_index(
        "ix_sessions_project_recent",
        "sessions",
        ["project_id", "content_changed_at", *_LISTED, "session_id"],
    )
    op.create_index(
        "ix_sessions_phase",
        "sessions",
        [
            *("project_id", "current_phase", "missing_since", "effective_status"),
            *("phase_since_us", "phase_stood_us"),
        ],
    )
    op.create_index("ix_session_phases_phase", "session_phases", ["project_id", "phase", "stood_us"])


def _fill() -> None:
    """Count what is stored, version by version."""
    connection = op.get_bind()
    micros = _MICROS_POSTGRES if connection.dialect.name == "postgresql" else _MICROS_SQLITE
    for statement in (_CORRECT, _LEFT, _SINCE):
        connection.exec_driver_sql(statement.replace("{micros}", micros))
