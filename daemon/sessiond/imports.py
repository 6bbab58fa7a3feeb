"""Imports: what a round has queued, followed until it is mirrored, with a line of progress now and then."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from sessiond import heap
from sessiond.logs import event
from sessionlib.sync.reconcile import Report
from sessionlib.sync.ticket import Ticket

_LOG = logging.getLogger("sessiond.rounds")

_WORTH_A_LINE = 100
"""Folders from which on the end of an import is logged even if it was quick."""
_SLOW = 5.0
"""Seconds after which an import's progress is logged, and again each time they have passed."""


@dataclass(slots=True)
class _Import:
    root: Path
    ticket: Ticket
    started: float
    told: float
    doubted: float | None


class Imports:
    """The imports that are running; used by one thread, but for `doubtful_since`."""

    def __init__(self) -> None:
        self._running: list[_Import] = []

    def __bool__(self) -> bool:
        """Tell whether any is running."""
        return bool(self._running)

    def add(self, report: Report, doubted: float | None = None) -> None:
        """Follow what a comparison has queued; `doubted` is since when it was known that files may differ."""
        if report.ticket.total:
            now = time.monotonic()
            self._running.append(_Import(report.place.path, report.ticket, now, now, doubted))

    def doubtful_since(self) -> float | None:
        """Return since when files have been known to differ that are not mirrored yet; from any thread."""
        doubted = [running.doubted for running in self._running if running.ticket.left]
        return min((since for since in doubted if since is not None), default=None)

    def follow(self) -> None:
        """Log the progress of those that take long, and the end of those worth it."""
        now = time.monotonic()
        for running in self._running:
            _tell(running, now)
        had_many = sum(running.ticket.total for running in self._running) >= _WORTH_A_LINE
        self._running = [running for running in self._running if running.ticket.left]
        if had_many and not self._running:
            # Documents have gone through the heap by the hundred.
            heap.trim()


def _tell(running: _Import, now: float) -> None:
    left = running.ticket.left
    if left and now - running.told < _SLOW:
        return
    told_before = running.told > running.started
    running.told = now
    if left or told_before or running.ticket.total >= _WORTH_A_LINE:
        event(
            _LOG,
            logging.INFO,
            "import.progress" if left else "import.done",
            "importing" if left else "imported",
            root=str(running.root),
            done=running.ticket.total - left,
            of=running.ticket.total,
            for_s=round(now - running.started, 1),
        )
