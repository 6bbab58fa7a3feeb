"""Which folders wait, in which lane, and which are being synced: the queue's state, without threads.

A folder is in one place at a time: live, batch, delayed or running. One that is dirtied while it runs is run
again afterwards. The caller holds the queue's lock around every method.
"""

import heapq
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sessionlib.sync.retry import Attempts
from sessionlib.sync.ticket import Ticket

FAIR_SHARE = 16
"""Groups of live work after which one of batch work has its turn."""

LIVELY = 1.0
"""Seconds for which live work makes more of it likely."""


@dataclass(slots=True)
class Job:
    """One dirty session folder.

    Attributes:
        path: The session folder, absolute.
        live: True for work that somebody waits for, False for a reconcile's.
        attempts: Set once a try has failed.
        torn_looks: How often the file was found half written.
        recheck: True for the second look at a folder that changed within its clock's tick.
        due: When its delay ends, while it is delayed.
        since: When the oldest change was noted that it stands for, in monotonic seconds.
        tickets: Batches that count this folder.
    """

    path: Path
    live: bool
    attempts: Attempts | None = None
    torn_looks: int = 0
    recheck: bool = False
    due: float = 0.0
    since: float = field(default_factory=time.monotonic)
    tickets: list[Ticket] = field(default_factory=list)


