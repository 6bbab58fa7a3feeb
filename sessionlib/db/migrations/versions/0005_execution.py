"""Execution tracking: conversations, agents, tool calls, logs, usage, and how far journals were read."""

import sqlalchemy as sa
from alembic import op

from sessionlib.db import execution_views, types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_who()
    _create_what()
    for statement in execution_views.statements(op.get_bind().dialect.name):
        op.execute(statement)


def _create_who() -> None:
    op.create_table(
        "conversations",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("conversation_id", types.Guid(), nullable=False),
        sa.Column("client", types.TextType, nullable=False),
        sa.Column("native_id", types.TextType, nullable=False),
        sa.Column("host_id", types.Guid(), nullable=False),
        sa.Column("workspace_id", types.Guid(), nullable=True),
        sa.Column("project_source", types.TextType, nullable=False),
        sa.Column("identity_id", types.Guid(), nullable=False),
        sa.Column("identity_source", types.TextType, nullable=False),
        sa.Column("status", types.TextType, nullable=False),
        sa.Column("started_at", types.UtcTime(), nullable=False),
        sa.Column("last_activity_at", types.UtcTime(), nullable=False),
        sa.Column("ended_at", types.UtcTime(), nullable=True),
        sa.Column("end_reason", types.TextType, nullable=True),
        sa.Column("end_estimated", sa.Boolean(), nullable=False),
        sa.Column("is_child", sa.Boolean(), nullable=False),
        sa.Column("forked_from", types.TextType, nullable=True),
        sa.Column("title", types.TextType, nullable=True),
        sa.Column("cwd", types.TextType, nullable=True),
        sa.Column("transcript_path", types.TextType, nullable=True),
        sa.Column("client_version", types.TextType, nullable=True),
        sa.Column("entrypoint", types.TextType, nullable=True),
        sa.Column("model", types.TextType, nullable=True),
        sa.Column("git_branch", types.TextType, nullable=True),
        sa.Column("pid", sa.BigInteger(), nullable=True),
        sa.Column("attribution", types.TextType, nullable=False),
        sa.Column("observed", types.JsonType, nullable=False),
        sa.CheckConstraint("(status = 'active') = (ended_at IS NULL)", name=op.f("ck_conversations_ended")),
        sa.CheckConstraint(
            "status IN ('active', 'ended', 'abandoned', 'phantom')", name=op.f("ck_conversations_status")
        ),
        sa.CheckConstraint("last_activity_at >= started_at", name=op.f("ck_conversations_activity")),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.host_id"], name=op.f("fk_conversations_host_id_hosts")),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.identity_id"], name=op.f("fk_conversations_identity_id_identities")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "workspace_id"],
            ["workspaces.project_id", "workspaces.workspace_id"],
            name=op.f("fk_conversations_project_id_workspace_id_workspaces"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.project_id"],
            name=op.f("fk_conversations_project_id_projects"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "conversation_id", name=op.f("pk_conversations")),
        sa.UniqueConstraint(
            "project_id", "client", "native_id", name=op.f("uq_conversations_project_id_client_native_id")
        ),
    )
    op.create_index("ix_conversations_native_id", "conversations", ["client", "native_id"], unique=False)
    op.create_index(
        "ix_conversations_project_recent", "conversations", ["project_id", "last_activity_at"], unique=False
    )
    op.create_index("ix_conversations_recent", "conversations", ["last_activity_at"], unique=False)
    op.create_index(
        "ix_conversations_status", "conversations", ["status", "host_id", "last_activity_at"], unique=False
    )
    op.create_index(
        "ix_conversations_workspace",
        "conversations",
        ["project_id", "workspace_id", "started_at"],
        unique=False,
    )
    op.create_table(
        "agents",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("agent_id", types.Guid(), nullable=False),
        sa.Column("conversation_id", types.Guid(), nullable=False),
        sa.Column("native_id", types.TextType, nullable=False),
        sa.Column("kind", types.TextType, nullable=False),
        sa.Column("parent_agent_id", types.Guid(), nullable=True),
        sa.Column("parent_source", types.TextType, nullable=False),
        sa.Column("spawned_by", types.TextType, nullable=True),
        sa.Column("agent_type", types.TextType, nullable=True),
        sa.Column("name", types.TextType, nullable=True),
        sa.Column("model", types.TextType, nullable=True),
        sa.Column("status", types.TextType, nullable=False),
        sa.Column("error", types.TextType, nullable=True),
        sa.Column("task", types.TextType, nullable=True),
        sa.Column("session_id", types.Guid(), nullable=True),
        sa.Column("checkpoint_number", sa.Integer(), nullable=True),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.Column("cost_usd", types.Money(), nullable=True),
        sa.Column("started_at", types.UtcTime(), nullable=True),
        sa.Column("last_activity_at", types.UtcTime(), nullable=True),
        sa.Column("ended_at", types.UtcTime(), nullable=True),
        sa.Column("end_estimated", sa.Boolean(), nullable=False),
        sa.Column("observed", types.JsonType, nullable=False),
        sa.CheckConstraint("(kind = 'main') = (parent_agent_id IS NULL)", name=op.f("ck_agents_parent")),
        sa.CheckConstraint("kind IN ('main', 'spawned')", name=op.f("ck_agents_kind")),
        sa.CheckConstraint(
            "parent_source IN ('none', 'assumed', 'transcript', 'result', 'meta')",
            name=op.f("ck_agents_parent_source"),
        ),
        sa.CheckConstraint(
            "status IN ('running', 'complete', 'failed', 'interrupted')", name=op.f("ck_agents_status")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "conversation_id"],
            ["conversations.project_id", "conversations.conversation_id"],
            name=op.f("fk_agents_project_id_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "parent_agent_id"],
            ["agents.project_id", "agents.agent_id"],
            name=op.f("fk_agents_project_id_parent_agent_id_agents"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("project_id", "agent_id", name=op.f("pk_agents")),
        sa.UniqueConstraint(
            "project_id",
            "conversation_id",
            "native_id",
            name=op.f("uq_agents_project_id_conversation_id_native_id"),
        ),
    )
    op.create_index(
        "ix_agents_failed",
        "agents",
        ["started_at", "project_id", "session_id"],
        unique=False,
        postgresql_where=sa.text("status = 'failed'"),
        sqlite_where=sa.text("status = 'failed'"),
    )
    op.create_index("ix_agents_parent", "agents", ["project_id", "parent_agent_id"], unique=False)
    op.create_index("ix_agents_recent", "agents", ["started_at"], unique=False)
    op.create_index("ix_agents_session", "agents", ["project_id", "session_id", "status"], unique=False)
    op.create_table(
        "client_costs",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("conversation_id", types.Guid(), nullable=False),
        sa.Column("model", types.TextType, nullable=False),
        sa.Column("as_of", types.UtcTime(), nullable=True),
        sa.Column("cost_usd", types.Money(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "conversation_id"],
            ["conversations.project_id", "conversations.conversation_id"],
            name=op.f("fk_client_costs_project_id_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "conversation_id", "model", name=op.f("pk_client_costs")),
    )
    op.create_table(
        "conversation_links",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("conversation_id", types.Guid(), nullable=False),
        sa.Column("agent_native_id", types.TextType, nullable=False),
        sa.Column("linked_at", types.UtcTime(), nullable=False),
        sa.Column("until", types.UtcTime(), nullable=True),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("source", types.TextType, nullable=False),
        sa.CheckConstraint(
            "source IN ('link', 'environment', 'inferred')", name=op.f("ck_conversation_links_source")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "conversation_id"],
            ["conversations.project_id", "conversations.conversation_id"],
            name=op.f("fk_conversation_links_project_id_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "session_id"],
            ["sessions.project_id", "sessions.session_id"],
            name=op.f("fk_conversation_links_project_id_session_id_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "project_id",
            "conversation_id",
            "agent_native_id",
            "linked_at",
            name=op.f("pk_conversation_links"),
        ),
    )
    op.create_index(
        "ix_conversation_links_session",
        "conversation_links",
        ["project_id", "session_id", "linked_at"],
        unique=False,
    )
    op.create_table(
        "todos",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("conversation_id", types.Guid(), nullable=False),
        sa.Column("todo_key", types.TextType, nullable=False),
        sa.Column("content", types.TextType, nullable=True),
        sa.Column("details", types.TextType, nullable=True),
        sa.Column("status", types.TextType, nullable=True),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.Column("observed", types.JsonType, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "conversation_id"],
            ["conversations.project_id", "conversations.conversation_id"],
            name=op.f("fk_todos_project_id_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "conversation_id", "todo_key", name=op.f("pk_todos")),
    )


def _create_what() -> None:
    op.create_table(
        "journal_cursors",
        sa.Column("host_id", types.Guid(), nullable=False),
        sa.Column("path", types.TextType, nullable=False),
        sa.Column("client", types.TextType, nullable=False),
        sa.Column("dev", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("check_hash", types.TextType, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("state", types.JsonType, nullable=False),
        sa.Column("problem", types.TextType, nullable=True),
        sa.Column("read_at", types.UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.host_id"], name=op.f("fk_journal_cursors_host_id_hosts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("host_id", "path", name=op.f("pk_journal_cursors")),
    )
    op.create_table(
        "agent_logs",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("conversation_id", types.Guid(), nullable=False),
        sa.Column("event_key", types.TextType, nullable=False),
        sa.Column("agent_id", types.Guid(), nullable=False),
        sa.Column("category", types.TextType, nullable=False),
        sa.Column("event_type", types.TextType, nullable=False),
        sa.Column("detail", types.TextType, nullable=True),
        sa.Column("tool_use_id", types.TextType, nullable=True),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", types.TextType, nullable=True),
        sa.Column("body", types.TextType, nullable=True),
        sa.CheckConstraint("category IN ('hook', 'response', 'phase')", name=op.f("ck_agent_logs_category")),
        sa.ForeignKeyConstraint(
            ["project_id", "agent_id"],
            ["agents.project_id", "agents.agent_id"],
            name=op.f("fk_agent_logs_project_id_agent_id_agents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "conversation_id", "event_key", name=op.f("pk_agent_logs")),
    )
    op.create_index(
        "ix_agent_logs_conversation",
        "agent_logs",
        ["project_id", "conversation_id", "at", "event_key"],
        unique=False,
    )
    op.create_index("ix_agent_logs_recent", "agent_logs", ["at"], unique=False)
    op.create_table(
        "tool_calls",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("conversation_id", types.Guid(), nullable=False),
        sa.Column("tool_use_id", types.TextType, nullable=False),
        sa.Column("agent_id", types.Guid(), nullable=False),
        sa.Column("tool_name", types.TextType, nullable=False),
        sa.Column("server", types.TextType, nullable=True),
        sa.Column("outcome", types.TextType, nullable=False),
        sa.Column("error", types.TextType, nullable=True),
        sa.Column("called_at", types.UtcTime(), nullable=True),
        sa.Column("ended_at", types.UtcTime(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("input_size", sa.BigInteger(), nullable=True),
        sa.Column("output_size", sa.BigInteger(), nullable=True),
        sa.Column("name_weight", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('open', 'ok', 'failed', 'denied', 'interrupted')", name=op.f("ck_tool_calls_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "agent_id"],
            ["agents.project_id", "agents.agent_id"],
            name=op.f("fk_tool_calls_project_id_agent_id_agents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "conversation_id", "tool_use_id", name=op.f("pk_tool_calls")),
    )
    op.create_index("ix_tool_calls_agent", "tool_calls", ["project_id", "agent_id"], unique=False)
    op.create_index(
        "ix_tool_calls_conversation",
        "tool_calls",
        ["project_id", "conversation_id", "called_at"],
        unique=False,
    )
    op.create_index(
        "ix_tool_calls_name",
        "tool_calls",
        ["server", "tool_name", "outcome", "project_id", "duration_ms"],
        unique=False,
    )
    op.create_index("ix_tool_calls_recent", "tool_calls", ["called_at"], unique=False)
    op.create_table(
        "usage_records",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("client", types.TextType, nullable=False),
        sa.Column("message_id", types.TextType, nullable=False),
        sa.Column("conversation_id", types.Guid(), nullable=False),
        sa.Column("agent_id", types.Guid(), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("model", types.TextType, nullable=False),
        sa.Column("request_id", types.TextType, nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_5m_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_1h_tokens", sa.BigInteger(), nullable=False),
        sa.Column("web_searches", sa.BigInteger(), nullable=False),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.Column("cost_usd", types.Money(), nullable=True),
        sa.Column("cost_source", types.TextType, nullable=True),
        sa.Column("price_version", types.TextType, nullable=True),
        sa.Column("session_id", types.Guid(), nullable=True),
        sa.Column("phase", types.TextType, nullable=True),
        sa.Column("checkpoint_number", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "agent_id"],
            ["agents.project_id", "agents.agent_id"],
            name=op.f("fk_usage_records_project_id_agent_id_agents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "client", "message_id", name=op.f("pk_usage_records")),
    )
    op.create_index("ix_usage_records_agent", "usage_records", ["project_id", "agent_id"], unique=False)
    op.create_index(
        "ix_usage_records_conversation",
        "usage_records",
        ["project_id", "conversation_id", "at"],
        unique=False,
    )
    op.create_table(
        "usage_totals",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("agent_id", types.Guid(), nullable=False),
        sa.Column("source", types.TextType, nullable=False),
        sa.Column("day", types.TextType, nullable=False),
        sa.Column("model", types.TextType, nullable=False),
        sa.Column("session_key", types.TextType, nullable=False),
        sa.Column("phase", types.TextType, nullable=False),
        sa.Column("checkpoint_number", sa.Integer(), nullable=False),
        sa.Column("conversation_id", types.Guid(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.Column("cost_usd", types.Money(), nullable=True),
        sa.CheckConstraint("source IN ('messages', 'client')", name=op.f("ck_usage_totals_source")),
        sa.ForeignKeyConstraint(
            ["project_id", "agent_id"],
            ["agents.project_id", "agents.agent_id"],
            name=op.f("fk_usage_totals_project_id_agent_id_agents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "project_id",
            "agent_id",
            "source",
            "day",
            "model",
            "session_key",
            "phase",
            "checkpoint_number",
            name=op.f("pk_usage_totals"),
        ),
    )
    op.create_index(
        "ix_usage_totals_conversation", "usage_totals", ["project_id", "conversation_id"], unique=False
    )
    op.create_index("ix_usage_totals_session", "usage_totals", ["project_id", "session_key"], unique=False)
