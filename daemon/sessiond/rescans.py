"""Rescans: comparisons that a person or a UI waits for, until what differed is committed.

Requests for the same target that have not begun share one comparison. One that has begun is never shared,
because files may have changed behind it: so whoever waits reads its own writes.

Who does not wait has been told that it will be done. When the database is back everything is compared anyway;
but nobody else believes that most of a root is gone, so a request that does is kept and asked again.
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
from sessionlib.errors import DatabaseError, DatabaseUnavailableError, SessionlibError, StoppingError
from sessionlib.sync.reconcile import Report

_LOG = logging.getLogger("sessiond.rescans")

_LOOK_EVERY = 0.25
"""Seconds between two looks whether the database has gone away under those who wait."""

_AGAIN_AFTER = 2.0
"""Seconds between two tries of a request that nobody waits for."""

_KEPT_MOST = 100
"""Requests that wait for the database; more are refused, and the log tells."""


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
        self.is_kept = False
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
        self._kept: dict[Target, float] = {}
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
            kept, self._kept = self._kept, {}
            groups = [*self._open.values(), *self._running]
            self._open.clear()
        for group in groups:
            self.fail(group, StoppingError())
        for target in kept:
            _tell_refused(target, StoppingError())
        self._done.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def request(self, target: Target) -> Answer:
        """Ask for a comparison that nobody waits for; never blocks. What is wrong with it is logged."""
        return self.ask(target, keep=True)

    def ask(self, target: Target, *, keep: bool = False) -> Answer:
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
            group.is_kept = group.is_kept or keep
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
            is_refused = group.is_kept and bool(waiting) and not self._keep(group.target, error)
        if is_refused:
            _tell_refused(group.target, error)
        for answer in waiting:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)

    def _keep(self, target: Target, error: SessionlibError) -> bool:
        """Keep a request until the database is back; False when there is no sense in that."""
        is_worth_it = target.accept_missing and isinstance(error, DatabaseError)
        if self._stopping or not is_worth_it or len(self._kept) >= _KEPT_MOST:
            return False
        self._kept[target] = time.monotonic() + _AGAIN_AFTER
        return True

    def _close(self, group: _Group) -> None:
        # Another one for the same target may be open by now.
        if self._open.get(group.target) is group:
            del self._open[group.target]

    # --- the thread that answers ---------------------------------------------------------------

    def _run(self) -> None:
        while True:
            is_wanted = self._open or self._running or self._kept
            try:
                group = self._done.get(timeout=_LOOK_EVERY if is_wanted else None)
            except Empty:
                self._give_up_while_down()
                self._ask_again()
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

    def _ask_again(self) -> None:
        """Ask for what was kept, once the database may be there again."""
        now = time.monotonic()
        if not self._kept or self._paused() is not None:
            return
        with self._lock:
            due = [target for target, at in self._kept.items() if at <= now]
            for target in due:
                del self._kept[target]
        for target in due:
            self.request(target)


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


def _tell_refused(target: Target, error: SessionlibError) -> None:
    words = {"target": named(target), "accept_missing": target.accept_missing or None, "hint": error.hint}
    event(_LOG, logging.WARNING, "rescan.refused", error.message, **words)


def named(target: Target) -> str:
    """Return what a target names, in words for the log."""
    return target.project or (str(target.path) if target.path is not None else "everything")
