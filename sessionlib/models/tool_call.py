"""Tool calls: what agents let tools do, and how that went."""

from enum import StrEnum
from uuid import UUID

from sessionlib.models.base import Model, UtcDatetime


class Outcome(StrEnum):
    """How a call ended; an open one has not, as far as anybody has said."""

    OPEN = "open"
    OK = "ok"
    FAILED = "failed"
    DENIED = "denied"
    INTERRUPTED = "interrupted"


class ToolCall(Model):
    """A stored call; `server` is the MCP server's name, None for the client's own tools.

    Durations are milliseconds and sizes bytes; None where no source tells them.
    """

    project_id: UUID
    conversation_id: UUID
    tool_use_id: str
    agent_id: UUID
    tool_name: str
    server: str | None
    outcome: Outcome
    error: str | None
    called_at: UtcDatetime | None
    ended_at: UtcDatetime | None
    duration_ms: int | None
    input_size: int | None
    output_size: int | None


class ToolSummary(Model):
    """What the calls of one tool add up to.

    Durations are milliseconds, over the `timed` calls of which one is known: the median (of an even number
    the lower one), the mean and the longest; None without any.
    """

    server: str | None
    tool_name: str
    calls: int
    ok: int
    failed: int
    denied: int
    interrupted: int
    open: int
    timed: int
    p50_ms: int | None
    mean_ms: int | None
    max_ms: int | None
