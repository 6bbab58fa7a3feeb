"""Looking again and again at what the kernel does not tell us about."""

import time
from collections.abc import Callable, Iterable

from sessionlib.state.looks import Look, look_at

_RACY_NS = 2_000_000_000
"""The coarsest clock of a file system in use (FAT): so young a file may change and keep its time."""


class Looks:
    """What sessions looked like last time; tells which ones look different now.

    Not thread-safe: one thread at a time calls `changed`.

    Args:
        clock_ns: Wall-clock nanoseconds, to be compared with the times of files.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._known: dict[str, tuple[Look | None, bool]] = {}

    def changed(self, session_dirs: Iterable[str]) -> list[str]:
        """Return those that changed since the last call, or are new; forget those not named any more.

        A session is named once more when its newest file was so young at the last look that a second change
        in the same tick of the file system's clock could have gone unseen.
        """
        known, self._known = self._known, {}
        changed = []
        for session_dir in session_dirs:
            before, was_young = known.get(session_dir, (None, True))
            now = _look(session_dir, None if was_young else before)
            young = now is not None and self._is_young(now)
            self._known[session_dir] = (now, young)
            same = session_dir in known and (now is before or (now is not None and now.same_inputs(before)))
            if not same or (was_young and not young):
                changed.append(session_dir)
        return changed

    def _is_young(self, look: Look) -> bool:
        newest = max(look.state.mtime_ns, *(signature.mtime_ns for _, signature in look.extras), 0)
        return self._clock_ns() - newest < _RACY_NS


def _look(session_dir: str, known: Look | None) -> Look | None:
    try:
        return look_at(session_dir, known)
    except OSError:
        # Gone, or not to be read: either way the listener looks for itself when this is news.
        return None


class Spacing:
    """Keeps an expensive look from taking more than its share of the time.

    Args:
        interval: Seconds from the end of one look to the next, at least.
        share: The part of the time it may take, above 0.
        clock: Monotonic seconds.
    """

    def __init__(
        self, interval: float, *, share: float = 0.1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = interval
        self._share = share
        self._clock = clock
        self._next = clock()
        self._began = self._next

    def due(self) -> bool:
        """Return whether it is time, and if so count from here how long the look takes."""
        self._began = self._clock()
        return self._began >= self._next

    def done(self) -> None:
        """Note that the look is over."""
        now = self._clock()
        self._next = now + max(self._interval, (now - self._began) / self._share - (now - self._began))
