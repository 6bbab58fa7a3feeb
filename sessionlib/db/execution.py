"""What ingest reads and writes: conversations and what belongs to them, under the lock of their project."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Connection, Table, delete, func, select, tuple_

from sessionlib.db import bulk, tables
from sessionlib.db.execution_rows import (
    AgentLogRow,
    AgentRow,
    ClientCostRow,
    ConversationRow,
    CursorRow,
    TodoRow,
    ToolCallRow,
    UsageRow,
)

_CHUNK = 400
"""Pairs in one statement; both databases bound the number of its parameters."""


_SEEN_OF_EVENT = ("agent_id", "detail", "tool_use_id", "at", "size", "digest", "body")


PENDING = "pending"
"""The attribution of a conversation whose records are not all counted by one: some are still to be."""


class Stored(NamedTuple):
    """What is stored of a batch's conversations, by their ids and keys."""

    agents: dict[UUID, AgentRow]
    calls: dict[tuple[UUID, str], ToolCallRow]
    usage: dict[tuple[str, str], UsageRow]
    todos: dict[tuple[UUID, str], TodoRow]
    costs: dict[tuple[UUID, str], ClientCostRow]


class Wanted(NamedTuple):
    """What a batch has something to say of, in one project."""

    conversations: Collection[UUID]
    agents: Collection[UUID]
    calls: Mapping[UUID, Collection[str]]
    messages: Mapping[str, Collection[str]]
    todos: Mapping[UUID, Collection[str]]


def lock_projects(connection: Connection, ids: Iterable[UUID]) -> None:
    """Let nobody else ingest into these projects until the end of the transaction."""
    bulk.lock_ids(connection, ids)


def conversations(
    connection: Connection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], ConversationRow]:
    """Return the stored conversations of these clients and native ids.

    Of one that two projects hold, which only a merge under way can make, the one that was active last.
    """
    table = tables.conversations
    found: dict[tuple[str, str], ConversationRow] = {}
    by_client: dict[str, list[str]] = defaultdict(list)
    for client, native_id in keys:
        by_client[client].append(native_id)
    for client, native_ids in by_client.items():
        rows = bulk.rows_among(connection, table, {"client": client}, "native_id", native_ids)
        for row in sorted((ConversationRow(*row) for row in rows), key=lambda row: row.last_activity_at):
            found[row.client, row.native_id] = row
    return found


def conversations_by_id(
    connection: Connection, project_id: UUID, ids: Collection[UUID]
) -> dict[UUID, ConversationRow]:
    """Return stored conversations of a project."""
    rows = bulk.rows_among(
        connection, tables.conversations, {"project_id": project_id}, "conversation_id", list(ids)
    )
    return {row.conversation_id: row for row in (ConversationRow(*row) for row in rows)}


def stored(connection: Connection, project_id: UUID, wanted: Wanted) -> Stored:
    """Return what is stored of everything that a batch has something to say of."""
    owner = {"project_id": project_id}

    def of_each(table: Table, column: str, keys: Mapping[UUID, Collection[str]]) -> list[tuple[Any, ...]]:
        return _of_conversations(connection, table, project_id, column, keys)

    agents = bulk.rows_among(connection, tables.agents, owner, "agent_id", list(wanted.agents))
    costs = bulk.rows_among(
        connection, tables.client_costs, owner, "conversation_id", list(wanted.conversations)
    )
    usage = [
        UsageRow(*row)
        for client, messages in wanted.messages.items()
        for row in bulk.rows_among(
            connection, tables.usage_records, {**owner, "client": client}, "message_id", list(messages)
        )
    ]
    return Stored(
        {row.agent_id: row for row in (AgentRow(*row) for row in agents)},
        {
            (row.conversation_id, row.tool_use_id): row
            for row in (ToolCallRow(*row) for row in of_each(tables.tool_calls, "tool_use_id", wanted.calls))
        },
        {(row.client, row.message_id): row for row in usage},
        {
            (row.conversation_id, row.todo_key): row
            for row in (TodoRow(*row) for row in of_each(tables.todos, "todo_key", wanted.todos))
        },
        {(row.conversation_id, row.model): row for row in (ClientCostRow(*row) for row in costs)},
    )


