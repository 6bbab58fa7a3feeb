"""What is wrong with what was counted: sums, columns that never vary, hooks that tell nothing.

Reads whole tables, as `quality` does.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Float,
    Select,
    and_,
    exists,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from sessionlib.db import tables
from sessionlib.db.queries.defects import MOST, Defect, by_project, counted, of_conversation

_A: Any = tables.agents.c
_C: Any = tables.conversations.c
_G: Any = tables.agent_logs.c
_P: Any = tables.projects.c
_T: Any = tables.usage_totals.c
_U: Any = tables.usage_records.c

MANY = 1000
"""Rows from which on a column that never varies looks as if nothing filled it."""

_LEAST = 1e-8
"""US dollars; sums of binary fractions differ by less."""


_SUMS = ("messages", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "unpriced")


def wrong_sums(connection: Connection) -> Defect:
    """Count agents whose totals are not the sums of their usage records."""
    return counted(connection, _wrong_sums(_C.native_id, _A.agent_type))


def agents_with_wrong_sums(connection: Connection) -> dict[UUID, list[UUID]]:
    """Return the agents that `wrong_sums` counts, by project."""
    return by_project(connection, _wrong_sums(_A.project_id, _A.agent_id))


def _wrong_sums(*columns: Any) -> Select[Any]:
    counted = (
        select(
            _U.project_id,
            _U.agent_id,
            func.count().label("messages"),
            func.sum(_U.input_tokens).label("input_tokens"),
            func.sum(_U.output_tokens).label("output_tokens"),
            func.sum(_U.cache_read_tokens).label("cache_read_tokens"),
            func.sum(_U.cache_write_5m_tokens + _U.cache_write_1h_tokens).label("cache_write_tokens"),
            (func.count() - func.count(_U.cost_usd)).label("unpriced"),
            func.sum(_U.cost_usd).label("cost_usd"),
        )
        .group_by(_U.project_id, _U.agent_id)
        .subquery()
    )
    rolled = (
        select(
            _T.project_id,
            _T.agent_id,
            *(func.sum(_T[name]).label(name) for name in _SUMS),
            func.sum(_T.cost_usd).label("cost_usd"),
        )
        .where(_T.source == "messages")
        .group_by(_T.project_id, _T.agent_id)
        .subquery()
    )
    differs = []
    for other in (_A, rolled.c):
        differs += [func.coalesce(counted.c[name], 0) != func.coalesce(other[name], 0) for name in _SUMS]
        differs.append(func.abs(_dollars(counted.c.cost_usd) - _dollars(other["cost_usd"])) > _LEAST)
    return (
        select(*columns)
        .select_from(tables.agents)
        .outerjoin(counted, and_(counted.c.project_id == _A.project_id, counted.c.agent_id == _A.agent_id))
        .outerjoin(rolled, and_(rolled.c.project_id == _A.project_id, rolled.c.agent_id == _A.agent_id))
        .outerjoin(tables.conversations, of_conversation(_A))
        .where(or_(*differs))
        .order_by(_A.agent_id)
    )


def _dollars(column: Any) -> Any:
    return type_coerce(func.coalesce(type_coerce(column, Float()), literal(0.0)), Float())


def constant_columns(connection: Connection) -> Defect:
    """Count columns of large tables that hold one single value where one would expect several."""
    looked_at = {
        tables.conversations: ["status", "end_reason"],
        tables.agents: ["status", "kind"],
        tables.tool_calls: ["outcome", "tool_name"],
        tables.usage_records: ["output_tokens"],
    }
    defaults = select(_P.default_identity_id).where(_P.default_identity_id.is_not(None)).distinct().limit(2)
    if len(connection.execute(defaults).all()) > 1:
        looked_at[tables.conversations].append("identity_id")
    found = []
    for table, names in looked_at.items():
        some = select(literal(1)).select_from(table).limit(MANY).subquery()
        if (connection.scalar(select(func.count()).select_from(some)) or 0) < MANY:
            continue
        for name in names:
            column: Any = table.c[name]
            value = connection.scalar(select(column).limit(1))
            other = select(literal(1)).where(column.is_distinct_from(value)).limit(1)
            if connection.scalar(other) is None:
                found.append(f"{table.name}.{name} is always {'empty' if value is None else value}")
    return Defect(len(found), tuple(found[:MOST]))


def silent_hooks(connection: Connection, since: datetime) -> Defect:
    """Count hosts on which agents have worked since a time, of which no hook has told anything."""
    lately = _C.last_activity_at >= since
    used = select(literal(1)).where(
        _T.project_id == _C.project_id,
        _T.conversation_id == _C.conversation_id,
        _T.source == "messages",
        _T.day >= since.date().isoformat(),
    )
    hosts = connection.execute(
        select(tables.hosts.c.host_id, tables.hosts.c.name)
        .where(select(literal(1)).where(_C.host_id == tables.hosts.c.host_id, lately, exists(used)).exists())
        .order_by(tables.hosts.c.name)
    ).all()
    heard = select(literal(1)).where(
        _G.project_id == _C.project_id,
        _G.conversation_id == _C.conversation_id,
        _G.category == "hook",
        _G.at >= since,
    )
    mute = [
        name
        for host_id, name in hosts
        if connection.scalar(select(literal(1)).where(_C.host_id == host_id, lately, exists(heard)).limit(1))
        is None
    ]
    return Defect(len(mute), tuple(mute[:MOST]))
