"""Tickets: how many of a batch of folders are still to be synced, and what became of the others."""

from collections import Counter
from collections.abc import Callable
from threading import Condition


class Ticket:
    """Counts the outcomes of one batch; safe to use from any thread.

    Args:
        total: Folders in the batch.
    """

    def __init__(self, total: int) -> None:
        self._left = total
        self._counts: Counter[str] = Counter()
        self._changed = Condition()
        self._listeners: list[Callable[[], None]] = []
        self.total = total

    def done(self, outcome: str, count: int = 1) -> None:
        """Note the outcome of so many folders."""
        with self._changed:
            self._left -= count
            self._counts[outcome] += count
            self._changed.notify_all()
            listeners: list[Callable[[], None]] = []
            if self._left <= 0:
                # Taken, not shared: one that comes meanwhile is called by who brings it, and once.
                listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def on_done(self, listener: Callable[[], None]) -> None:
        """Have `listener` called once all are done, at once if they are; it only queues and never raises."""
        with self._changed:
            is_done = self._left <= 0
            if not is_done:
                self._listeners.append(listener)
        if is_done:
            listener()

    @property
    def left(self) -> int:
        """Folders still to be synced."""
        with self._changed:
            return self._left

    @property
    def counts(self) -> dict[str, int]:
        """Outcomes so far."""
        with self._changed:
            return dict(self._counts)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until all are done or so many seconds have passed; return whether all are done."""
        with self._changed:
            return self._changed.wait_for(lambda: self._left <= 0, timeout)
