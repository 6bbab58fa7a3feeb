"""Rows of the execution tables as ingest writes them: one NamedTuple a table, in the table's column order.

`observed` and `state` are JSON trees; a test compares each row with its table.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID


class ConversationRow(NamedTuple):
    """One conversation of a coding client; `observed` is what the other columns follow from."""

    project_id: UUID
    conversation_id: UUID
    client: str
    native_id: str
    host_id: UUID
    workspace_id: UUID | None
    project_source: str
    identity_id: UUID
    identity_source: str
    status: str
    started_at: datetime
    last_activity_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    end_estimated: bool
    is_child: bool
    forked_from: str | None
    title: str | None
    cwd: str | None
    transcript_path: str | None
    client_version: str | None
    entrypoint: str | None
    model: str | None
    git_branch: str | None
    pid: int | None
    attribution: str
    observed: Any


class ConversationLinkRow(NamedTuple):
    """From when until when a conversation, or one agent in it, worked on a session."""

    project_id: UUID
    conversation_id: UUID
    agent_native_id: str
    linked_at: datetime
    until: datetime | None
    session_id: UUID
    source: str


class AgentRow(NamedTuple):
    """One agent's run; the counts and the cost are those of its usage records."""

    project_id: UUID
    agent_id: UUID
    conversation_id: UUID
    native_id: str
    kind: str
    parent_agent_id: UUID | None
    parent_source: str
    spawned_by: str | None
    agent_type: str | None
    name: str | None
    model: str | None
    status: str
    error: str | None
    task: str | None
    session_id: UUID | None
    checkpoint_number: int | None
    messages: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    unpriced: int
    cost_usd: Decimal | None
    started_at: datetime | None
    last_activity_at: datetime | None
    ended_at: datetime | None
    end_estimated: bool
    observed: Any


class ClientCostRow(NamedTuple):
    """What a client says that a conversation has cost so far, by model."""

    project_id: UUID
    conversation_id: UUID
    model: str
    as_of: datetime | None
    cost_usd: Decimal
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int


class TodoRow(NamedTuple):
    """One item of an agent's own list."""

    project_id: UUID
    conversation_id: UUID
    todo_key: str
    content: str | None
    details: str | None
    status: str | None
    created_at: datetime
    updated_at: datetime
    observed: Any


class AgentLogRow(NamedTuple):
    """One event."""

    project_id: UUID
    conversation_id: UUID
    event_key: str
    agent_id: UUID
    category: str
    event_type: str
    detail: str | None
    tool_use_id: str | None
    at: datetime
    size: int
    digest: str | None
    body: str | None


class ToolCallRow(NamedTuple):
    """One call of a tool; sizes in bytes, durations in milliseconds."""

    project_id: UUID
    conversation_id: UUID
    tool_use_id: str
    agent_id: UUID
    tool_name: str
    server: str | None
    outcome: str
    error: str | None
    called_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    input_size: int | None
    output_size: int | None
    name_weight: int
    weight: int


class UsageRow(NamedTuple):
    """What one response of a model used, what that cost, and which session it is counted to."""

    project_id: UUID
    client: str
    message_id: str
    conversation_id: UUID
    agent_id: UUID
    at: datetime
    model: str
    request_id: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    web_searches: int
    is_final: bool
    cost_usd: Decimal | None
    cost_source: str | None
    price_version: str | None
    session_id: UUID | None
    phase: str | None
    checkpoint_number: int | None


class UsageTotalRow(NamedTuple):
    """Usage of one agent added up; a day is ``YYYY-MM-DD`` in UTC."""

    project_id: UUID
    agent_id: UUID
    source: str
    day: str
    model: str
    session_key: str
    phase: str
    checkpoint_number: int
    conversation_id: UUID
    messages: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    unpriced: int
    cost_usd: Decimal | None


class CursorRow(NamedTuple):
    """How far a journal was read; see `sessionlib.journal.tail`."""

    host_id: UUID
    path: str
    client: str
    dev: int
    inode: int
    position: int
    check_hash: str
    size: int
    mtime_ns: int
    state: Any
    problem: str | None
    read_at: datetime
