"""Rescans: comparisons that a person or a UI waits for, until what differed is committed.

Requests for the same target that have not begun share one comparison. One that has begun is never shared,
because files may have changed behind it: so whoever waits reads its own writes.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from sessiond.logs import event
from sessiond.rounds import Rounds
from sessiond.targets import Target
from sessionlib.errors import DatabaseUnavailableError, SessionlibError, StoppingError
from sessionlib.sync.reconcile import Report

_LOG = logging.getLogger("sessiond.rescans")

_LOOK_EVERY = 0.25
"""Seconds between two looks whether the database has gone away under those who wait."""


@dataclass(frozen=True, slots=True)
class RootCounts:
    """What a rescan found in one sessions root, after the commit.

    `left` are folders that could not be mirrored; `problems` are (folder, why).
    """

    project: str | None
    path: str
    sessions: int
    written: int
    unchanged: int
    absent: int
    tombstoned: int
    held: int
    unreadable: int
    left: int
    missing: bool
    problems: Sequence[tuple[str, str]] = ()


Answer = Future[list[RootCounts]]

Resolve = Callable[[Target], list[Path]]
Count = Callable[[list[Report]], list[RootCounts]]


class _Group:
    """Those who wait for one comparison; the question that the rounds answer."""

    def __init__(self, target: Target, rescans: "Rescans") -> None:
        self.target = target
        self.waiting: list[Answer] = []
        self.reports: list[Report] = []
        self.began = time.monotonic()
        self._rescans = rescans

    @property
    def accept_missing(self) -> bool:
        return self.target.accept_missing

    def begin(self) -> Sequence[Path]:
        return self._rescans.begin(self)

    def finish(self, reports: list[Report]) -> None:
        self.reports = reports
        self._rescans.compared(self)

    def fail(self, error: SessionlibError) -> None:
        self._rescans.fail(self, error)


class Rescans:
    """Takes requests, hands them to the rounds, and answers them; safe to use from any thread.

    Args:
        rounds: Compare.
        resolve: Finds the sessions roots of a target.
        count: Turns reports into counts after the commit; may ask the database.
        paused: Returns the database's error while it is down.
    """

    def __init__(
        self, rounds: Rounds, *, resolve: Resolve, count: Count, paused: Callable[[], str | None]
    ) -> None:
        self._rounds = rounds
        self._resolve = resolve
        self._count = count
        self._paused = paused
        self._lock = Lock()
        self._open: dict[Target, _Group] = {}
        self._running: set[_Group] = set()
        self._done: SimpleQueue[_Group | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="rescans", daemon=True)
        self._stopping = False

    def start(self) -> None:
        """Start the thread that answers."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Fail those who wait, and end the thread; blocks for `timeout` seconds at most."""
        with self._lock:
            self._stopping = True
            groups = [*self._open.values(), *self._running]
            self._open.clear()
        for group in groups:
            self.fail(group, StoppingError())
        self._done.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def ask(self, target: Target) -> Answer:
        """Ask for a comparison; never blocks. The future may be cancelled, which only ends the waiting."""
        answer: Answer = Future()
        with self._lock:
            group = self._open.get(target)
            is_new = group is None
            if group is None:
                group = _Group(target, self)
                if not self._stopping:
                    self._open[target] = group
            group.waiting.append(answer)
        if is_new and (self._stopping or not self._rounds.ask(group)):
            self.fail(group, StoppingError())
        if is_new:
            # The thread that answers has slept without a deadline while nobody waited.
            self._done.put(None)
        return answer

    # --- called by the thread of the rounds ----------------------------------------------------

    def begin(self, group: _Group) -> Sequence[Path]:
        """Close a group to newcomers; return what is to be compared for it."""
        with self._lock:
            self._close(group)
            if not group.waiting:
                return ()  # given up meanwhile
            self._running.add(group)
        return self._resolve(group.target)

    def compared(self, group: _Group) -> None:
        """Answer a group once everything that differed is committed."""
        left = len(group.reports)
        if not left:
            self._done.put(group)
        counting = _Countdown(left, lambda: self._done.put(group))
        for report in group.reports:
            report.ticket.on_done(counting.one_less)

    def fail(self, group: _Group, error: SessionlibError) -> None:
        """Tell everybody in a group why there is no answer."""
        with self._lock:
            self._close(group)
            self._running.discard(group)
            waiting, group.waiting = group.waiting, []
        for answer in waiting:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)

    def _close(self, group: _Group) -> None:
        # Another one for the same target may be open by now.
        if self._open.get(group.target) is group:
            del self._open[group.target]

    # --- the thread that answers ---------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                group = self._done.get(timeout=_LOOK_EVERY if self._open or self._running else None)
            except Empty:
                self._give_up_while_down()
                continue
            if group is not None:
                self._answer(group)
            elif self._stopping:
                return

    def _answer(self, group: _Group) -> None:
        try:
            counts = self._count(group.reports)
        except SessionlibError as error:
            self.fail(group, error)
            return
        except Exception as error:  # noqa: BLE001 - logged with its traceback; the thread must outlive it
            _LOG.exception("rescan failed", extra={"event": "reconcile.crashed"})
            self.fail(group, SessionlibError(f"unexpected {type(error).__name__}; the log tells more"))
            return
        with self._lock:
            self._running.discard(group)
            waiting, group.waiting = group.waiting, []
        event(
            _LOG,
            logging.INFO,
            "rescan.done",
            "rescanned",
            target=named(group.target),
            asked_by=len(waiting),
            roots=len(counts),
            sessions=sum(count.sessions for count in counts),
            written=sum(count.written for count in counts),
            for_s=round(time.monotonic() - group.began, 3),
        )
        for answer in waiting:
            if answer.set_running_or_notify_cancel():
                answer.set_result(counts)

    def _give_up_while_down(self) -> None:
        error = self._paused()
        if error is None:
            return
        with self._lock:
            # Those that have not begun, too: what should begin them may hang in the database.
            groups = [*self._open.values(), *self._running]
        for group in groups:
            self.fail(group, DatabaseUnavailableError(f"the database is down: {error}"))


class _Countdown:
    """Calls back once after so many calls, from any threads."""

    def __init__(self, left: int, done: Callable[[], None]) -> None:
        self._left = left
        self._done = done
        self._lock = Lock()

    def one_less(self) -> None:
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._done()


def named(target: Target) -> str:
    """Return what a target names, in words for the log."""
    return target.project or (str(target.path) if target.path is not None else "everything")
