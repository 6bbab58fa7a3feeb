"""Carry what agents did in one project over to another; a part of a merge, see `moving`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Table, Text, case, cast, delete, func, literal, select

from sessionlib.db import tables, usage
from sessionlib.db.moving import copy_chosen
from sessionlib.db.types import Guid

_USAGE = tables.usage_records

CARRIED = (
    tables.conversations,
    tables.conversation_links,
    tables.agents,
    tables.client_costs,
    tables.todos,
    tables.agent_logs,
    tables.tool_calls,
    tables.usage_records,
    tables.usage_totals,
)
"""In an order in which each finds what it refers to."""


def copy_execution(connection: Connection, source: UUID, target: UUID, moved: Mapping[UUID, UUID]) -> None:
    """Give the target all conversations of the source, with everything in them, under the ids they have.

    Args:
        connection: Inside `Database.write`.
        source: A project.
        target: Another, with the workspaces and sessions of the source.
        moved: The workspaces' ids in the source, and those in the target.
    """
    shared = _shared_usage(connection, source, target)
    earlier = [row.message for row in shared if (row.at, row.of) < (row.other_at, row.other_of)]
    for client, message_id in earlier:
        connection.execute(
            delete(_USAGE).where(
                _USAGE.c.project_id == target, _USAGE.c.client == client, _USAGE.c.message_id == message_id
            )
        )
    for table in CARRIED:
        names = [column.name for column in table.columns]
        picked = [_picked(table, name, source, target, moved) for name in names]
        chosen = select(*picked).where(table.c.project_id == source)
        if table is tables.conversation_links:
            chosen = chosen.where(_session(table.c.session_id, source, target).is_not(None))
        copy_chosen(connection, table, names, chosen)
    usage.recount(connection, target, {agent for row in shared for agent in row.agents})


class _Shared(NamedTuple):
    """A response that both projects hold, each in a conversation and by an agent of its own."""

    message: tuple[str, str]
    at: datetime
    of: UUID
    other_at: datetime
    other_of: UUID
    agents: tuple[UUID, UUID]


def _shared_usage(connection: Connection, source: UUID, target: UUID) -> list[_Shared]:
    """Return the responses of which both hold a copy; only the earliest conversation's stays."""
    one, other = _USAGE.alias("one").c, _USAGE.alias("other").c
    wanted = select(
        one.client,
        one.message_id,
        one.at,
        one.conversation_id,
        other.at,
        other.conversation_id,
        one.agent_id,
        other.agent_id,
    ).where(
        one.project_id == source,
        other.project_id == target,
        other.client == one.client,
        other.message_id == one.message_id,
    )
    return [
        _Shared((row[0], row[1]), row[2], row[3], row[4], row[5], (row[6], row[7]))
        for row in connection.execute(wanted)
    ]


def _picked(table: Table, name: str, source: UUID, target: UUID, moved: Mapping[UUID, UUID]) -> Any:
    column = table.c[name]
    if name == "project_id":
        return literal(target, Guid())
    if name == "workspace_id":
        changed = {old: literal(new, Guid()) for old, new in moved.items() if old != new}
        return case(changed, value=column, else_=column) if changed else column
    if name == "session_id":
        return _session(column, source, target)
    if name == "session_key":
        return func.coalesce(cast(_session(column, source, target), Text), "")
    return column


def _session(column: Any, source: UUID, target: UUID) -> Any:
    """Return the id that a session of the source has in the target."""
    old, new = tables.sessions.alias("old"), tables.sessions.alias("new")
    key = cast(old.c.session_id, Text) if column.name == "session_key" else old.c.session_id
    return (
        select(new.c.session_id)
        .join(old, (old.c.root == new.c.root) & (old.c.slug == new.c.slug))
        .where(old.c.project_id == source, new.c.project_id == target, key == column)
        .scalar_subquery()
    )
