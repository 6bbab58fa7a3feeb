"""What journals do not say: that nobody is there any more, that a session changed, that an event is old."""

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sessionlib.db import attributing, execution
from sessionlib.db.engine import Database
from sessionlib.db.execution_rows import ConversationRow, CursorRow
from sessionlib.errors import DamagedValueError, RowRejectedError
from sessionlib.models.base import utc_now
from sessionlib.sync.ingest.drafts import Draft
from sessionlib.sync.ingest.ingester import Ingester
from sessionlib.sync.ingest.pace import Pace

logger = logging.getLogger("sessionlib.ingest")

_DEAD_AFTER = timedelta(minutes=5)
"""Silence after which a conversation whose process is known to be gone is over."""
_PHANTOM_AFTER = timedelta(minutes=1)
_REUSED_AFTER = timedelta(minutes=1)
"""By so much clocks may differ: a process that began later than that after a last word is another one."""
_FIRST, _MOST = 2, 50
"""Conversations in one transaction."""
_SESSIONS = 500
_NEAR = 1000
_OLD_FIRST, _OLD_MOST = 200, 2000
"""Old events that are deleted in one transaction."""
_PRICES, _SETTLED = "prices", "settled"
"""Our own marks among the journals that were read: by which prices usage was priced, and until when it was
counted to the right sessions."""


