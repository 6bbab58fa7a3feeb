"""The thread that looks, every few seconds, at what raises no events."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable

from sessiond.watch.native import NativeBells
from sessiond.watch.rings import Rings
from sessiond.watch.upkeep import Upkeep

logger = logging.getLogger("sessiond.watch")

_BREATH = 0.25
"""Seconds to let pass after an urgent round: a reader that loses events needs its turn."""


class Tender:
    """Calls `Upkeep.tick` of every entry in turn, and never dies.

    Args:
        entries: Gives the entries of the moment; called in every round.
        deliver: Called without a lock with what an entry had to say.
        reopen: Called when it is time to try again what was refused for a limit.
        poll_interval: Seconds between two rounds.
        retry_interval: Seconds between two tries.
    """

    def __init__(
        self,
        entries: Callable[[], Iterable[Upkeep]],
        *,
        deliver: Callable[[Rings], None],
        reopen: Callable[[], None],
        poll_interval: float,
        retry_interval: float,
    ) -> None:
        self._entries = entries
        self._deliver = deliver
        self._reopen = reopen
        self._poll_interval = poll_interval
        self._retry_interval = retry_interval
        self._native = None if sys.platform == "linux" else NativeBells(deliver)
        self._attention = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sessiond-tender", daemon=True)
        self.looked_since: float | None = None
        """Monotonic time at which the last look began that has ended; what changed before it was seen."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def attend(self) -> None:
        """Ask for a round now."""
        self._attention.set()

    def stop(self, timeout: float) -> None:
        """End the thread; blocks for `timeout` seconds at most."""
        self._stopped.set()
        self._attention.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        if self._native is not None:
            self._native.stop(timeout)

    def _run(self) -> None:
        next_retry = time.monotonic() + self._retry_interval
        while not self._stopped.is_set():
            urgent = self._attention.wait(self._poll_interval)
            self._attention.clear()
            retry = time.monotonic() >= next_retry
            if retry:
                next_retry = time.monotonic() + self._retry_interval
            began = time.monotonic()
            self._round(retry=retry)
            self.looked_since = began
            if urgent:
                self._stopped.wait(_BREATH)

    def _round(self, *, retry: bool) -> None:
        if retry:
            self._reopen()
        told = frozenset[str]() if self._native is None else self._native.followed
        roots: set[str] = set()
        for upkeep in self._entries():
            if self._stopped.is_set():
                return
            self._tend(upkeep, retry=retry, told=told)
            roots.update(upkeep.tree.roots)
        if self._native is not None:
            self._native.follow(roots)

    def _tend(self, upkeep: Upkeep, *, retry: bool, told: frozenset[str]) -> None:
        rings = Rings()
        try:
            upkeep.tick(rings, retry=retry, told=told)
        except Exception:
            logger.exception(
                "the upkeep of an entry failed; it is tried again",
                extra={"event": "watch.upkeep_error", "fields": {"path": upkeep.tree.path}},
            )
            upkeep.tree.doubt = "error"
        self._deliver(rings)
        upkeep.settle()
