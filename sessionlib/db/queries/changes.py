"""What became of sessions since somebody last looked: the questions of a change feed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import (
    Connection,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    column,
    func,
    or_,
    select,
    type_coerce,
)

from sessionlib.db import tables
from sessionlib.db.queries.base import P, S
from sessionlib.db.types import Guid, UtcTime, decode_time, encode_time

MOST = 500
"""Sessions asked about in one statement."""

_F: Any = tables.session_files.c
_V: Any = tables.session_versions.c

_SHOWN = (
    "version_seq",
    "current_phase",
    "effective_status",
    "missing_since",
    "synced_at",
    "error",
)
_VERSION = ("seq", "phase", "status", "observed_at")
_BAD_FILE = and_(_F.error.is_not(None), _F.missing_since.is_(None))


class Asked(NamedTuple):
    """A session whose versions after number `seq`, recorded after `since`, are wanted."""

    session_id: UUID
    seq: int
    since: datetime


class Version(NamedTuple):
    """One accepted content of a session; `at` is when it was recorded."""

    seq: int
    phase: str | None
    status: str
    at: datetime


class SessionNow(NamedTuple):
    """A session as it is stored now, and the versions that were asked for.

    Attributes:
        project: The project's name.
        seq: The number of its last version; 0 for one whose file could never be used: it has no row.
        phase: As its file says it.
        status: Its effective status; None without a row.
        missing_since: When its files were found to be gone.
        written_at: When its row was last written; None without a row.
        error: Why its file cannot be used, if so.
        error_at: When a file of it was last found to be unusable.
        versions: In order.
    """

    project: str
    seq: int
    phase: str | None
    status: str | None
    missing_since: datetime | None
    written_at: datetime | None
    error: str | None
    error_at: datetime | None
    versions: tuple[Version, ...]


class Written(NamedTuple):
    """A session of which something was written, and enough of it to tell whether that is news."""

    project_id: UUID
    session_id: UUID
    root: str
    slug: str
    seq: int
    missing_since: datetime | None
    written_at: datetime
    error: str | None


class Baseline(NamedTuple):
    """What was wrong with sessions at one moment: those gone, and the errors of those that cannot be used."""

    missing: frozenset[UUID]
    errors: Mapping[UUID, str]


def sessions_now(connection: Connection, project_id: UUID, asked: Sequence[Asked]) -> dict[UUID, SessionNow]:
    """Return these sessions of one project, in one statement, so that row and versions fit together.

    Args:
        connection: Open for reading.
        project_id: Their project; when it does not exist nothing is returned.
        asked: At most `MOST`, none twice. Those of which nothing is stored are not in the answer.
    """
    wanted = [(one.session_id, one.seq, encode_time(one.since)) for one in asked]
    parameters = {"project": project_id, "asked": orjson.dumps(wanted).decode()}
    found: dict[UUID, list[Sequence[Any]]] = {}
    for row in connection.execute(_sessions_now(connection.dialect.name), parameters):
        found.setdefault(row[0], []).append(row)
    read = {session_id: _session_now(rows) for session_id, rows in found.items()}
    return {session_id: now for session_id, now in read.items() if now is not None}


@cache
def _sessions_now(dialect: str) -> Select[Any]:
    """Return the statement; made once, because the number of sessions does not show in its text."""
    wanted = _asked(dialect)
    project_id: Any = bindparam("project", type_=Guid())
    bad = and_(_F.project_id == project_id, _F.session_id == wanted.c.session_id, _BAD_FILE)
    columns = [S[name] for name in _SHOWN]
    return (
        select(
            wanted.c.session_id,
            P.slug,
            *columns,
            select(func.min(_F.error)).where(bad).correlate(wanted).scalar_subquery(),
            select(func.max(_F.observed_at)).where(bad).correlate(wanted).scalar_subquery(),
            *(_V[name] for name in _VERSION),
        )
        .select_from(wanted)
        .join(tables.projects, P.project_id == project_id)
        .outerjoin(tables.sessions, and_(S.project_id == project_id, S.session_id == wanted.c.session_id))
        .outerjoin(
            tables.session_versions,
            and_(
                _V.project_id == S.project_id,
                _V.session_id == S.session_id,
                _V.seq > wanted.c.seq,
                _V.observed_at > wanted.c.since,
            ),
        )
        .order_by(wanted.c.session_id, _V.seq)
    )


def _asked(dialect: str) -> Any:
    """Return what was asked as a table: one JSON parameter, whatever the number of rows."""
    is_postgres = dialect == "postgresql"
    given: Any = bindparam("asked", type_=Text())
    if is_postgres:
        from sqlalchemy.dialects.postgresql import JSONB  # noqa: PLC0415 - as in sessionlib.db.types

        each = func.jsonb_array_elements(cast(given, JSONB()))
        row = each.table_valued(column("value", JSONB())).alias("one")
        picked = [row.c.value[index].astext for index in range(3)]
    else:
        row = func.json_each(given).table_valued(column("value", Text())).alias("one")
        picked = [func.json_extract(row.c.value, f"$[{index}]") for index in range(3)]
    kinds: list[Any] = [Guid(), Integer(), UtcTime()]
    named = [
        (cast(value, kind) if is_postgres else type_coerce(value, kind)).label(name)
        for value, kind, name in zip(picked, kinds, Asked._fields, strict=True)
    ]
    return select(*named).cte("asked")


def _session_now(rows: Sequence[Sequence[Any]]) -> SessionNow | None:
    """Read the rows of one session, one for each version; None when nothing is stored of it."""
    project, seq, phase, status, missing_since, written_at, shown_error, file_error, error_at = rows[0][1:10]
    if seq is None and file_error is None:
        return None
    # With several copies the row says which error counts; a session without a row has only its files.
    error = file_error if seq is None else shown_error
    versions = tuple(Version(*row[10:]) for row in rows if row[10] is not None)
    return SessionNow(project, seq or 0, phase, status, missing_since, written_at, error, error_at, versions)


_WRITTEN = tuple(
    S[name]
    for name in (
        "project_id",
        "session_id",
        "root",
        "slug",
        "version_seq",
        "missing_since",
        "synced_at",
        "error",
    )
)


def written_since(
    connection: Connection, since: datetime, *, project_id: UUID | None = None, root: str | None = None
) -> list[Written]:
    """Return the sessions that were written or found gone after `since`, and all that have an error.

    Args:
        connection: Open for reading.
        since: By the clocks of the hosts that wrote.
        project_id: Only this project's.
        root: Only those of this sessions root; with a project an index finds them.

    Raises:
        DatabaseError: The database does not answer.
    """
    statement = select(*_WRITTEN).where(
        or_(
            S.synced_at > since,
            S.missing_since > since,
            and_(S.error.is_not(None), S.missing_since.is_(None)),
        )
    )
    if project_id is not None:
        statement = statement.where(S.project_id == project_id)
    if root is not None:
        statement = statement.where(S.root == root)
    result: Any = connection.execute(statement)
    # As the driver gives them: after an import every row is looked at, and hardly one of them is news.
    rows: list[tuple[Any, ...]] = result.cursor.fetchall()
    result.close()
    if connection.dialect.name == "postgresql":
        return [Written(*row) for row in rows]
    guid = cache(UUID)
    moment = cache(decode_time)
    return [
        Written(guid(project), UUID(session), where, slug, seq, gone and moment(gone), moment(at), error)
        for project, session, where, slug, seq, gone, at, error in rows
    ]


def written(connection: Connection, session_ids: Sequence[UUID]) -> list[Written]:
    """Return these sessions, of whatever projects; those that have no row are left out."""
    rows: list[Written] = []
    for start in range(0, len(session_ids), MOST):
        chosen = S.session_id.in_(session_ids[start : start + MOST])
        rows += [Written(*row) for row in connection.execute(select(*_WRITTEN).where(chosen))]
    return rows


def baseline(connection: Connection, until: datetime) -> Baseline:
    """Return what is wrong with sessions, leaving out those that were found gone after `until`.

    Reads all sessions once.
    """
    rows = connection.execute(
        select(S.session_id, S.missing_since, S.error).where(
            or_(S.missing_since <= until, S.error.is_not(None))
        )
    ).all()
    files: Iterable[Any] = connection.execute(
        select(_F.session_id, func.min(_F.error)).where(_BAD_FILE).group_by(_F.session_id)
    )
    shown = {row.session_id: row.error for row in rows}
    missing = frozenset(
        row.session_id for row in rows if row.missing_since is not None and row.missing_since <= until
    )
    errors = {row[0]: row[1] for row in files} | {key: error for key, error in shown.items() if error}
    return Baseline(missing, errors)
