"""What journals do not say: that nobody is there any more, that a session changed, that an event is old."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar
from uuid import UUID

from sessionlib.db import attributing, execution
from sessionlib.db.engine import Database
from sessionlib.db.execution_rows import ConversationRow, CursorRow
from sessionlib.models.base import utc_now
from sessionlib.sync.ingest.drafts import Draft
from sessionlib.sync.ingest.ingester import Ingester

_DEAD_AFTER = timedelta(minutes=5)
"""Silence after which a conversation whose process is known to be gone is over."""
_PHANTOM_AFTER = timedelta(minutes=1)
_TOGETHER = 50
_SESSIONS = 500
_NEAR = 1000
_OLD_AT_ONCE = 5000
_PRICES = "prices"
"""What stands for the table of prices among the journals that were read."""


_Item = TypeVar("_Item")


def _in_groups(items: Iterable[_Item], size: int) -> Iterator[tuple[_Item, ...]]:
    rest = iter(items)
    while group := tuple(islice(rest, size)):
        yield group


def is_running(pid: int) -> bool:
    """Tell whether there is a process with this id; another one may have it by now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def close_abandoned(
    database: Database,
    ingester: Ingester,
    host_id: UUID,
    *,
    now: datetime,
    idle: timedelta,
    alive: Callable[[int], bool] = is_running,
) -> int:
    """Mark this host's conversations that nobody ended: their process is gone, or they were silent for long.

    One that has a living process stays open, however long it is silent. A start after which nothing was done,
    because its process went on with another conversation, is a phantom.

    Returns:
        How many were marked.

    Raises:
        DatabaseError: Those before are marked, the rest is not.
    """
    with database.read() as connection:
        silent = execution.open_conversations(connection, host_id, now - min(_PHANTOM_AFTER, idle))
        busy = execution.busy_pids(connection, host_id)
    verdicts = []
    for row in silent:
        verdict = _verdict(row, now, idle, alive, busy)
        if verdict is not None:
            verdicts.append(Draft(row.client, row.native_id, observed={verdict: row.observed["last"]}))
    for some in _in_groups(verdicts, _TOGETHER):
        ingester.store(some)
    return len(verdicts)


def _verdict(
    row: ConversationRow,
    now: datetime,
    idle: timedelta,
    alive: Callable[[int], bool],
    busy: Collection[tuple[int, UUID]],
) -> str | None:
    silence = now - row.last_activity_at
    worked = "worked" in row.observed
    if not worked and any(pid == row.pid and other != row.conversation_id for pid, other in busy):
        return "phantom"
    if row.pid is not None:
        if alive(row.pid):
            return None
        is_over = silence >= min(_DEAD_AFTER, idle)
    else:
        is_over = silence >= idle
    if not is_over:
        return None
    return "abandoned" if worked else "phantom"


def settle_sessions(
    database: Database, ingester: Ingester, project_id: UUID, session_ids: Collection[UUID]
) -> Iterator[int]:
    """Count the usage of conversations anew that worked, or may have worked, on sessions that changed.

    Yields after each transaction how many conversations it was about.

    Raises:
        DatabaseError: Those before are settled, the rest is not.
    """
    for some in _in_groups(session_ids, _SESSIONS):
        with database.read() as connection:
            found = dict.fromkeys(attributing.conversations_touching(connection, project_id, some))
            found |= dict.fromkeys(attributing.conversations_near(connection, project_id, some, _NEAR))
        for few in _in_groups(found, _TOGETHER):
            yield ingester.settle(project_id, few)


def price_anew(database: Database, ingester: Ingester, host_id: UUID, version: str) -> Iterator[int]:
    """Give a price to what has none, if prices are others than when that was tried last.

    Yields after each transaction how many conversations it was about.

    Raises:
        DatabaseError: Those before are priced, the rest is tried again next time.
    """
    with database.read() as connection:
        tried = execution.cursors(connection, host_id).get(_PRICES)
        if tried is not None and tried.state == {"version": version}:
            return
        found = execution.unpriced(connection)
    for project_id, conversation_ids in found.items():
        for few in _in_groups(conversation_ids, _TOGETHER):
            yield ingester.settle(project_id, few, recount=True)
    state = {"version": version}
    row = CursorRow(host_id, _PRICES, "sessiond", 0, 0, 0, "", 0, 0, state, None, utc_now())
    with database.write() as connection:
        execution.put_cursors(connection, [row])


def drop_old_logs(database: Database, before: datetime) -> Iterator[int]:
    """Delete events older than a time; yields after each transaction how many went.

    Raises:
        DatabaseError: Those before are deleted, the rest is not.
    """
    while True:
        with database.write() as connection:
            count = execution.drop_logs(connection, before, _OLD_AT_ONCE)
        yield count
        if count < _OLD_AT_ONCE:
            return
