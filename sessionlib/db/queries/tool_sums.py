"""How often each tool was called, how that went, and how long it took."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, literal, select, union_all

from sessionlib.db import tables
from sessionlib.db.queries.scoping import Listing, Scope, scope
from sessionlib.models import Outcome, ToolSummary

_K: Any = tables.tool_calls.c
_A: Any = tables.agents.c


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFilter:
    """Which tools are wanted; None or False leaves a filter out.

    Attributes:
        server: Only tools of this MCP server.
        mcp: Only tools of MCP servers.
        project: A project's slug, alias or id.
        session: A session's slug, a part of one, declared id or id.
        failed: Only those of which a call has failed, those with the most failures first.
        limit: At most so many, the most called first.
    """

    server: str | None = None
    mcp: bool = False
    project: str | None = None
    session: str | None = None
    failed: bool = False
    limit: int = 50


class _Name(NamedTuple):
    """A tool, of a server or of the client itself."""

    server: str | None
    tool: str


class _Count(NamedTuple):
    """The calls of a tool that ended alike; times in milliseconds, of those of which one is known."""

    name: _Name
    outcome: str
    calls: int
    timed: int
    total_ms: int
    max_ms: int | None


def tools(connection: Connection, wanted: ToolFilter) -> Listing:
    """Return the wanted tools as `ToolSummary`.

    Raises:
        RecordNotFoundError: There is no such project or session; the nearest names are its hint.
        UsageError: Several sessions fit.
    """
    found = scope(connection, wanted.project, wanted.session)
    calls = _calls(found)
    conditions = _conditions(calls.c, wanted, found)
    groups: dict[_Name, list[_Count]] = {}
    for count in _counts(connection, calls, conditions):
        groups.setdefault(count.name, []).append(count)
    chosen = Listing.cut(_ordered(groups, failed=wanted.failed), wanted.limit)
    names = [name for name in chosen.rows if sum(count.timed for count in groups[name])]
    medians = _medians(connection, calls, conditions, [(name, groups[name]) for name in names])
    return Listing([_summary(name, groups[name], medians.get(name)) for name in chosen.rows], chosen.more)


def _calls(found: Scope) -> Any:
    """Return what has the calls: of one session they are few, and are looked up once."""
    if found.session_id is None:
        return tables.tool_calls
    own = select(_A.agent_id).where(_A.project_id == found.project_id, _A.session_id == found.session_id)
    return select(tables.tool_calls).where(_K.project_id == found.project_id, _K.agent_id.in_(own)).cte("own")


def _conditions(call: Any, wanted: ToolFilter, found: Scope) -> list[ColumnElement[bool]]:
    conditions = found.of(call.project_id)
    if wanted.server is not None:
        conditions.append(call.server == wanted.server)
    elif wanted.mcp:
        conditions.append(call.server.is_not(None))
    return conditions


def _counts(connection: Connection, calls: Any, conditions: list[ColumnElement[bool]]) -> Iterable[_Count]:
    call = calls.c
    key = (call.server, call.tool_name, call.outcome)
    timed = func.count(call.duration_ms)
    rows = connection.execute(
        select(*key, func.count(), timed, func.sum(call.duration_ms), func.max(call.duration_ms))
        .where(*conditions)
        .group_by(*key)
    )
    for server, tool, outcome, count, known, total, longest in rows:
        yield _Count(_Name(server, tool), outcome, count, known, int(total or 0), longest)


def _failures(counts: Iterable[_Count]) -> int:
    return sum(count.calls for count in counts if count.outcome == Outcome.FAILED)


def _ordered(groups: dict[_Name, list[_Count]], *, failed: bool) -> list[_Name]:
    """Return the names, the most called first; or those of which calls failed, by how many."""
    if failed:
        weights = {name: _failures(counts) for name, counts in groups.items()}
        weights = {name: weight for name, weight in weights.items() if weight}
    else:
        weights = {name: sum(count.calls for count in counts) for name, counts in groups.items()}
    return sorted(weights, key=lambda name: (-weights[name], name.server or "", name.tool))


def _medians(
    connection: Connection,
    calls: Any,
    conditions: list[ColumnElement[bool]],
    wanted: Sequence[tuple[_Name, list[_Count]]],
) -> dict[_Name, int]:
    """Return the median durations of tools, each counted off in the order of an index."""
    if not wanted:
        return {}
    call = calls.c
    parts = []
    for place, (name, counts) in enumerate(wanted):
        before = (sum(count.timed for count in counts) - 1) // 2
        of_server = call.server.is_(None) if name.server is None else call.server == name.server
        part = (
            select(literal(place).label("place"), call.duration_ms)
            .where(of_server, call.tool_name == name.tool, call.duration_ms.is_not(None), *conditions)
            # As the index has them, else PostgreSQL sorts what is sorted.
            .order_by(call.server, call.tool_name, call.duration_ms)
            .limit(1)
            .offset(before)
        )
        parts.append(select(part.subquery(f"part{place}")))
    return {wanted[place][0]: duration for place, duration in connection.execute(union_all(*parts))}


def _summary(name: _Name, counts: list[_Count], median: int | None) -> ToolSummary:
    by_outcome = {str(outcome): 0 for outcome in Outcome} | {count.outcome: count.calls for count in counts}
    timed = sum(count.timed for count in counts)
    total = sum(count.total_ms for count in counts)
    return ToolSummary(
        server=name.server,
        tool_name=name.tool,
        calls=sum(by_outcome.values()),
        **by_outcome,
        timed=timed,
        p50_ms=median,
        mean_ms=round(total / timed) if timed else None,
        max_ms=max((count.max_ms for count in counts if count.max_ms is not None), default=None),
    )
