"""The database as a whole is down: pause, probe, try, recover.

A probe that is answered proves little: a full disk or a missing privilege lets every SELECT pass. So the
outage is over only once work has succeeded; until then the probes stay as slow as they were.
"""

import logging
import random
import time
from collections.abc import Callable
from threading import Event

from sessionlib.errors import SessionlibError, told

_LOG = logging.getLogger("sessionlib.sync")

FIRST_PROBE = 0.2
LONGEST_PROBE = 5.0
REMINDER = 30.0
"""Seconds between two log lines about the same outage."""


class Outage:
    """The state of one outage.

    Attributes:
        error: What an operator should read, from the first failure until work succeeds again; else None.
        pausing: True while nothing should be tried but the probe.
        is_probed: Whether an answer to the probe is the end of it: what is wrong is what the probe looks at.

    Args:
        probe: Asks the database for a sign of life; raises while there is none.
        stop: Ends the waiting at once.
        clock: Monotonic seconds.
    """

    def __init__(
        self, probe: Callable[[], None], stop: Event, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._probe = probe
        self._stop = stop
        self._clock = clock
        self._delay = FIRST_PROBE
        self._since = 0.0
        self._reminded = 0.0
        self.error: str | None = None
        self.pausing = False
        self.is_probed = False

    @property
    def lasting(self) -> float | None:
        """Seconds since the outage began; None without one."""
        return None if self.error is None else self._clock() - self._since

    def begin(self, error: SessionlibError, *, is_probed: bool = False) -> None:
        """Note that the database is down; the first to say so logs it."""
        self.is_probed = is_probed
        if self.error is None:
            self._delay = FIRST_PROBE
            self._since = self._reminded = self._clock()
            _LOG.error(
                "database down, pausing", extra={"event": "db.down", "fields": {"error": error.message}}
            )
        self.error = told(error)
        self.pausing = True
        self._remind()

    def wait_for_answer(self) -> bool:
        """Probe, ever more slowly up to every 5 s; True once work can be tried again, False for `stop`."""
        while not self._stop.wait(self._delay * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter, no secret
            self._delay = min(self._delay * 2, LONGEST_PROBE)
            try:
                self._probe()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no sign of life
                self.error = told(error)
                self._remind()
            else:
                self.pausing = False
                return True
        return False

    def end(self) -> bool:
        """Note that the database took work; return whether that is news.

        While all pause it is not: such work began before the outage did.
        """
        if self.error is None or self.pausing:
            return False
        self.error = None
        fields = {"for_s": round(self._clock() - self._since, 1)}
        _LOG.warning("database back, reconciling", extra={"event": "db.up", "fields": fields})
        return True

    def _remind(self) -> None:
        now = self._clock()
        if now - self._reminded >= REMINDER:
            self._reminded = now
            fields = {"for_s": round(now - self._since), "error": self.error}
            _LOG.warning("database still down", extra={"event": "db.still_down", "fields": fields})
