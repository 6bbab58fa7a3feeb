"""The timeline of a session: what happened to it and in it, in the order of time."""

from enum import StrEnum
from uuid import UUID

from sessionlib.models.base import Model, UtcDatetime


class Happening(StrEnum):
    """What kind of thing happened."""

    PHASE = "phase"
    CHECKPOINT = "checkpoint"
    COMMIT = "commit"
    DECISION = "decision"
    CONVERSATION_STARTED = "conversation started"
    CONVERSATION_ENDED = "conversation ended"
    AGENT_STARTED = "agent started"
    AGENT_ENDED = "agent ended"
    CALL_FAILED = "call failed"


class TimelineEntry(Model):
    """One thing that happened; `subject` is what it happened to, `status` how that stood then."""

    at: UtcDatetime
    kind: Happening
    subject: str
    status: str | None = None
    detail: str | None = None
    conversation_id: UUID | None = None
    agent_id: UUID | None = None
