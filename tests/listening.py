"""A listening channel for tests, with all that it was told, on a fresh PostgreSQL.

A test module imports the fixtures it uses.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from sessiond.channel import Channel
from sessiond.feed import Change
from sessiond.targets import Target
from sessionlib.db.channel import Listener
from sessionlib.db.engine import Database

Wait = Callable[..., None]
HERE, THERE = UUID(int=1), UUID(int=2)
LISTENER = "SELECT pid FROM pg_stat_activity WHERE application_name = 'sessiond listener' AND datname = %s"


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """A fresh PostgreSQL database."""
    opened = Database(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def plain(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A connection of somebody who knows nothing of us."""
    with connected(database) as connection:
        yield connection


@contextlib.contextmanager
def connected(database: Database) -> Iterator[psycopg.Connection[Any]]:
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


class Ears:
    """A channel and what it was told, with times."""

    def __init__(self, database: Database, host: UUID = HERE, **more: Any) -> None:
        self.targets: list[tuple[Target, float]] = []
        self.told: list[list[Change]] = []
        self.reconnected = 0
        self.channel = Channel(
            database,
            host_id=host,
            on_rescan=self._rescan,
            on_changes=self.told.append,
            on_reconnect=self._reconnect,
            **more,
        )

    def _rescan(self, target: Target) -> None:
        self.targets.append((target, time.monotonic()))

    def _reconnect(self) -> None:
        self.reconnected += 1

    @property
    def asked(self) -> list[Target]:
        return [target for target, _ in self.targets]


@pytest.fixture
def ears(database: Database, wait_until: Wait) -> Iterator[Ears]:
    """A channel that listens."""
    made = Ears(database, host_name="anvil")
    made.channel.start()
    wait_until(lambda: made.channel.listening, "listening")
    yield made
    made.channel.stop()


def listeners(plain: psycopg.Connection[Any]) -> list[int]:
    """Return the server's processes that serve listeners of this database."""
    return [row[0] for row in plain.execute(LISTENER, (plain.info.dbname,))]


def events(caplog: pytest.LogCaptureFixture, prefix: str = "channel.") -> list[str]:
    """Return the events that were logged."""
    names = [getattr(record, "event", "") for record in caplog.records]
    return [name for name in names if name.startswith(prefix)]


def change(number: int = 1, **more: Any) -> Change:
    """Return a change of a made-up session of this host."""
    fields: dict[str, Any] = {
        "kind": "changed",
        "at": "2026-01-05T09:00:00.000Z",
        "project": "garden",
        "project_id": str(UUID(int=7)),
        "session_id": str(UUID(int=number)),
        "root": "agents/sessions",
        "slug": f"s{number}",
        "seq": number,
        "phase": "build",
        "status": "active",
        "host_id": str(HERE),
    }
    return Change(**(fields | more))


def wait_often(listener: Listener) -> None:
    """Wait a few times: the server's last words come before the end of the connection."""
    for _ in range(5):
        listener.wait(5)


def drained(listener: Listener, seconds: float = 0.2) -> list[Any]:
    """Return all that has arrived, once nothing has come for so long."""
    heard: list[Any] = []
    while more := listener.wait(seconds):
        heard += more
    return heard
