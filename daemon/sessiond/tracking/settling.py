"""Sessions that changed, until what agents did is counted anew to them; noted, so that no kill loses one."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from sessionlib.db import execution
from sessionlib.db.engine import Database
from sessionlib.models.base import utc_now
from sessionlib.sync.ingest import upkeep
from sessionlib.sync.ingest.ingester import Ingester

_AFTER = 1.0
"""Seconds after a session changed until the usage of its conversations is counted anew."""
_MARGIN = timedelta(minutes=10)
"""Longer than it takes until a session that was written is heard of."""
_NOTED_AFTER = 60.0
"""Seconds between two notes that all were settled; an older one means a little more to do at a start."""


class Settling:
    """Holds the sessions that changed; `add` and `due_at` are for any thread, the rest is for one.

    Args:
        database: With the current schema.
        ingester: Counts.
        host_id: This machine, whose mark it is.
        settled_before: Tells since when sessions are counted anew at the start, if no mark says earlier.
    """

    def __init__(
        self,
        database: Database,
        ingester: Ingester,
        host_id: UUID,
        settled_before: Callable[[], datetime | None],
    ) -> None:
        self._database = database
        self._ingester = ingester
        self._host_id = host_id
        self._settled_before = settled_before
        self._lock = threading.Lock()
        self._waiting: dict[UUID, set[UUID]] = defaultdict(set)
        self._note_at = 0.0
        self.due_at: float | None = None

    def add(self, project_id: UUID, session_ids: Collection[UUID]) -> bool:
        """Count anew, soon, for these sessions; tell whether none waited before."""
        with self._lock:
            self._waiting[project_id].update(session_ids)
            if self.due_at is not None:
                return False
            self.due_at = time.monotonic() + _AFTER
            return True

    def is_due(self) -> bool:
        """Tell whether sessions wait, and have waited for long enough."""
        due_at = self.due_at
        return due_at is not None and time.monotonic() >= due_at

    def load(self) -> None:
        """Take the sessions that were written since all were settled: a kill may have come in between.

        Raises:
            DatabaseError: The database does not answer.
        """
        marks = upkeep.settled_until(self._database, self._host_id), self._settled_before()
        since = min((mark for mark in marks if mark is not None), default=None)
        if since is None:
            return
        with self._database.read() as connection:
            found = execution.sessions_synced_since(connection, since)
        for project_id, session_ids in found.items():
            self.add(project_id, session_ids)

    def settle(self) -> Iterator[int]:
        """Count anew for all that wait, and note that it was done; yields after each transaction.

        Left before its end, or by an error, all that waited wait again.

        Raises:
            DatabaseError: Some are counted anew, the rest is not.
        """
        began, began_at = utc_now(), time.monotonic()
        with self._lock:
            sessions, self._waiting = self._waiting, defaultdict(set)
            self.due_at = None
        try:
            for project_id, session_ids in sessions.items():
                yield from upkeep.settle_sessions(self._database, self._ingester, project_id, session_ids)
            self._note(began)
        except BaseException:
            for project_id, session_ids in sessions.items():
                self.add(project_id, session_ids)
            # The next turn meets what it was: one that goes well is not to look like a recovery.
            self.due_at = began_at
            raise

    def note(self) -> None:
        """Note that nothing waits, if that is so: else the next start counts anew for all since the last.

        Raises:
            DatabaseError: It was not noted.
        """
        now = utc_now()
        with self._lock:
            is_idle = self.due_at is None
        if is_idle:
            self._note(now)

    def _note(self, now: datetime) -> None:
        if time.monotonic() >= self._note_at:
            # What was written just before may not have been heard of yet.
            upkeep.note_settled(self._ingester, self._host_id, now - _MARGIN)
            self._note_at = time.monotonic() + _NOTED_AFTER
