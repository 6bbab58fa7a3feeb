"""Reconcile rounds: which sessions roots are compared with the database, and when.

One thread. A request names a root, or all of them, and a delay; requests for the same root coalesce. A timer
asks for everything now and then, because events only buy latency.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread

from sessiond.logs import event
from sessionlib.errors import DatabaseError, StateNotFoundError
from sessionlib.sync.reconcile import CONFIRM_AFTER, Report
from sessionlib.sync.ticket import Ticket

_LOG = logging.getLogger("sessiond.rounds")

EVERYTHING = Path()
"""Stands for all roots in a request."""

_CONFIRM_SECONDS = CONFIRM_AFTER.total_seconds() + 0.2
_DATABASE_RETRY = 2.0
_VOUCH_EVERY = 60.0
_WORTH_A_LINE = 100
"""Folders from which on the end of an import is logged even if it was quick."""
_WORTH_ANALYZING = 500
"""Folders from which on an import changes the database's idea of how large its tables are."""
_TEND = 1.0
"""Seconds between two looks at imports that are running."""
_SLOW_IMPORT = 5.0
"""Seconds after which an import's progress is logged, and again each time they have passed."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What a round is made of; the service wires them.

    Attributes:
        discover: Finds the sessions roots below the watched folders and those known from before.
        reconcile: Compares one sessions root, registering it if it is new, and queues what differs.
        vouch: Writes the heartbeat: the mirror is as fresh as the files that can be read.
        settled: Tells whether nothing is queued, running or paused.
        analyze: Lets the database count its tables anew, after a large import.
        clean: Called after a round over everything in which all folders could be listed.
    """

    discover: Callable[[], list[Path]]
    reconcile: Callable[[Path], Report]
    vouch: Callable[[], None]
    settled: Callable[[], bool]
    clean: Callable[[], None]
    analyze: Callable[[], None]


@dataclass(slots=True)
class _Import:
    """A round's queued folders that are worth a line of progress."""

    root: Path
    ticket: Ticket
    started: float
    told: float