def is_running(pid: int) -> bool:
    """Tell whether there is a process with this id; another one may have it by now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def began_at(pid: int) -> datetime | None:
    """Return when a process began; None where only another program could tell, or for no process."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # Its name, in brackets, may hold anything.
        ticks = int(status.rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return utc_now() - timedelta(seconds=age)
    except (OSError, ValueError, IndexError, AttributeError, OverflowError):
        return None


def close_abandoned(
    database: Database,
    ingester: Ingester,
    host_id: UUID,
    *,
    now: datetime,
    idle: timedelta,
    alive: Callable[[int], bool] = is_running,
    began: Callable[[int], datetime | None] = began_at,
) -> Iterator[int]:
    """Mark this host's conversations that nobody ended: their process is gone, or they were silent for long.

    One that has a living process stays open, however long it is silent; a process that began after its last
    activity is another one with the same id. A start after which nothing was done, because its process went
    on with another conversation, is a phantom.

    Yields after each transaction how many it has marked.

    Raises:
        DatabaseError: Those before are marked, the rest is not.
    """
    with database.read() as connection:
        silent = execution.open_conversations(connection, host_id, now - min(_PHANTOM_AFTER, idle))
        busy = execution.busy_pids(connection, host_id)
    verdicts = []
    for row in silent:
        verdict = _verdict(row, now, idle, lambda row: _has_process(row, alive, began), busy)
        if verdict is not None:
            verdicts.append(Draft(row.client, row.native_id, observed={verdict: row.observed["last"]}))
    pace = Pace(_FIRST, _MOST)
    for some in pace.groups(verdicts):
        with pace.measured():
            ingester.store(some)
        yield len(some)


def _has_process(
    row: ConversationRow, alive: Callable[[int], bool], began: Callable[[int], datetime | None]
) -> bool:
    if row.pid is None or not alive(row.pid):
        return False
    since = began(row.pid)
    return since is None or since <= row.last_activity_at + _REUSED_AFTER


def _verdict(
    row: ConversationRow,
    now: datetime,
    idle: timedelta,
    has_process: Callable[[ConversationRow], bool],
    busy: Collection[tuple[int, UUID]],
) -> str | None:
    silence = now - row.last_activity_at
    worked = "worked" in row.observed
    if not worked and any(pid == row.pid and other != row.conversation_id for pid, other in busy):
        return "phantom"
    if row.pid is not None:
        if has_process(row):
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
    ids = list(session_ids)
    pace = Pace(_FIRST, _MOST)
    for start in range(0, len(ids), _SESSIONS):
        some = ids[start : start + _SESSIONS]
        with database.read() as connection:
            found = dict.fromkeys(attributing.conversations_touching(connection, project_id, some))
            found |= dict.fromkeys(attributing.conversations_near(connection, project_id, some, _NEAR))
        yield from _settled(ingester, project_id, found, pace)


def _settled(
    ingester: Ingester,
    project_id: UUID,
    conversation_ids: Iterable[UUID],
    pace: Pace,
    *,
    recount: bool = False,
) -> Iterator[int]:
    """Count; a conversation that the database does not let be counted is left out, and the others are not."""
    for few in pace.groups(conversation_ids):
        try:
            with pace.measured():
                slices = ingester.counting(project_id, few, recount=recount)
                next(slices, None)
            yield len(few)
            for _ in slices:
                yield 0
        except (RowRejectedError, DamagedValueError) as error:
            if len(few) > 1:
                for one in few:
                    yield from _settled(ingester, project_id, [one], pace, recount=recount)
            else:
                ingester.leave_uncounted(few[0])
                fields = {"conversation": str(few[0]), "error": error.message}
                logger.warning("usage not counted", extra={"event": "tracking.uncounted", "fields": fields})


def count_stored(ingester: Ingester) -> Iterator[int]:
    """Count the usage of conversations to its end that `Ingester.store` has marked, or marks meanwhile.

    Yields after each transaction how many conversations it was about.

    Raises:
        DatabaseError: Those before are counted; the rest is tried again by the next call.
    """
    pace = Pace(_FIRST, _MOST)
    while found := ingester.uncounted():
        for project_id, conversation_ids in found.items():
            yield from _settled(ingester, project_id, conversation_ids, pace)


def finish_counting(database: Database, ingester: Ingester) -> Iterator[int]:
    """Count the usage of conversations to its end that a kill has left between two attributions.

    Yields after some transactions how many conversations they were about.

    Raises:
        DatabaseError: Those before are counted, the rest is not.
    """
    with database.read() as connection:
        found = execution.pending(connection)
    pace = Pace(_FIRST, _MOST)
    for project_id, conversation_ids in found.items():
        yield from _settled(ingester, project_id, conversation_ids, pace)


def settled_until(database: Database, host_id: UUID) -> datetime | None:
    """Return until when what agents did was counted to the right sessions; None if that was never noted.

    Raises:
        DatabaseError: The database does not answer.
    """
    with database.read() as connection:
        mark = execution.cursors_at(connection, host_id, [_SETTLED]).get(_SETTLED)
    try:
        return None if mark is None else datetime.fromisoformat(mark.state["until"])
    except (KeyError, TypeError, ValueError):
        return None


def note_settled(ingester: Ingester, host_id: UUID, until: datetime) -> None:
    """Note that all sessions were settled that were written until a time.

    Raises:
        DatabaseError: It was not noted.
    """
    ingester.store([], [_mark(host_id, _SETTLED, {"until": until.isoformat()})])


def _mark(host_id: UUID, name: str, state: dict[str, str]) -> CursorRow:
    return CursorRow(host_id, name, execution.MARKS, 0, 0, 0, "", 0, 0, state, None, utc_now())


def price_anew(database: Database, ingester: Ingester, host_id: UUID, version: str) -> Iterator[int]:
    """Give a price to what has none, if prices are others than when that was tried last.

    Yields after each transaction how many conversations it was about.

    Raises:
        DatabaseError: Those before are priced, the rest is tried again next time.
    """
    with database.read() as connection:
        tried = execution.cursors_at(connection, host_id, [_PRICES]).get(_PRICES)
        if tried is not None and tried.state == {"version": version}:
            return
        found = execution.unpriced(connection)
    pace = Pace(_FIRST, _MOST)
    for project_id, conversation_ids in found.items():
        yield from _settled(ingester, project_id, conversation_ids, pace, recount=True)
    ingester.store([], [_mark(host_id, _PRICES, {"version": version})])


def drop_old_logs(database: Database, before: datetime) -> Iterator[int]:
    """Delete events older than a time; yields after each transaction how many went.

    Raises:
        DatabaseError: Those before are deleted, the rest is not.
    """
    pace = Pace(_OLD_FIRST, _OLD_MOST)
    while True:
        most = pace.size
        with pace.measured(), database.write() as connection:
            count = execution.drop_oldest_logs(connection, before, most)
        yield count
        if count < most:
            return
