"""The database as a whole is down: probe, remind, recover."""

import logging
import random
import time
from collections.abc import Callable
from threading import Event

from sessionlib.errors import SessionlibError

_LOG = logging.getLogger("sessionlib.sync")

FIRST_PROBE = 0.2
LONGEST_PROBE = 5.0
REMINDER = 30.0
"""Seconds between two log lines about the same outage."""


class Outage:
    """The state of one outage. `error` is what an operator should read, None while all is well.

    Args:
        probe: Asks the database for a sign of life; raises while there is none.
        stop: Ends the waiting at once.
    """

    def __init__(self, probe: Callable[[], None], stop: Event) -> None:
        self._probe = probe
        self._stop = stop
        self.error: str | None = None
        self._since = 0.0
        self._reminded = 0.0

    def begin(self, error: SessionlibError) -> None:
        """Note that the database is down; the first to say so logs it."""
        if self.error is None:
            self._since = self._reminded = time.monotonic()
            _LOG.error(
                "database down, pausing", extra={"event": "db.down", "fields": {"error": error.message}}
            )
        self.error = error.message

    def wait_for_recovery(self) -> bool:
        """Probe, ever more slowly up to every 5 s; True once the database answers, False for `stop`."""
        delay = FIRST_PROBE
        while not self._stop.wait(delay * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter, not a secret
            delay = min(delay * 2, LONGEST_PROBE)
            try:
                self._probe()
            except SessionlibError as error:
                self.error = error.message
                self._remind()
            else:
                self._end()
                return True
        return False

    def _remind(self) -> None:
        now = time.monotonic()
        if now - self._reminded >= REMINDER:
            self._reminded = now
            fields = {"for_s": round(now - self._since), "error": self.error}
            _LOG.warning("database still down", extra={"event": "db.still_down", "fields": fields})

    def _end(self) -> None:
        self.error = None
        fields = {"for_s": round(time.monotonic() - self._since, 1)}
        _LOG.warning("database back, reconciling", extra={"event": "db.up", "fields": fields})
