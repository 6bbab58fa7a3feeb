"""The mirror of a session, its parts, its history and its links."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    UniqueConstraint,
)

from sessionlib.db.tables.base import OBSERVED, flag, json, key, metadata, number, ref, text, time
from sessionlib.db.types import TextType

_LISTED = (
    "missing_since",
    "current_phase",
    "effective_status",
    "checkpoints_total",
    "checkpoints_completed",
)

sessions = Table(
    "sessions",
    metadata,
    key("project_id"),
    key("session_id"),
    text("root", null=False),
    text("slug", null=False),
    ref("workspace_id"),
    text("declared_id"),
    text("topic"),
    text("description"),
    text("session_type"),
    text("generation", null=False),
    text("current_phase"),
    text("status"),
    text("effective_status", null=False),
    flag("build_finished"),
    json("phase_history"),
    number("checkpoints_total", Integer()),
    text("checkpoints_total_source"),
    number("checkpoints_completed", Integer(), null=False),
    json("checkpoints_completed_ids"),
    number("current_checkpoint", Integer()),
    text("git_branch"),
    text("git_worktree"),
    text("git_base_branch"),
    text("prior_session_slug"),
    text("parent_session_slug"),
    json("warnings"),
    ref("content_hash", TextType),
    text("inputs_hash", null=False),
    text("parts", null=False),
    number("mapping_version", Integer(), null=False),
    time("created_at"),
    time("updated_at"),
    time("activity_at", null=False),
    time("first_seen_at", null=False, info=OBSERVED),
    time("content_changed_at", null=False, info=OBSERVED),
    time("synced_at", null=False, info=OBSERVED),
    time("missing_since", info=OBSERVED),
    text("error", info=OBSERVED),
    number("version_seq", Integer(), null=False, info=OBSERVED),
    # From when the present phase counts, in microseconds since 1970; and how long it stood in it in the end,
    # NULL while the session is open. See session_phases.
    number("phase_since_us", BigInteger(), info=OBSERVED),
    number("phase_stood_us", BigInteger(), info=OBSERVED),
    UniqueConstraint("project_id", "root", "slug"),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"], ondelete="CASCADE"),
    ForeignKeyConstraint(
        ["project_id", "workspace_id"], ["workspaces.project_id", "workspaces.workspace_id"]
    ),
    ForeignKeyConstraint(["project_id", "content_hash"], ["documents.project_id", "documents.content_hash"]),
    CheckConstraint(
        "checkpoints_total_source IS NULL OR checkpoints_total_source IN ('declared', 'plan')",
        name="checkpoints_total_source",
    ),
    CheckConstraint("checkpoints_completed >= 0", name="checkpoints_completed"),
    Index("ix_sessions_session_id", "session_id"),
    Index("ix_sessions_slug", "slug"),
    # All that lists and counts ask of a session, in the order they show it: whatever is filtered is found in
    # the index alone. One wide index for all and one for a project cost a save less than one for each filter.
    # The ids are there so that even a late page is chosen without a look at the rows before it.
    Index("ix_sessions_recent", "content_changed_at", *_LISTED, "slug", "project_id", "session_id"),
    Index("ix_sessions_project_recent", "project_id", "content_changed_at", *_LISTED, "session_id"),
    Index(
        "ix_sessions_phase",
        *("project_id", "current_phase", "missing_since", "effective_status"),
        *("phase_since_us", "phase_stood_us"),
    ),
)
Index(
    "ix_sessions_mismatched",
    sessions.c.declared_id,
    # Not by the dialects' keywords, which import both dialects into every process; the migrations have them.
    info={"where": sessions.c.declared_id != sessions.c.slug},
)


def _part(name: str, *columns: Any) -> Table:
    """Return a table of parts of a session, deleted with it."""
    return Table(
        name,
        metadata,
        key("project_id"),
        key("session_id"),
        *columns,
        ForeignKeyConstraint(
            ["project_id", "session_id"],
            ["sessions.project_id", "sessions.session_id"],
            ondelete="CASCADE",
        ),
    )


def _position(name: str = "position") -> Column[Any]:
    return key(name, Integer())


checkpoints = _part(
    "checkpoints",
    _position("number"),
    text("title"),
    flag("completed"),
    flag("is_current"),
)

commits = _part(
    "commits",
    _position(),
    text("sha", null=False),
    text("message"),
    number("checkpoint", Integer()),
    time("created_at"),
    Index("ix_commits_sha", "sha"),
)

decisions = _part(
    "decisions",
    _position(),
    text("title", null=False),
    text("rationale"),
    text("source"),
    time("decided_at"),
)

doc_updates = _part(
    "doc_updates",
    _position(),
    text("kind"),
    text("path"),
    text("description"),
    time("created_at"),
)

research_runs = _part(
    "research_runs",
    key("research_id", TextType),
    text("request"),
    text("status"),
    text("complexity_tier"),
    number("criteria_met", Integer()),
    number("criteria_total", Integer()),
    time("created_at"),
    time("completed_at"),
)

session_links = _part(
    "session_links",
    key("client", TextType),
    key("native_id", TextType),
    key("agent_native_id", TextType),
    time("linked_at"),
    text("source"),
    Index("ix_session_links_native_id", "client", "native_id"),
)

session_versions = _part(
    "session_versions",
    _position("seq"),
    ref("content_hash", TextType, info=OBSERVED),
    text("phase", info=OBSERVED),
    text("status", info=OBSERVED),
    time("at", null=False, info=OBSERVED),
    time("observed_at", null=False, info=OBSERVED),
    ForeignKeyConstraint(["project_id", "content_hash"], ["documents.project_id", "documents.content_hash"]),
)

# How long a session stood in the phases it is in no more, so that the time in each phase is a sum over few
# rows: of the versions there are as many as saves.
session_phases = _part(
    "session_phases",
    key("phase", TextType),
    number("stood_us", BigInteger(), null=False, info=OBSERVED),
    Index("ix_session_phases_phase", "project_id", "phase", "stood_us"),
)

__all__ = [
    "checkpoints",
    "commits",
    "decisions",
    "doc_updates",
    "research_runs",
    "session_links",
    "session_phases",
    "session_versions",
    "sessions",
]
