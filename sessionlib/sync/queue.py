"""The thread-pool sync queue: a set of dirty session folders; retry-then-log, never retry-then-forget.

Live work goes before batch work. Nobody who submits ever waits. While the database as a whole is down the
workers pause and one of them probes; what was in flight goes back to its lane. A folder whose tries are used
up is logged once and stays *owed* until a later run, at the latest the next reconcile's, succeeds.
"""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Condition, Event, Lock, Thread

from sessionlib.errors import (
    DatabaseBusyError,
    RowRejectedError,
    SessionlibError,
    StateUnreadableError,
)
from sessionlib.sync.lanes import Job, Lanes
from sessionlib.sync.outage import Outage
from sessionlib.sync.owed import Owed
from sessionlib.sync.places import stored_name
from sessionlib.sync.queue_stats import QueueOptions, QueueStats
from sessionlib.sync.results import OnResults, Outcome, Result, Work
from sessionlib.sync.retry import TORN_DELAYS, WHOLE, is_transient
from sessionlib.sync.ticket import Ticket

_LOG = logging.getLogger("sessionlib.sync")

_RACY_RECHECK = 0.1
"""Seconds after which a folder that changed within its clock's tick is looked at once more."""


class SyncQueue:
    """A set of dirty session folders and the threads that sync them.

    Args:
        work: Syncs a group of folders; what it raises decides whether they are tried again.
        probe: Asks the database for a sign of life; raises while there is none.
        options: See there.
    """

    def __init__(self, work: Work, *, probe: Callable[[], None], options: QueueOptions | None = None) -> None:
        self._work = work
        self._on_results: OnResults = lambda _results, _live: None
        self._on_recover: Callable[[], None] = lambda: None
        self._options = options or QueueOptions()
        self._lanes = Lanes()
        self._owed = Owed()
        self._lock = Lock()
        # Two conditions on one lock: what wakes a worker must not be swallowed by somebody who drains.
        self._ready = Condition(self._lock)
        self._changed = Condition(self._lock)
        self._stop = Event()
        self._closed = False
        self._outage = Outage(probe, self._stop)
        self._probing = False
        self._synced = self._written = self._failed = self._retried = 0
        self._threads: list[Thread] = []
        self._surplus = 0
        self._progressed: float | None = None

    def listen(self, *, on_recover: Callable[[], None], on_results: OnResults) -> None:
        """Set who is told; call it before `start`.

        Args:
            on_recover: Called from a worker after an outage, to start a reconcile; must not block.
            on_results: Told of every folder's outcome, once for each group, from a worker; must not block.
        """
        self._on_recover = on_recover
        self._on_results = on_results

    def start(self) -> None:
        """Start the workers; submitting before is allowed."""
        self._add_workers(self._options.workers)

    def _add_workers(self, count: int) -> None:
        for _ in range(count):
            thread = Thread(target=self._run, name=f"sync-{len(self._threads)}", daemon=True)
            # Started first: `close` may come on another thread, and joins all that are in the list.
            thread.start()
            self._threads.append(thread)

    def change(self, options: QueueOptions) -> None:
        """Work with other options from now on; workers that are too many leave after what they hold."""
        with self._lock:
            more = options.workers - self._options.workers
            self._options = options
            if self._closed:
                return
            # Those that were to leave and have not yet may stay after all.
            staying = min(self._surplus, max(0, more))
            self._surplus += -staying if more > 0 else -more
            self._ready.notify_all()
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._add_workers(max(0, more - staying))

    def submit(self, session_dir: Path) -> None:
        """Note that a session folder changed; never blocks, never raises, costs microseconds."""
        with self._lock:
            if not self._closed:
                self._lanes.add(session_dir, live=True)
                self._ready.notify()

    def submit_batch(self, session_dirs: Iterable[Path]) -> Ticket:
        """Note folders that a reconcile found different; return a ticket that counts their outcomes."""
        paths = list(dict.fromkeys(session_dirs))
        ticket = Ticket(len(paths))
        with self._lock:
            if self._closed:
                for _ in paths:
                    ticket.done("refused")
                return ticket
            for path in paths:
                self._lanes.add(path, live=False, ticket=ticket)
            self._ready.notify_all()
        return ticket

    def suspend(self, error: SessionlibError) -> None:
        """Pause for what somebody else found wrong with the database, until the probe is answered."""
        with self._lock:
            self._outage.begin(error, is_probed=True)
            self._ready.notify_all()

    @property
    def owed(self) -> dict[Path, str]:
        """The folders whose tries are used up, with their last error."""
        with self._lock:
            return dict(self._owed)

    def forgive(self, session_dirs: Iterable[Path], *, before: float) -> None:
        """Owe no longer what a comparison that began at `before` has not queued again.

        Such a folder is gone, or equals its row by now; nothing else would ever settle it.
        """
        with self._lock:
            for path in session_dirs:
                if not (self._lanes.holds(path) or self._owed.has_failed_since(path, before)):
                    self._owed.settle(path)

    def stats(self) -> QueueStats:
        """Return a consistent snapshot of the counters."""
        with self._lock:
            return QueueStats(
                workers=self._options.workers,
                waiting=len(self._lanes.live) + len(self._lanes.batch),
                running=len(self._lanes.running),
                delayed=self._lanes.delayed,
                owed=len(self._owed),
                behind=self._owed.behind,
                synced=self._synced,
                written=self._written,
                failed=self._failed,
                retried=self._retried,
                oldest=min(filter(None, (self._owed.oldest, self._lanes.oldest())), default=None),
                paused=self._outage.error,
                paused_for=self._outage.lasting,
            )

    @property
    def is_alive(self) -> bool:
        """Whether as many workers run as there should be."""
        return sum(thread.is_alive() for thread in self._threads) >= self._options.workers

    @property
    def progressed(self) -> float | None:
        """When a worker last finished something, in monotonic seconds; None before."""
        return self._progressed

    def holding_since(self) -> float | None:
        """Return since when there has been work that could be done now; None without any, or while paused."""
        with self._lock:
            return None if self._outage.error is not None else self._lanes.ready_since()

    def drain(self, timeout: float) -> int:
        """Wait until nothing waits or runs, at most so many seconds; return how many folders are left.

        While the database is down there is nothing to wait for.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._lanes or self._outage.pausing, timeout)
            return len(self._lanes)

    def close(self, timeout: float = 5.0) -> int:
        """Stop the workers after what they hold; return how many folders were not synced.

        What is left is not lost: the next start's reconcile finds it. Every ticket is settled, even that of a
        folder whose worker hangs. Safe to call twice.
        """
        with self._lock:
            self._closed = True
            self._stop.set()
            left = self._lanes.clear()
            self._ready.notify_all()
        self._settle_tickets((job, "refused") for job in left)
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            # What a worker gave back at its end, and what one still holds.
            late = [*self._lanes.clear(), *self._lanes.running.values()]
            self._changed.notify_all()
        self._settle_tickets((job, "refused") for job in late)
        return len({job.path for job in (*left, *late) if not job.recheck})

    # --- workers -------------------------------------------------------------------------------

    def _run(self) -> None:
        while (jobs := self._next()) is not None:
            if jobs:
                self._process(jobs)
            else:
                self._probe()

    def _next(self) -> list[Job] | None:
        """Wait for work; return jobs, an empty list to probe the database, or None to stop."""
        with self._lock:
            while not self._stop.is_set():
                options = self._options
                if self._surplus:
                    self._surplus -= 1
                    return None
                if self._outage.pausing:
                    if not self._probing:
                        self._probing = True
                        return []
                    self._ready.wait()
                    continue
                now = time.monotonic()
                self._lanes.wake(now)
                jobs = self._lanes.take(
                    live_most=options.live_size(len(self._lanes.live)),
                    batch_most=options.batch_size(lively=self._lanes.is_lively),
                    batch_runs=max(1, options.workers - 1),
                )
                if jobs:
                    return jobs
                due = self._lanes.next_due()
                self._ready.wait(None if due is None else max(0.0, due - now))
        return None

    def _process(self, jobs: list[Job]) -> None:
        batch = not jobs[0].live
        try:
            self._attempt(jobs)
        finally:
            self._progressed = time.monotonic()
            with self._lock:
                self._lanes.batch_runs -= batch
                self._ready.notify_all()
                self._changed.notify_all()

    def _attempt(self, jobs: list[Job]) -> None:
        """Try, and outlive every surprise: folder by folder then, so that it holds up one alone."""
        try:
            self._try(jobs)
        except Exception:  # noqa: BLE001 - logged with its traceback
            if len(jobs) > 1:
                left = list(filter(self._lanes.is_running, jobs))
                while left and not (self._stop.is_set() or self._outage.pausing):
                    self._attempt([left.pop(0)])
                with self._lock:
                    self._lanes.give_back(left)
                return
            _LOG.exception("sync worker failed", extra={"event": "sync.crashed"})
            self._give_up(jobs, "unexpected error, see the log")

    def _try(self, jobs: list[Job]) -> None:
        settled = frozenset(job.path for job in jobs if job.torn_looks >= len(TORN_DELAYS))
        try:
            results = self._work([job.path for job in jobs], settled)
        except WHOLE as error:
            self._pause(jobs, error)
        except SessionlibError as error:
            self._note_answer()
            self._retry(jobs, error)
        else:
            self._note_answer()
            self._finish(jobs, results)

    def _note_answer(self) -> None:
        """The database answered as it should; if that is news, have everything compared anew."""
        with self._lock:
            recovered = self._outage.end()
        if recovered:
            try:
                self._on_recover()
            except Exception:  # noqa: BLE001 - logged with its traceback
                _LOG.exception("the listener failed", extra={"event": "sync.listener_failed"})

    def _finish(self, jobs: list[Job], results: list[Result]) -> None:
        done: list[tuple[Job, Result]] = []
        told: list[tuple[Path, Result]] = []
        for job, result in zip(jobs, results, strict=False):
            if result.outcome is Outcome.TORN:
                seconds = TORN_DELAYS[job.torn_looks]
                job.torn_looks += 1
                self._delay(job, seconds)
                continue
            if result.outcome is Outcome.UNREADABLE:
                error = StateUnreadableError(result.error or "unreadable", session_dir=job.path)
                if job.live:
                    self._retry([job], error)
                else:
                    # The next reconcile is its retry; more would be noise at every one.
                    self._give_up([job], error.message, error)
            elif result.outcome is Outcome.REJECTED:
                words = result.error or "the database refuses the row"
                self._give_up([job], words, RowRejectedError(words))
            else:
                done.append((job, result))
            told.append((job.path, result))
        self._done(done)
        self._tell(told, live=jobs[0].live)
        self._settle_tickets((job, result.outcome) for job, result in done)
        if len(results) != len(jobs):
            raise AssertionError(len(results), len(jobs))

    def _done(self, done: Sequence[tuple[Job, Result]]) -> None:
        with self._lock:
            self._synced += len(done)
            for job, result in done:
                self._written += result.outcome is Outcome.WRITTEN
                self._owed.settle(job.path)
                if result.racy and not job.recheck:
                    self._lanes.recheck(job, time.monotonic() + _RACY_RECHECK)
                else:
                    self._lanes.finish(job)

    def _tell(self, told: Sequence[tuple[Path, Result]], *, live: bool) -> None:
        if told:
            with contextlib.suppress(Exception):
                self._on_results(told, live)

    def _delay(self, job: Job, seconds: float) -> None:
        with self._lock:
            self._retried += 1
            self._lanes.delay(job, time.monotonic() + seconds)

    def _retry(self, jobs: list[Job], error: SessionlibError) -> None:
        """Try again later each folder that has tries left; the others are owed."""
        for job in jobs:
            job.attempts = job.attempts or self._options.policy.begin()
            seconds = job.attempts.next_delay(error) if is_transient(error) else None
            if seconds is None:
                self._give_up([job], error.message, error)
            else:
                level = logging.DEBUG if isinstance(error, DatabaseBusyError) else logging.INFO
                path = stored_name(str(job.path))
                fields = {"path": path, "in_s": round(seconds, 2), "error": error.message}
                _LOG.log(level, "sync failed, trying again", extra={"event": "sync.retry", "fields": fields})
                self._delay(job, seconds)

    def _give_up(self, jobs: Sequence[Job], words: str, error: SessionlibError | None = None) -> None:
        for job in jobs:
            with self._lock:
                if not self._lanes.is_running(job):
                    continue
                self._failed += 1
                unreadable = isinstance(error, StateUnreadableError)
                is_news = self._owed.add(job.path, words, since=job.since, unreadable=unreadable)
                self._lanes.finish(job)
            fields = {
                "path": stored_name(str(job.path)),
                "attempts": job.attempts.count if job.attempts else 1,
                "kind": type(error).__name__ if error else "Exception",
                "error": words,
            }
            told = {"event": "sync.gave_up", "fields": fields}
            level = logging.ERROR if is_news else logging.DEBUG
            _LOG.log(level, "sync given up; the next reconcile tries again", extra=told)
            self._settle_tickets([(job, "owed")])

    def _pause(self, jobs: list[Job], error: SessionlibError) -> None:
        with self._lock:
            self._lanes.give_back(jobs)
            self._outage.begin(error)

    def _probe(self) -> None:
        """Ask until the database answers, then let all workers try."""
        try:
            is_over = self._outage.wait_for_answer() and self._outage.is_probed
        finally:
            with self._lock:
                self._probing = False
                self._ready.notify_all()
        if is_over:
            self._note_answer()

    def _settle_tickets(self, outcomes: Iterable[tuple[Job, str]]) -> None:
        settled: Counter[tuple[Ticket, str]] = Counter()
        with self._lock:
            for job, outcome in outcomes:
                settled.update((ticket, outcome) for ticket in job.tickets)
                job.tickets = []
        for (ticket, outcome), count in settled.items():
            ticket.done(outcome, count)
