"""What was used and what it cost, added up by whatever is asked for. Reads the maintained totals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, cast, func, literal, null, select

from sessionlib.db import tables
from sessionlib.db.queries.agent_lists import MAIN_TYPE
from sessionlib.db.queries.base import P, S
from sessionlib.db.queries.conversation_lists import NUMBERS
from sessionlib.db.queries.scoping import Scope, scope
from sessionlib.db.types import MONEY_PLACES, Guid
from sessionlib.models import CostSummary, UnpricedModel

T: Any = tables.usage_totals.c
_A: Any = tables.agents.c
_C: Any = tables.conversations.c
_I: Any = tables.identities.c

_SUMS = (*NUMBERS, "client_usd", "cost_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFilter:
    """Which usage is wanted, and by what it is added up; None leaves a filter out.

    Attributes:
        by: One of `GROUPINGS`.
        project: A project's slug, alias or id.
        session: A session's slug, a part of one, declared id or id.
        since: The first day, ``YYYY-MM-DD`` in UTC.
        until: The last day.
        limit: At most so many groups, the dearest first (days: the last first).
    """

    by: str = "project"
    project: str | None = None
    session: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int = 50


class Costs(NamedTuple):
    """The groups, what all of them come to, and how many there are, also beyond the limit."""

    rows: list[CostSummary]
    total: CostSummary
    groups: int


class _Grouping(NamedTuple):
    """How usage is added up by something.

    Attributes:
        keys: Columns of the totals, by their names in the sums.
        shown: From the sums, the fields of a summary that tell the group; and the tables they need.
    """

    keys: dict[str, ColumnElement[Any]]
    shown: Callable[[Any], tuple[dict[str, Any], list[tuple[Any, Any]]]]


def _project(sums: Any) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    joins = [(tables.projects, P.project_id == sums.project_id)]
    return {"group": P.slug, "id": P.project_id}, joins


def _session_joins(sums: Any) -> list[tuple[Any, Any]]:
    session_id = cast(func.nullif(sums.session_key, ""), Guid())
    return [
        (tables.projects, P.project_id == sums.project_id),
        (tables.sessions, and_(S.project_id == sums.project_id, S.session_id == session_id)),
    ]


def _session(sums: Any) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    shown = {"group": S.slug, "project": P.slug, "session": S.slug, "title": S.topic, "id": S.session_id}
    return shown, _session_joins(sums)


def _checkpoint(sums: Any) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    number = cast(func.nullif(sums.checkpoint_number, 0), tables.usage_totals.c.phase.type)
    shown = {"group": number, "project": P.slug, "session": S.slug, "id": S.session_id}
    return shown, _session_joins(sums)


def _agent_type(sums: Any) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    return {"group": sums.agent_type}, []


def _column(name: str) -> Callable[[Any], tuple[dict[str, Any], list[tuple[Any, Any]]]]:
    return lambda sums: ({"group": func.nullif(sums[name], "")}, [])


def _conversation_join(sums: Any) -> tuple[Any, Any]:
    same = and_(_C.project_id == sums.project_id, _C.conversation_id == sums.conversation_id)
    return tables.conversations, same


def _conversation(sums: Any) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    shown = {
        "group": _C.native_id,
        "project": P.slug,
        "title": _C.title,
        "id": _C.conversation_id,
    }
    return shown, [(tables.projects, P.project_id == sums.project_id), _conversation_join(sums)]


def _identity(sums: Any) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    return {"group": _I.name, "id": _I.identity_id}, [(tables.identities, _I.identity_id == sums.identity_id)]


def _total(_: Any) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    return {}, []


_TYPE = case((_A.kind == "main", MAIN_TYPE), else_=_A.agent_type)
_GROUPINGS: Mapping[str, _Grouping] = {
    "project": _Grouping({"project_id": T.project_id}, _project),
    "session": _Grouping({"project_id": T.project_id, "session_key": T.session_key}, _session),
    "phase": _Grouping({"phase": T.phase}, _column("phase")),
    "checkpoint": _Grouping(
        {
            "project_id": T.project_id,
            "session_key": T.session_key,
            "checkpoint_number": T.checkpoint_number,
        },
        _checkpoint,
    ),
    "agent-type": _Grouping({"agent_type": _TYPE}, _agent_type),
    "model": _Grouping({"model": T.model}, _column("model")),
    "day": _Grouping({"day": T.day}, _column("day")),
    "identity": _Grouping({"identity_id": _C.identity_id}, _identity),
    "conversation": _Grouping(
        {"project_id": T.project_id, "conversation_id": T.conversation_id}, _conversation
    ),
    "total": _Grouping({}, _total),
}
GROUPINGS = tuple(_GROUPINGS)
"""By what usage can be added up; ``total`` gives one row for all of it."""

_MANY = frozenset({"session", "checkpoint", "conversation"})
"""There are so many groups of these that the dearest are chosen before anything else is added up."""

_OWNERS = {"agent-type": (tables.agents, "agent_id"), "identity": (tables.conversations, "conversation_id")}
"""Which table has the key of a group that the totals do not have, and by which id."""


def costs(connection: Connection, wanted: CostFilter) -> Costs:
    """Return what the wanted usage cost, by one of `GROUPINGS`.

    Raises:
        KeyError: `by` is none of them.
        RecordNotFoundError: There is no such project or session; the nearest names are its hint.
        UsageError: Several sessions fit.
    """
    found = scope(connection, wanted.project, wanted.session)
    conditions = _conditions(wanted, found)
    grouping = _GROUPINGS[wanted.by]
    if wanted.by in _MANY:
        if connection.dialect.name == "postgresql":
            # Else it thinks that to read an index in order costs more than to sort all rows: on a disk, from
            # which these few pages have hardly ever to be read.
            connection.execute(select(func.set_config("random_page_cost", "1.1", True)))  # noqa: FBT003
            # The groups of an archive are some megabytes, which else are written to a file to be counted.
            connection.execute(select(func.set_config("work_mem", "32MB", True)))  # noqa: FBT003
        sums = _of_dearest(wanted, conditions, grouping)
        rows = connection.execute(_named(sums, grouping, wanted)).mappings().all()
        whole = connection.execute(select(*_numbers()).where(*conditions)).mappings().one()
        total = _summary(whole, "total", "")
    else:
        chosen = _of_all(wanted, conditions, grouping)
        rows = connection.execute(_named(chosen, grouping, wanted)).mappings().all()
        total = _summary(rows[0] if rows else {}, "total", "all_")
    made = [_summary(row, wanted.by, "") for row in rows]
    return Costs(made, total, rows[0]["groups"] if rows else 0)


def _conditions(wanted: CostFilter, found: Scope) -> list[ColumnElement[bool]]:
    conditions = found.of(T.project_id)
    if found.session_id is not None:
        conditions.append(T.session_key == str(found.session_id))
    if wanted.since is not None:
        conditions.append(T.day >= wanted.since)
    if wanted.until is not None:
        conditions.append(T.day <= wanted.until)
    return conditions


def _numbers() -> list[ColumnElement[Any]]:
    of_client = case((T.source == "client", T.cost_usd))
    return [
        *(func.sum(T[name]).label(name) for name in NUMBERS),
        func.sum(of_client).label("client_usd"),
        func.sum(T.cost_usd).label("cost_usd"),
    ]


def _of_all(wanted: CostFilter, conditions: list[ColumnElement[bool]], grouping: _Grouping) -> Any:
    """Return the chosen groups with their sums, and the sums of all groups beside each."""
    keys = grouping.keys
    source: Any = tables.usage_totals
    if wanted.by in _OWNERS:
        owner, name = _OWNERS[wanted.by]
        source = source.join(owner, and_(owner.c.project_id == T.project_id, owner.c[name] == T[name]))
    labelled = [column.label(name) for name, column in keys.items()]
    # Without a key there is one group, even of nothing.
    sums = (
        select(*labelled, *_numbers())
        .select_from(source)
        .where(*conditions)
        .group_by(*keys.values())
        .subquery("sums")
    )
    whole = [func.sum(sums.c[name]).over().label(f"all_{name}") for name in _SUMS]
    return (
        select(*sums.c, *whole, func.count().over().label("groups"))
        .order_by(*_order(sums, wanted))
        .limit(wanted.limit)
        .subquery("chosen")
    )


def _of_dearest(wanted: CostFilter, conditions: list[ColumnElement[bool]], grouping: _Grouping) -> Any:
    """Return the dearest groups with their sums; an index has what is needed to choose them."""
    keys = {name: column.label(name) for name, column in grouping.keys.items()}
    cost = func.sum(T.cost_usd)
    chosen = (
        select(*keys.values(), func.count().over().label("groups"))
        .where(*conditions)
        .group_by(*grouping.keys.values())
        .order_by(func.round(func.coalesce(cost, 0), MONEY_PLACES).desc(), *grouping.keys.values())
        .limit(wanted.limit)
        .cte("dearest")
    )
    shown = [chosen.c[name] for name in (*keys, "groups")]
    return (
        select(*shown, *_numbers())
        .select_from(chosen)
        .join(tables.usage_totals, and_(*(T[name] == chosen.c[name] for name in keys)))
        .where(*conditions)
        .group_by(*shown)
        .subquery("sums")
    )


def _order(sums: Any, wanted: CostFilter) -> list[ColumnElement[Any]]:
    """Return the order: days from the last, all else from the dearest."""
    if wanted.by == "day":
        return [sums.c.day.desc()]
    # Rounded, because SQLite adds up binary fractions.
    cost = func.round(func.coalesce(sums.c.cost_usd, 0), MONEY_PLACES)
    names = list(_GROUPINGS[wanted.by].keys)
    return [cost.desc(), *(part for name in names for part in (sums.c[name].is_(None), sums.c[name]))]


def _named(chosen: Any, grouping: _Grouping, wanted: CostFilter) -> Select[Any]:
    """Return the chosen groups with what people call them."""
    shown, joins = grouping.shown(chosen.c)
    fields = {name: null() for name in ("group", "project", "session", "title", "id")} | shown
    columns = [value.label(name) for name, value in fields.items()]
    numbers = [column for column in chosen.c if column.name not in grouping.keys]
    statement = select(*columns, *numbers).select_from(chosen)
    for table, same in joins:
        statement = statement.outerjoin(table, same)
    return statement.order_by(*_order(chosen, wanted))


def _summary(row: Mapping[Any, Any], by: str, prefix: str) -> CostSummary:
    fields = {
        name: None if by == "total" else row[name] for name in ("group", "project", "session", "title", "id")
    }
    numbers = {name: row.get(f"{prefix}{name}") for name in _SUMS}
    counted = {name: numbers[name] or 0 for name in NUMBERS}
    return CostSummary.model_validate({"by": by, **fields, **numbers, **counted})


def unpriced(connection: Connection, project: str | None = None, limit: int = 50) -> list[UnpricedModel]:
    """Return the models of which some responses have no known price, those with the most first.

    Args:
        connection: Open for reading.
        project: Only in the project with this slug.
        limit: At most so many.
    """
    whose = [] if project is None else [T.project_id == _id_of(project)]
    count = func.sum(T.unpriced)
    statement = (
        select(
            T.model,
            count.label("unpriced"),
            func.sum(T.messages).label("messages"),
            func.count(T.conversation_id.distinct()).label("conversations"),
            func.min(T.day).label("first_day"),
            func.max(T.day).label("last_day"),
        )
        .where(T.unpriced > 0, *whose)
        .group_by(T.model)
        .order_by(count.desc(), T.model)
        .limit(limit)
    )
    return [UnpricedModel.model_validate(row) for row in connection.execute(statement)]


def _id_of(slug: str) -> Any:
    return select(P.project_id).where(P.slug == literal(slug)).scalar_subquery()