class Lanes:
    """The waiting, delayed and running jobs."""

    def __init__(self) -> None:
        self.live: dict[Path, Job] = {}
        self.batch: dict[Path, Job] = {}
        self.running: dict[Path, Job] = {}
        self.batch_runs = 0
        self._again: dict[Path, Job] = {}
        self._delayed: dict[Path, Job] = {}
        self._due: list[tuple[float, int, Path]] = []
        self._count = itertools.count()
        self._live_in_a_row = 0
        self._lively_until = 0.0

    def __len__(self) -> int:
        return len(self.live) + len(self.batch) + len(self.running) + len(self._again) + len(self._delayed)

    @property
    def delayed(self) -> int:
        """Jobs that wait for their next try."""
        return len(self._delayed)

    def oldest(self) -> float | None:
        """Return since when the oldest change waits that is not mirrored yet; a second look is none."""
        # All: what was tried before stands behind younger ones, and what is run again behind a recheck.
        lanes = (self.live, self.batch, self.running, self._delayed, self._again)
        jobs = itertools.chain.from_iterable(lane.values() for lane in lanes)
        return min((job.since for job in jobs if not job.recheck), default=None)

    def ready_since(self) -> float | None:
        """Return since when the oldest job waits that could run now, or runs; None while there is none."""
        heads = [next(iter(lane.values()), None) for lane in (self.live, self.batch)]
        jobs = [*(job for job in heads if job is not None), *self.running.values()]
        return min((job.since for job in jobs), default=None)

    def add(self, path: Path, *, live: bool, ticket: Ticket | None = None) -> None:
        """Note that a folder is dirty; one that waits already is not noted twice."""
        job = self._waiting(path, live=live)
        if ticket is not None:
            job.tickets.append(ticket)

    def _waiting(self, path: Path, *, live: bool) -> Job:
        if path in self.running:
            job = self._again.get(path)
            if job is None:
                job = self._again[path] = Job(path, live)
            job.live = job.live or live
            return job
        job = self.live.get(path)
        if job is not None:
            return job
        # Something new has happened: a delayed job need not wait any longer.
        job = self._delayed.pop(path, None) or self.batch.get(path) or Job(path, live)
        job.live = job.live or live
        _renew(job, time.monotonic())
        self._enqueue(job)
        return job

    def _enqueue(self, job: Job) -> None:
        if job.live:
            self.batch.pop(job.path, None)
            self.live[job.path] = job
        else:
            self.batch[job.path] = job

    def wake(self, now: float) -> None:
        """Move the jobs whose delay is over to their lane."""
        while self._due and self._due[0][0] <= now:
            due, _, path = heapq.heappop(self._due)
            job = self._delayed.get(path)
            # A job that was delayed, woken early and delayed again stands in the heap twice.
            if job is not None and job.due == due:
                self._enqueue(self._delayed.pop(path))

    def next_due(self) -> float | None:
        """Return when the first delay ends, or None."""
        return self._due[0][0] if self._due else None

    @property
    def is_lively(self) -> bool:
        """Whether live work waits, or was taken within the last second, so that more of it is likely."""
        return bool(self.live) or time.monotonic() < self._lively_until

    def take(self, *, live_most: int, batch_most: int, batch_runs: int) -> list[Job]:
        """Take up to so many waiting jobs that lie in one folder; live ones first.

        `batch_runs` bounds how many groups of batch jobs may run at once. Live work that never ends must not
        starve a reconcile: one group in `FAIR_SHARE` is a batch's.
        """
        batch_may_run = bool(self.batch) and self.batch_runs < batch_runs
        if self.live and not (batch_may_run and self._live_in_a_row >= FAIR_SHARE):
            self._live_in_a_row += 1
            self._lively_until = time.monotonic() + LIVELY
            return self._start(self.live, live_most)
        if batch_may_run:
            self._live_in_a_row = 0
            self.batch_runs += 1
            return self._start(self.batch, batch_most)
        return []

    def _start(self, lane: dict[Path, Job], most: int) -> list[Job]:
        first = next(iter(lane))
        parent = first.parent
        # Neighbours in time are neighbours in place: stop at the first stranger instead of searching.
        group = list(itertools.takewhile(lambda path: path.parent == parent, itertools.islice(lane, most)))
        jobs = [lane.pop(path) for path in group]
        self.running.update((job.path, job) for job in jobs)
        return jobs

    def holds(self, path: Path) -> bool:
        """Tell whether a folder waits, in whatever way, or runs."""
        lanes = (self.live, self.batch, self.running, self._delayed, self._again)
        return any(path in lane for lane in lanes)

    def is_running(self, job: Job) -> bool:
        """Tell whether this very job is running, not a later one of the same folder."""
        return self.running.get(job.path) is job

    def finish(self, job: Job) -> None:
        """Take a job from the running ones; run it again if it was dirtied meanwhile."""
        del self.running[job.path]
        again = self._again.pop(job.path, None)
        if again is not None:
            self._enqueue(again)

    def recheck(self, job: Job, due: float) -> None:
        """Take a job from the running ones; look at its folder again at `due`, or now if it was dirtied."""
        del self.running[job.path]
        again = self._again.pop(job.path, None)
        if again is not None:
            self._enqueue(again)
        else:
            self._delay(Job(job.path, job.live, recheck=True), due)

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Put running jobs back into their lanes, untried."""
        for job in jobs:
            self._merge_again(job)
            self._enqueue(job)

    def delay(self, job: Job, due: float) -> None:
        """Let a running job wait until `due` before its next try; not at all if it was dirtied meanwhile."""
        if self._merge_again(job):
            self._enqueue(job)
        else:
            self._delay(job, due)

    def _delay(self, job: Job, due: float) -> None:
        job.due = due
        self._delayed[job.path] = job
        heapq.heappush(self._due, (due, next(self._count), job.path))

    def _merge_again(self, job: Job) -> bool:
        del self.running[job.path]
        again = self._again.pop(job.path, None)
        if again is None:
            return False
        job.live = job.live or again.live
        job.tickets += again.tickets
        _renew(job, again.since)
        return True

    def clear(self) -> list[Job]:
        """Forget all that waits; return it."""
        left = [*self.live.values(), *self.batch.values(), *self._delayed.values(), *self._again.values()]
        for lane in (self.live, self.batch, self._delayed, self._again):
            lane.clear()
        self._due.clear()
        return left


def _renew(job: Job, since: float) -> None:
    """Let a job keep its attempts; what was torn, or was to be looked at again, is another content now."""
    job.torn_looks = 0
    if job.recheck:
        job.since = since
    job.recheck = False
