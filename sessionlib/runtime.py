"""Open what a process needs, wire it, and close it in reverse: configuration, database, mirror, queue.

with Runtime.open() as runtime:
    runtime.open_project("~/code/shop").wait()
    runtime.manager("~/code/shop/agents/sessions/2026-02-16_search").transition_to_phase("build")
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sessionlib import config as configuration
from sessionlib.config import Config
from sessionlib.db import schema
from sessionlib.db.crud import hosts
from sessionlib.db.engine import Database
from sessionlib.errors import RecordNotFoundError, SchemaMissingError, StateNotFoundError
from sessionlib.models.base import utc_now
from sessionlib.state.manager import StateManager
from sessionlib.state.scan import FinderOptions, find_roots, sessions_roots_of
from sessionlib.sync.mirror import Mirror, Outcome, Result
from sessionlib.sync.picture import Picture
from sessionlib.sync.places import Place
from sessionlib.sync.queue import SyncQueue
from sessionlib.sync.queue_stats import QueueOptions
from sessionlib.sync.reading import ReadPortion, portion
from sessionlib.sync.reconcile import Reconciler, Report
from sessionlib.sync.registrar import Host, Registrar
from sessionlib.sync.retry import RetryPolicy

_SQLITE_WORKERS = 3
"""One writes while another one reads; the third is there for live work."""
_SQLITE_GROUP = 128
"""Folders of a reconcile in one transaction on SQLite, which writes each page twice that one changes: with
twice as many in each it writes a quarter less. One takes about 60 ms."""

_LAST = 0.5
"""Seconds of a drain that are kept for what is under way when the others are over."""


@dataclass(frozen=True, slots=True)
class ProjectSync:
    """The batch sync of one project: one report for each of its sessions roots."""

    reports: tuple[Report, ...]

    def wait(self, timeout: float | None = None) -> bool:
        """Block until every folder that differed is synced, or so many seconds a root; return if all are."""
        return all(report.ticket.wait(timeout) for report in self.reports)


class Runtime:
    """A process's open house. Made by `open`; closed by `close` or as a context manager.

    Attributes:
        config: The settings in force.
        database: Open, with the current schema.
        queue: Running.
    """

    def __init__(self, config: Config, database: Database, read_portion: ReadPortion = portion) -> None:
        self.config = config
        self.database = database
        self.host = Host(config.host_id(), config.host_name())
        self.finder = FinderOptions(depth=config.watch.depth, sessions_dirs=config.watch.sessions_dirs)
        self.registrar = Registrar(database, self.host)
        self.mirror = Mirror(database, read_portion=read_portion)
        self.queue = SyncQueue(
            self._sync,
            probe=self._probe,
            options=_queue_options(config, is_postgres=database.is_postgres),
        )
        self.reconciler = Reconciler(database, self.mirror, self.queue.submit_batch)

    @classmethod
    def open(
        cls, config: Config | None = None, *, start: bool = True, read_portion: ReadPortion = portion
    ) -> Self:
        """Open the database, upgrade its schema if it is older, and start the queue.

        Args:
            config: The settings; read from the usual places for None.
            start: False leaves the queue's threads to the caller.
            read_portion: Reads session folders; in this process and thread unless told otherwise.

        Raises:
            ConfigError: The configuration cannot be used.
            DatabaseError: The database does not answer, or its schema is newer.
        """
        chosen = config or configuration.load()
        database = open_database(chosen)
        try:
            schema.upgrade(database)
        except BaseException:
            database.close()
            raise
        runtime = cls(chosen, database, read_portion)
        if start:
            runtime.queue.start()
        return runtime

    def manager(self, session_dir: Path | str, *, read_only: bool = False) -> StateManager:
        """Return a StateManager whose saves are mirrored in the background."""
        return StateManager(_absolute(session_dir), self.queue.submit, read_only=read_only)

    def open_project(self, path: Path | str, *, accept_missing: bool = False) -> ProjectSync:
        """Start the batch sync of a project: its sessions roots are compared, what differs is queued.

        Args:
            path: A project folder; or any folder above projects.
            accept_missing: Believe a mass disappearance without another confirmation.

        Raises:
            StateNotFoundError: There is no such folder, or no sessions in it.
            DatabaseError: The database does not answer.
        """
        places = self.places_below(_absolute(path))
        reports = [self.reconcile(place.path, accept_missing=accept_missing) for place in places]
        return ProjectSync(tuple(reports))

    def places_below(self, path: Path) -> list[Place]:
        """Return the sessions roots below a folder, those known from before included.

        Raises:
            StateNotFoundError: There is neither.
        """
        found = sessions_roots_of(path, self.finder) or find_roots(path, self.finder).roots
        places = {place.path: place for place in (self.registrar.place_of(root.path) for root in found)}
        real = Path(os.path.realpath(path))  # not Path.resolve: it raises for links that lead in circles
        for place in self.registrar.places():
            if place.path.is_relative_to(real):
                places.setdefault(place.path, place)
        if not places:
            raise StateNotFoundError(
                f"no sessions below {path}",
                session_dir=path,
                hint=f"a project keeps them in {' or '.join(self.finder.sessions_dirs)}",
            )
        return list(places.values())

    def change(self, config: Config) -> None:
        """Work with other settings of the queue and of the database's connections from now on.

        Raises:
            DatabaseError: The database does not answer under its new URL; everything stays as it was.
        """
        pool = _pool_size(config)
        if config.database_url != self.config.database_url or pool != _pool_size(self.config):
            self.database.reconnect(config.database_url, pool_size=pool)
        self.queue.change(_queue_options(config, is_postgres=self.database.is_postgres))
        self.config = config

    def vouch(self) -> None:
        """Write the host's heartbeat: everything that could be read has been mirrored by now."""
        with self.database.write() as connection:
            hosts.ensure(connection, self.host.host_id, self.host.name)
            hosts.beat(connection, self.host.host_id, utc_now())

    def close(self, timeout: float = 20.0) -> int:
        """Drain the queue for at most so many seconds and close; return how many folders are left over.

        Nothing is lost by a remainder: the next reconcile finds it.
        """
        left = self.drain(timeout)
        self.database.close()
        return left

    def drain(self, timeout: float) -> int:
        """Drain the queue for at most so many seconds and end its workers; return the folders left over."""
        deadline = time.monotonic() + timeout
        # Where somebody goes on saving it is never empty: what runs at the end must not lose its connection.
        self.queue.drain(timeout - min(_LAST, timeout / 4))
        return self.queue.close(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _sync(self, paths: Sequence[Path], settled: frozenset[Path]) -> list[Result]:
        """Sync folders that lie in one root; the queue's work."""
        slugs = [path.name for path in paths]
        final = {path.name for path in settled}
        try:
            place = self.registrar.place_of(paths[0].parent)
            results = self.mirror.sync(place, slugs, settled=final)
            rejected = [result.slug for result in results if result.outcome is Outcome.REJECTED]
            if rejected:
                # Perhaps another process has merged or removed the project, or the database is another one:
                # look it up anew, once.
                self.registrar.forget(paths[0].parent)
                now = self.registrar.place_of(paths[0].parent)
                is_same = (now.project_id, now.workspace_id) == (place.project_id, place.workspace_id)
                some = rejected if is_same else slugs
                again = {result.slug: result for result in self.mirror.sync(now, some, settled=final)}
                results = [again.get(result.slug, result) for result in results]
        except StateNotFoundError:
            return [Result(slug, Outcome.ABSENT) for slug in slugs]
        return results

    def picture(self, sessions_paths: Sequence[Path]) -> Picture:
        """Read what is stored of some sessions roots; those that are not registered are left out.

        Raises:
            DatabaseError: The database does not answer.
        """
        known = (self.registrar.known(path) for path in sessions_paths)
        return self.reconciler.picture([place for place in known if place is not None])

    def reconcile(
        self, sessions_path: Path, *, accept_missing: bool = False, picture: Picture | None = None
    ) -> Report:
        """Compare one sessions root with the database; what differs is queued.

        Args:
            sessions_path: The root.
            accept_missing: Believe a mass disappearance without another confirmation.
            picture: What was stored of it a moment ago, see `Reconciler.reconcile`.

        Raises:
            StateNotFoundError: The folder is not there and was never registered.
            DatabaseError: The database does not answer.
        """
        place = self.registrar.place_of(sessions_path)
        try:
            return self.reconciler.reconcile(place, accept_missing=accept_missing, picture=picture)
        except RecordNotFoundError:
            # Another process has merged or removed its project meanwhile.
            self.registrar.forget(sessions_path)
            place = self.registrar.place_of(sessions_path)
            return self.reconciler.reconcile(place, accept_missing=accept_missing)

    def revive(self) -> bool:
        """Ask the database for a sign of life; make its schema anew if somebody has deleted it.

        Returns:
            Whether it was made anew, so that everything is to be mirrored again.

        Raises:
            DatabaseError: The database does not answer, or its schema is newer.
        """
        self.database.probe()
        try:
            schema.require_current(self.database)
        except SchemaMissingError:
            schema.upgrade(self.database)
            self.registrar.forget()
            return True
        return False

    def _probe(self) -> None:
        self.revive()


def open_database(config: Config) -> Database:
    """Open the configured database; its schema is not looked at.

    Raises:
        ConfigError: The URL cannot be used.
    """
    return Database(config.database_url, pool_size=_pool_size(config), pgbouncer=config.database.pgbouncer)


def _pool_size(config: Config) -> int:
    """Return how many connections to keep: one a worker, and two for those who read."""
    return (config.sync.workers or 4) + 2


def _queue_options(config: Config, *, is_postgres: bool) -> QueueOptions:
    sync = config.sync
    policy = RetryPolicy(attempts=sync.attempts, first=sync.first_delay, cap=sync.longest_delay)
    if is_postgres:
        return QueueOptions(workers=sync.workers or 4, policy=policy)
    return QueueOptions(workers=sync.workers or _SQLITE_WORKERS, batch_most=_SQLITE_GROUP, policy=policy)


def _absolute(path: Path | str) -> Path:
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - resolve() would follow links
