"""What hooks told lately, and whether there was anything to tell: a bounded look at the newest rows."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, func, select

from sessionlib.db import tables

_A: Any = tables.agents.c
_C: Any = tables.conversations.c
_G: Any = tables.agent_logs.c
_W: Any = tables.tool_calls.c

MOST = 20_000
"""Rows that are looked at, the newest first."""


def last_heard(connection: Connection, host_id: UUID, since: datetime) -> dict[str, datetime]:
    """Return when each hook event of a host came last, of those that came since a time."""
    newest = (
        select(_G.project_id, _G.conversation_id, _G.category, _G.event_type, _G.at)
        .where(_G.at >= since)
        .order_by(_G.at.desc())
        .limit(MOST)
        .subquery()
    )
    rows = connection.execute(
        select(newest.c.event_type, func.max(newest.c.at))
        .join(tables.conversations, _of(newest.c))
        .where(newest.c.category == "hook", _C.host_id == host_id)
        .group_by(newest.c.event_type)
    )
    return {row[0]: row[1] for row in rows}


def activity(connection: Connection, host_id: UUID, since: datetime) -> frozenset[str]:
    """Return what agents of a host did since a time: ``worked``, ``called``, ``failed``, ``spawned``."""
    done = set()
    worked = select(_C.conversation_id).where(
        _C.host_id == host_id, _C.last_activity_at >= since, _C.status != "phantom"
    )
    if connection.execute(worked.limit(1)).first() is not None:
        done.add("worked")
    calls = (
        select(_W.project_id, _W.conversation_id, _W.outcome)
        .where(_W.called_at >= since)
        .order_by(_W.called_at.desc())
        .limit(MOST)
        .subquery()
    )
    outcomes = connection.scalars(
        select(calls.c.outcome)
        .join(tables.conversations, _of(calls.c))
        .where(_C.host_id == host_id)
        .distinct()
    ).all()
    done |= {name for outcome, name in (("ok", "called"), ("failed", "failed")) if outcome in outcomes}
    agents = (
        select(_A.project_id, _A.conversation_id, _A.kind)
        .where(_A.started_at >= since)
        .order_by(_A.started_at.desc())
        .limit(MOST)
        .subquery()
    )
    spawned = (
        select(agents.c.kind)
        .join(tables.conversations, _of(agents.c))
        .where(_C.host_id == host_id, agents.c.kind == "spawned")
    )
    if connection.execute(spawned.limit(1)).first() is not None:
        done.add("spawned")
    return frozenset(done)


def _of(rows: Any) -> Any:
    return and_(_C.project_id == rows.project_id, _C.conversation_id == rows.conversation_id)
