"""Lists of sessions, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from sessionlib.db import tables
from sessionlib.db.crud import projects
from sessionlib.db.crud.sessions import select_as
from sessionlib.db.matching import given, holds
from sessionlib.db.queries.base import LIVE, OPEN, S, count_of, of_project
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

    @property
    def needs_rows(self) -> bool:
        """Whether it asks for what is in the rows of sessions alone, and in no index."""
        return bool(self.text) or self.branch is not None or self.session_type is not None

    def conditions(self, *, all_are_read: bool = False) -> list[ColumnElement[bool]]:
        """Return the filter as SQL conditions; `all_are_read` where no index will be used."""
        wanted: list[ColumnElement[bool]] = [] if self.missing else [LIVE]
        equal = {
            S.current_phase: self.phase,
            S.effective_status: self.status,
            S.session_type: self.session_type,
            S.git_branch: self.branch,
        }
        wanted += [column == value for column, value in equal.items() if value is not None]
        wanted += of_project(S.project_id, self.project)
        if self.min_checkpoints is not None:
            wanted.append(S.checkpoints_total >= self.min_checkpoints)
        if self.min_completed is not None:
            wanted.append(S.checkpoints_completed >= self.min_completed)
        if self.text:
            texts = (S.slug, S.topic, S.description)
            wanted.append(or_(*(holds(column, self.text, in_all=all_are_read) for column in texts)))
        return wanted


# SQLite would take the index of the ids for their place in an order that it is not in.
_FEW = 500
"""Where more sessions fit, those of a page are soon found in their order."""

_NEWEST = (S.content_changed_at.desc(), given(S.session_id))
_OLDEST = (S.content_changed_at, given(S.session_id))


def _summaries(
    connection: Connection,
    wanted: Sequence[ColumnElement[bool]],
    limit: int,
    *,
    offset: int = 0,
    order: Sequence[ColumnElement[Any]] = _NEWEST,
) -> list[SessionSummary]:
    """Return the wanted sessions.

    They are chosen first, from `sessions` alone: an index has them in order, and what a line shows beside its
    own row is looked up for the chosen ones only.
    """
    chosen = (
        select(S.project_id, S.session_id).where(*wanted).order_by(*order).limit(limit).offset(offset)
    ).subquery("chosen")
    statement = (
        select_as(SessionSummary)
        .join(chosen, and_(chosen.c.project_id == S.project_id, chosen.c.session_id == S.session_id))
        .order_by(*order)
    )
    return [SessionSummary.model_validate(row) for row in connection.execute(statement)]


def sessions(connection: Connection, wanted: SessionFilter) -> list[SessionSummary]:
    """Return the wanted sessions, the last active first."""
    return _summaries(connection, wanted.conditions(), wanted.limit, offset=wanted.offset)


def count_sessions(connection: Connection, wanted: SessionFilter) -> int:
    """Return how many sessions the filter holds, whatever its limit."""
    conditions = wanted.conditions(all_are_read=wanted.needs_rows)
    statement = select(func.count()).select_from(tables.sessions).where(*conditions)
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
    if wanted.needs_rows and (few := _page_of_few(connection, wanted)):
        return few
    rows = sessions(connection, wanted)
    total = len(rows)
    if wanted.offset or total == wanted.limit:
        total = count_sessions(connection, wanted)
    return SessionPage(rows, total)


def _page_of_few(connection: Connection, wanted: SessionFilter) -> SessionPage | None:
    """Return a page of what no index holds, where few sessions fit; None where many do, or none is on it.

    All rows are read once, in the order in which they lie. In the order of the list, an index would have to
    lead to each of them.
    """
    hits = (
        select(S.project_id, S.session_id, S.content_changed_at)
        .where(*wanted.conditions(all_are_read=True))
        .limit(_FEW + 1)
        .cte("hits")
    )
    hit = hits.c
    chosen = (
        select(hit.project_id, hit.session_id)
        .order_by(hit.content_changed_at.desc(), hit.session_id)
        .limit(wanted.limit)
        .offset(wanted.offset)
    ).subquery("chosen")
    total = select(func.count()).select_from(hits).scalar_subquery()
    statement = (
        select_as(SessionSummary)
        .add_columns(total.label("total"))
        .join(chosen, and_(chosen.c.project_id == S.project_id, chosen.c.session_id == S.session_id))
        .order_by(*_NEWEST)
    )
    rows = connection.execute(statement).all()
    if not rows:
        return None if wanted.offset else SessionPage([], 0)
    if rows[0].total > _FEW:
        return None
    return SessionPage([SessionSummary.model_validate(row) for row in rows], rows[0].total)


def all_done_not_closed(
    connection: Connection, limit: int = 50, project: str | None = None
) -> list[SessionSummary]:
    """Return sessions whose checkpoints are all completed while they are neither complete nor failed."""
    done = and_(S.checkpoints_total > 0, S.checkpoints_completed >= S.checkpoints_total)
    unfinished = or_(S.current_phase.is_(None), S.current_phase != "complete")
    return _summaries(connection, [OPEN, done, unfinished, *of_project(S.project_id, project)], limit)


def stuck(
    connection: Connection, days: float, limit: int = 50, project: str | None = None
) -> list[SessionSummary]:
    """Return open sessions whose content has not changed for so many days, the longest stuck first."""
    before = S.content_changed_at < utc_now() - timedelta(days=days)
    wanted = [OPEN, before, *of_project(S.project_id, project)]
    return _summaries(connection, wanted, limit, order=_OLDEST)


class PhaseCount(NamedTuple):
    """How many sessions stand in a phase."""

    phase: str | None
    sessions: int
    active: int


def phases(connection: Connection, project: str | None = None) -> list[PhaseCount]:
    """Return how many sessions stand in each phase."""
    statement = (
        select(S.current_phase, func.count(), count_of(OPEN))
        .where(LIVE, *of_project(S.project_id, project))
        .group_by(S.current_phase)
        .order_by(func.count().desc(), S.current_phase.is_(None), S.current_phase)
    )
    return [PhaseCount(*row) for row in connection.execute(statement)]
