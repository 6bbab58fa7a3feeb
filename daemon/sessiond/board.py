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
from sessiond.watch.watcher import RootStatus, Watcher
from sessionlib.control.status import (
    ConfigState,
    DatabaseState,
    OwedFolder,
    PartState,
    QueueState,
    RootState,
    WorkspaceState,
)
from sessionlib.models.base import utc_now
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
        stats = self._queue.stats()
        oldest = self._oldest(stats)
        reasons: list[str] = []
        if stats.paused is not None:
            reasons.append(f"the database is down: {stats.paused}")
        roots = self._watcher.status()
        if not self._rounds.first_round_over:
            as_of = self.vouched
            age = None if as_of is None else (at - as_of).total_seconds()
            reasons.append("the first comparison of all files is not over yet")
        else:
            age = max(0.0, *(now - since for since in self._bounds(oldest, roots)))
            as_of = at - timedelta(seconds=age)
            if age > self.limits.stale_after:
                reasons.append(self._blame(now, age, oldest, roots))
        reasons += [_complaint(part) for part in self.parts() if part.is_stuck(now, self.limits.stuck_after)]
        return Health(as_of, age, None if oldest is None else now - oldest, tuple(reasons))

    def _oldest(self, stats: QueueStats) -> float | None:
        """Return since when the oldest known change waits, wherever it is on its way."""
        waiting = (self._held_since(), self._rounds.doubtful_since(), stats.oldest)
        return min((since for since in waiting if since is not None), default=None)

    def _bounds(self, oldest: float | None, roots: Sequence[RootStatus]) -> list[float]:
        """Return the monotonic times up to which all is mirrored; the mirror is as old as the oldest."""
        bounds = [time.monotonic() if oldest is None else oldest]
        if any(root.mode != "events" for root in roots):
            bounds.append(self._watcher.polled_since)
        if any(root.degraded for root in roots):
            bounds.append(self._rounds.clean_since or 0.0)
        return bounds

    def _blame(self, now: float, age: float, oldest: float | None, roots: Sequence[RootStatus]) -> str:
        if oldest is not None and now - oldest >= age - 1:
            return f"a change has been waiting for {age:.0f} s"
        if any(root.degraded for root in roots):
            return f"events were lost, and not everything could be compared since {age:.0f} s"
        return f"folders without events were last looked at {age:.0f} s ago"

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
        return DatabaseState(
            name=name,
            backend="postgresql" if is_postgres else "sqlite",
            up=stats.paused is None,
            error=stats.paused,
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
        reconciled_at=shown(last.at),
        age_s=_rounded(now - last.since),
        sessions=report.total,
        missing=report.missing,
        complete=report.complete,
    )


def config_state(source: str) -> ConfigState:
    """Return the configuration's state before the first reload."""
    return ConfigState(source=source)


def shown(moment: datetime) -> str:
    """Return a time as it is shown: ISO 8601 in UTC, with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(seconds: float) -> float:
    return round(seconds, _SECONDS)


def _complaint(part: Progress) -> str:
    if not part.alive:
        return f"the {part.name} has ended; restart the daemon"
    return f"the {part.name} makes no progress" + (f": {part.doing}" if part.doing else "")
