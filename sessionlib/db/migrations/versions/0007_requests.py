"""Usage is found by its request too: a client's telemetry knows no other name for it."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_usage_records_request", "usage_records", ["project_id", "request_id"], unique=False)
