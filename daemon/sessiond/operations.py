"""What an operator, or a UI, can ask of a running daemon: the backend of the control routes.

It answers from the first moment, also while the daemon still waits for its database and has no parts.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from sessiond import reload
from sessiond.agenda import EVERYTHING
from sessiond.control.backend import Freshness
from sessiond.control.exports import Exports
from sessiond.feed import Feed
from sessiond.logs import Logs
from sessiond.parts import Parts
from sessiond.rescans import RootCounts
from sessiond.targets import Target
from sessionlib import __version__
from sessionlib.config import Config
from sessionlib.control.status import ConfigState, DatabaseState, QueueState, Status, TrackingState
from sessionlib.db.engine import public_name
from sessionlib.errors import DatabaseUnavailableError
from sessionlib.journal.adapters import ADAPTERS
from sessionlib.journal.spool import Spool
from sessionlib.models.base import iso_milliseconds, utc_now
from sessionlib.sync import candidates
from sessionlib.sync.places import stored_name

_FRESH_FOR = 0.01
"""Seconds for which a judgement is good enough for those who ask many times a second."""


class Operations:
    """The daemon as its operators see it; safe to use from any thread.

    Attributes:
        feed: The change feed.
        state: starting, ready or stopping.
        listen: host:port of the loopback listener, if there is one.
        config: The configuration in force, and how the last reload went.

    Args:
        config: The settings at the start.
        logs: Tells what of the log was lost.
        ask_reload: Asks the service to read its configuration again.
    """

    def __init__(
        self, config: Config, *, logs: Logs, ask_reload: Callable[[], "Future[dict[str, Any]]"]
    ) -> None:
        self.feed = Feed()
        self.state = "starting"
        self.listen: str | None = None
        self.config = ConfigState(source=config.source)
        self._settings = config
        self._spool = Spool(config.locations.spool)
        self._exports = Exports(self._spool, ADAPTERS)
        self._logs = logs
        self._ask_reload = ask_reload
        self._started_at = iso_milliseconds(utc_now())
        self._parts: Parts | None = None
        self._waiting_since = time.monotonic()
        self._waiting_for: str | None = "it is being opened"
        self._last: Freshness | None = None
        self._judged: tuple[float, Freshness] | None = None

    def attach(self, parts: Parts) -> None:
        """Answer from these parts from now on."""
        self._judged = None
        self._parts = parts

    def opened(self) -> None:
        """Note that the database is open, and that the watches are being set up."""
        self._waiting_for = None

    def stop(self) -> Status:
        """Note that the daemon stops; returns the last snapshot, beyond which nothing is vouched for."""
        last = self.status()
        if self._parts is not None:
            health = self._parts.board.health()
            reasons = ("the daemon is stopping", *health.reasons)
            self._last = Freshness(health.as_of, stale=True, reasons=reasons)
        self.state = "stopping"
        return last

    def rescan_all(self) -> None:
        """Ask for a comparison of everything that nobody waits for; the start is one by itself."""
        if self._parts is not None:
            self._parts.rescan(Target())

    def waiting_for_database(self, error: str) -> None:
        """Note why the database cannot be opened yet."""
        self._waiting_for = error

    def change(self, config: Config) -> None:
        """Let the parts, if there are any yet, work with another configuration.

        Raises:
            DatabaseError: The database does not answer under its new URL; everything stays as it was.
        """
        if self._parts is not None:
            reload.apply(self._parts, config)
        self._settings = config

    # --- the backend ---------------------------------------------------------------------------

    @property
    def database_name(self) -> str:
        """The database's URL without its password."""
        if self._parts is not None:
            return self._parts.runtime.database.name
        return public_name(self._settings.database_url)

    @property
    def exports(self) -> Exports | None:
        """Keeps what clients export by telemetry, also without a database; None when that is off."""
        tracking = self._settings.tracking
        return self._exports if tracking.telemetry and tracking.hooks else None

    def status(self) -> Status:
        """Return a snapshot of everything; takes milliseconds and never waits for the database."""
        return self._waiting() if self._parts is None else self._running(self._parts)

    def freshness(self) -> Freshness:
        """Return how fresh the mirror is now, or was a few milliseconds ago."""
        if self._last is not None:
            return self._last
        if self._parts is None:
            return Freshness(None, stale=True, reasons=self._reasons_to_wait())
        now = time.monotonic()
        if self._judged is None or now - self._judged[0] > _FRESH_FOR:
            health = self._parts.board.health()
            self._judged = now, Freshness(health.as_of, bool(health.reasons), health.reasons)
        return self._judged[1]

    def rescan(self, target: Target, *, keep: bool = False) -> "Future[list[RootCounts]]":
        """Ask for a comparison; the future ends once all that differed is committed."""
        if self._parts is not None:
            return self._parts.rescans.ask(target, keep=keep)
        refused: Future[list[RootCounts]] = Future()
        refused.set_exception(self._not_yet())
        return refused

    def add_project(self, path: Path) -> dict[str, Any]:
        """Register the project at a folder, watch it and plan its comparison.

        Raises:
            StateNotFoundError: There is no such folder.
            UsageError: It cannot be one project.
            DatabaseError: The database does not answer.
        """
        parts = self._open()
        parts.upgrades.refuse()
        candidates.check(path, parts.runtime.finder)
        workspace = parts.runtime.registrar.register_project(path)
        parts.rounds.request(EVERYTHING, "project added")
        return workspace.model_dump(mode="json") | {"path": stored_name(str(path.resolve()))}

    def canary(self) -> dict[str, Any] | None:
        """Let a file in the state folder be seen by the watcher; blocks for some seconds at most.

        Raises:
            DatabaseError: The daemon still waits for its database, and watches nothing yet.
        """
        song = self._open().canary.sing()
        return None if song is None else song._asdict()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction for reading.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self._open().runtime.database.read() as connection:
            yield connection

    def reload(self) -> "Future[dict[str, Any]]":
        """Read the configuration again; ends with what was applied and what needs a restart."""
        return self._ask_reload()

    # --- snapshots -----------------------------------------------------------------------------

    def _open(self) -> Parts:
        if self._parts is None:
            raise self._not_yet()
        return self._parts

    def _not_yet(self) -> DatabaseUnavailableError:
        if self._waiting_for is None:
            return DatabaseUnavailableError(
                "the daemon is still starting: it sets up its watches", hint="ask again in a moment"
            )
        return DatabaseUnavailableError(
            f"the daemon is still waiting for its database: {self._waiting_for}",
            hint="start the database; sessionctl status tells when it is back",
        )

    def _reasons_to_wait(self) -> tuple[str, ...]:
        if self._waiting_for is None:
            return ("starting: the watches are being set up",)
        return (f"waiting for the database: {self._waiting_for}",)

    def _waiting(self) -> Status:
        """Return the snapshot of a daemon that has no parts yet."""
        url = make_url(self._settings.database_url)
        is_up = self._waiting_for is None
        database = DatabaseState(
            name=self.database_name,
            backend=url.get_backend_name(),
            up=is_up,
            error=self._waiting_for,
            down_s=None if is_up else round(time.monotonic() - self._waiting_since, 3),
        )
        nothing = QueueState(
            workers=0,
            waiting=0,
            running=0,
            delayed=0,
            owed=0,
            behind=0,
            synced=0,
            written=0,
            failed=0,
            retried=0,
        )
        return self._snapshot(database, nothing, reasons=self._reasons_to_wait())

    def _running(self, parts: Parts) -> Status:
        board, database = parts.board, parts.runtime.database
        health = board.health()
        return self._snapshot(
            board.database_state(database.name, is_postgres=database.is_postgres),
            board.queue_state(),
            reasons=health.reasons,
            as_of=None if health.as_of is None else iso_milliseconds(health.as_of),
            age_s=None if health.age is None else round(health.age, 3),
            oldest_unsynced_s=None if health.oldest is None else round(health.oldest, 3),
            overflows=parts.watcher.overflows,
            events=parts.watcher.events,
            hints=parts.watcher.hints,
            watches=parts.watcher.watches,
            watch_descriptor=parts.watcher.descriptor,
            owed=board.owed(),
            roots=board.roots(),
            workspaces=board.workspaces(parts.name_of),
            parts=board.part_states(),
            tracking=self._tracking(parts),
            unreadable=parts.changes.unreadable,
        )

    def _tracking(self, parts: Parts) -> TrackingState | None:
        state = parts.tracking()
        if state is None:
            return None
        try:
            dead = len(self._spool.buried())
        except OSError:
            return state
        return replace(state, dead=dead)

    def _snapshot(
        self, database: DatabaseState, queue: QueueState, *, reasons: tuple[str, ...], **more: Any
    ) -> Status:
        facts: dict[str, Any] = {"as_of": None, "age_s": None, "oldest_unsynced_s": None, "overflows": 0}
        return Status(
            version=__version__,
            pid=os.getpid(),
            host_id=str(self._settings.host_id()),
            started_at=self._started_at,
            state=self.state,
            at=iso_milliseconds(utc_now()),
            stale=bool(reasons),
            reasons=reasons,
            subscribers=self.feed.listeners,
            changes=self.feed.published,
            socket=str(self._settings.locations.socket),
            listen=self.listen,
            database=database,
            queue=queue,
            config=self.config,
            log_lost=self._logs.lost,
            log_error=self._logs.error,
            **(facts | more),
        )
