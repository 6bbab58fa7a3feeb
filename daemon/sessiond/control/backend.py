"""What the routes can ask of the daemon. The service implements it; the routes know nothing else of it."""

from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sessiond.feed import Feed
from sessiond.rescans import RootCounts
from sessiond.targets import Target
from sessionlib.control.status import Status

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sessiond.control.exports import Exports

__all__ = ["Backend", "Freshness", "RootCounts", "Target"]


class Freshness(NamedTuple):
    """The mirror holds everything that was on disk at `as_of`; `reasons` say why it is stale, if it is."""

    as_of: datetime | None
    stale: bool
    reasons: tuple[str, ...]


class Backend(Protocol):
    """The daemon, as the routes see it. Every method may be called from any thread.

    `status`, `freshness` and `rescan` return within milliseconds and never wait for the database; the others
    may take as long as a query, and belong on a worker thread.
    """

    @property
    def feed(self) -> Feed:
        """The change feed."""
        ...

    @property
    def database_name(self) -> str:
        """The database's URL without its password."""
        ...

    @property
    def exports(self) -> "Exports | None":
        """Keeps what clients export by telemetry; None when that is off."""
        ...

    def status(self) -> Status:
        """Return a snapshot."""
        ...

    def freshness(self) -> Freshness:
        """Return how fresh the mirror is now."""
        ...

    def rescan(self, target: Target, *, keep: bool = False) -> "Future[list[RootCounts]]":
        """Ask for a comparison; the future ends once all that differed is committed, or fails.

        With `keep` nobody waits for the future: a belief that the database keeps from being told is told when
        it is back, and the log tells of what cannot be done.

        Requests for the same target that have not begun share one comparison; one that has begun is never
        shared, because files may have changed behind it. The future fails with a `SessionlibError`: a target
        that is not known and lies outside the watched roots (`StateNotFoundError`, with the way to add it),
        no such project (`RecordNotFoundError`), the database is down (`DatabaseError`), the daemon is
        stopping. Cancelling it only stops the waiting.
        """
        ...

    def add_project(self, path: Path) -> dict[str, Any]:
        """Register the project at a folder, watch it and plan its comparison; return it as JSON values.

        Raises:
            StateNotFoundError: There is no such folder.
            UsageError: It cannot be one project.
            DatabaseError: The database does not answer.
        """
        ...

    def canary(self) -> dict[str, Any] | None:
        """Write a file where only the daemon writes, and tell whether and when the watcher heard of it.

        Returns JSON values: `arrived`, `after_s`, `mode` (events, polling or mixed) and `reason`; None while
        another request does the same. Blocks for some seconds at most; no row comes of it.

        Raises:
            DatabaseError: Nothing is watched yet, because the database does not answer.
        """
        ...

    def reading(self) -> "AbstractContextManager[Connection]":
        """Open a transaction for reading.

        Raises:
            DatabaseError: The database does not answer.
        """
        ...

    def reload(self) -> "Future[dict[str, Any]]":
        """Read the configuration again, as SIGHUP does; ends with what was applied and what needs a restart.

        Fails with a `ConfigError` when the file cannot be used; the old settings stay in force.
        """
        ...
