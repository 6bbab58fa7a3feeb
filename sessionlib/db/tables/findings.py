"""What an operator should know: held-back deletions and other conditions that need a decision."""

from sqlalchemy import ForeignKeyConstraint, Table

from sessionlib.db.tables.base import OBSERVED, key, metadata, ref, text, time

findings = Table(
    "findings",
    metadata,
    key("project_id"),
    key("finding_id"),
    ref("workspace_id", null=True),
    text("kind", null=False, info=OBSERVED),
    text("subject", null=False, info=OBSERVED),
    text("message", null=False, info=OBSERVED),
    time("first_seen_at", null=False, info=OBSERVED),
    time("last_seen_at", null=False, info=OBSERVED),
    time("resolved_at", info=OBSERVED),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"], ondelete="CASCADE"),
    ForeignKeyConstraint(
        ["project_id", "workspace_id"],
        ["workspaces.project_id", "workspaces.workspace_id"],
        ondelete="CASCADE",
    ),
)

__all__ = ["findings"]
