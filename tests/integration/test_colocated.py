"""A program that saves in a tight loop beside its own queue: what that costs, and that it ends well."""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from sessionlib.config import Config
from sessionlib.db.engine import Database
from sessionlib.runtime import Runtime
from tests import builders
from tests.mirrors import World

SAVES = 500


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The sessions root of a project with one session."""
    return builders.make_project(tmp_path / "garden", ["wall"]) / "agents/sessions"


@pytest.fixture
def runtime(config: Config, root: Path) -> Iterator[Runtime]:
    """An open runtime that has mirrored the project."""
    with Runtime.open(config) as opened:
        assert opened.open_project(root.parent.parent).wait(10)
        assert opened.queue.drain(10) == 0
        yield opened


@contextmanager
def held(database: Database) -> Iterator[None]:
    """Let nobody else write into the mirror."""
    if not database.is_postgres:
        with closing(sqlite3.connect(str(database.url.database), isolation_level=None)) as connected:
            connected.execute("BEGIN IMMEDIATE")
            yield
        return
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE session_files, sessions IN SHARE ROW EXCLUSIVE MODE")
        yield


@pytest.mark.timeout(120)
def test_saves_in_a_loop_are_at_worst_a_sync_each(
    runtime: Runtime, world: World, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no debounce: who is quicker than the disk is mirrored as often; the last content wins."""
    caplog.set_level(logging.DEBUG, "sessionlib")
    manager = runtime.manager(root / "wall")
    before, version = runtime.queue.stats(), world.session("wall")["version_seq"]
    for number in range(SAVES):
        manager.set_details(topic=f"topic {number}")
    assert runtime.queue.drain(20) == 0
    after = runtime.queue.stats()
    assert world.session("wall")["topic"] == f"topic {SAVES - 1}"
    written = after.written - before.written
    assert 0 < written <= SAVES
    assert world.session("wall")["version_seq"] - version == written
    # Each may be looked at once more, because its clock's tick was not over.
    assert written <= after.synced - before.synced <= 2 * SAVES
    assert (after.failed, after.owed) == (before.failed, 0)
    # A file that changed each time while it was read is looked at once more: that is no failure.
    assert "sync.retry" not in [getattr(record, "event", None) for record in caplog.records]


def test_a_folder_that_is_dirtied_while_it_runs_runs_once_again(
    runtime: Runtime, world: World, root: Path
) -> None:
    """However many saves come while the database keeps one waiting: that one, and one for all others."""
    manager = runtime.manager(root / "wall")
    before = runtime.queue.stats()
    with held(world.database):
        manager.set_details(topic="the first")
        until = time.monotonic() + 10
        while not runtime.queue.stats().running:
            assert time.monotonic() < until
        for number in range(100):
            manager.set_details(topic=f"topic {number}")
        stats = runtime.queue.stats()
        assert (stats.waiting + stats.running + stats.delayed, stats.synced) == (1, before.synced)
    assert runtime.queue.drain(20) == 0
    after = runtime.queue.stats()
    assert world.session("wall")["topic"] == "topic 99"
    # The third is the look for which the clock's tick was not over.
    assert 1 <= after.synced - before.synced <= 3
    assert after.written - before.written <= 2


def test_the_end_waits_for_the_last_save(config: Config, world: World, root: Path) -> None:
    """Closed right behind the loop, nothing is left over; what comes later the next batch sync finds."""
    runtime = Runtime.open(config)
    manager = runtime.manager(root / "wall")
    for number in range(50):
        manager.set_details(topic=f"topic {number}")
    assert runtime.close() == 0
    assert world.session("wall")["topic"] == "topic 49"
    manager.set_details(topic="too late")
    assert world.session("wall")["topic"] == "topic 49"
    with Runtime.open(config) as again:
        assert again.open_project(root.parent.parent).wait(10)
    assert world.session("wall")["topic"] == "too late"


def test_a_loop_that_goes_on_keeps_nobody_from_ending(config: Config, world: World, root: Path) -> None:
    """The drain has its time and no more; saves go on as if nothing had happened, and none is lost."""
    runtime = Runtime.open(config)
    manager = runtime.manager(root / "wall")
    stop, saved = threading.Event(), [0]

    def save() -> None:
        while not stop.is_set():
            manager.set_details(topic=f"topic {saved[0] + 1}")
            saved[0] += 1

    saver = threading.Thread(target=save)
    saver.start()
    try:
        while saved[0] < 20:
            time.sleep(0.01)
        began = time.monotonic()
        left = runtime.close(timeout=1.0)
        took, count = time.monotonic() - began, saved[0]
        while saved[0] < count + 20:
            time.sleep(0.01)
    finally:
        stop.set()
        saver.join()
    assert took < 5
    assert left in {0, 1}
    with Runtime.open(config) as again:
        assert again.open_project(root.parent.parent).wait(10)
    assert world.session("wall")["topic"] == f"topic {saved[0]}"
