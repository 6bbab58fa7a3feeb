"""Who worked: conversations, their agents, todos and ledgers, and the sessions they worked on."""

import sqlalchemy as sa
from alembic import op

from sessionlib.db import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
    op.create_index(
        "ix_conversations_attribution", "conversations", ["attribution", "last_activity_at"], unique=False
    )
    op.create_index("ix_conversations_native_id", "conversations", ["native_id", "client"], unique=False)
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
    op.create_index("ix_agents_parent", "agents", ["project_id", "parent_agent_id"], unique=False)
    op.create_index("ix_agents_project_recent", "agents", ["project_id", "started_at"], unique=False)
    op.create_index("ix_agents_recent", "agents", ["started_at"], unique=False)
    op.create_index("ix_agents_session", "agents", ["project_id", "session_id", "status"], unique=False)
    op.create_index(
        "ix_agents_status", "agents", ["status", "started_at", "project_id", "session_id"], unique=False
    )
    op.create_index("ix_agents_type", "agents", ["agent_type", "started_at"], unique=False)
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
    op.create_index("ix_todos_status", "todos", ["status", "updated_at"], unique=False)