class Rounds:
    """The reconcile thread.

    Args:
        steps: What a round does.
        interval: Seconds between two rounds over everything, plus or minus a quarter.
    """

    def __init__(self, steps: Steps, *, interval: float) -> None:
        self._steps = steps
        self._interval = interval
        self._due: dict[tuple[Path, str], tuple[float, str]] = {}
        self._changed = Condition()
        self._stopping = False
        self._imports: list[_Import] = []
        self._told: dict[tuple[str, str], str] = {}
        self._full_round_clean = False
        self._vouched = float("-inf")
        self.last_full_round: float | None = None
        self._thread = Thread(target=self._run, name="rounds", daemon=True)

    def start(self) -> None:
        """Start the thread with a round over everything."""
        self.request(EVERYTHING, "start")
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop after the comparison at hand, or after so many seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def request(self, root: Path, reason: str) -> None:
        """Ask for a comparison of one sessions root (or EVERYTHING) as soon as possible; never blocks."""
        self._plan(root, "soon", reason, 0.0)

    def _plan(self, root: Path, lane: str, reason: str, delay: float) -> None:
        """Plan a comparison; one that is planned for the same root and lane stays as it is.

        Lanes keep apart what must not replace each other: the look that confirms an absence must come after
        its five seconds, the timer goes on whatever is asked for, and a retry plans nothing but itself.
        """
        with self._changed:
            self._due.setdefault((root, lane), (time.monotonic() + delay, reason))
            self._changed.notify()

    def _run(self) -> None:
        self._plan_timer()
        while (task := self._next()) is not None:
            root, reason = task
            try:
                if root is not None:
                    self._round(root, reason)
                self._follow_imports()
                self._vouch()
            except DatabaseError as error:
                event(_LOG, logging.DEBUG, "reconcile.postponed", "no database", error=error.message)
                if root is not None:
                    self._plan(root, "retry", reason, _DATABASE_RETRY)
            except Exception:  # noqa: BLE001 - logged with its traceback; the thread must outlive it
                _LOG.exception("round failed", extra={"event": "reconcile.crashed"})

    def _plan_timer(self) -> None:
        jitter = random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
        self._plan(EVERYTHING, "timer", "timer", self._interval * jitter)

    def _next(self) -> tuple[Path | None, str] | None:
        """Wait for the next request that is due; None to stop, (None, …) to look after what is running."""
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                first = min(self._due, key=self._due.__getitem__, default=None)
                if first is not None and self._due[first][0] <= now:
                    return first[0], self._due.pop(first)[1]
                wait = None if first is None else self._due[first][0] - now
                tending = bool(self._imports) or self._waits_to_vouch(now)
                if tending:
                    wait = _TEND if wait is None else min(wait, _TEND)
                woken = self._changed.wait(wait)
                if tending and not woken:
                    return None, "tend"
        return None

    def _round(self, root: Path, reason: str) -> None:
        if root != EVERYTHING:
            self._compare(root, reason)
            return
        if reason == "timer":
            self._plan_timer()
        clean = True
        for sessions_root in self._steps.discover():
            clean = self._compare(sessions_root, reason) and clean
        self._full_round_clean = clean
        self.last_full_round = time.monotonic()
        if not clean:
            event(_LOG, logging.DEBUG, "reconcile.incomplete", "some folders could not be listed")
        elif (EVERYTHING, "soon") not in self._due:
            # Another round that was asked for meanwhile has a reason of its own, which is not mended yet.
            self._steps.clean()

    def _compare(self, root: Path, reason: str) -> bool:
        try:
            report = self._steps.reconcile(root)
        except StateNotFoundError:
            return True  # never registered and gone again
        self._tell(report, reason)
        if report.unconfirmed:
            self._plan(root, "confirm", "confirm", _CONFIRM_SECONDS)
        if report.ticket.total:
            self._imports.append(_Import(root, report.ticket, started=(now := time.monotonic()), told=now))
        return report.complete

    def _tell(self, report: Report, reason: str) -> None:
        changed = report.ticket.total
        mended = changed or report.absent or report.tombstoned or report.held
        event(
            _LOG,
            logging.INFO if mended else logging.DEBUG,
            "reconcile.done",
            "reconciled",
            root=str(report.place.path),
            reason=reason,
            sessions=report.total,
            queued=changed,
            absent=report.absent,
            tombstoned=report.tombstoned,
            held=report.held,
        )
        problems = {(str(report.place.path), name): problem for name, problem in report.problems}
        for (_, name), problem in problems.items():
            is_news = self._told.get((str(report.place.path), name)) != problem
            event(
                _LOG,
                logging.WARNING if is_news else logging.DEBUG,
                "reconcile.unlisted",
                "cannot list a folder; nothing in it is taken for gone",
                root=str(report.place.path),
                folder=name,
                error=problem,
            )

        kept = {key: told for key, told in self._told.items() if key[0] != str(report.place.path)}
        self._told = kept | problems

    def _follow_imports(self) -> None:
        now = time.monotonic()
        for running in self._imports:
            left = running.ticket.left
            if left and now - running.told < _SLOW_IMPORT:
                continue
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
        ended = [running for running in self._imports if not running.ticket.left]
        self._imports = [running for running in self._imports if running.ticket.left]
        if any(running.ticket.total >= _WORTH_ANALYZING for running in ended):
            self._steps.analyze()

    def _waits_to_vouch(self, now: float) -> bool:
        return self._full_round_clean and now - self._vouched >= _VOUCH_EVERY

    def _vouch(self) -> None:
        """Write the heartbeat once a round over everything has been worked off; at most once a minute."""
        now = time.monotonic()
        if self._waits_to_vouch(now) and not self._imports and self._steps.settled():
            self._steps.vouch()
            self._vouched = now
            self._full_round_clean = False
