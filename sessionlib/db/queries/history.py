"""Questions to the version history: how long sessions stood in a phase."""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Connection, and_, case, func, literal, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from sessionlib.db import tables
from sessionlib.db.queries.base import P, S
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
    following = func.lead(table.at).over(
        partition_by=(table.project_id, table.session_id), order_by=table.seq
    )
    closed = or_(table.phase == "complete", table.status.in_(["complete", "failed"]))
    end = case((closed, table.at), else_=func.coalesce(S.missing_since, literal(utc_now(), UtcTime())))
    spans = select(
        table.project_id,
        table.session_id,
        table.phase,
        (_Micros(func.coalesce(following, end)) - _Micros(table.at)).label("micros"),
    ).join(tables.sessions, and_(S.project_id == table.project_id, S.session_id == table.session_id))
    if session_id is not None:
        spans = spans.where(S.session_id == session_id)
    span = spans.subquery()
    total = func.sum(span.c.micros)
    # Versions without a phase end the one before them, so they are left out only here.
    statement = (
        select(P.slug, span.c.phase, func.count(span.c.session_id.distinct()), total)
        .join(tables.projects, P.project_id == span.c.project_id)
        .where(span.c.phase.is_not(None))
        .group_by(P.slug, span.c.phase)
        .order_by(P.slug, total.desc(), span.c.phase)
    )
    if project:
        statement = statement.where(P.slug == project)
    return [
        PhaseTime(row[0], row[1], row[2], timedelta(microseconds=int(row[3])).total_seconds())
        for row in connection.execute(statement)
    ]
