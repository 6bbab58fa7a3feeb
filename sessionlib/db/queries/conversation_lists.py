"""Lists of conversations."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from sessionlib.db import tables
from sessionlib.db.matching import given
from sessionlib.db.queries.base import P, S, count_of
from sessionlib.db.queries.scoping import Listing, Scope, scope, word
from sessionlib.models import ConversationStatus, ConversationSummary

C: Any = tables.conversations.c
_A: Any = tables.agents.c
_L: Any = tables.conversation_links.c
_T: Any = tables.usage_totals.c

NUMBERS = (
    "messages",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "unpriced",
)
"""What is added up of usage, beside its cost."""

_SLASH = "/"
"""Between slugs, none of which holds one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationFilter:
    """Which conversations are wanted; None or False leaves a filter out.

    Attributes:
        project: A project's slug, alias or id.
        status: active, ended, abandoned or phantom.
        client: The coding client.
        session: A session that it worked on: slug, a part of one, declared id or id.
        since: With anything done at this moment or later.
        unlinked: Only those that worked on no session that is known.
        limit: At most so many, the last active first.
        offset: Skip so many first.
    """

    project: str | None = None
    status: str | None = None
    client: str | None = None
    session: str | None = None
    since: datetime | None = None
    unlinked: bool = False
    limit: int = 50
    offset: int = 0


def conversations(connection: Connection, wanted: ConversationFilter) -> Listing:
    """Return the wanted conversations as `ConversationSummary`, the last active first.

    Raises:
        RecordNotFoundError: There is no such project or session; the nearest names are its hint.
        UsageError: Several sessions fit.
    """
    found = scope(connection, wanted.project, wanted.session)
    rows = connection.execute(_summaries(_conditions(wanted, found), wanted))
    return Listing.cut([_summary(row) for row in rows.mappings()], wanted.limit)


def _summary(row: Any) -> ConversationSummary:
    slugs = row["sessions"]
    return ConversationSummary.model_validate(dict(row) | {"sessions": split_slugs(slugs)})


def split_slugs(joined: str | None) -> list[str]:
    """Return the slugs that `slugs_of` joined, each once, in order."""
    return sorted(set(joined.split(_SLASH))) if joined else []


def slugs_of(table: Any) -> ColumnElement[Any]:
    """Return the slugs of the sessions that a row's conversation worked on, joined; NULL for none."""
    return (
        select(func.aggregate_strings(S.slug, _SLASH))
        .select_from(
            tables.conversation_links.join(
                tables.sessions, and_(S.project_id == _L.project_id, S.session_id == _L.session_id)
            )
        )
        .where(_L.project_id == table.project_id, _L.conversation_id == table.conversation_id)
        .scalar_subquery()
    )


def _conditions(wanted: ConversationFilter, found: Scope) -> list[ColumnElement[bool]]:
    conditions = found.of(C.project_id)
    if wanted.status is not None:
        conditions.append(C.status == word(wanted.status, ConversationStatus))
    if wanted.client is not None:
        conditions.append(C.client == wanted.client)
    if wanted.unlinked:
        conditions.append(C.attribution == word("", [""]))
    if wanted.since is not None:
        conditions.append(C.last_activity_at >= wanted.since)
    if found.session_id is not None:
        linked = select(_L.conversation_id).where(
            _L.project_id == found.project_id, _L.session_id == found.session_id
        )
        conditions.append(C.conversation_id.in_(linked))
    return conditions


def _summaries(conditions: list[ColumnElement[bool]], wanted: ConversationFilter) -> Select[Any]:
    """Return the statement: they are chosen first, and what a line shows is looked up for them only."""
    chosen = (
        select(C.project_id, C.conversation_id)
        .where(*conditions)
        .order_by(C.last_activity_at.desc(), C.conversation_id)
        .limit(wanted.limit + 1)
        .offset(wanted.offset)
    ).cte("chosen")
    run = _once(
        "run",
        select(
            _A.project_id,
            _A.conversation_id,
            func.count().label("agents"),
            count_of(_A.status == "failed").label("agents_failed"),
        )
        .select_from(chosen)
        .join(tables.agents, _behind(_A, chosen.c))
        .group_by(_A.project_id, _A.conversation_id),
    )
    used = _once(
        "used",
        select(
            _T.project_id,
            _T.conversation_id,
            *(func.sum(_T[name]).label(name) for name in NUMBERS),
            func.sum(_T.cost_usd).label("cost_usd"),
        )
        .select_from(chosen)
        .join(tables.usage_totals, _behind(_T, chosen.c))
        .group_by(_T.project_id, _T.conversation_id),
    )
    shown = {
        "project_slug": P.slug,
        "identity": tables.identities.c.name,
        "host": tables.hosts.c.name,
        "sessions": slugs_of(C),
        "cost_usd": used.c.cost_usd,
        **{name: func.coalesce(run.c[name], 0) for name in ("agents", "agents_failed")},
        **{name: func.coalesce(used.c[name], 0) for name in NUMBERS},
    }
    columns = [
        shown[name].label(name) if name in shown else C[name] for name in ConversationSummary.model_fields
    ]
    return (
        select(*columns)
        .select_from(chosen)
        .join(tables.conversations, _behind(C, chosen.c))
        .join(tables.projects, P.project_id == C.project_id)
        .join(tables.identities, tables.identities.c.identity_id == C.identity_id)
        .join(tables.hosts, tables.hosts.c.host_id == C.host_id)
        .outerjoin(run, _same(run.c, C))
        .outerjoin(used, _same(used.c, C))
        .order_by(C.last_activity_at.desc(), C.conversation_id)
    )


def _once(name: str, statement: Select[Any]) -> Any:
    """Return a part of a statement that is worked out once: PostgreSQL would do so for each row of a page."""
    return statement.cte(name).prefix_with("MATERIALIZED", dialect="postgresql")


def _behind(one: Any, first: Any) -> ColumnElement[bool]:
    """Return the condition that a row is of a conversation that has been chosen already."""
    return and_(
        one.project_id == given(first.project_id), one.conversation_id == given(first.conversation_id)
    )


def _same(one: Any, other: Any) -> ColumnElement[bool]:
    return and_(one.project_id == other.project_id, one.conversation_id == other.conversation_id)
