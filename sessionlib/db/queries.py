"""The questions people ask across entities. Read-only, and the same answers on both databases."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Float, Select, and_, case, func, literal, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from sessionlib.db import tables
from sessionlib.db.crud.sessions import select_as
from sessionlib.db.types import UtcTime
from sessionlib.models import ProjectSummary, SessionSummary, WorkspaceSummary, utc_now

_S = tables.sessions.c
_P = tables.projects.c
_LIVE = _S.missing_since.is_(None)
_OPEN = and_(_LIVE, _S.effective_status.not_in(["complete", "failed"]))


class _Epoch(FunctionElement[float]):
    """Seconds since 1970 of a time column."""

    type = Float()
    inherit_cache = True
    name = "epoch"


@compiles(_Epoch, "postgresql")
def _epoch_postgres(element: _Epoch, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXTRACT(EPOCH FROM {compiler.process(element.clauses, **options)})::double precision"


@compiles(_Epoch, "sqlite")
def _epoch_sqlite(element: _Epoch, compiler: SQLCompiler, **options: Any) -> str:
    return f"((julianday({compiler.process(element.clauses, **options)}) - 2440587.5) * 86400.0)"


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
        wanted: list[ColumnElement[bool]] = [] if self.missing else [_LIVE]
        equal = {
            _S.current_phase: self.phase,
            _S.effective_status: self.status,
            _P.slug: self.project,
            _S.session_type: self.session_type,
            _S.git_branch: self.branch,
        }
        wanted += [column == value for column, value in equal.items() if value is not None]
        if self.min_checkpoints is not None:
            wanted.append(_S.checkpoints_total >= self.min_checkpoints)
        if self.min_completed is not None:
            wanted.append(_S.checkpoints_completed >= self.min_completed)
        if self.text:
            wanted.append(
                or_(
                    *(
                        column.icontains(self.text, autoescape=True)
                        for column in (_S.slug, _S.topic, _S.description)
                    )
                )
            )
        return wanted


def _summaries(connection: Connection, statement: Select[Any]) -> list[SessionSummary]:
    return [SessionSummary.model_validate(row) for row in connection.execute(statement)]


def _newest(limit: int) -> Select[Any]:
    return select_as(SessionSummary).order_by(_S.activity_at.desc(), _S.session_id).limit(limit)


def sessions(connection: Connection, wanted: SessionFilter) -> list[SessionSummary]:
    """Return the wanted sessions, the last active first."""
    statement = _newest(wanted.limit).where(*wanted.conditions()).offset(wanted.offset)
    return _summaries(connection, statement)


def count_sessions(connection: Connection, wanted: SessionFilter) -> int:
    """Return how many sessions the filter holds, whatever its limit."""
    statement = (
        select(func.count())
        .select_from(tables.sessions.join(tables.projects, _P.project_id == _S.project_id))
        .where(*wanted.conditions())
    )
    return connection.scalar(statement) or 0


def all_done_not_closed(connection: Connection, limit: int = 50) -> list[SessionSummary]:
    """Return sessions whose checkpoints are all completed while they are neither complete nor failed."""
    done = and_(_S.checkpoints_total > 0, _S.checkpoints_completed >= _S.checkpoints_total)
    statement = _newest(limit).where(
        _OPEN, done, or_(_S.current_phase.is_(None), _S.current_phase != "complete")
    )
    return _summaries(connection, statement)


def stuck(connection: Connection, days: float, limit: int = 50) -> list[SessionSummary]:
    """Return open sessions whose content has not changed for so many days, the longest stuck first."""
    before = utc_now() - timedelta(days=days)
    statement = (
        select_as(SessionSummary)
        .where(_OPEN, _S.content_changed_at < before)
        .order_by(_S.content_changed_at, _S.session_id)
        .limit(limit)
    )
    return _summaries(connection, statement)


class CommitHit(NamedTuple):
    """A commit and the session and checkpoint it was made in."""

    sha: str
    message: str | None
    checkpoint: int | None
    committed_at: datetime | None
    project: str
    session: str
    phase: str | None
    session_id: UUID


def commit(connection: Connection, sha: str, limit: int = 50) -> list[CommitHit]:
    """Return the sessions that recorded a commit; `sha` is a whole hash or a prefix, in any case."""
    table = tables.commits.c
    wanted = sha.lower()
    # A range, not LIKE: it uses the index on both databases. A recorded short sha matches a longer question.
    prefixes = [wanted[:length] for length in range(7, len(wanted))]
    statement = (
        select(
            table.sha,
            table.message,
            table.checkpoint,
            table.created_at,
            _P.slug,
            _S.slug,
            _S.current_phase,
            _S.session_id,
        )
        .join(tables.sessions, and_(_S.project_id == table.project_id, _S.session_id == table.session_id))
        .join(tables.projects, _P.project_id == _S.project_id)
        .where(or_(and_(table.sha >= wanted, table.sha < wanted + "g"), table.sha.in_(prefixes)))
        .order_by(table.created_at.desc(), _S.slug, table.position)
        .limit(limit)
    )
    return [CommitHit(*row) for row in connection.execute(statement)]


class DecisionHit(NamedTuple):
    """A decision and the session it was taken in."""

    title: str
    rationale: str | None
    decided_at: datetime | None
    project: str
    session: str
    session_id: UUID


def decisions(
    connection: Connection, text: str | None = None, project: str | None = None, limit: int = 50
) -> list[DecisionHit]:
    """Return decisions whose title or rationale holds the text, the newest session first."""
    table = tables.decisions.c
    statement = (
        select(table.title, table.rationale, table.decided_at, _P.slug, _S.slug, _S.session_id)
        .join(tables.sessions, and_(_S.project_id == table.project_id, _S.session_id == table.session_id))
        .join(tables.projects, _P.project_id == _S.project_id)
        .where(_LIVE)
        .order_by(_S.activity_at.desc(), _S.session_id, table.position)
        .limit(limit)
    )
    if text:
        statement = statement.where(
            or_(
                table.title.icontains(text, autoescape=True), table.rationale.icontains(text, autoescape=True)
            )
        )
    if project:
        statement = statement.where(_P.slug == project)
    return [DecisionHit(*row) for row in connection.execute(statement)]


class PhaseTime(NamedTuple):
    """How long sessions stood in a phase, in seconds, from the version history."""

    project: str
    phase: str
    sessions: int
    seconds: float


def time_per_phase(
    connection: Connection, project: str | None = None, session_id: UUID | None = None
) -> list[PhaseTime]:
    """Return the time spent in each phase.

    An open session's last phase counts until now; a closed one's ends with its last change.
    """
    table = tables.session_versions.c
    following = func.lead(table.at).over(
        partition_by=(table.project_id, table.session_id), order_by=table.seq
    )
    closed = or_(table.phase == "complete", table.status.in_(["complete", "failed"]))
    until = func.coalesce(following, case((closed, table.at), else_=literal(utc_now(), UtcTime())))
    spans = select(
        table.project_id,
        table.session_id,
        table.phase,
        (_Epoch(until) - _Epoch(table.at)).label("seconds"),
    ).where(table.phase.is_not(None))
    if session_id is not None:
        spans = spans.where(table.session_id == session_id)
    span = spans.subquery()
    statement = (
        select(_P.slug, span.c.phase, func.count(span.c.session_id.distinct()), func.sum(span.c.seconds))
        .join(tables.projects, _P.project_id == span.c.project_id)
        .group_by(_P.slug, span.c.phase)
        .order_by(_P.slug, func.sum(span.c.seconds).desc(), span.c.phase)
    )
    if project:
        statement = statement.where(_P.slug == project)
    return [
        PhaseTime(row[0], row[1], row[2], round(float(row[3]), 3)) for row in connection.execute(statement)
    ]


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def projects(connection: Connection) -> list[ProjectSummary]:
    """Return all projects with what their sessions add up to, the last active first."""
    rolled = (
        select(
            _S.project_id,
            func.count().label("sessions"),
            _count(_OPEN).label("active"),
            _count(_S.current_phase == "build").label("in_build"),
            _count(_S.effective_status == "complete").label("complete"),
            func.sum(_S.checkpoints_completed).label("checkpoints_completed"),
            func.sum(func.coalesce(_S.checkpoints_total, 0)).label("checkpoints_total"),
            func.max(_S.activity_at).label("last_activity_at"),
        )
        .where(_LIVE)
        .group_by(_S.project_id)
        .subquery()
    )
    places = (
        select(tables.workspaces.c.project_id, func.count().label("workspaces"))
        .where(tables.workspaces.c.missing_since.is_(None))
        .group_by(tables.workspaces.c.project_id)
        .subquery()
    )
    names = ("sessions", "active", "in_build", "complete", "checkpoints_completed", "checkpoints_total")
    statement = (
        select(
            _P.project_id,
            _P.slug,
            _P.name,
            _P.status,
            func.coalesce(places.c.workspaces, 0).label("workspaces"),
            *(func.coalesce(rolled.c[name], 0).label(name) for name in names),
            rolled.c.last_activity_at,
        )
        .outerjoin(rolled, rolled.c.project_id == _P.project_id)
        .outerjoin(places, places.c.project_id == _P.project_id)
        .order_by(rolled.c.last_activity_at.is_(None), rolled.c.last_activity_at.desc(), _P.slug)
    )
    return [ProjectSummary.model_validate(row) for row in connection.execute(statement)]


def workspaces(connection: Connection) -> list[WorkspaceSummary]:
    """Return all workspaces with the number of copies in them and of those that cannot be read."""
    files = tables.session_files.c
    counted = (
        select(
            files.project_id,
            files.workspace_id,
            func.count().label("session_files"),
            _count(files.error.is_not(None)).label("errors"),
        )
        .where(files.missing_since.is_(None))
        .group_by(files.project_id, files.workspace_id)
        .subquery()
    )
    place = tables.workspaces.c
    statement = (
        select(
            place.workspace_id,
            _P.slug.label("project_slug"),
            tables.hosts.c.name.label("host_name"),
            place.path,
            func.coalesce(counted.c.session_files, 0).label("session_files"),
            func.coalesce(counted.c.errors, 0).label("errors"),
            place.missing_since,
            place.reconciled_at,
        )
        .join(tables.projects, _P.project_id == place.project_id)
        .join(tables.hosts, tables.hosts.c.host_id == place.host_id)
        .outerjoin(
            counted,
            and_(counted.c.project_id == place.project_id, counted.c.workspace_id == place.workspace_id),
        )
        .order_by(_P.slug, place.path)
    )
    return [WorkspaceSummary.model_validate(row) for row in connection.execute(statement)]


class Unreadable(NamedTuple):
    """A session file that cannot be read, and why."""

    project: str
    path: str
    error: str
    since: datetime


def unreadable(connection: Connection, limit: int = 200) -> list[Unreadable]:
    """Return the session files that cannot be read now, by path."""
    files = tables.session_files.c
    statement = (
        select(_P.slug, files.path, files.error, files.observed_at)
        .join(tables.projects, _P.project_id == files.project_id)
        .where(files.error.is_not(None), files.missing_since.is_(None))
        .order_by(files.path)
        .limit(limit)
    )
    return [Unreadable(*row) for row in connection.execute(statement)]


class PhaseCount(NamedTuple):
    """How many sessions stand in a phase."""

    phase: str | None
    sessions: int
    active: int


def phases(connection: Connection, project: str | None = None) -> list[PhaseCount]:
    """Return how many sessions stand in each phase."""
    statement = (
        select(_S.current_phase, func.count(), _count(_OPEN))
        .where(_LIVE)
        .group_by(_S.current_phase)
        .order_by(func.count().desc(), _S.current_phase)
    )
    if project:
        statement = statement.join(tables.projects, _P.project_id == _S.project_id).where(_P.slug == project)
    return [PhaseCount(*row) for row in connection.execute(statement)]


def freshness(connection: Connection) -> datetime | None:
    """Return when a daemon or a one-shot sync last vouched for the mirror (the newest heartbeat)."""
    newest: datetime | None = connection.scalar(select(func.max(tables.hosts.c.heartbeat_at)))
    return newest
