"""Sessions and their parts, read from the mirror. Only the bridge writes them."""

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, case, func, select, union_all

from sessionlib.db import tables
from sessionlib.db.crud.changes import nearest
from sessionlib.db.matching import given, holds
from sessionlib.errors import RecordNotFoundError, UsageError
from sessionlib.models import (
    Checkpoint,
    Commit,
    Decision,
    DocUpdate,
    Model,
    ResearchRun,
    Session,
    SessionDetail,
    SessionFile,
    SessionLink,
    SessionSummary,
    SessionVersion,
)

M = TypeVar("M", bound=Model)

_SESSION: Any = tables.sessions.c
_MOST_ALIKE = 6
"""More sessions than this need not be known to say that a name means several."""

_MOST_NAMES = 5000
"""Slugs of the last active sessions, among which a hint is looked for."""


def _workspace_missing_since() -> ColumnElement[Any]:
    """Return when the last place that holds a copy went missing, NULL while one of them is there."""
    copy, place, root = tables.session_files.c, tables.workspaces.c, tables.workspace_roots.c
    session = tables.sessions.c
    missing = func.coalesce(place.missing_since, root.missing_since)
    latest = (
        select(case((func.count() == func.count(missing), func.max(missing))))
        .select_from(
            tables.session_files.join(
                tables.workspaces,
                and_(place.project_id == copy.project_id, place.workspace_id == copy.workspace_id),
            ).outerjoin(
                tables.workspace_roots,
                and_(
                    root.project_id == copy.project_id,
                    root.workspace_id == copy.workspace_id,
                    root.root == copy.root,
                ),
            )
        )
        .where(
            copy.project_id == session.project_id,
            copy.session_id == session.session_id,
            copy.missing_since.is_(None),
        )
        .correlate(tables.sessions)
        .scalar_subquery()
    )
    # Asked once: mostly no place is missing in any project, and then no session's copies are looked at.
    affected = union_all(
        select(place.project_id).where(place.missing_since.is_not(None)),
        select(root.project_id).where(root.missing_since.is_not(None)),
    )
    return case((session.project_id.in_(affected), latest))


_ELSEWHERE: dict[str, ColumnElement[Any]] = {
    "project_slug": tables.projects.c.slug,
    "workspace_missing_since": _workspace_missing_since(),
}
"""What a model shows beside the columns of the session's own row."""


def select_as(model: type[SessionSummary]) -> Select[Any]:
    """Return a SELECT of sessions joined with their project, with just the columns a model has."""
    columns = [
        _ELSEWHERE[name].label(name) if name in _ELSEWHERE else tables.sessions.c[name]
        for name in model.model_fields
    ]
    return select(*columns).join(
        tables.projects, tables.projects.c.project_id == tables.sessions.c.project_id
    )


def get(connection: Connection, project_id: UUID, session_id: UUID) -> Session:
    """Return a session.

    Raises:
        RecordNotFoundError: There is none with this id.
    """
    table = tables.sessions.c
    row = connection.execute(
        select_as(Session).where(table.project_id == project_id, table.session_id == session_id)
    ).one_or_none()
    if row is None:
        raise RecordNotFoundError("session", str(session_id))
    return Session.model_validate(row)


def find(connection: Connection, name: str, *, project: str | None = None) -> Session:
    """Return the one session that `name` means: a slug, a part of one in any case, a declared id, or an id.

    Sessions whose files are gone count only where no other fits.

    Raises:
        RecordNotFoundError: There is none; the nearest slugs are its hint.
        UsageError: There are several; they are its hint.
    """
    within = _in_project(project)
    for condition in _meanings(name):
        # Two questions: each has an index that holds its answer in order, both together have none.
        for is_there in (_SESSION.missing_since.is_(None), _SESSION.missing_since.is_not(None)):
            found = _chosen(connection, [condition, is_there, *within])
            if found:
                return _only(name, found)
    alike = _alike(connection, name, within)
    if alike and (found := _chosen(connection, [*alike, *within])):
        return _only(name, found)
    newest = select(_SESSION.slug).order_by(_SESSION.content_changed_at.desc()).limit(_MOST_NAMES)
    raise RecordNotFoundError("session", name, nearest=nearest(name, list(connection.scalars(newest))))


