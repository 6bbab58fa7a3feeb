"""Rows from drafts and from what is stored: what both say together. Pure."""

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from sessionlib.db.execution_rows import (
    AgentLogRow,
    AgentRow,
    ClientCostRow,
    ConversationRow,
    TodoRow,
    ToolCallRow,
    UsageRow,
)
from sessionlib.db.types import decode_time
from sessionlib.journal.facts import MAIN, Logged, Spent
from sessionlib.models.base import derived_id
from sessionlib.sync.ingest import standing
from sessionlib.sync.ingest.belonging import Belonging
from sessionlib.sync.ingest.drafts import (
    AGENT_FIRSTS,
    CONVERSATION_FIRSTS,
    ITEM_FIRSTS,
    CallDraft,
    Draft,
    Numbers,
    UsageDraft,
    key_of,
    most,
)
from sessionlib.sync.ingest.joining import Observed, greatest, joined, least, stamp
from sessionlib.sync.ingest.standing import Standing, moment, value

_NOBODY = UUID(int=0)

OTLP = "otlp"
"""The source of a cost that the client told as it made the request."""


class Owner(NamedTuple):
    """The conversation that rows belong to, and how it stands."""

    project_id: UUID
    conversation_id: UUID
    observed: Observed
    standing: Standing

    def agent_id(self, native_id: str) -> UUID:
        """Return the id of one of its agents."""
        return agent_id_of(self.conversation_id, native_id)


def conversation_id_of(client: str, native_id: str) -> UUID:
    """Return the id of a conversation, the same on every host and in every project."""
    return derived_id("conversation", client, native_id)


@lru_cache(maxsize=4096)
def agent_id_of(conversation_id: UUID, native_id: str) -> UUID:
    """Return the id of an agent in a conversation."""
    return derived_id("agent", conversation_id, native_id)


def belonging_of(row: ConversationRow) -> Belonging:
    """Return where a stored conversation belongs."""
    return Belonging(
        row.project_id, row.workspace_id, row.project_source, row.identity_id, row.identity_source
    )


def conversation(
    draft: Draft, known: ConversationRow | None, home: Belonging, host_id: UUID
) -> tuple[ConversationRow, Owner]:
    """Return a conversation's row, and it as the owner of others.

    Args:
        draft: What is said of it.
        known: What is stored of it; its beginning must then be known.
        home: Where it belongs.
        host_id: Where a new one is run.
    """
    observed = joined({} if known is None else known.observed, draft.observed, CONVERSATION_FIRSTS)
    stands = standing.of_conversation(observed)
    row = ConversationRow(
        project_id=home.project_id,
        conversation_id=conversation_id_of(draft.client, draft.native_id),
        client=draft.client,
        native_id=draft.native_id,
        host_id=host_id if known is None else known.host_id,
        workspace_id=home.workspace_id,
        project_source=home.project_source,
        identity_id=home.identity_id,
        identity_source=home.identity_source,
        status=stands.status,
        started_at=decode_time(observed["first"]),
        last_activity_at=decode_time(observed["last"]),
        ended_at=stands.ended_at,
        end_reason=stands.reason,
        end_estimated=stands.is_estimated,
        is_child=bool(observed.get("is_child", False)),
        forked_from=observed.get("forked_from"),
        title=value(observed, "title"),
        cwd=value(observed, "cwd"),
        transcript_path=value(observed, "transcript"),
        client_version=value(observed, "version"),
        entrypoint=value(observed, "entrypoint"),
        model=value(observed, "model"),
        git_branch=value(observed, "branch"),
        pid=value(observed, "pid"),
        attribution="" if known is None else known.attribution,
        observed=observed,
    )
    return row, Owner(row.project_id, row.conversation_id, observed, stands)


