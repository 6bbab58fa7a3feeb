"""What a daemon says about itself: one immutable snapshot, the same for status, metrics and health.

Times are ISO 8601 texts in UTC, ages and durations are seconds. Everything is JSON as it stands; unknown keys
are ignored when read, so that an older client understands a newer daemon.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseState:
    """The database as the queue sees it: `name` holds no password; `error` while it is down."""

    name: str
    backend: str
    up: bool
    error: str | None = None
    down_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """The sync queue: what it holds now, and what it has done since the daemon's start.

    `behind` are the owed folders that can be read: for them the mirror does not equal the files.
    """

    workers: int
    waiting: int
    running: int
    delayed: int
    owed: int
    behind: int
    synced: int
    written: int
    failed: int
    retried: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedFolder:
    """A session folder whose tries are used up, and its last error."""

    path: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RootState:
    """How a watched folder is being watched: `mode` is events, polling or mixed, `reason` why not events.

    Of `folders` folders `watches` have a kernel watch; `filesystem` is None where its type is not known.
    """

    path: str
    mode: str
    reason: str | None
    watches: int
    sessions_roots: int
    degraded: bool
    folders: int = 0
    filesystem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceState:
    """One sessions root: when it was last compared with the database, and what was there.

    `project` is None while the project's name has not been looked up; `complete` is False when the folder
    could not be listed, `missing` True when it was not there.
    """

    project: str | None
    path: str
    reconciled_at: str
    age_s: float
    sessions: int
    missing: bool
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingState:
    """What is read of the agents' own journals.

    Attributes:
        spooled: Deliveries of hooks that wait.
        dropped: Deliveries that were lost because the spool was full.
        stored: Deliveries stored since the start.
        buried: Deliveries that could not be used and were put aside since the start.
        lines: Lines of transcripts read since the start.
        dead: Deliveries that were put aside and lie in the spool now; None when they cannot be listed.
        unlinked: Active conversations that work on no session that is known; None before the first look.
        last_delivery_at: When a hook that was heard of last ran; None before.
        error: Why nothing is stored at present.
    """

    spooled: int
    dropped: int
    stored: int
    buried: int
    lines: int
    dead: int | None = None
    unlinked: int | None = None
    last_delivery_at: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartState:
    """One part of the process and its progress.

    Attributes:
        name: watcher, debouncer, queue, rounds, feed, control or channel.
        alive: False when its thread has ended.
        stuck: True when it has work and has made no progress for too long.
        idle_s: Seconds since it last did something; None before.
        doing: What it is at, in words; None when it waits.
    """

    name: str
    alive: bool
    stuck: bool
    idle_s: float | None
    doing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigState:
    """Which configuration is in force, and how the last reload went."""

    source: str
    reloaded_at: str | None = None
    reload_error: str | None = None
    needs_restart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The daemon at one moment.

    Attributes:
        state: starting, ready, stopping or stopped.
        at: When this snapshot was taken.
        as_of: The mirror holds everything that was on disk then; None when that is not known yet.
        age_s: Seconds between `as_of` and `at`.
        stale: True when `reasons` is not empty.
        reasons: Why the mirror must not be trusted to be fresh, in words, the gravest first.
        oldest_unsynced_s: How long the oldest known change has been waiting to be mirrored; None without one.
        overflows: How often events were lost since the start.
        events: File events read since the start; our own reading and writing raises none.
        hints: Folders that those, and looks where there are no events, said to look at.
        watches: Kernel watches that stand, all watched folders together.
        watch_descriptor: Which of the process's descriptors holds them; None without events.
        subscribers: Listeners to the change feed.
        changes: Changes published on the feed since the start.
        log_lost: Log lines that could not be written since the start.
        log_error: Why, while that lasts.
        tracking: How reading the agents' journals gets on; None when none are read.
        unreadable: Sessions with a file that cannot be read, by the last look at the database; None before.
        socket: Where the control routes are served.
        listen: host:port of the loopback listener, if there is one.
    """

    version: str
    pid: int
    host_id: str
    started_at: str
    state: str
    at: str
    as_of: str | None
    age_s: float | None
    stale: bool
    reasons: tuple[str, ...]
    oldest_unsynced_s: float | None
    overflows: int
    subscribers: int
    changes: int
    socket: str
    listen: str | None
    database: DatabaseState
    queue: QueueState
    config: ConfigState
    owed: tuple[OwedFolder, ...] = ()
    roots: tuple[RootState, ...] = ()
    workspaces: tuple[WorkspaceState, ...] = ()
    parts: tuple[PartState, ...] = ()
    events: int = 0
    hints: int = 0
    watches: int = 0
    watch_descriptor: int | None = None
    log_lost: int = 0
    log_error: str | None = None
    tracking: TrackingState | None = None
    unreadable: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, perhaps in another version.

        Raises:
            ValueError: A key this version cannot do without is not there, or has another shape.
        """
        try:
            values = _known(cls, tree)
            for name, single in _SINGLE.items():
                values[name] = single(**_known(single, tree[name]))
            for name, many in _MANY.items():
                values[name] = tuple(many(**_known(many, entry)) for entry in tree.get(name, ()))
            tracking = tree.get("tracking")
            values["tracking"] = tracking and TrackingState(**_known(TrackingState, tracking))
            values["reasons"] = tuple(tree["reasons"])
            config = values["config"]
            values["config"] = dataclasses.replace(config, needs_restart=tuple(config.needs_restart))
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            message = f"this is not the status of a sessiond that is understood here: {error}"
            raise ValueError(message) from error


_SINGLE: dict[str, type[Any]] = {"database": DatabaseState, "queue": QueueState, "config": ConfigState}
_MANY: dict[str, type[Any]] = {
    "owed": OwedFolder,
    "roots": RootState,
    "workspaces": WorkspaceState,
    "parts": PartState,
}


def _known(kind: type[Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: tree[field.name] for field in dataclasses.fields(kind) if field.name in tree}
