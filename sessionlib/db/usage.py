"""What models were used for: records of responses, and their totals that are kept for each agent."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, case, delete, func, literal, select, text, tuple_

from sessionlib.db import bulk, execution, tables
from sessionlib.db.execution_rows import AgentRow, UsageRow, UsageTotalRow
from sessionlib.db.tables import usage_records
from sessionlib.db.types import TextType, UtcTime

Position = tuple[datetime, str, str]
"""Where a record stands in its conversation: time, client, message."""


def slice_of(
    connection: Connection, project_id: UUID, conversation_id: UUID, after: Position | None, most: int
) -> list[UsageRow]:
    """Return usage records of a conversation in order, at most so many, behind a position if one is given."""
    table = usage_records.c
    wanted = [table.project_id == project_id, table.conversation_id == conversation_id]
    if after is not None:
        at, client, message_id = after
        place = tuple_(table.at, table.client, table.message_id)
        wanted += [
            table.at >= at,
            place > tuple_(literal(at, UtcTime()), literal(client, TextType), literal(message_id, TextType)),
        ]
    rows = connection.execute(
        select(usage_records).where(*wanted).order_by(table.at, table.client, table.message_id).limit(most)
    )
    return [UsageRow(*row) for row in rows]


def among(
    connection: Connection, project_id: UUID, column: str, values: Mapping[str, Collection[str]]
) -> list[UsageRow]:
    """Return usage records whose `column` is one of some values, by client."""
    found: list[UsageRow] = []
    for client, some in values.items():
        owner = {"project_id": project_id, "client": client}
        found += [
            UsageRow(*row) for row in bulk.rows_among(connection, usage_records, owner, column, list(some))
        ]
    return found


def drop(connection: Connection, project_id: UUID, keys: Collection[tuple[str, str]]) -> None:
    """Delete usage records, by client and message."""
    table = usage_records.c
    for client, message_id in keys:
        connection.execute(
            delete(usage_records).where(
                table.project_id == project_id, table.client == client, table.message_id == message_id
            )
        )


def add_up(connection: Connection, project_id: UUID, agent_ids: Collection[UUID]) -> list[UsageTotalRow]:
    """Return the usage records of some agents, added up."""
    if not agent_ids:
        return []
    table = usage_records.c
    is_postgres = connection.dialect.name == "postgresql"
    day: Any = (
        func.to_char(table.at.op("AT TIME ZONE")(text("'UTC'")), "YYYY-MM-DD")
        if is_postgres
        else func.substr(table.at, 1, 10)
    )
    key = [
        table.agent_id,
        day.label("day"),
        table.model,
        table.session_id,
        func.coalesce(table.phase, "").label("phase"),
        func.coalesce(table.checkpoint_number, 0).label("checkpoint_number"),
        table.conversation_id,
    ]
    rows = connection.execute(
        select(
            *key,
            func.count(),
            func.sum(table.input_tokens),
            func.sum(table.output_tokens),
            func.sum(table.cache_read_tokens),
            func.sum(table.cache_write_5m_tokens + table.cache_write_1h_tokens),
            func.sum(case((table.cost_usd.is_(None), 1), else_=0)),
            func.sum(table.cost_usd),
        )
        .where(table.project_id == project_id, table.agent_id.in_(list(agent_ids)))
        .group_by(*(column.element if hasattr(column, "element") else column for column in key))
    )
    return [
        UsageTotalRow(
            project_id=project_id,
            agent_id=row[0],
            source="messages",
            day=row[1],
            model=row[2],
            session_key="" if row[3] is None else str(row[3]),
            phase=row[4],
            checkpoint_number=row[5],
            conversation_id=row[6],
            messages=row[7],
            # Sums of PostgreSQL are no integers.
            input_tokens=int(row[8]),
            output_tokens=int(row[9]),
            cache_read_tokens=int(row[10]),
            cache_write_tokens=int(row[11]),
            unpriced=int(row[12]),
            cost_usd=row[13],
        )
        for row in rows
    ]


def recount(connection: Connection, project_id: UUID, agent_ids: Collection[UUID]) -> None:
    """Add the usage records of some agents up anew, and write what that comes to."""
    sums = add_up(connection, project_id, agent_ids)
    put_totals(connection, project_id, agent_ids, sums, "messages")
    agents = execution.agents_by_id(connection, project_id, agent_ids)
    execution.write(connection, "agents", with_sums(sums, agents))


def with_sums(sums: Iterable[UsageTotalRow], agents: Iterable[AgentRow]) -> list[AgentRow]:
    """Return agents with the sums of their usage; one without any used nothing."""
    found: dict[UUID, list[UsageTotalRow]] = defaultdict(list)
    for row in sums:
        found[row.agent_id].append(row)
    return [_with_sums(agent, found[agent.agent_id]) for agent in agents]


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


def put_totals(
    connection: Connection,
    project_id: UUID,
    agent_ids: Iterable[UUID],
    rows: Sequence[UsageTotalRow],
    source: str,
) -> None:
    """Write the totals of some agents from one source; others that they had go."""
    bulk.upsert(connection, tables.usage_totals, rows)
    owners = [(project_id, agent_id, source) for agent_id in agent_ids]
    bulk.prune(connection, tables.usage_totals, owners, [row[:8] for row in rows])


def totals_among(
    connection: Connection, project_id: UUID, agent_ids: Collection[UUID]
) -> list[UsageTotalRow]:
    """Return the totals of some agents from usage records."""
    owner = {"project_id": project_id, "source": "messages"}
    rows = bulk.rows_among(connection, tables.usage_totals, owner, "agent_id", agent_ids)
    return [UsageTotalRow(*row) for row in rows]


def totals_of(connection: Connection, project_id: UUID, conversation_id: UUID) -> list[UsageTotalRow]:
    """Return the totals of a conversation."""
    rows = bulk.rows_among(
        connection,
        tables.usage_totals,
        {"project_id": project_id},
        "conversation_id",
        [conversation_id],
    )
    return [UsageTotalRow(*row) for row in rows]