def _alike(connection: Connection, name: str, within: list[ColumnElement[bool]]) -> list[ColumnElement[bool]]:
    """Return the condition for the sessions whose slug holds a part, none where none does.

    One look at all slugs, in the index that has them beside nothing else that is asked for here.
    """
    is_gone = _SESSION.missing_since.is_not(None)
    rows = connection.execute(
        select(_SESSION.slug, is_gone)
        .where(holds(_SESSION.slug, name, in_all=True), *within)
        .order_by(is_gone, _SESSION.content_changed_at.desc())
        .limit(_MOST_ALIKE)
    ).all()
    if not rows:
        return []
    slugs = [slug for slug, gone in rows if gone == rows[0][1]]
    return [_SESSION.slug.in_(slugs), is_gone if rows[0][1] else _SESSION.missing_since.is_(None)]


def _only(name: str, found: list[Session]) -> Session:
    if len(found) > 1:
        raise _ambiguous(name, found)
    return found[0]


def _meanings(name: str) -> list[ColumnElement[bool]]:
    """Return what a whole name may mean, the surest first."""
    other = and_(_SESSION.declared_id == name, _SESSION.declared_id != _SESSION.slug)
    ids = select(_SESSION.session_id).where(_SESSION.slug == name)
    # A union, not OR: each half has its index.
    exact = _SESSION.session_id.in_(ids.union_all(select(_SESSION.session_id).where(other)))
    try:
        return [_SESSION.session_id == UUID(name), exact]
    except ValueError:
        return [exact]


def _in_project(slug: str | None) -> list[ColumnElement[bool]]:
    if slug is None:
        return []
    project = tables.projects.c
    wanted = select(project.project_id).where(project.slug == slug).scalar_subquery()
    return [_SESSION.project_id == wanted]


def _chosen(connection: Connection, wanted: list[ColumnElement[bool]]) -> list[Session]:
    """Return the first of the wanted sessions, the last active first."""
    order = (_SESSION.content_changed_at.desc(), given(_SESSION.session_id))
    keys = (
        select(_SESSION.project_id, _SESSION.session_id).where(*wanted).order_by(*order).limit(_MOST_ALIKE)
    ).subquery("chosen")
    statement = (
        select_as(Session)
        .join(keys, and_(keys.c.project_id == _SESSION.project_id, keys.c.session_id == _SESSION.session_id))
        .order_by(*order)
    )
    return [Session.model_validate(row) for row in connection.execute(statement)]


def _ambiguous(name: str, found: list[Session]) -> UsageError:
    places = ", ".join(f"{session.project_slug}:{session.root}/{session.slug}" for session in found[:5])
    return UsageError(
        f"{name!r} means several sessions: {places}",
        hint="add --project NAME, or use the session's id from `sessionctl sessions --json`",
    )


def _parts(connection: Connection, table: Table, model: type[M], session: Session) -> list[M]:
    names = list(model.model_fields)
    rows = connection.execute(
        select(*(table.c[name] for name in names))
        .where(table.c.project_id == session.project_id, table.c.session_id == session.session_id)
        .order_by(*list(table.primary_key.columns)[2:])
    )
    return [model.model_validate(row) for row in rows]


def _files(connection: Connection, session: Session) -> list[SessionFile]:
    table = tables.session_files
    rows = connection.execute(
        select(
            tables.workspaces.c.path.label("workspace_path"),
            *(table.c[name] for name in SessionFile.model_fields if name != "workspace_path"),
        )
        .join(
            tables.workspaces,
            (tables.workspaces.c.project_id == table.c.project_id)
            & (tables.workspaces.c.workspace_id == table.c.workspace_id),
        )
        .where(table.c.project_id == session.project_id, table.c.session_id == session.session_id)
        .order_by(table.c.path)
    )
    return [SessionFile.model_validate(row) for row in rows]


def detail(connection: Connection, session: Session) -> SessionDetail:
    """Return a session with all its parts and its whole document."""
    documents = tables.documents.c
    body = connection.scalar(
        select(documents.body).where(
            documents.project_id == session.project_id, documents.content_hash == session.content_hash
        )
    )
    return SessionDetail(
        session=session,
        checkpoints=_parts(connection, tables.checkpoints, Checkpoint, session),
        commits=_parts(connection, tables.commits, Commit, session),
        decisions=_parts(connection, tables.decisions, Decision, session),
        doc_updates=_parts(connection, tables.doc_updates, DocUpdate, session),
        research_runs=_parts(connection, tables.research_runs, ResearchRun, session),
        links=_parts(connection, tables.session_links, SessionLink, session),
        versions=_parts(connection, tables.session_versions, SessionVersion, session),
        files=_files(connection, session),
        document=body or {},
    )
