"""Following a log: events are printed as they are stored, each once, also those that come late."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.cli.context import Context
from sessionlib.cli.work_columns import second
from sessionlib.db.engine import Database
from sessionlib.db.queries import LogFilter, Place, logs
from sessionlib.models import AgentLogSummary

PAUSE = 1.0
"""Seconds between two looks."""

_LATE = timedelta(seconds=60)
"""By how much an event may be stored after later ones: hooks and transcripts come on separate ways."""

_PAGE = 1000
_BEGINNING = datetime.min.replace(tzinfo=UTC)


def lines(context: Context, given: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """Yield the last events of a log, then those that come, as rows and as lines for people. Has no end.

    Args:
        context: Of the call.
        given: Options of `LogFilter`; the limit is for the events that are there already.

    Raises:
        DatabaseError: The database does not answer any more.
        SessionlibError: As `Context.current_database`, and as the log is asked for.
    """
    with context.current_database() as database:
        for event in _events(database, LogFilter(**given)):
            yield event.model_dump(mode="json"), _line(event)


def _events(database: Database, wanted: LogFilter) -> Iterator[AgentLogSummary]:
    with database.read() as connection:
        found: list[AgentLogSummary] = list(logs(connection, wanted).rows)
        last = found[-1].at if found else None
        seen = {event.cursor: event.at for event in _from(connection, wanted, last)}
    while True:
        yield from found
        time.sleep(PAUSE)
        with database.read() as connection:
            found = [event for event in _from(connection, wanted, last) if event.cursor not in seen]
        seen |= {event.cursor: event.at for event in found}
        if found:
            last = max(found[-1].at, last or found[-1].at)
            # The others are too old to be read again.
            seen = {cursor: at for cursor, at in seen.items() if at >= _edge(last)}


def _edge(last: datetime | None) -> datetime:
    """Return from when on events are read once more; everything, where none has been seen."""
    return _BEGINNING if last is None or last - _BEGINNING < _LATE else last - _LATE


def _from(connection: Connection, wanted: LogFilter, last: datetime | None) -> Iterator[AgentLogSummary]:
    """Yield the events that may be new, in order."""
    page = replace(wanted, after=Place(_edge(last), UUID(int=0), "").cursor, limit=_PAGE)
    while True:
        found = logs(connection, page)
        yield from found.rows
        if not found.more:
            return
        page = replace(page, after=found.rows[-1].cursor)


def _line(event: AgentLogSummary) -> str:
    parts = [second(event.at), event.agent, event.event_type, event.detail]
    return "  ".join(part for part in parts if part)
