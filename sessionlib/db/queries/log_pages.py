"""Pages of the log of a session or of a conversation: a page begins where the one before it ended."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, case, exists, literal, or_, select, tuple_

from sessionlib.db import tables
from sessionlib.db.crud import conversations
from sessionlib.db.queries.agent_lists import MAIN_TYPE
from sessionlib.db.queries.base import P
from sessionlib.db.queries.scoping import Listing, scope
from sessionlib.db.types import TextType, UtcTime, decode_time, encode_time
from sessionlib.errors import UsageError
from sessionlib.models import AgentLogSummary

_G: Any = tables.agent_logs.c
_A: Any = tables.agents.c
_C: Any = tables.conversations.c
_L: Any = tables.conversation_links.c

_BETWEEN = "|"
_SLACK = timedelta(days=1)
"""No event of a conversation is later than its last activity by more."""

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which events are wanted; None leaves a filter out. Just one of session and conversation is given.

    Attributes:
        session: A session's slug, a part of one, declared id or id.
        conversation: A conversation's native id, the beginning of one, or its id.
        project: The project of either: slug, alias or id.
        category: hook, response or phase.
        since: At this moment or later.
        after: The cursor of an event: those that follow it, from there on.
        before: The cursor of an event: the last ones before it. Without either, the last ones of all.
        limit: At most so many.
    """

    session: str | None = None
    conversation: str | None = None
    project: str | None = None
    category: str | None = None
    since: datetime | None = None
    after: str | None = None
    before: str | None = None
    limit: int = 50


class Place(NamedTuple):
    """A place in a log, between or at events; logs are in this order."""

    at: datetime
    conversation_id: UUID
    event_key: str

    @property
    def cursor(self) -> str:
        """The place as a text."""
        return _BETWEEN.join((encode_time(self.at), str(self.conversation_id), self.event_key))

    @classmethod
    def parse(cls, cursor: str) -> "Place":
        """Read a text of `cursor`.

        Raises:
            UsageError: It is none.
        """
        at, _, rest = cursor.partition(_BETWEEN)
        conversation_id, between, event_key = rest.partition(_BETWEEN)
        try:
            place = cls(decode_time(at).astimezone(UTC), UUID(conversation_id), event_key)
            if between:
                return place
        except (ValueError, OverflowError):
            pass
        raise UsageError(
            f"{cursor[:100]!r} is no place in a log", hint="give the cursor of an event, from `--json`"
        )


class _Stretch(NamedTuple):
    """A part of a conversation: of one agent or, for '', of all that have no stretch of their own then."""

    project_id: UUID
    conversation_id: UUID
    agent: str | None
    start: datetime
    end: datetime
    last: datetime


def logs(connection: Connection, wanted: LogFilter) -> Listing:
    """Return a page of a log as `AgentLogSummary`, in the order of time.

    To a session belongs what was done in a conversation while it worked on that session.

    Raises:
        RecordNotFoundError: There is no such project, session or conversation.
        UsageError: Several fit, neither is named or both are, or a cursor is none.
    """
    if (wanted.session is None) == (wanted.conversation is None):
        raise UsageError("a log is that of a session or of a conversation", hint="name just one of them")
    if wanted.after is not None and wanted.before is not None:
        raise UsageError("a page is after one place or before one", hint="give just one of after and before")
    after = None if wanted.after is None else Place.parse(wanted.after)
    before = None if wanted.before is None else Place.parse(wanted.before)
    found = _page(connection, _stretches(connection, wanted), wanted, after, before)
    page = Listing.cut([_summary(row) for row in found], wanted.limit)
    return page if after is not None else page._replace(rows=page.rows[::-1])


def _stretches(connection: Connection, wanted: LogFilter) -> list[_Stretch]:
    found = scope(connection, wanted.project, wanted.session)
    if wanted.conversation is not None:
        one = conversations.find(connection, wanted.conversation, project_id=found.project_id)
        return [_Stretch(one.project_id, one.conversation_id, None, _FIRST, _LAST, _LAST)]
    rows = connection.execute(
        select(
            _L.project_id,
            _L.conversation_id,
            _L.agent_native_id,
            _L.linked_at,
            _L.until,
            _C.last_activity_at,
        )
        .join(
            tables.conversations,
            and_(_C.project_id == _L.project_id, _C.conversation_id == _L.conversation_id),
        )
        .where(_L.project_id == found.project_id, _L.session_id == found.session_id)
    )
    return [_Stretch(*row[:4], row[4] or _LAST, min(row[4] or _LAST, row[5] + _SLACK)) for row in rows]


