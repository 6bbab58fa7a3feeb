"""Questions to the version history: how long sessions stood in a phase."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    case,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from sessionlib.db import tables
from sessionlib.db.queries.base import P, S, of_project
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


_HALF = 20
"""Bits of the lower half of a sum on SQLite, where the microseconds of many sessions would overflow one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_per_phase(
    connection: Connection, project: str | None = None, session_id: UUID | None = None
) -> list[PhaseTime]:
    """Return the time spent in each phase, the longest first.

    The last phase of an open session counts until now, or until its files were gone; that of a closed one
    ends with its last change.
    """
    now: Any = literal((utc_now() - _EPOCH) // timedelta(microseconds=1), BigInteger())
    end = case((S.missing_since.is_(None), now), else_=_Micros(S.missing_since))
    present = func.coalesce(S.phase_stood_us, end - S.phase_since_us)
    stands = [S.current_phase.is_not(None), S.phase_since_us.is_not(None)]
    left = tables.session_phases.c
    halves = _halves if connection.dialect.name == "sqlite" else _whole
    rolled = union_all(
        _rolled(left, left.phase, halves(left.stood_us), _chosen(left, project, session_id)),
        _rolled(S, S.current_phase, halves(present), [*stands, *_chosen(S, project, session_id)]),
    ).subquery("rolled")
    sums = [func.sum(rolled.c[name]) for name in ("sessions", "lower", "upper")]
    found = connection.execute(
        select(P.slug, rolled.c.phase, *sums)
        .join(tables.projects, P.project_id == rolled.c.project_id)
        .group_by(P.slug, rolled.c.phase)
    )
    rows = [
        (slug, -(int(lower) + (int(upper) << _HALF)), phase, int(count))
        for slug, phase, count, lower, upper in found
    ]
    return [
        PhaseTime(slug, phase, count, timedelta(microseconds=-negative).total_seconds())
        for slug, negative, phase, count in sorted(rows)
    ]


def _chosen(table: Any, project: str | None, session_id: UUID | None) -> list[ColumnElement[bool]]:
    """Return the conditions for a project's rows, or a session's, of a table."""
    chosen = of_project(table.project_id, project)
    if session_id is not None:
        owner = select(S.project_id).where(S.session_id == session_id).correlate(None).scalar_subquery()
        chosen += [table.session_id == session_id, table.project_id == owner]
    return chosen


def _rolled(
    table: Any, phase: Any, halves: tuple[Any, Any], chosen: list[ColumnElement[bool]]
) -> Select[Any]:
    """Return, by project and phase, how many rows there are, and the sum of their times in two halves."""
    lower, upper = halves
    return (
        select(
            table.project_id,
            phase.label("phase"),
            func.count().label("sessions"),
            lower.label("lower"),
            upper.label("upper"),
        )
        .where(*chosen)
        .group_by(table.project_id, phase)
    )


def _halves(micros: Any) -> tuple[Any, Any]:
    """Return the sums of the lower and the upper bits."""
    return (
        func.sum(micros.bitwise_and(literal((1 << _HALF) - 1, BigInteger()))),
        func.sum(micros.bitwise_rshift(literal(_HALF, Integer()))),
    )


def _whole(micros: Any) -> tuple[Any, Any]:
    """Return the sum, of any size, and no upper half."""
    return func.sum(micros), literal(0, Integer())