def _of_conversations(
    connection: Connection,
    table: Table,
    project_id: UUID,
    column: str,
    keys: Mapping[UUID, Collection[str]],
) -> list[tuple[Any, ...]]:
    """Return rows by their conversation and another key."""
    pairs = [(conversation_id, value) for conversation_id, some in keys.items() for value in some]
    owner = {"project_id": project_id}
    return bulk.rows_paired(connection, table, owner, ("conversation_id", column), pairs)


def agents_of(connection: Connection, project_id: UUID, conversation_ids: Collection[UUID]) -> list[AgentRow]:
    """Return all agents of some conversations."""
    rows = bulk.rows_among(
        connection, tables.agents, {"project_id": project_id}, "conversation_id", list(conversation_ids)
    )
    return [AgentRow(*row) for row in rows]


def agents_by_id(connection: Connection, project_id: UUID, ids: Collection[UUID]) -> list[AgentRow]:
    """Return some agents."""
    rows = bulk.rows_among(connection, tables.agents, {"project_id": project_id}, "agent_id", list(ids))
    return [AgentRow(*row) for row in rows]


def callers(
    connection: Connection, project_id: UUID, calls: Mapping[UUID, Collection[str]]
) -> dict[tuple[UUID, str], UUID]:
    """Return the agents that made some calls, by conversation and call."""
    rows = _of_conversations(connection, tables.tool_calls, project_id, "tool_use_id", calls)
    made = [ToolCallRow(*row) for row in rows]
    return {(call.conversation_id, call.tool_use_id): call.agent_id for call in made}


def spawned_by(
    connection: Connection, project_id: UUID, calls: Mapping[UUID, Collection[str]]
) -> list[AgentRow]:
    """Return the agents that some calls have spawned."""
    rows = _of_conversations(connection, tables.agents, project_id, "spawned_by", calls)
    return [AgentRow(*row) for row in rows]


# --- writing -----------------------------------------------------------------------------------------


def write(connection: Connection, name: str, rows: Sequence[Any]) -> None:
    """Insert or change rows of a table, none twice; their observations are written as JSON."""
    if rows and "observed" in rows[0]._fields:
        rows = [row._replace(observed=dump(row.observed)) for row in rows]
    bulk.upsert(connection, tables.metadata.tables[name], rows)


def write_logs(connection: Connection, rows: Sequence[AgentLogRow]) -> None:
    """Insert events; of one that is there already the earlier sight stays."""
    bulk.upsert_where(connection, tables.agent_logs, rows, _SEEN_OF_EVENT, "excluded.at < agent_logs.at")


# --- journals ----------------------------------------------------------------------------------------


def cursors(connection: Connection, host_id: UUID) -> dict[str, CursorRow]:
    """Return how far each journal of a host was read, by its path as stored."""
    table = tables.journal_cursors
    rows = connection.execute(select(table).where(table.c.host_id == host_id))
    return {row.path: CursorRow(*row) for row in rows}


def put_cursors(connection: Connection, rows: Sequence[CursorRow]) -> None:
    """Write how far journals were read; their states are trees."""
    bulk.upsert(connection, tables.journal_cursors, [row._replace(state=dump(row.state)) for row in rows])


def drop_cursors(connection: Connection, host_id: UUID, paths: Collection[str]) -> None:
    """Forget journals that their client has deleted; what was read of them stays."""
    table = tables.journal_cursors
    for path in paths:
        connection.execute(delete(table).where(table.c.host_id == host_id, table.c.path == path))


def dump(tree: Any) -> str:
    """Return JSON text as it is stored: with sorted keys, so that equal trees are equal texts."""
    return orjson.dumps(tree, option=orjson.OPT_SORT_KEYS).decode()


