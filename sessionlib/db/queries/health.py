"""How well the mirror stands: what cannot be read, and how fresh it is."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, distinct, func, select

from sessionlib.db import tables
from sessionlib.db.queries.base import P, of_project


class Unreadable(NamedTuple):
    """A session file that cannot be read, and why."""

    project: str
    path: str
    error: str
    since: datetime


def unreadable(connection: Connection, limit: int = 200, project: str | None = None) -> list[Unreadable]:
    """Return the session files that cannot be read now, by path."""
    files = tables.session_files.c
    statement = (
        select(P.slug, files.path, files.error, files.observed_at)
        .join(tables.projects, P.project_id == files.project_id)
        .where(
            files.error.is_not(None), files.missing_since.is_(None), *of_project(files.project_id, project)
        )
        .order_by(files.path)
        .limit(limit)
    )
    return [Unreadable(*row) for row in connection.execute(statement)]


def unreadable_sessions(connection: Connection) -> int:
    """Return how many sessions have a file that cannot be read now; an index holds those files alone."""
    files = tables.session_files.c
    wanted = select(func.count(distinct(files.session_id))).where(
        files.error.is_not(None), files.missing_since.is_(None)
    )
    return connection.scalar(wanted) or 0


def freshness(connection: Connection) -> datetime | None:
    """Return when a daemon or a one-shot sync last vouched for the mirror (the newest heartbeat)."""
    newest: datetime | None = connection.scalar(select(func.max(tables.hosts.c.heartbeat_at)))
    return newest
