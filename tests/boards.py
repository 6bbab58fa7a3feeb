"""Real parts of a daemon on a small tree, with ways to slow, stop and hold what they rest on.

A test module imports the fixtures it uses.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sessiond.feed import Feed
from sessiond.parts import Parts
from sessionlib.config import Config, DaemonConfig, DatabaseConfig, WatchConfig
from sessionlib.db.engine import Database
from sessionlib.runtime import Runtime
from sessionlib.sync.picture import Picture
from sessionlib.sync.reconcile import Report
from tests import builders, postgres
from tests.conftest import Wait

ROOT = "agents/sessions"
Start = Callable[..., Parts]


@pytest.fixture(name="config")
def config_fixture(database_url: str, tmp_path: Path) -> Config:
    """Settings for a fresh database, a watched folder with one project, and a host of its own."""
    builders.make_project(tmp_path / "code" / "shop", ["one", "two", "three"])
    return Config(
        watch=WatchConfig(roots=(tmp_path / "code",), poll_interval=0.2),
        database=DatabaseConfig(url=database_url),
        daemon=DaemonConfig(state_dir=tmp_path / "state", host_id=UUID(int=1), stale_after=0.5),
    )


@pytest.fixture(name="start")
def start_fixture(config: Config) -> Iterator[Start]:
    """Start the parts of a daemon, with other settings for some sections; stopped at the end."""
    started: list[Parts] = []

    def begin(prepare: Callable[[Runtime], object] = lambda _: None, **watch: Any) -> Parts:
        chosen = config.model_copy(update={"watch": config.watch.model_copy(update=watch)})
        runtime = Runtime.open(chosen, start=False)
        prepare(runtime)
        started.append(Parts(chosen, runtime, Feed()))
        started[-1].start()
        return started[-1]

    yield begin
    for parts in started:
        parts.stop(10.0)


@pytest.fixture(name="fresh")
def fresh_fixture(start: Start, wait_until: Wait) -> Parts:
    """Running parts whose first round is over."""
    parts = start()
    wait_until(lambda: parts.board.vouched and not parts.board.health().reasons, "a fresh mirror")
    return parts


@contextmanager
def no_writes(database: Database) -> Iterator[None]:
    """Keep everybody else from writing sessions: a writer waits, as it does for a database that is slow."""
    other = Database(database.url)
    try:
        with other.write() as connection:
            if other.is_postgres:
                connection.exec_driver_sql("LOCK TABLE session_files, hosts IN EXCLUSIVE MODE")
            yield
    finally:
        other.close()


Down = Callable[[], AbstractContextManager[None]]


@pytest.fixture(name="down")
def down_fixture(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Down:
    """Take the database away for a while."""

    @contextmanager
    def file_away() -> Iterator[None]:
        path = tmp_path / "mirror.db"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        path.rename(tmp_path / "kept.db")
        path.mkdir()
        yield
        path.rmdir()
        (tmp_path / "kept.db").rename(path)

    @contextmanager
    def no_logins() -> Iterator[None]:
        server = request.getfixturevalue("postgres_server")
        name = Database(database_url).url.database
        postgres.execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        ending = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        postgres.execute(server, ending)
        try:
            yield
        finally:
            postgres.execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    return file_away if database_url.startswith("sqlite") else no_logins


class Gate:
    """Holds comparisons up until it is opened."""

    def __init__(self, runtime: Runtime) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self._real = runtime.reconcile
        runtime.reconcile = self._wait  # type: ignore[method-assign]

    def _wait(self, path: Path, *, accept_missing: bool = False, picture: Picture | None = None) -> Report:
        self.reached.set()
        assert self.open.wait(20)
        return self._real(path, accept_missing=accept_missing, picture=picture)


def save(config: Config, topic: str = "changed", slug: str = "one") -> None:
    """Save one session."""
    builders.make_session(config.watch.roots[0] / "shop" / ROOT, slug, builders.v2(topic=topic))
