"""When a doorbell is passed on: the first ring at once, a flurry as one.

Two numbers say everything. `quiet` is how long a key must stay silent before its flurry counts as over,
`longest` bounds how long a flurry may keep its listener waiting: quiet time alone would starve under steady
writes.
"""

import heapq
import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from sessiond.progress import Progress

logger = logging.getLogger("sessiond.debounce")

K = TypeVar("K", bound=Hashable)

QUIET_SECONDS = 0.05
"""Longer than the gaps between the files of one save, shorter than a person notices."""

LONGEST_SECONDS = 0.5


class _Flurry:
    """The recent past of one key: when it rang last, and since when a ring is being held back."""

    __slots__ = ("held_since", "last")

    def __init__(self, last: float) -> None:
        self.last = last
        self.held_since: float | None = None


class Flurries(Generic[K]):
    """The rule itself, without thread, lock or clock: the caller says what time it is.

    Every known key has exactly one entry in the heap, with a time at or before its true deadline; an entry
    that turns out to be early is put back. So a ring of a known key never touches the heap.

    Args:
        quiet: Seconds without a ring after which a flurry is over.
        longest: Seconds a held-back ring waits at most.
    """

    def __init__(self, *, quiet: float, longest: float) -> None:
        self._quiet = quiet
        self._longest = longest
        self._flurries: dict[K, _Flurry] = {}
        self._agenda: list[tuple[float, int, K]] = []
        self._order = 0  # breaks ties, because keys need not be comparable

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._flurries)

    def touch(self, key: K, now: float) -> bool:
        """Note a ring; True when it begins a flurry and is to be passed on at once."""
        flurry = self._flurries.get(key)
        if flurry is None:
            self._flurries[key] = _Flurry(now)
            self._plan(now + self._quiet, key)
            return True
        if flurry.held_since is None:
            if now - flurry.last >= self._quiet:
                flurry.last = now
                return True
            flurry.held_since = now
        flurry.last = now
        return False

    def due(self, now: float) -> list[K]:
        """Return the keys whose held-back ring is to be passed on now; forget those that are quiet."""
        ready: list[K] = []
        while self._agenda and self._agenda[0][0] <= now:
            key = heapq.heappop(self._agenda)[2]
            flurry = self._flurries[key]
            deadline = self._deadline(flurry)
            if deadline > now:
                self._plan(deadline, key)
                continue
            if flurry.held_since is not None:
                ready.append(key)
                flurry.held_since = None
            if flurry.last + self._quiet > now:
                self._plan(flurry.last + self._quiet, key)  # cut short by `longest`: the flurry goes on
            else:
                del self._flurries[key]
        return ready

    def next_deadline(self) -> float | None:
        """Return when `due` must be asked again, or None while nothing is remembered."""
        return self._agenda[0][0] if self._agenda else None

    def held_since(self) -> float | None:
        """Return since when the oldest ring has been held back; None without one."""
        held = (flurry.held_since for flurry in self._flurries.values())
        return min((since for since in held if since is not None), default=None)

    def take_all(self) -> list[K]:
        """Return every key with a held-back ring, whatever the time, and forget everything."""
        held = [key for key, flurry in self._flurries.items() if flurry.held_since is not None]
        self._flurries.clear()
        self._agenda.clear()
        return held

    def _deadline(self, flurry: _Flurry) -> float:
        quiet_at = flurry.last + self._quiet
        return quiet_at if flurry.held_since is None else min(quiet_at, flurry.held_since + self._longest)

    def _plan(self, at: float, key: K) -> None:
        self._order += 1
        heapq.heappush(self._agenda, (at, self._order, key))


class Debouncer(Generic[K]):
    """Pass keys on to `fire` from a thread of its own, flurries coalesced.

    `fire` is called without any lock held, one key at a time, on the thread of this object (or on the
    caller's in `flush` and `stop`); what it raises is logged and forgotten. The thread sleeps without a
    timeout while no key rang within `quiet`.

    Args:
        fire: Called with each key that is due; it should only queue.
        quiet: Seconds without a ring after which a flurry is over.
        longest: Seconds a held-back ring waits at most.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        fire: Callable[[K], None],
        *,
        quiet: float = QUIET_SECONDS,
        longest: float = LONGEST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fire = fire
        self._clock = clock
        self._changed = threading.Condition(threading.Lock())
        self._flurries: Flurries[K] = Flurries(quiet=quiet, longest=longest)
        self._ready: list[K] = []
        self._ready_since: float | None = None
        self._firing_since: float | None = None
        self._stopped = False
        self._fired: float | None = None
        self._thread = threading.Thread(target=self._run, name="sessiond-debounce", daemon=True)
        self._thread.start()

    def touch(self, key: K) -> None:
        """Ring for `key`. Takes microseconds, from any thread; without effect after `stop`."""
        with self._changed:
            now = self._clock()
            if not self._stopped and self._flurries.touch(key, now):
                self._ready.append(key)
                self._ready_since = self._ready_since or now
                self._changed.notify()

    def held_since(self) -> float | None:
        """Return since when the oldest ring waits to be passed on, on the clock; None without one."""
        with self._changed:
            held = (self._firing_since, self._ready_since, self._flurries.held_since())
            return min((since for since in held if since is not None), default=None)

    def progress(self) -> Progress:
        """Return how the thread gets on."""
        held = self.held_since()
        return Progress("debouncer", self._thread.is_alive(), self._fired, held)

    def flush(self) -> None:
        """Fire everything held back now, on this thread; returns when the callbacks have returned."""
        with self._changed:
            keys = self._take_all()
        self._fire_all(keys)

    def stop(self, *, flush: bool = True) -> None:
        """End the thread, waiting for a running callback; may be called twice, and from the callback.

        Args:
            flush: Fire what is held back (on this thread) rather than forget it.
        """
        with self._changed:
            self._stopped = True
            keys = self._take_all()
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        if flush:
            self._fire_all(keys)

    def _take_all(self) -> list[K]:
        keys = list(dict.fromkeys([*self._ready, *self._flurries.take_all()]))
        self._ready.clear()
        self._ready_since = None
        return keys

    def _run(self) -> None:
        while (keys := self._wait()) is not None:
            self._fire_all(keys)
            with self._changed:
                self._firing_since = None

    def _wait(self) -> list[K] | None:
        """Sleep until keys are due and return them; None when stopped."""
        with self._changed:
            while not self._stopped:
                now = self._clock()
                held = self._ready_since or now
                keys = self._ready + self._flurries.due(now)
                self._ready, self._ready_since = [], None
                if keys:
                    # Held until the listener has it: in between nobody else knows of it.
                    self._firing_since = held
                    return keys
                deadline = self._flurries.next_deadline()
                self._changed.wait(None if deadline is None else deadline - now)
        return None

    def _fire_all(self, keys: list[K]) -> None:
        self._fired = self._clock()
        for key in keys:
            try:
                self._fire(key)
            except Exception:
                # A listener that fails must not deafen the others.
                logger.exception(
                    "a debounced callback failed",
                    extra={"event": "debounce.failed", "fields": {"key": str(key)}},
                )
