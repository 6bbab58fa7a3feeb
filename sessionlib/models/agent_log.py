"""Agent logs: one event of an agent."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field, JsonValue

from sessionlib.models.base import Model, UtcDatetime


class LogCategory(StrEnum):
    """Where an event comes from: a hook, a response of the model, or a phase of a session."""

    HOOK = "hook"
    RESPONSE = "response"
    PHASE = "phase"


class AgentLogCreate(Model):
    """A new event. (`conversation_id`, `event_key`) is its natural key: storing it twice stores it once."""

    project_id: UUID
    conversation_id: UUID
    agent_id: UUID
    event_key: str = Field(min_length=1)
    category: LogCategory
    event_type: str = Field(min_length=1)
    at: UtcDatetime
    summary: str | None = None
    tool_name: str | None = None
    payload: dict[str, JsonValue] = Field(default_factory=dict)


class AgentLog(AgentLogCreate):
    """A stored event."""

    log_id: UUID


class AgentLogSummary(Model):
    """One line of a list of events."""

    log_id: UUID
    agent_id: UUID
    category: LogCategory
    event_type: str
    at: UtcDatetime
    summary: str | None
    tool_name: str | None
