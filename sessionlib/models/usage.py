"""Usage: tokens of models' responses, and what they cost."""

from uuid import UUID

from sessionlib.models.base import Dollars, Model


class CostSummary(Model):
    """What a group of responses used and cost.

    `by` says what the group has in common and `group` its value: a project's or a session's slug, a phase,
    the number of a checkpoint, a type of agent, a model, a day (UTC), an identity's name, or a conversation's
    native id; None for what belongs to none. `project`, `session` and `title` tell more of a session, a
    checkpoint or a conversation.

    `messages` are the responses that were seen. `client_usd` is the part of `cost_usd` that only the client's
    own ledger holds: it knows of compactions and side questions, and better what it was charged, so the part
    can be negative. `unpriced` responses have no known price, and are in no sum of money; without any price
    `cost_usd` is None.
    """

    by: str
    group: str | None
    project: str | None
    session: str | None
    title: str | None
    id: UUID | None
    messages: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    unpriced: int
    client_usd: Dollars | None
    cost_usd: Dollars | None


class UnpricedModel(Model):
    """A model some of whose responses have no known price."""

    model: str
    unpriced: int
    messages: int
    conversations: int
    first_day: str
    last_day: str