def agent(owner: Owner, native_id: str, seen: Observed, known: AgentRow | None) -> AgentRow:
    """Return an agent's row; its session, tokens and cost are what is stored."""
    observed = joined({} if known is None else known.observed, seen, AGENT_FIRSTS)
    is_main = native_id == MAIN
    about = owner.observed if is_main else observed
    if is_main:
        run = standing.of_main(observed, moment(about.get("worked")), owner.standing)
        parent, parent_source = None, "none"
    else:
        run = standing.of_spawned(observed, owner.standing)
        spawner, parent_source = standing.parent_of(observed)
        parent = owner.agent_id(MAIN if spawner == native_id else spawner)
    return AgentRow(
        project_id=owner.project_id,
        agent_id=owner.agent_id(native_id),
        conversation_id=owner.conversation_id,
        native_id=native_id,
        kind="main" if is_main else "spawned",
        parent_agent_id=parent,
        parent_source=parent_source,
        spawned_by=value(observed, "call"),
        agent_type=value(observed, "type"),
        name=None,
        model=value(about, "model"),
        status=run.status,
        error=run.error,
        task=value(observed, "task"),
        session_id=None if known is None else known.session_id,
        checkpoint_number=None if known is None else known.checkpoint_number,
        messages=0 if known is None else known.messages,
        input_tokens=0 if known is None else known.input_tokens,
        output_tokens=0 if known is None else known.output_tokens,
        cache_read_tokens=0 if known is None else known.cache_read_tokens,
        cache_write_tokens=0 if known is None else known.cache_write_tokens,
        unpriced=0 if known is None else known.unpriced,
        cost_usd=None if known is None else known.cost_usd,
        started_at=moment(about.get("first")),
        last_activity_at=moment(about.get("last")),
        ended_at=run.ended_at,
        end_estimated=run.is_estimated,
        observed=observed,
    )


def is_child_of_call(row: AgentRow) -> bool:
    """Tell whether the call that spawned an agent is known better than the agent that did."""
    told, parent = row.observed.get("call"), row.observed.get("parent")
    return row.native_id != MAIN and told is not None and (parent is None or parent[0] < told[0])


def source_of_call(row: AgentRow) -> str:
    """Return what told of the call that spawned an agent."""
    return standing.source_of(row.observed["call"][0])


def call(owner: Owner, native_id: str, seen: CallDraft, known: ToolCallRow | None) -> ToolCallRow:
    """Return a tool call's row."""
    name, returned, ended_at = seen.name, seen.returned, seen.ended_at
    agent_id, called_at = owner.agent_id(seen.agent), seen.called_at
    duration, size = seen.duration_ms, seen.input_size
    if known is not None:
        if known.name_weight >= 0:
            name = greatest(name, (known.name_weight, known.tool_name, known.server or ""))
        before = _returned(known)
        if before is not None and (returned is None or before > returned):
            returned, ended_at = before, known.ended_at
        agent_id = _later_agent(owner, agent_id, known.agent_id)
        called_at = least(called_at, known.called_at)
        duration, size = greatest(duration, known.duration_ms), greatest(size, known.input_size)
    weight, _, outcome, error, output = returned or (-1, "", "open", "", -1)
    return ToolCallRow(
        project_id=owner.project_id,
        conversation_id=owner.conversation_id,
        tool_use_id=native_id,
        agent_id=agent_id,
        tool_name="unknown" if name is None else name[1],
        server=None if name is None else name[2] or None,
        outcome=outcome,
        error=error or None,
        called_at=called_at,
        ended_at=ended_at,
        duration_ms=duration,
        input_size=size,
        output_size=None if output < 0 else output,
        name_weight=-1 if name is None else name[0],
        weight=weight,
    )


def _returned(row: ToolCallRow) -> tuple[int, str, str, str, int] | None:
    if row.weight < 0:
        return None
    size = -1 if row.output_size is None else row.output_size
    return row.weight, stamp(row.ended_at), row.outcome, row.error or "", size


def _later_agent(owner: Owner, one: UUID, other: UUID) -> UUID:
    """Return which of two agents did it: one that only some sources know, rather than the main one."""
    main = owner.agent_id(MAIN)
    if main in (one, other):
        return other if one == main else one
    return max(one, other)


