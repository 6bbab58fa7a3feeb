"""Announce changes to other hosts: from one place, and seldom.

Commits that notify wait for each other, so no sync does it in its own transaction.
"""

import logging
from collections.abc import Sequence
from threading import Condition, Thread

from sessiond.feed import Change
from sessiond.logs import event
from sessiond.payloads import pack
from sessionlib.db.channel import announce
from sessionlib.db.engine import Database

_LOG = logging.getLogger("sessiond.channel")

CHANGES = "sessiond_changes"
"""The channel."""

ANNOUNCE_EVERY = 0.25
"""Seconds between two transactions that announce."""

_WAITING_MOST = 10_000
"""Changes waiting to be announced; beyond them listeners are told to look at everything."""


class Announcer:
    """The one place that announces: a few transactions a second, however much is committed.

    Args:
        database: A PostgreSQL.
        host: This host's id.
    """

    def __init__(self, database: Database, host: str) -> None:
        self._database = database
        self._host = host
        self._changed = Condition()
        self._waiting: list[Change] = []
        self._has_gap = False
        self._stopping = False
        self._complained = False
        self.dropped = 0
        self.thread = Thread(target=self._run, name="announcer", daemon=True)

    def offer(self, changes: Sequence[Change]) -> None:
        """Plan to announce these; never blocks, from any thread."""
        with self._changed:
            if len(self._waiting) + len(changes) > _WAITING_MOST:
                self._drop(changes)
            else:
                self._waiting += changes
                self._changed.notify()

    def stop(self) -> None:
        """Announce what waits once more and end; does not wait for that."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _drop(self, changes: Sequence[Change]) -> None:
        self.dropped += len(changes)
        self._has_gap = True

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            changes, has_gap = taken
            try:
                announce(self._database, CHANGES, pack(self._host, changes, resync=has_gap))
            except Exception as error:  # noqa: BLE001 - said with its words; the thread must outlive it
                with self._changed:
                    self._drop(changes)
                self._complain(error)
            else:
                self._complained = False
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, ANNOUNCE_EVERY)

    def _take(self) -> tuple[list[Change], bool] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._waiting)
            if not self._waiting:
                return None
            changes, self._waiting = self._waiting, []
            has_gap, self._has_gap = self._has_gap, False
            return changes, has_gap

    def _complain(self, error: Exception) -> None:
        level = logging.DEBUG if self._complained else logging.WARNING
        self._complained = True
        event(_LOG, level, "channel.dropped", "changes were not announced", error=str(error))
