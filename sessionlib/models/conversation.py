"""Conversations: one conversation with a coding client, under the id that the client gave it."""

from enum import StrEnum
from uuid import UUID

from sessionlib.models.base import Dollars, Model, UtcDatetime


class ConversationStatus(StrEnum):
    """How a conversation stands; a phantom was begun by a client and never worked in."""

    ACTIVE = "active"
    ENDED = "ended"
    ABANDONED = "abandoned"
    PHANTOM = "phantom"


class ConversationSummary(Model):
    """One line of a list of conversations.

    `native_id` is the client's id. `sessions` are the slugs of the sessions it worked on. Tokens and cost are
    those of all its agents, with what the client itself says that it was charged beyond their responses;
    `unpriced` responses have no known price. `end_estimated` tells that nobody said when it ended.
    """

    project_slug: str
    conversation_id: UUID
    client: str
    native_id: str
    status: ConversationStatus
    title: str | None
    identity: str
    identity_source: str
    host: str
    started_at: UtcDatetime
    last_activity_at: UtcDatetime
    ended_at: UtcDatetime | None
    end_reason: str | None
    end_estimated: bool
    model: str | None
    client_version: str | None
    git_branch: str | None
    cwd: str | None
    forked_from: str | None
    is_child: bool
    sessions: list[str]
    agents: int
    agents_failed: int
    messages: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    unpriced: int
    cost_usd: Dollars | None
