"""What was done: events, tool calls, usage and its totals; how far journals were read; views."""

import sqlalchemy as sa
from alembic import op

from sessionlib.db import execution_views, types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
        ["server", "tool_name", "duration_ms", "outcome", "project_id"],
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
        "ix_usage_totals_conversation",
        "usage_totals",
        ["project_id", "conversation_id", "cost_usd"],
        unique=False,
    )
    op.create_index(
        "ix_usage_totals_session",
        "usage_totals",
        ["project_id", "session_key", "checkpoint_number", "cost_usd"],
        unique=False,
    )
    for statement in execution_views.statements(op.get_bind().dialect.name):
        op.execute(statement)
