"""Agents: one run of an agent inside a conversation of a coding client."""

from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from sessionlib.models.base import Dollars, Model, UtcDatetime


class AgentKind(StrEnum):
    """The main agent of a conversation, or one that another agent spawned."""

    MAIN = "main"
    SPAWNED = "spawned"


class AgentStatus(StrEnum):
    """How an agent run stands or ended."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class ParentSource(StrEnum):
    """What told which agent spawned one, the least reliable first; none for a main agent."""

    NONE = "none"
    ASSUMED = "assumed"
    TRANSCRIPT = "transcript"
    RESULT = "result"
    META = "meta"


class AgentCreate(Model):
    """A new agent run. A spawned agent always has a parent, the main one never has."""

    project_id: UUID
    conversation_id: UUID
    native_id: str
    kind: AgentKind
    parent_agent_id: UUID | None = None
    agent_type: str | None = None
    name: str | None = None
    model: str | None = None
    task: str | None = None
    session_id: UUID | None = None
    checkpoint_number: int | None = Field(default=None, ge=1)
    started_at: UtcDatetime | None = None

    @model_validator(mode="after")
    def _parent_fits_kind(self) -> Self:
        if (self.kind is AgentKind.MAIN) != (self.parent_agent_id is None):
            message = "a spawned agent needs parent_agent_id, the main agent has none"
            raise ValueError(message)
        return self


class AgentUpdate(Model):
    """A change; only the fields that were set are written, and None writes NULL."""

    name: str | None = None
    model: str | None = None
    status: AgentStatus = AgentStatus.RUNNING
    error: str | None = None
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cost_usd: Dollars | None = Field(default=None, ge=0)
    ended_at: UtcDatetime | None = None


class Agent(AgentCreate):
    """A stored agent run.

    Its tokens and its cost are those of its responses; `unpriced` of these have no known price, and where
    that is all of them `cost_usd` is None. `end_estimated` tells that nobody said when it ended.
    """

    agent_id: UUID
    parent_source: ParentSource = ParentSource.ASSUMED
    spawned_by: str | None = None
    status: AgentStatus
    error: str | None = None
    messages: int = Field(default=0, ge=0)
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cache_read_tokens: int = Field(default=0, ge=0)
    cache_write_tokens: int = Field(default=0, ge=0)
    unpriced: int = Field(default=0, ge=0)
    cost_usd: Dollars | None = None
    last_activity_at: UtcDatetime | None = None
    ended_at: UtcDatetime | None = None
    end_estimated: bool = False


class AgentSummary(Model):
    """One line of a list of agents.

    `parent_type` is what kind of agent spawned it: ``main``, or the type of a spawned one; None for a main
    agent, and for a parent whose type nobody knows. `session` and `phase` are those of the session it worked
    on.
    """

    project_slug: str
    agent_id: UUID
    native_id: str
    kind: AgentKind
    agent_type: str | None
    status: AgentStatus
    error: str | None
    task: str | None
    model: str | None
    conversation_id: UUID
    conversation: str
    parent_agent_id: UUID | None
    parent_type: str | None
    parent_source: ParentSource
    session_id: UUID | None
    session: str | None
    phase: str | None
    checkpoint_number: int | None
    messages: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    unpriced: int
    cost_usd: Dollars | None
    started_at: UtcDatetime | None
    last_activity_at: UtcDatetime | None
    ended_at: UtcDatetime | None
    end_estimated: bool
