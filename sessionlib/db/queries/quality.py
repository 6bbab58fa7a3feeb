"""What is wrong with the rows: defects counted, with a few examples each. Reads whole tables; takes its time.

The schema forbids some of this. A database whose foreign keys were off, or into which others have written,
can hold it all the same.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    ForeignKeyConstraint,
    Integer,
    Interval,
    Select,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    text,
)

from sessionlib.db import tables
from sessionlib.db.queries.defects import MOST, Defect, by_project, counted, of_conversation

_A: Any = tables.agents.c
_C: Any = tables.conversations.c
_G: Any = tables.agent_logs.c
_I: Any = tables.identities.c
_P: Any = tables.projects.c
_T: Any = tables.usage_totals.c
_U: Any = tables.usage_records.c
_W: Any = tables.tool_calls.c

_SAME = timedelta(seconds=2)
_NEWEST = 100_000
"""Events among which repeated ones are looked for."""
_META = 5
"""The weight of what the small file beside an agent's transcript says."""


def orphans(connection: Connection) -> Defect:
    """Count rows that name an owner which is not there."""
    count = 0
    told: list[str] = []
    for table in tables.metadata.sorted_tables:
        for constraint in sorted(table.foreign_key_constraints, key=lambda one: str(one.column_keys)):
            found = connection.scalar(_without_owner(constraint)) or 0
            if found:
                count += found
                owner = constraint.referred_table.name
                told.append(f"{table.name}: {found} without their row in {owner}")
    return Defect(count, tuple(told[:MOST]))


def _without_owner(constraint: ForeignKeyConstraint) -> Select[Any]:
    owner = constraint.referred_table.alias()
    pairs = [(column, owner.c[key.column.name]) for column, key in _keys(constraint)]
    there = select(literal(1)).where(*(mine == theirs for mine, theirs in pairs)).select_from(owner)
    named = [mine.is_not(None) for mine, _ in pairs]
    return select(func.count()).select_from(constraint.table).where(*named, ~exists(there))


def _keys(constraint: ForeignKeyConstraint) -> Iterable[tuple[Any, Any]]:
    return zip(constraint.columns, constraint.elements, strict=True)


def placeholders(connection: Connection) -> Defect:
    """Count rows that hold nothing, or a word that stands for nothing, where there always is something."""
    unplaced = select(_P.project_id).where(_P.minted_from.like("unplaced:%"))
    kinds: tuple[tuple[str, Any, ColumnElement[bool]], ...] = (
        ("conversations in no known folder", _C, _C.project_id.in_(unplaced)),
        ("conversations that ended without a reason", _C, _is_empty(_C.end_reason) & (_C.status != "active")),
        ("tool calls without a name", _W, _is_empty(_W.tool_name)),
        ("responses without a model", _U, _is_empty(_U.model) | (_U.model == "<synthetic>")),
        ("events without a name", _G, _is_empty(_G.event_type)),
    )
    count = 0
    told = []
    for words, table, condition in kinds:
        found = connection.scalar(select(func.count(table.project_id)).where(condition)) or 0
        if found:
            count += found
            told.append(f"{found} {words}")
    return Defect(count, tuple(told))


def _is_empty(column: Any) -> ColumnElement[bool]:
    return or_(column.is_(None), column.in_(["", "unknown"]))


def alike_names(connection: Connection) -> Defect:
    """Count the names that another one differs from by its case alone."""
    # Paths are left out: file systems tell them apart.
    aliases = select(tables.project_aliases.c.alias).where(
        or_(*(tables.project_aliases.c.alias.like(f"{kind}:%") for kind in ("name", "remote")))
    )
    found: list[str] = []
    for kind, names in (
        ("projects", select(_P.slug)),
        ("projects by name", select(_P.name).distinct()),
        ("identities", select(_I.name)),
        ("aliases", aliases),
    ):
        groups: dict[str, list[str]] = defaultdict(list)
        for name in connection.scalars(names):
            groups[name.casefold()].append(name)
        found += [f"{kind}: {', '.join(sorted(group))}" for group in groups.values() if len(group) > 1]
    return Defect(len(found), tuple(sorted(found)[:MOST]))


def never_closed(connection: Connection, silent_since: datetime, unseen_since: datetime) -> Defect:
    """Count active conversations that were silent for long, on hosts that no daemon looks after.

    Args:
        connection: Open for reading.
        silent_since: Their last activity was before.
        unseen_since: Their host's last heartbeat was before.
    """
    return counted(connection, _never_closed(silent_since, unseen_since, _C.client, _C.native_id, _P.slug))


def keys_of_never_closed(
    connection: Connection, silent_since: datetime, unseen_since: datetime
) -> list[tuple[UUID, tuple[str, str], datetime]]:
    """Return the conversations that `never_closed` counts: host, client and native id, last activity."""
    columns = _C.host_id, _C.client, _C.native_id, _C.last_activity_at
    wanted = _never_closed(silent_since, unseen_since, *columns)
    return [(row[0], (row[1], row[2]), row[3]) for row in connection.execute(wanted)]


