"""Lists of sessions, and how many there are."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from sessionlib.db import tables
from sessionlib.db.crud import projects
from sessionlib.db.crud.sessions import select_as
from sessionlib.db.queries.base import LIVE, OPEN, P, S, count_of
from sessionlib.models import SessionSummary, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """Which sessions are wanted; None or False leaves a filter out.

    Attributes:
        phase: The phase as the file says it.
        status: The effective status (the declared one, else derived from the phase).
        project: A project's slug.
        session_type: full, quick or research.
        min_checkpoints: At least so many checkpoints in total.
        min_completed: At least so many checkpoints completed.
        text: A part of slug, topic or description; ASCII letters match in any case.
        branch: A git branch.
        missing: Include sessions whose files are gone.
        limit: At most so many, newest first.
        offset: Skip so many first.
    """

    phase: str | None = None
    status: str | None = None
    project: str | None = None
    session_type: str | None = None
    min_checkpoints: int | None = None
    min_completed: int | None = None
    text: str | None = None
    branch: str | None = None
    missing: bool = False
    limit: int = 50
    offset: int = 0

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter as SQL conditions."""
        wanted: list[ColumnElement[bool]] = [] if self.missing else [LIVE]
        equal = {
            S.current_phase: self.phase,
            S.effective_status: self.status,
            P.slug: self.project,
            S.session_type: self.session_type,
            S.git_branch: self.branch,
        }
        wanted += [column == value for column, value in equal.items() if value is not None]
        if self.min_checkpoints is not None:
            wanted.append(S.checkpoints_total >= self.min_checkpoints)
        if self.min_completed is not None:
            wanted.append(S.checkpoints_completed >= self.min_completed)
        if self.text:
            wanted.append(
                or_(
                    *(
                        column.icontains(self.text, autoescape=True)
                        for column in (S.slug, S.topic, S.description)
                    )
                )
            )
        return wanted


def _summaries(connection: Connection, statement: Select[Any]) -> list[SessionSummary]:
    return [SessionSummary.model_validate(row) for row in connection.execute(statement)]


def _newest(limit: int) -> Select[Any]:
    return select_as(SessionSummary).order_by(S.content_changed_at.desc(), S.session_id).limit(limit)


def sessions(connection: Connection, wanted: SessionFilter) -> list[SessionSummary]:
    """Return the wanted sessions, the last active first."""
    statement = _newest(wanted.limit).where(*wanted.conditions()).offset(wanted.offset)
    return _summaries(connection, statement)


def count_sessions(connection: Connection, wanted: SessionFilter) -> int:
    """Return how many sessions the filter holds, whatever its limit."""
    statement = (
        select(func.count())
        .select_from(tables.sessions.join(tables.projects, P.project_id == S.project_id))
        .where(*wanted.conditions())
    )
    return connection.scalar(statement) or 0


class SessionPage(NamedTuple):
    """Some of the wanted sessions, and how many there are in all."""

    rows: list[SessionSummary]
    total: int


def page(connection: Connection, wanted: SessionFilter) -> SessionPage:
    """Return the wanted sessions of a filter whose project is named by slug, alias or id.

    Raises:
        RecordNotFoundError: There is no such project; the nearest slugs are its hint.
    """
    wanted = replace(wanted, project=projects.slug_of(connection, wanted.project))
    rows = sessions(connection, wanted)
    total = len(rows)
    if wanted.offset or total == wanted.limit:
        total = count_sessions(connection, wanted)
    return SessionPage(rows, total)


def all_done_not_closed(connection: Connection, limit: int = 50) -> list[SessionSummary]:
    """Return sessions whose checkpoints are all completed while they are neither complete nor failed."""
    done = and_(S.checkpoints_total > 0, S.checkpoints_completed >= S.checkpoints_total)
    statement = _newest(limit).where(
        OPEN, done, or_(S.current_phase.is_(None), S.current_phase != "complete")
    )
    return _summaries(connection, statement)


def stuck(connection: Connection, days: float, limit: int = 50) -> list[SessionSummary]:
    """Return open sessions whose content has not changed for so many days, the longest stuck first."""
    before = utc_now() - timedelta(days=days)
    statement = (
        select_as(SessionSummary)
        .where(OPEN, S.content_changed_at < before)
        .order_by(S.content_changed_at, S.session_id)
        .limit(limit)
    )
    return _summaries(connection, statement)


class PhaseCount(NamedTuple):
    """How many sessions stand in a phase."""

    phase: str | None
    sessions: int
    active: int


def phases(connection: Connection, project: str | None = None) -> list[PhaseCount]:
    """Return how many sessions stand in each phase."""
    statement = (
        select(S.current_phase, func.count(), count_of(OPEN))
        .where(LIVE)
        .group_by(S.current_phase)
        .order_by(func.count().desc(), S.current_phase.is_(None), S.current_phase)
    )
    if project:
        statement = statement.join(tables.projects, P.project_id == S.project_id).where(P.slug == project)
    return [PhaseCount(*row) for row in connection.execute(statement)]