def _page(
    connection: Connection,
    stretches: Sequence[_Stretch],
    wanted: LogFilter,
    after: Place | None,
    before: Place | None,
) -> list[Any]:
    """Return one event more than wanted, forwards from a place or else backwards, from each stretch in turn.

    Each has its events in the order of an index. The rest of the stretches need no look once they can only
    hold what lies beyond.
    """
    is_forward = after is not None
    found: list[Any] = []
    for stretch in sorted(
        stretches, key=lambda one: one.start if is_forward else one.last, reverse=not is_forward
    ):
        if len(found) > wanted.limit:
            edge = found[wanted.limit].at
            if (stretch.start > edge) if is_forward else (stretch.last < edge):
                break
        found += connection.execute(_statement(stretch, wanted, after, before))
        found.sort(key=_place, reverse=not is_forward)
        del found[wanted.limit + 1 :]
    return found


def _place(row: Any) -> Place:
    return Place(row.at, row.conversation_id, row.event_key)


def _statement(stretch: _Stretch, wanted: LogFilter, after: Place | None, before: Place | None) -> Any:
    conditions = [
        _G.project_id == stretch.project_id,
        _G.conversation_id == stretch.conversation_id,
        *_bounds(stretch, wanted, after, before),
    ]
    if wanted.category is not None:
        conditions.append(_G.category == wanted.category)
    if stretch.agent:
        conditions.append(_A.native_id == stretch.agent)
    elif stretch.agent is not None:
        conditions.append(~_has_own())
    order = [_G.at, _G.event_key] if after is not None else [_G.at.desc(), _G.event_key.desc()]
    return (
        select(
            _G.at,
            _G.event_key,
            _G.conversation_id,
            _G.agent_id,
            _G.category,
            _G.event_type,
            _G.detail,
            _G.tool_use_id,
            _G.size,
            _G.body,
            P.slug.label("project_slug"),
            _C.native_id.label("conversation"),
            case(
                (_A.kind == "main", MAIN_TYPE), (_A.agent_type.is_(None), _A.native_id), else_=_A.agent_type
            ).label("agent"),
        )
        .join(tables.agents, and_(_A.project_id == _G.project_id, _A.agent_id == _G.agent_id))
        .join(
            tables.conversations,
            and_(_C.project_id == _G.project_id, _C.conversation_id == _G.conversation_id),
        )
        .join(tables.projects, P.project_id == _G.project_id)
        .where(*conditions)
        .order_by(*order)
        .limit(wanted.limit + 1)
    )


def _bounds(
    stretch: _Stretch, wanted: LogFilter, after: Place | None, before: Place | None
) -> Iterable[ColumnElement[bool]]:
    start = max(stretch.start, wanted.since or _FIRST)
    if start > _FIRST:
        yield _G.at >= start
    if stretch.end < _LAST:
        yield _G.at < stretch.end
    here = tuple_(_G.at, _G.event_key)
    if after is not None:
        if after.conversation_id == stretch.conversation_id:
            yield here > _there(after)
        else:
            yield _G.at >= after.at if after.conversation_id < stretch.conversation_id else _G.at > after.at
    if before is not None:
        if before.conversation_id == stretch.conversation_id:
            yield here < _there(before)
        else:
            yield (
                _G.at <= before.at if stretch.conversation_id < before.conversation_id else _G.at < before.at
            )


def _there(place: Place) -> Any:
    return tuple_(literal(place.at, UtcTime()), literal(place.event_key, TextType))


def _has_own() -> ColumnElement[bool]:
    """Return the condition that an event's agent was told at the time on which session it works."""
    own = tables.conversation_links.alias("own").c
    return exists().where(
        own.project_id == _G.project_id,
        own.conversation_id == _G.conversation_id,
        own.agent_native_id == _A.native_id,
        own.agent_native_id != "",
        own.linked_at <= _G.at,
        or_(own.until.is_(None), _G.at < own.until),
    )


def _summary(row: Any) -> AgentLogSummary:
    fields = {name: value for name, value in row._asdict().items() if name != "event_key"}
    return AgentLogSummary.model_validate(fields | {"cursor": _place(row).cursor})