def _never_closed(silent_since: datetime, unseen_since: datetime, *columns: Any) -> Select[Any]:
    beat = tables.hosts.c.heartbeat_at
    return (
        select(*columns)
        .select_from(tables.conversations)
        .join(tables.hosts, tables.hosts.c.host_id == _C.host_id)
        .outerjoin(tables.projects, _P.project_id == _C.project_id)
        .where(
            _C.status == "active",
            _C.last_activity_at < silent_since,
            or_(beat.is_(None), beat < unseen_since),
        )
        .order_by(_C.last_activity_at)
    )


def running_after_the_end(connection: Connection) -> Defect:
    """Count agents that are running in conversations that are over."""
    return counted(connection, _running_after_the_end(_C.native_id, _A.native_id, _A.agent_type))


def _running_after_the_end(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(tables.agents)
        .join(tables.conversations, of_conversation(_A))
        .where(_A.status == "running", _C.status != "active")
        .order_by(_A.started_at, _A.agent_id)
    )


def open_after_the_end(connection: Connection) -> Defect:
    """Count tool calls without an outcome in conversations that ended in good order.

    In one that was killed the calls that were under way stay open: nobody knows what became of them.
    """
    return counted(
        connection,
        select(_C.native_id, _W.tool_name, _W.tool_use_id)
        .select_from(tables.tool_calls)
        .join(tables.conversations, of_conversation(_W))
        .where(
            _W.outcome == "open",
            _C.status == "ended",
            _C.end_estimated.is_(False),
            _C.end_reason.not_in(["other"]),
        )
        .order_by(_W.called_at, _W.tool_use_id),
    )


def assumed_parents(connection: Connection) -> tuple[Defect, int]:
    """Count agents whose parent is assumed although a meta file was read; return how many have one."""
    weight = cast(_A.observed.op("->")("type").op("->>")(text("0")), Integer)
    with_meta = select(_A.native_id, _A.agent_type).where(_A.kind == "spawned", weight >= _META)
    assumed = with_meta.where(_A.parent_source == "assumed").order_by(_A.started_at, _A.agent_id)
    total = connection.scalar(select(func.count()).select_from(with_meta.subquery())) or 0
    return counted(connection, assumed), total


def repeated_events(connection: Connection, since: datetime) -> Defect:
    """Count events of hooks that are stored twice: same conversation, kind and content within 2 seconds.

    Of a long log only the newest events are looked at: to compare all of a million takes half a minute.
    """
    newest = (
        select(_G.project_id, _G.conversation_id, _G.category, _G.event_type, _G.digest, _G.at)
        .where(_G.at >= since)
        .order_by(_G.at.desc())
        .limit(_NEWEST)
        .subquery()
    )
    same = (newest.c.project_id, newest.c.conversation_id, newest.c.event_type, newest.c.digest)
    before = func.lag(newest.c.at).over(partition_by=same, order_by=newest.c.at)
    seen = (
        select(*same, newest.c.at, before.label("before"))
        .where(newest.c.category == "hook", newest.c.digest.is_not(None))
        .subquery()
    )
    gap: Any
    if connection.dialect.name == "postgresql":
        gap = func.extract("epoch", seen.c.at.op("-", return_type=Interval())(seen.c.before))
    else:
        gap = (func.julianday(seen.c.at) - func.julianday(seen.c.before)) * 86400.0
    return counted(
        connection,
        select(_C.native_id, seen.c.event_type)
        .select_from(seen.join(tables.conversations, of_conversation(seen.c)))
        .where(seen.c.before.is_not(None), gap <= _SAME.total_seconds())
        .order_by(seen.c.at),
    )


def journals_with_problems(connection: Connection) -> Defect:
    """Count transcripts of which something could not be read."""
    table = tables.journal_cursors.c
    wanted = select(table.path, table.problem).where(table.problem.is_not(None))
    return counted(connection, wanted.order_by(table.path))


def drifted(connection: Connection, kind: str, since: datetime) -> Defect:
    """Count the open findings of a kind that were seen lately."""
    table = tables.findings.c
    wanted = select(table.message).where(
        table.kind == kind, table.resolved_at.is_(None), table.last_seen_at >= since
    )
    return counted(connection, wanted.distinct().order_by(table.message))


def to_recount(connection: Connection) -> dict[UUID, list[UUID]]:
    """Return the conversations of which agents run after the end, or responses have no price, by project."""
    running = _running_after_the_end(_A.project_id, _A.conversation_id).order_by(None)
    unpriced = select(_T.project_id, _T.conversation_id).where(_T.unpriced > 0)
    return by_project(connection, running.union(unpriced))
