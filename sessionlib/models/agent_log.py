"""Agent logs: one event of an agent."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from sessionlib.models.base import Model, UtcDatetime


class LogCategory(StrEnum):
    """Where an event comes from: a hook, a response of the model, or a phase of a session."""

    HOOK = "hook"
    RESPONSE = "response"
    PHASE = "phase"


class AgentLogCreate(Model):
    """A new event. (`conversation_id`, `event_key`) is its natural key: storing it twice stores it once.

    `size` is that of its body in bytes, which is kept only where that is configured; `digest` tells whether
    two bodies are the same.
    """

    project_id: UUID
    conversation_id: UUID
    agent_id: UUID
    event_key: str = Field(min_length=1)
    category: LogCategory
    event_type: str = Field(min_length=1)
    at: UtcDatetime
    detail: str | None = None
    tool_use_id: str | None = None
    size: int = Field(default=0, ge=0)
    digest: str | None = None
    body: str | None = None


class AgentLog(AgentLogCreate):
    """A stored event."""


class AgentLogSummary(Model):
    """One line of a log; `cursor` names its place in it, for the page before or after."""

    cursor: str
    at: UtcDatetime
    project_slug: str
    conversation_id: UUID
    conversation: str
    agent_id: UUID
    agent: str
    category: LogCategory
    event_type: str
    detail: str | None
    tool_use_id: str | None
    size: int
    body: str | None
