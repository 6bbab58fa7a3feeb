"""Usage added up, for each agent and beyond what single responses tell. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from sessionlib.db.execution_rows import AgentRow, ClientCostRow, ConversationRow, UsageTotalRow
from sessionlib.sync.ingest.attribution import Attribution
from sessionlib.sync.ingest.rowing import day_of
from sessionlib.sync.ingest.standing import moment

_SLACK = timedelta(seconds=5)
_LEAST = Decimal("0.000000005")
"""US dollars; a ledger that is kept in binary fractions differs from exact sums by less."""


def of_agents(
    ids: Collection[UUID], sums: Iterable[UsageTotalRow], agents: Iterable[AgentRow]
) -> list[AgentRow]:
    """Return agents with the sums of their usage.

    Args:
        ids: The agents that were added up; one without any sum used nothing.
        sums: What they used.
        agents: Their rows.
    """
    found: dict[UUID, list[UsageTotalRow]] = defaultdict(list)
    for row in sums:
        found[row.agent_id].append(row)
    return [_with_sums(agent, found[agent.agent_id]) for agent in agents if agent.agent_id in ids]


def _with_sums(agent: AgentRow, sums: Sequence[UsageTotalRow]) -> AgentRow:
    priced = [row.cost_usd for row in sums if row.cost_usd is not None]
    return agent._replace(
        messages=sum(row.messages for row in sums),
        input_tokens=sum(row.input_tokens for row in sums),
        output_tokens=sum(row.output_tokens for row in sums),
        cache_read_tokens=sum(row.cache_read_tokens for row in sums),
        cache_write_tokens=sum(row.cache_write_tokens for row in sums),
        unpriced=sum(row.unpriced for row in sums),
        cost_usd=sum(priced, Decimal(0)) if priced else None,
    )


def beyond(
    conversation: ConversationRow,
    main_agent: UUID,
    ledger: Sequence[ClientCostRow],
    totals: Sequence[UsageTotalRow],
    attribution: Attribution,
) -> list[UsageTotalRow]:
    """Return what the client's ledger holds beyond the responses that were seen: compactions, side questions.

    The client knows better what it was charged. So where its ledger covers all that was seen, the difference
    counts whatever its sign; where the conversation has gone on since, only what is too much for the
    responses to make up.
    """
    rows = []
    for line in ledger:
        seen = [row for row in totals if row.source == "messages" and row.model == line.model]
        cost = line.cost_usd - sum((row.cost_usd or Decimal(0) for row in seen), Decimal(0))
        worked = moment(conversation.observed.get("worked"))
        covers_all = line.as_of is not None and (worked is None or line.as_of >= worked - _SLACK)
        if abs(cost) < _LEAST or (cost < 0 and not covers_all):
            continue
        at = line.as_of or conversation.last_activity_at
        counted = attribution.at(at, "")
        rows.append(
            UsageTotalRow(
                conversation.project_id,
                main_agent,
                "client",
                day_of(at),
                line.model,
                "" if counted.session_id is None else str(counted.session_id),
                counted.phase or "",
                counted.checkpoint or 0,
                conversation.conversation_id,
                0,
                max(0, line.input_tokens - sum(row.input_tokens for row in seen)),
                max(0, line.output_tokens - sum(row.output_tokens for row in seen)),
                max(0, line.cache_read_tokens - sum(row.cache_read_tokens for row in seen)),
                max(0, line.cache_write_tokens - sum(row.cache_write_tokens for row in seen)),
                0,
                cost,
            )
        )
    return rows
