"""A change feed for tests: a finder on a mirror driven by hand, with all that it publishes.

A test module imports the fixtures it uses.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sessiond.changes import Changes
from sessiond.feed import Change, Entry, Feed
from sessionlib.db.engine import Database
from sessionlib.models.base import utc_now
from sessionlib.sync.mirror import Result
from tests import builders
from tests.mirrors import Clock, World

Wait = Callable[..., None]
HERE, THERE = UUID(int=1), UUID(int=2)


class Moving(Clock):
    """The real clock, put forward when told to."""

    def __init__(self) -> None:
        super().__init__(utc_now())
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead

    def tick(self, seconds: float = 6.0) -> datetime:
        self.ahead += timedelta(seconds=seconds)
        return self()


class Watch:
    """A finder on a world, what it published, and what it announced."""

    def __init__(self, world: World, wait_until: Wait, host: UUID = HERE) -> None:
        self.world = world
        self.heard: list[Change] = []
        self.announced: list[Change] = []
        self._wait = wait_until
        self.feed = Feed()
        self.feed.subscribe(self._hear)
        self.changes = Changes(
            world.database,
            self.feed,
            host_id=host,
            started_at=world.clock(),
            announce=self._announce,
            gather=0.01,
        )
        self.changes.start()

    def _hear(self, entry: Entry) -> None:
        self.heard.append(entry.change)

    def _announce(self, changes: Sequence[Change]) -> None:
        assert list(changes) == self.heard[-len(changes) :]
        self.announced += changes

    def touch(self, *folders: Path) -> list[Result]:
        """Sync these folders as the queue would, and ring for each."""
        results = self.world.sync(*folders)
        self.ring(*folders)
        return results

    def ring(self, *folders: Path) -> None:
        for folder in folders:
            self.changes.touched(self.world.place(folder.parent), folder.name)

    def look(self) -> list[Change]:
        """Wait until all doorbells are answered; return what was published meanwhile."""
        self._wait(
            lambda: not self.changes.pending and self.changes.progress().holding_since is None, "a look"
        )
        heard, self.heard = self.heard, []
        return heard


@pytest.fixture
def world(mirror_database: Database) -> World:
    """A mirror driven by hand, with the real clock."""
    return World(mirror_database, clock=Moving())


@pytest.fixture
def watch(world: World, wait_until: Wait) -> Iterator[Watch]:
    """A finder that started before anything was synced."""
    made = Watch(world, wait_until)
    yield made
    made.changes.stop()


def short(changes: list[Change]) -> list[tuple[str, int]]:
    """Return what happened, and the numbers of the versions."""
    return [(change.kind, change.seq) for change in changes]


def save(folder: Path, number: int, **more: Any) -> Path:
    """Save a session so that its content and its time differ from every other number's."""
    builders.write_json(
        folder / "state.json", builders.v2(topic=str(number), updated_at=builders.at(number), **more)
    )
    return folder