def usage(owner: Owner, client: str, message_id: str, seen: UsageDraft, known: UsageRow | None) -> UsageRow:
    """Return what a response used; what it is counted to is left open, and its price if the client is silent.

    A response that several conversations hold, because one was copied from another, is of the earliest.
    """
    conversation_id, agent_id = owner.conversation_id, owner.agent_id(seen.agent)
    at, numbers, is_final = seen.at, seen.numbers, seen.is_final
    model, request_id = seen.model, seen.request_id
    if known is not None:
        if known.conversation_id == conversation_id:
            agent_id = _later_agent(owner, agent_id, known.agent_id)
        elif (known.at, known.conversation_id) <= (at, conversation_id):
            conversation_id, agent_id = known.conversation_id, known.agent_id
        at, model = min(at, known.at), min(model, known.model)
        numbers = most(numbers, numbers_of(known))
        request_id, is_final = greatest(request_id, known.request_id), is_final or known.is_final
    told = greatest(seen.cost, known.cost_usd if known is not None and known.cost_source == OTLP else None)
    return UsageRow(
        project_id=owner.project_id,
        client=client,
        message_id=message_id,
        conversation_id=conversation_id,
        agent_id=agent_id,
        at=at,
        model=model,
        request_id=request_id,
        input_tokens=numbers[0],
        output_tokens=numbers[1],
        cache_read_tokens=numbers[2],
        cache_write_5m_tokens=numbers[3],
        cache_write_1h_tokens=numbers[4],
        web_searches=numbers[5],
        is_final=is_final,
        cost_usd=told,
        cost_source=None if told is None else OTLP,
        price_version=None,
        session_id=None,
        phase=None,
        checkpoint_number=None,
    )


def charged(response: UsageRow, request: UsageRow) -> UsageRow:
    """Return a response with what the client told of its request, which is not needed any more then."""
    numbers = most(numbers_of(response), numbers_of(request))
    told = response.cost_usd if response.cost_source == OTLP else None
    return response._replace(
        input_tokens=numbers[0],
        output_tokens=numbers[1],
        cache_read_tokens=numbers[2],
        cache_write_5m_tokens=numbers[3],
        cache_write_1h_tokens=numbers[4],
        cost_usd=greatest(told, request.cost_usd),
        cost_source=OTLP,
        price_version=None,
    )


def is_priced_alike(one: UsageRow, other: UsageRow) -> bool:
    """Tell whether two records have the same price, whatever the prices are."""
    same_model = (one.model, one.at) == (other.model, other.at)
    return same_model and numbers_of(one) == numbers_of(other)


def sample(draft: Draft, message_id: str, seen: UsageDraft) -> UsageRow:
    """Return a record as it is priced, of nobody."""
    nobody = Owner(_NOBODY, _NOBODY, {}, Standing("active", None, None, is_estimated=False, boundary=None))
    return usage(nobody, draft.client, message_id, seen, None)


def numbers_of(row: UsageRow) -> Numbers:
    """Return the numbers of a stored record."""
    return (
        row.input_tokens,
        row.output_tokens,
        row.cache_read_tokens,
        row.cache_write_5m_tokens,
        row.cache_write_1h_tokens,
        row.web_searches,
    )


def todo(owner: Owner, key: str, seen: Observed, known: TodoRow | None) -> TodoRow:
    """Return an item of an agent's list."""
    observed = joined({} if known is None else known.observed, seen, ITEM_FIRSTS)
    return TodoRow(
        project_id=owner.project_id,
        conversation_id=owner.conversation_id,
        todo_key=key,
        content=value(observed, "content"),
        details=value(observed, "details"),
        status=value(observed, "status"),
        created_at=decode_time(observed["first"]),
        updated_at=decode_time(observed["last"]),
        observed=observed,
    )


def cost(owner: Owner, model: str, seen: Spent, known: ClientCostRow | None) -> ClientCostRow:
    """Return a line of a client's ledger; the greater one is the later."""
    row = ClientCostRow(
        owner.project_id,
        owner.conversation_id,
        model,
        seen.as_of,
        seen.cost_usd,
        seen.input_tokens,
        seen.output_tokens,
        seen.cache_read_tokens,
        seen.cache_write_tokens,
    )
    if known is None:
        return row
    return row if _rank(row) > _rank(known) else known


def _rank(row: ClientCostRow) -> tuple[object, ...]:
    return round(row.cost_usd, 9), row.output_tokens, row.input_tokens, stamp(row.as_of)


def log(owner: Owner, key: str, seen: Logged) -> AgentLogRow:
    """Return an event's row."""
    return AgentLogRow(
        project_id=owner.project_id,
        conversation_id=owner.conversation_id,
        event_key=key,
        agent_id=owner.agent_id(key_of(seen.agent)),
        category=seen.kind,
        event_type=key_of(seen.name)[:100],
        detail=None if seen.detail is None else seen.detail[:200],
        tool_use_id=None if seen.call is None else key_of(seen.call),
        at=seen.at,
        size=seen.size,
        digest=seen.digest,
        body=seen.body,
    )


def day_of(at: datetime) -> str:
    """Return the day of a time in UTC."""
    return stamp(at)[:10]
