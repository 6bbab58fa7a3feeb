"""What was done, record by record: events, tool calls, usage and its totals; how far journals were read."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
)

from sessionlib.db.tables.base import OBSERVED, flag, json, key, metadata, number, ref, text, time
from sessionlib.db.types import Guid, Money, TextType


def _of_agent() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["project_id", "agent_id"], ["agents.project_id", "agents.agent_id"], ondelete="CASCADE"
    )


def _count(name: str) -> Column[Any]:
    return number(name, BigInteger(), null=False, info=OBSERVED)


def _size(name: str) -> Column[Any]:
    return number(name, BigInteger(), info=OBSERVED)


agent_logs = Table(
    "agent_logs",
    metadata,
    key("project_id"),
    key("conversation_id"),
    key("event_key", TextType),
    ref("agent_id", info=OBSERVED),
    text("category", null=False, info=OBSERVED),
    text("event_type", null=False, info=OBSERVED),
    text("detail", info=OBSERVED),
    text("tool_use_id", info=OBSERVED),
    time("at", null=False, info=OBSERVED),
    _count("size"),
    text("digest", info=OBSERVED),
    text("body", info=OBSERVED),
    _of_agent(),
    CheckConstraint("category IN ('hook', 'response', 'phase')", name="category"),
    # The key is there so that the next page begins where this one ended, in the index alone.
    Index("ix_agent_logs_conversation", "project_id", "conversation_id", "at", "event_key"),
    Index("ix_agent_logs_recent", "at"),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    key("project_id"),
    key("conversation_id"),
    key("tool_use_id", TextType),
    ref("agent_id", info=OBSERVED),
    text("tool_name", null=False, info=OBSERVED),
    text("server", info=OBSERVED),
    text("outcome", null=False, info=OBSERVED),
    text("error", info=OBSERVED),
    time("called_at", info=OBSERVED),
    time("ended_at", info=OBSERVED),
    _size("duration_ms"),
    _size("input_size"),
    _size("output_size"),
    # How far those that told its name and its outcome are to be believed.
    number("name_weight", Integer(), null=False, info=OBSERVED),
    number("weight", Integer(), null=False, info=OBSERVED),
    _of_agent(),
    CheckConstraint("outcome IN ('open', 'ok', 'failed', 'denied', 'interrupted')", name="outcome"),
    Index("ix_tool_calls_agent", "project_id", "agent_id"),
    Index("ix_tool_calls_conversation", "project_id", "conversation_id", "called_at"),
    # In the order of durations, so that the median of a tool is counted off in the index.
    Index("ix_tool_calls_name", "server", "tool_name", "duration_ms", "outcome", "project_id"),
    Index("ix_tool_calls_recent", "called_at"),
)

usage_records = Table(
    "usage_records",
    metadata,
    key("project_id"),
    key("client", TextType),
    key("message_id", TextType),
    ref("conversation_id", info=OBSERVED),
    ref("agent_id", info=OBSERVED),
    time("at", null=False, info=OBSERVED),
    text("model", null=False, info=OBSERVED),
    text("request_id", info=OBSERVED),
    _count("input_tokens"),
    _count("output_tokens"),
    _count("cache_read_tokens"),
    _count("cache_write_5m_tokens"),
    _count("cache_write_1h_tokens"),
    _count("web_searches"),
    flag("is_final", info=OBSERVED),
    number("cost_usd", Money(), info=OBSERVED),
    text("cost_source", info=OBSERVED),
    text("price_version", info=OBSERVED),
    ref("session_id", Guid(), null=True, info=OBSERVED),
    text("phase", info=OBSERVED),
    number("checkpoint_number", Integer(), info=OBSERVED),
    _of_agent(),
    Index("ix_usage_records_agent", "project_id", "agent_id"),
    Index("ix_usage_records_request", "project_id", "request_id"),
    Index("ix_usage_records_conversation", "project_id", "conversation_id", "at"),
)

# The same numbers added up, so that a question over everything reads a row for each agent and day, not one
# for each response. Without a session, phase or checkpoint it is '' and 0, because keys hold no NULL.
usage_totals = Table(
    "usage_totals",
    metadata,
    key("project_id"),
    key("agent_id"),
    key("source", TextType),
    key("day", TextType),
    key("model", TextType),
    key("session_key", TextType),
    key("phase", TextType),
    key("checkpoint_number", Integer()),
    ref("conversation_id", info=OBSERVED),
    _count("messages"),
    _count("input_tokens"),
    _count("output_tokens"),
    _count("cache_read_tokens"),
    _count("cache_write_tokens"),
    _count("unpriced"),
    number("cost_usd", Money(), info=OBSERVED),
    _of_agent(),
    CheckConstraint("source IN ('messages', 'client')", name="source"),
    # With the cost, so that the dearest are found in the index alone.
    Index("ix_usage_totals_conversation", "project_id", "conversation_id", "cost_usd"),
    Index("ix_usage_totals_session", "project_id", "session_key", "checkpoint_number", "cost_usd"),
)

journal_cursors = Table(
    "journal_cursors",
    metadata,
    key("host_id"),
    key("path", TextType),
    text("client", null=False, info=OBSERVED),
    number("dev", BigInteger(), null=False, info=OBSERVED),
    number("inode", BigInteger(), null=False, info=OBSERVED),
    number("position", BigInteger(), null=False, info=OBSERVED),
    text("check_hash", null=False, info=OBSERVED),
    number("size", BigInteger(), null=False, info=OBSERVED),
    number("mtime_ns", BigInteger(), null=False, info=OBSERVED),
    json("state", info=OBSERVED),
    text("problem", info=OBSERVED),
    time("read_at", null=False, info=OBSERVED),
    ForeignKeyConstraint(["host_id"], ["hosts.host_id"], ondelete="CASCADE"),
)

__all__ = ["agent_logs", "journal_cursors", "tool_calls", "usage_records", "usage_totals"]
