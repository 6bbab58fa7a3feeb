"""The board: how fresh the mirror is, and how every part gets on, in one snapshot.

Health is data movement, not a live process. `as_of` is the moment of which the daemon can say: all that was
on disk then is mirrored. It is now while nothing waits; it falls behind by the age of the oldest change that
waits, by the time since lost events were made good, and by the time since folders without events were polled.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sessiond.progress import Progress
from sessiond.rounds import Compared, Rounds
from sessiond.watch.watcher import Watcher
from sessionlib.control.status import (
    DatabaseState,
    OwedFolder,
    PartState,
    QueueState,
    RootState,
    WorkspaceState,
)
from sessionlib.models.base import iso_milliseconds, utc_now
from sessionlib.sync.places import stored_name
from sessionlib.sync.queue import SyncQueue
from sessionlib.sync.queue_stats import QueueStats

_OWED_SHOWN = 20
_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """When the mirror counts as stale, and a part as stuck; both in seconds."""

    stale_after: float
    stuck_after: float


@dataclass(frozen=True, slots=True)
class Health:
    """How fresh the mirror is, judged at one moment.

    Attributes:
        as_of: All that was on disk then is mirrored; None when that is not known.
        age: Seconds since then.
        oldest: Seconds the oldest known change has been waiting; None without one.
        reasons: Why it is stale; empty when it is fresh.
    """

    as_of: datetime | None
    age: float | None
    oldest: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sources:
    """Monotonic times up to which all changes have been told of.

    Attributes:
        polled_since: Where no events come.
        clean_since: Where events were lost; None when nothing has been made good yet.
        ended_since: By those parts that still move.
    """

    polled_since: float
    clean_since: float | None
    ended_since: float


class Board:
    """Looks at the parts; safe to use from any thread, and never waits for the database.

    Args:
        queue: The sync queue.
        rounds: The reconcile thread.
        watcher: What watches the folders.
        held_since: Tells since when the debouncer has been holding a change back.
        others: The progress of the parts beside these.
        limits: What stale and stuck mean; may be changed.
    """

    def __init__(
        self,
        queue: SyncQueue,
        rounds: Rounds,
        watcher: Watcher,
        *,
        held_since: Callable[[], float | None],
        others: Callable[[], Sequence[Progress]],
        limits: Limits,
    ) -> None:
        self.limits = limits
        self.vouched: datetime | None = None
        """When the mirror was last vouched for by the database, until the first round is over."""
        self._queue = queue
        self._rounds = rounds
        self._watcher = watcher
        self._held_since = held_since
        self._others = others

    # --- freshness -----------------------------------------------------------------------------

    def health(self) -> Health:
        """Judge how fresh the mirror is now."""
        now = time.monotonic()
        at = utc_now()
        # In the order in which a change travels, so that none is missed that moves on meanwhile.
        is_known = self._rounds.first_round_over
        sources = self._sources()
        waiting = [self._watcher.heard_since, self._held_since(), self._rounds.doubtful_since()]
        stats = self._queue.stats()
        waiting.append(stats.oldest)
        oldest = min((since for since in waiting if since is not None), default=None)
        reasons: list[str] = []
        down = self._no_database(stats)
        if down is not None:
            reasons.append(f"the database is down: {down}")
        if sources.clean_since is None or not is_known:
            as_of = self.vouched
            age = None if as_of is None else max(0.0, (at - as_of).total_seconds())
            reasons.append(
                f"events were lost, and {self._unlisted()}"
                if is_known
                else "the first comparison of all files is not over yet"
            )
        else:
            bounds = (oldest, sources.clean_since, sources.polled_since, sources.ended_since)
            age = max(0.0, *(now - since for since in bounds if since is not None), 0.0)
            as_of = at - timedelta(seconds=age)
            if age > self.limits.stale_after:
                reasons.append(self._blame(now, age, oldest, stats, sources))
        reasons += [_complaint(part) for part in self.parts() if part.is_stuck(now, self.limits.stuck_after)]
        return Health(as_of, age, None if oldest is None else max(0.0, now - oldest), tuple(reasons))

    def _sources(self) -> "_Sources":
        """Return up to when what tells of changes has told of all."""
        polled_since = self._watcher.polled_since
        roots = self._watcher.status()
        now = time.monotonic()
        tellers = (self._watcher.progress(), self._rounds.progress())
        ended = [part.since or 0.0 for part in tellers if part.is_stuck(now, self.limits.stuck_after)]
        return _Sources(
            polled_since if any(root.mode != "events" for root in roots) else now,
            self._rounds.clean_since if any(root.degraded for root in roots) else now,
            min(ended, default=now),
        )

    def _no_database(self, stats: QueueStats) -> str | None:
        """Return the database's error while it is down: without changes only a comparison finds out."""
        return self._rounds.no_database if stats.paused is None else stats.paused

    def _unlisted(self) -> str:
        """Name what keeps lost events from being made good."""
        incomplete = [path for path, last in self._rounds.compared().items() if not last.report.complete]
        if not incomplete:
            return "not everything could be compared since"
        return f"{stored_name(str(incomplete[0]))} cannot be listed"

    def _blame(
        self, now: float, age: float, oldest: float | None, stats: QueueStats, sources: "_Sources"
    ) -> str:
        if oldest is not None and now - oldest >= age - 1:
            owed = f"; {stats.behind} cannot be synced, see the folders that are owed" if stats.behind else ""
            return f"a change has been waiting for {age:.0f} s{owed}"
        if sources.clean_since is not None and now - sources.clean_since >= age - 1:
            return f"events were lost {age:.0f} s ago, and {self._unlisted()}"
        if now - sources.polled_since >= age - 1:
            return f"folders without events were last looked at {age:.0f} s ago"
        return f"nothing has been looked at for {age:.0f} s"

    # --- parts ---------------------------------------------------------------------------------

    def parts(self) -> list[Progress]:
        """Return how each part gets on."""
        queue = Progress(
            "queue",
            self._queue.is_alive,
            self._queue.progressed,
            self._queue.holding_since(),
        )
        return [self._watcher.progress(), queue, self._rounds.progress(), *self._others()]

    def stuck(self) -> list[str]:
        """Return what is wrong with the parts that make no progress; empty when all do."""
        now = time.monotonic()
        return [_complaint(part) for part in self.parts() if part.is_stuck(now, self.limits.stuck_after)]

    def part_states(self) -> tuple[PartState, ...]:
        """Return the parts as they are shown."""
        now = time.monotonic()
        return tuple(
            PartState(
                name=part.name,
                alive=part.alive,
                stuck=part.is_stuck(now, self.limits.stuck_after),
                idle_s=None if part.since is None else _rounded(now - part.since),
                doing=part.doing,
            )
            for part in self.parts()
        )

    # --- the rest of the snapshot --------------------------------------------------------------

    def queue_state(self) -> QueueState:
        """Return the queue's counters as they are shown."""
        stats = self._queue.stats()
        return QueueState(
            workers=stats.workers,
            waiting=stats.waiting,
            running=stats.running,
            delayed=stats.delayed,
            owed=stats.owed,
            behind=stats.behind,
            synced=stats.synced,
            written=stats.written,
            failed=stats.failed,
            retried=stats.retried,
        )

    def database_state(self, name: str, *, is_postgres: bool) -> DatabaseState:
        """Return the database's state as it is shown."""
        stats = self._queue.stats()
        error = self._no_database(stats)
        return DatabaseState(
            name=name,
            backend="postgresql" if is_postgres else "sqlite",
            up=error is None,
            error=error,
            down_s=None if stats.paused_for is None else _rounded(stats.paused_for),
        )

    def owed(self) -> tuple[OwedFolder, ...]:
        """Return the first few folders that are owed."""
        owed = sorted(self._queue.owed.items())[:_OWED_SHOWN]
        return tuple(OwedFolder(path=stored_name(str(path)), error=words) for path, words in owed)

    def roots(self) -> tuple[RootState, ...]:
        """Return how each watched folder is being watched."""
        return tuple(
            RootState(
                path=stored_name(str(root.path)),
                mode=root.mode,
                reason=root.reason,
                watches=root.watches,
                sessions_roots=root.sessions_roots,
                degraded=root.degraded,
                folders=root.folders,
                filesystem=root.filesystem,
            )
            for root in self._watcher.status()
        )

    def workspaces(self, names: Callable[[UUID], str | None]) -> tuple[WorkspaceState, ...]:
        """Return the last comparison of each sessions root, the longest ago first."""
        now = time.monotonic()
        compared = sorted(self._rounds.compared().items(), key=lambda item: item[1].since)
        return tuple(_workspace(path, last, names, now) for path, last in compared)


def _workspace(path: Path, last: Compared, names: Callable[[UUID], str | None], now: float) -> WorkspaceState:
    report = last.report
    return WorkspaceState(
        project=names(report.place.project_id),
        path=stored_name(str(path)),
        reconciled_at=iso_milliseconds(last.at),
        age_s=_rounded(now - last.since),
        sessions=report.total,
        missing=report.missing,
        complete=report.complete,
    )


def _rounded(seconds: float) -> float:
    return round(seconds, _SECONDS)


def _complaint(part: Progress) -> str:
    if not part.alive:
        return f"the {part.name} has ended; restart the daemon"
    return f"the {part.name} makes no progress" + (f": {part.doing}" if part.doing else "")