def busy_pids(connection: Connection, host_id: UUID) -> set[tuple[int, UUID]]:
    """Return the processes of a host's active conversations, and whose they are."""
    table = tables.conversations.c
    rows = connection.execute(
        select(table.pid, table.conversation_id).where(
            table.host_id == host_id, table.status == "active", table.pid.is_not(None)
        )
    )
    return {(row[0], row[1]) for row in rows}


def unlinked(connection: Connection) -> int:
    """Return how many active conversations work on no session that is known."""
    them, links = tables.conversations.c, tables.conversation_links.c
    linked = (
        select(links.session_id)
        .where(links.project_id == them.project_id, links.conversation_id == them.conversation_id)
        .exists()
    )
    wanted = select(func.count()).select_from(tables.conversations).where(them.status == "active", ~linked)
    return connection.scalar(wanted) or 0


def unpriced(connection: Connection) -> dict[UUID, list[UUID]]:
    """Return the conversations with usage that has no price, by project."""
    table = tables.agents.c
    found: dict[UUID, list[UUID]] = defaultdict(list)
    wanted = select(table.project_id, table.conversation_id).where(table.unpriced > 0).distinct()
    for project_id, conversation_id in connection.execute(wanted):
        found[project_id].append(conversation_id)
    return found


def sessions_synced_since(connection: Connection, since: datetime) -> dict[UUID, list[UUID]]:
    """Return the sessions that were written since a time, by project."""
    table = tables.sessions.c
    found: dict[UUID, list[UUID]] = defaultdict(list)
    for project_id, session_id in connection.execute(
        select(table.project_id, table.session_id).where(table.synced_at >= since)
    ):
        found[project_id].append(session_id)
    return found


def open_conversations(connection: Connection, host_id: UUID, before: datetime) -> list[ConversationRow]:
    """Return a host's conversations that are active but have been silent since a time."""
    table = tables.conversations
    rows = connection.execute(
        select(table).where(
            table.c.host_id == host_id, table.c.status == "active", table.c.last_activity_at < before
        )
    )
    return [ConversationRow(*row) for row in rows]


MARKS = "sessiond"
"""Stands for the client in cursors that are marks of our own: with which prices usage was priced, say."""


class CursorsSum(NamedTuple):
    """What the cursors of a host's journals come to; when it is another, somebody else has changed them."""

    journals: int
    positions: int
    latest: datetime | None


def cursors_at(connection: Connection, host_id: UUID, paths: Collection[str]) -> dict[str, CursorRow]:
    """Return how far some journals of a host were read, or some marks, by path."""
    rows = bulk.rows_among(connection, tables.journal_cursors, {"host_id": host_id}, "path", list(paths))
    return {row.path: row for row in (CursorRow(*row) for row in rows)}


def cursors_sum(connection: Connection, host_id: UUID) -> CursorsSum:
    """Return what the cursors of a host's journals come to, without our own marks."""
    table = tables.journal_cursors.c
    wanted = select(func.count(), func.sum(table.position), func.max(table.read_at))
    row = connection.execute(wanted.where(table.host_id == host_id, table.client != MARKS)).one()
    return CursorsSum(row[0], int(row[1] or 0), row[2])


def drop_oldest_logs(connection: Connection, before: datetime, most: int) -> int:
    """Delete the oldest events, at most so many and none that is as new as a time; return how many.

    In one statement that finds each by its key: SQLite reads the whole table for a list of keys.
    """
    table = tables.agent_logs.c
    keys = [table.project_id, table.conversation_id, table.event_key]
    oldest = select(*keys).where(table.at < before).order_by(table.at).limit(most)
    return connection.execute(delete(tables.agent_logs).where(tuple_(*keys).in_(oldest))).rowcount


def pending(connection: Connection) -> dict[UUID, list[UUID]]:
    """Return the conversations whose records are not all counted by one attribution, by project."""
    table = tables.conversations.c
    found: dict[UUID, list[UUID]] = defaultdict(list)
    for project_id, conversation_id in connection.execute(
        select(table.project_id, table.conversation_id).where(table.attribution == PENDING)
    ):
        found[project_id].append(conversation_id)
    return found
