"""Questions to the version history: how long sessions stood in a phase."""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Connection, case, func, literal, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from sessionlib.db import tables
from sessionlib.db.queries.base import P, S, of_project
from sessionlib.db.types import UtcTime
from sessionlib.models import utc_now


class _Micros(FunctionElement[int]):
    """Microseconds since 1970 of a time column, exact on both databases."""

    type = BigInteger()
    inherit_cache = True
    name = "micros"


@compiles(_Micros, "postgresql")
def _micros_postgres(element: _Micros, compiler: SQLCompiler, **options: Any) -> str:
    return f"(EXTRACT(EPOCH FROM {compiler.process(element.clauses, **options)}) * 1000000)::bigint"


@compiles(_Micros, "sqlite")
def _micros_sqlite(element: _Micros, compiler: SQLCompiler, **options: Any) -> str:
    # SQLite's own times know milliseconds; the text's last six digits are the microseconds.
    moment = compiler.process(element.clauses, **options)
    whole = f"CAST(strftime('%s', substr({moment}, 1, 19)) AS INTEGER)"
    return f"({whole} * 1000000 + CAST(substr({moment}, 21, 6) AS INTEGER))"


class PhaseTime(NamedTuple):
    """How long sessions stood in a phase, in seconds, from the version history."""

    project: str
    phase: str
    sessions: int
    seconds: float


def time_per_phase(
    connection: Connection, project: str | None = None, session_id: UUID | None = None
) -> list[PhaseTime]:
    """Return the time spent in each phase, the longest first.

    The last phase of an open session counts until now, or until its files were gone; that of a closed one
    ends with its last change.
    """
    table = tables.session_versions.c
    chosen = of_project(table.project_id, project)
    if session_id is not None:
        owner = select(S.project_id).where(S.session_id == session_id).scalar_subquery()
        chosen += [table.session_id == session_id, table.project_id == owner]
    # Each time is made a number once, before the window looks at it twice.
    begun = (
        select(
            table.project_id,
            table.session_id,
            table.seq,
            table.phase,
            table.status,
            _Micros(table.at).label("micros"),
        )
        .where(*chosen)
        .subquery("begun")
    ).c
    following = func.lead(begun.micros).over(
        partition_by=(begun.project_id, begun.session_id), order_by=begun.seq
    )
    spans = select(*begun, following.label("following")).subquery("spans")
    span = spans.c
    closed = or_(span.phase == "complete", span.status.in_(["complete", "failed"]))
    now = literal(utc_now(), UtcTime())
    end = case(
        (span.following.is_not(None), span.following),
        (closed, span.micros),
        else_=_Micros(func.coalesce(_gone_since(span), now)),
    )
    total = func.sum(end - span.micros)
    # Versions without a phase end the one before them, so they are left out only here.
    rolled = (
        select(
            span.project_id,
            span.phase,
            func.count(span.session_id.distinct()).label("sessions"),
            total.label("micros"),
        )
        .where(span.phase.is_not(None))
        .group_by(span.project_id, span.phase)
        .subquery("rolled")
    )
    statement = (
        select(P.slug, rolled.c.phase, rolled.c.sessions, rolled.c.micros)
        .join(rolled, rolled.c.project_id == P.project_id)
        .order_by(P.slug, rolled.c.micros.desc(), rolled.c.phase)
    )
    return [
        PhaseTime(row[0], row[1], row[2], timedelta(microseconds=int(row[3])).total_seconds())
        for row in connection.execute(statement)
    ]


def _gone_since(span: Any) -> Any:
    """Return when a session's files were found to be gone; looked up for the last spans of open ones only."""
    return (
        select(S.missing_since)
        .where(S.project_id == span.project_id, S.session_id == span.session_id)
        .scalar_subquery()
    )
