"""Usage added up, for each agent and beyond what single responses tell. Pure."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sessionlib.db.execution_rows import ClientCostRow, ConversationRow, UsageRow, UsageTotalRow
from sessionlib.sync.ingest.attribution import Attribution
from sessionlib.sync.ingest.rowing import day_of
from sessionlib.sync.ingest.standing import moment

_SLACK = timedelta(seconds=5)
_LEAST = Decimal("0.000000005")
"""US dollars; a ledger that is kept in binary fractions differs from exact sums by less."""


_NOTHING = (0, 0, 0, 0, 0, 0, Decimal(0))


class _Key(NamedTuple):
    """What usage is added up by."""

    agent_id: UUID
    day: str
    model: str
    session_key: str
    phase: str
    checkpoint_number: int
    conversation_id: UUID


class Differences:
    """What records that came, changed or went make of the totals they are counted in."""

    def __init__(self) -> None:
        self._sums: dict[_Key, list[Any]] = {}

    def add(self, row: UsageRow) -> None:
        """Count a record."""
        self._count(row, 1)

    def remove(self, row: UsageRow) -> None:
        """Count a record no longer."""
        self._count(row, -1)

    def agents(self) -> set[UUID]:
        """Return the agents whose totals differ."""
        return {key.agent_id for key in self._sums}

    def applied(self, project_id: UUID, stored: Iterable[UsageTotalRow]) -> list[UsageTotalRow]:
        """Return all totals of the agents from records, given those that are stored; empty ones left out."""
        sums = {key: list(numbers) for key, numbers in self._sums.items()}
        for row in stored:
            key = _Key(
                row.agent_id,
                row.day,
                row.model,
                row.session_key,
                row.phase,
                row.checkpoint_number,
                row.conversation_id,
            )
            known = [
                row.messages,
                row.input_tokens,
                row.output_tokens,
                row.cache_read_tokens,
                row.cache_write_tokens,
                row.unpriced,
                row.cost_usd or Decimal(0),
            ]
            sums[key] = [one + other for one, other in zip(known, sums.get(key, _NOTHING), strict=True)]
        return [_total(project_id, key, numbers) for key, numbers in sums.items() if numbers[0] > 0]

    def _count(self, row: UsageRow, sign: int) -> None:
        key = _Key(
            row.agent_id,
            day_of(row.at),
            row.model,
            "" if row.session_id is None else str(row.session_id),
            row.phase or "",
            row.checkpoint_number or 0,
            row.conversation_id,
        )
        numbers: tuple[Any, ...] = (
            1,
            row.input_tokens,
            row.output_tokens,
            row.cache_read_tokens,
            row.cache_write_5m_tokens + row.cache_write_1h_tokens,
            1 if row.cost_usd is None else 0,
            row.cost_usd or Decimal(0),
        )
        sums = self._sums.setdefault(key, list(_NOTHING))
        for place, number in enumerate(numbers):
            sums[place] += sign * number


def _total(project_id: UUID, key: _Key, numbers: Sequence[Any]) -> UsageTotalRow:
    messages, sent, received, read, written, unpriced, cost = numbers
    return UsageTotalRow(
        project_id,
        key.agent_id,
        "messages",
        key.day,
        key.model,
        key.session_key,
        key.phase,
        key.checkpoint_number,
        key.conversation_id,
        messages,
        sent,
        received,
        read,
        written,
        unpriced,
        # Where nothing has a price nobody knows what it cost.
        cost if messages > unpriced else None,
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
    for line in _by_model(ledger):
        seen = [row for row in totals if row.source == "messages" and _plain(row.model) == line.model]
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


def _by_model(ledger: Iterable[ClientCostRow]) -> list[ClientCostRow]:
    """Return a ledger with one line for a model, however long the context that it was asked with."""
    lines: dict[str, ClientCostRow] = {}
    for line in ledger:
        model = _plain(line.model)
        known = lines.get(model)
        lines[model] = line._replace(model=model) if known is None else _both(known, line)
    return list(lines.values())


def _both(one: ClientCostRow, other: ClientCostRow) -> ClientCostRow:
    return one._replace(
        as_of=None if one.as_of is None or other.as_of is None else max(one.as_of, other.as_of),
        cost_usd=one.cost_usd + other.cost_usd,
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cache_read_tokens=one.cache_read_tokens + other.cache_read_tokens,
        cache_write_tokens=one.cache_write_tokens + other.cache_write_tokens,
    )


def _plain(model: str) -> str:
    return model.removesuffix("[1m]")
