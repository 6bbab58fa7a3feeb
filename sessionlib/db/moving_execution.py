"""Carry what agents did in one project over to another; a part of a merge, see `moving`."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    Text,
    case,
    cast,
    delete,
    func,
    literal,
    select,
    update,
)

from sessionlib.db import tables, usage
from sessionlib.db.execution_rows import UsageRow
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
    for one, other in shared:
        # The target's record goes where the source has the earlier one, which is copied then.
        if (one.at, one.conversation_id) < (other.at, other.conversation_id):
            connection.execute(delete(_USAGE).where(*_is(target, one)))
    for table in CARRIED:
        names = [column.name for column in table.columns]
        picked = [_picked(table, name, source, target, moved) for name in names]
        chosen = select(*picked).where(table.c.project_id == source)
        if table is tables.conversation_links:
            chosen = chosen.where(_session(table.c.session_id, source, target).is_not(None))
        copy_chosen(connection, table, names, chosen)
    for one, other in shared:
        connection.execute(update(_USAGE).where(*_is(target, one)).values(_joined(one, other)))
    usage.recount(connection, target, {row.agent_id for pair in shared for row in pair})


def _shared_usage(connection: Connection, source: UUID, target: UUID) -> list[tuple[UsageRow, UsageRow]]:
    """Return the responses of which both hold a copy; only the earliest conversation's stays."""
    one, other = _USAGE.alias("one"), _USAGE.alias("other")
    wanted = select(*one.c, *other.c).where(
        one.c.project_id == source,
        other.c.project_id == target,
        other.c.client == one.c.client,
        other.c.message_id == one.c.message_id,
    )
    width = len(one.c)
    return [(UsageRow(*row[:width]), UsageRow(*row[width:])) for row in connection.execute(wanted)]


def _is(project_id: UUID, row: UsageRow) -> tuple[ColumnElement[bool], ...]:
    return (
        _USAGE.c.project_id == project_id,
        _USAGE.c.client == row.client,
        _USAGE.c.message_id == row.message_id,
    )


def _joined(one: UsageRow, other: UsageRow) -> dict[str, Any]:
    """Return what two copies of a response say together: the greatest numbers, and a cost that was told.

    A price by the table is that of the record that stays, until prices are looked at again.
    """
    counted = ("input_tokens", "output_tokens", "cache_read_tokens")
    written = ("cache_write_5m_tokens", "cache_write_1h_tokens", "web_searches")
    values: dict[str, Any] = {
        name: max(getattr(one, name), getattr(other, name)) for name in (*counted, *written, "is_final")
    }
    values["request_id"] = one.request_id or other.request_id
    told = [row.cost_usd for row in (one, other) if row.cost_source == "otlp" and row.cost_usd is not None]
    if told:
        values |= {"cost_usd": max(told), "cost_source": "otlp", "price_version": None}
    return values


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
