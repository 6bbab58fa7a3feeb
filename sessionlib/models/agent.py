"""Agents: one run of an agent inside a conversation of a coding client."""

from decimal import Decimal
from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from sessionlib.models.base import Model, UtcDatetime


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


class AgentCreate(Model):
    """A new agent run. A spawned agent always has a parent, the main one never has."""

    project_id: UUID
    conversation_id: UUID
    native_id: str = Field(min_length=1)
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
    cost_usd: Decimal | None = Field(default=None, ge=0)
    ended_at: UtcDatetime | None = None


class Agent(AgentCreate):
    """A stored agent run; `cost_usd` is None while the model has no known price."""

    agent_id: UUID
    status: AgentStatus
    error: str | None = None
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cost_usd: Decimal | None = None
    ended_at: UtcDatetime | None = None


class AgentSummary(Model):
    """One line of a list of agents."""

    agent_id: UUID
    conversation_id: UUID
    kind: AgentKind
    agent_type: str | None
    status: AgentStatus
    model: str | None
    cost_usd: Decimal | None
    started_at: UtcDatetime | None
    ended_at: UtcDatetime | None
