"""Carry what agents did in one project over to another; a part of a merge, see `moving`."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, Text, case, cast, func, literal, select

from sessionlib.db import tables
from sessionlib.db.moving import copy_chosen
from sessionlib.db.types import Guid

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
    for table in CARRIED:
        names = [column.name for column in table.columns]
        picked = [_picked(table, name, source, target, moved) for name in names]
        chosen = select(*picked).where(table.c.project_id == source)
        if table is tables.conversation_links:
            chosen = chosen.where(_session(table.c.session_id, source, target).is_not(None))
        copy_chosen(connection, table, names, chosen)


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
