"""Who worked: conversations of coding clients, the agents in them, and the sessions they worked on.

These rows come from journals that their clients delete after some weeks, so none of them can be recomputed
later: a rebuild of the mirror leaves them be. `observed` is what was seen of a row so far, in a form in which
two observations can be merged in any order; the other columns follow from it.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    UniqueConstraint,
)

from sessionlib.db.tables.base import OBSERVED, flag, json, key, metadata, number, ref, text, time
from sessionlib.db.types import Guid, Money, TextType, UtcTime

conversations = Table(
    "conversations",
    metadata,
    key("project_id"),
    key("conversation_id"),
    text("client", null=False, info=OBSERVED),
    text("native_id", null=False, info=OBSERVED),
    ref("host_id", info=OBSERVED),
    ref("workspace_id", null=True, info=OBSERVED),
    text("project_source", null=False, info=OBSERVED),
    ref("identity_id", info=OBSERVED),
    text("identity_source", null=False, info=OBSERVED),
    text("status", null=False, info=OBSERVED),
    time("started_at", null=False, info=OBSERVED),
    time("last_activity_at", null=False, info=OBSERVED),
    time("ended_at", info=OBSERVED),
    text("end_reason", info=OBSERVED),
    flag("end_estimated", info=OBSERVED),
    flag("is_child", info=OBSERVED),
    text("forked_from", info=OBSERVED),
    text("title", info=OBSERVED),
    text("cwd", info=OBSERVED),
    text("transcript_path", info=OBSERVED),
    text("client_version", info=OBSERVED),
    text("entrypoint", info=OBSERVED),
    text("model", info=OBSERVED),
    text("git_branch", info=OBSERVED),
    number("pid", BigInteger(), info=OBSERVED),
    # Which sessions, phases and checkpoints its usage was counted to: when it differs, all is counted anew.
    text("attribution", null=False, info=OBSERVED),
    json("observed", info=OBSERVED),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"], ondelete="CASCADE"),
    ForeignKeyConstraint(
        ["project_id", "workspace_id"], ["workspaces.project_id", "workspaces.workspace_id"]
    ),
    ForeignKeyConstraint(["host_id"], ["hosts.host_id"]),
    ForeignKeyConstraint(["identity_id"], ["identities.identity_id"]),
    UniqueConstraint("project_id", "client", "native_id"),
    CheckConstraint("status IN ('active', 'ended', 'abandoned', 'phantom')", name="status"),
    CheckConstraint("(status = 'active') = (ended_at IS NULL)", name="ended"),
    CheckConstraint("last_activity_at >= started_at", name="activity"),
    # The id first: people give the beginning of one, and seldom say of which client.
    Index("ix_conversations_native_id", "native_id", "client"),
    Index("ix_conversations_recent", "last_activity_at"),
    Index("ix_conversations_project_recent", "project_id", "last_activity_at"),
    Index("ix_conversations_workspace", "project_id", "workspace_id", "started_at"),
    Index("ix_conversations_status", "status", "host_id", "last_activity_at"),
    # '' for those that worked on no session that is known.
    Index("ix_conversations_attribution", "attribution", "last_activity_at"),
)


def _of_conversation() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["project_id", "conversation_id"],
        ["conversations.project_id", "conversations.conversation_id"],
        ondelete="CASCADE",
    )


conversation_links = Table(
    "conversation_links",
    metadata,
    key("project_id"),
    key("conversation_id"),
    key("agent_native_id", TextType),
    key("linked_at", UtcTime()),
    time("until", info=OBSERVED),
    ref("session_id", info=OBSERVED),
    text("source", null=False, info=OBSERVED),
    _of_conversation(),
    ForeignKeyConstraint(
        ["project_id", "session_id"],
        ["sessions.project_id", "sessions.session_id"],
        ondelete="CASCADE",
    ),
    CheckConstraint("source IN ('link', 'environment', 'inferred')", name="source"),
    Index("ix_conversation_links_session", "project_id", "session_id", "linked_at"),
)
agents = Table(
    "agents",
    metadata,
    key("project_id"),
    key("agent_id"),
    ref("conversation_id", info=OBSERVED),
    text("native_id", null=False, info=OBSERVED),
    text("kind", null=False, info=OBSERVED),
    ref("parent_agent_id", null=True, info=OBSERVED),
    text("parent_source", null=False, info=OBSERVED),
    text("spawned_by", info=OBSERVED),
    text("agent_type", info=OBSERVED),
    text("name", info=OBSERVED),
    text("model", info=OBSERVED),
    text("status", null=False, info=OBSERVED),
    text("error", info=OBSERVED),
    text("task", info=OBSERVED),
    ref("session_id", Guid(), null=True, info=OBSERVED),
    number("checkpoint_number", Integer(), info=OBSERVED),
    number("messages", BigInteger(), null=False, info=OBSERVED),
    number("input_tokens", BigInteger(), null=False, info=OBSERVED),
    number("output_tokens", BigInteger(), null=False, info=OBSERVED),
    number("cache_read_tokens", BigInteger(), null=False, info=OBSERVED),
    number("cache_write_tokens", BigInteger(), null=False, info=OBSERVED),
    number("unpriced", BigInteger(), null=False, info=OBSERVED),
    number("cost_usd", Money(), info=OBSERVED),
    time("started_at", info=OBSERVED),
    time("last_activity_at", info=OBSERVED),
    time("ended_at", info=OBSERVED),
    flag("end_estimated", info=OBSERVED),
    json("observed", info=OBSERVED),
    _of_conversation(),
    ForeignKeyConstraint(
        ["project_id", "parent_agent_id"],
        ["agents.project_id", "agents.agent_id"],
        # Agents and their parents come in one batch, in no order.
        deferrable=True,
        initially="DEFERRED",
    ),
    UniqueConstraint("project_id", "conversation_id", "native_id"),
    CheckConstraint("kind IN ('main', 'spawned')", name="kind"),
    CheckConstraint("(kind = 'main') = (parent_agent_id IS NULL)", name="parent"),
    CheckConstraint(
        "parent_source IN ('none', 'assumed', 'transcript', 'result', 'meta')", name="parent_source"
    ),
    CheckConstraint("status IN ('running', 'complete', 'failed', 'interrupted')", name="status"),
    Index("ix_agents_session", "project_id", "session_id", "status"),
    Index("ix_agents_recent", "started_at"),
    Index("ix_agents_project_recent", "project_id", "started_at"),
    # With the ids, so that those of sessions in some phase are told without a look at the others' rows.
    Index("ix_agents_status", "status", "started_at", "project_id", "session_id"),
    Index("ix_agents_type", "agent_type", "started_at"),
    Index("ix_agents_parent", "project_id", "parent_agent_id"),
)

client_costs = Table(
    "client_costs",
    metadata,
    key("project_id"),
    key("conversation_id"),
    key("model", TextType),
    time("as_of", info=OBSERVED),
    number("cost_usd", Money(), null=False, info=OBSERVED),
    number("input_tokens", BigInteger(), null=False, info=OBSERVED),
    number("output_tokens", BigInteger(), null=False, info=OBSERVED),
    number("cache_read_tokens", BigInteger(), null=False, info=OBSERVED),
    number("cache_write_tokens", BigInteger(), null=False, info=OBSERVED),
    _of_conversation(),
)

todos = Table(
    "todos",
    metadata,
    key("project_id"),
    key("conversation_id"),
    key("todo_key", TextType),
    text("content", info=OBSERVED),
    text("details", info=OBSERVED),
    text("status", info=OBSERVED),
    time("created_at", null=False, info=OBSERVED),
    time("updated_at", null=False, info=OBSERVED),
    json("observed", info=OBSERVED),
    _of_conversation(),
    Index("ix_todos_status", "status", "updated_at"),
)

__all__ = ["agents", "client_costs", "conversation_links", "conversations", "todos"]
