"""Other hosts, other processes, and troubles: every change once, whoever committed it, on both databases."""

import logging
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sessiond.changes import Changes
from sessiond.feed import Change, Entry, Feed
from sessionlib.models.base import utc_now
from sessionlib.sync.queue import SyncQueue
from tests import builders, mirrors
from tests.feeding import HERE, THERE, Wait, Watch, save, short, watch, world
from tests.mirrors import Clock, World

__all__ = ["watch", "world"]


# --- other hosts -----------------------------------------------------------------------------------


@pytest.fixture
def other(world: World, wait_until: Wait) -> Iterator[Watch]:
    """A finder on another host, with the same database."""
    made = Watch(World(world.database, clock=world.clock), wait_until, THERE)
    yield made
    made.changes.stop()


def test_another_hosts_word(watch: Watch, other: Watch, root: Path) -> None:
    """What another host announces is looked up and published once, as its change, and not announced again."""
    folder = builders.make_session(root, "wall", builders.v2())
    for number in range(1, 4):
        other.touch(folder)
        save(folder, number)
    told = other.look()
    assert other.announced == told
    watch.changes.relay(told)
    watch.changes.relay(told)
    assert watch.look() == told
    assert watch.announced == []
    assert {change.host_id for change in told} == {str(THERE)}


class Behind(Clock):
    """A clock that is two hours behind."""

    def __call__(self) -> datetime:
        return utc_now() - timedelta(hours=2)


def test_another_hosts_clock(watch: Watch, root: Path, wait_until: Wait) -> None:
    """A version that was recorded before our start, by the clock of the host that tells of it, is news."""
    slow = Watch(World(watch.world.database, clock=Behind()), wait_until, THERE)
    slow.touch(builders.make_session(root, "wall", builders.v2()))
    told = slow.look()
    slow.changes.stop()
    watch.ring(root / "wall")
    assert watch.look() == []
    watch.changes.relay(told)
    assert watch.look() == told != []


@pytest.mark.parametrize("missed", [0, 1, 3])
def test_word_that_was_lost_in_part(watch: Watch, other: Watch, root: Path, missed: int) -> None:
    """A later announcement brings what the lost ones told, for a session that is known here."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    watch.look()
    for number in range(1, 6):
        save(folder, number)
        other.touch(folder)
        other.look()
    watch.changes.relay(other.announced[missed + 1 :])
    assert short(watch.look()) == [("changed", seq) for seq in range(2, 7)]


def test_what_is_committed_out_of_turn(world: World, root: Path, wait_until: Wait) -> None:
    """A row that is stored later than one with a newer time is found by the next comparison."""
    newer, older = (builders.make_session(root, slug, builders.v2()) for slug in ("newer", "older"))
    world.clock.tick(-60)
    watch = Watch(world, wait_until)
    for folder, seconds in ((newer, 40), (older, -10)):
        world.clock.tick(seconds)
        world.sync(folder)
        watch.changes.reconciled(world.place(root))
        assert [change.slug for change in watch.look()] == [folder.name]
        watch.changes.reconciled(world.place(root))
        assert watch.look() == []
    watch.changes.stop()


# --- troubles --------------------------------------------------------------------------------------


def test_a_database_that_is_down(watch: Watch, root: Path, wait_until: Wait) -> None:
    """While it cannot be asked nothing is lost, nobody waits, and afterwards each change comes once."""
    folders = [builders.make_session(root, f"s{number}", builders.v2()) for number in range(3)]
    watch.touch(folders[0])
    watch.look()
    watch.world.sync(*folders)
    with watch.world.database.write() as connection:
        connection.execute(text("ALTER TABLE session_versions RENAME TO hidden_versions"))
    try:
        watch.ring(*folders)
        wait_until(lambda: watch.changes.progress().doing == "waiting for the database")
        watch.changes.reconciled(watch.world.place(root))
        time.sleep(0.5)
        assert watch.heard == []
        wait_until(lambda: watch.changes.pending >= 3)
        assert watch.changes.progress().holding_since is None
    finally:
        with watch.world.database.write() as connection:
            connection.execute(text("ALTER TABLE hidden_versions RENAME TO session_versions"))
    wait_until(lambda: len(watch.heard) == 2)
    wait_until(lambda: watch.changes.progress().doing is None)
    assert sorted(change.slug for change in watch.look()) == ["s1", "s2"]


def test_an_announcer_that_fails(world: World, root: Path, wait_until: Wait, caplog: Any) -> None:
    """Its exception is logged once, nothing is published twice, and the thread goes on."""
    heard: list[Entry] = []
    feed = Feed()
    feed.subscribe(heard.append)

    def fail(changes: Sequence[Change]) -> None:
        raise ValueError(changes)

    changes = Changes(world.database, feed, host_id=HERE, started_at=world.clock(), announce=fail, gather=0.0)
    changes.start()
    with caplog.at_level(logging.INFO):
        for slug in ("one", "two"):
            world.sync(builders.make_session(root, slug, builders.v2()))
            changes.touched(world.place(root), slug)
        wait_until(lambda: len(heard) == 2 and not changes.pending)
    changes.stop()
    assert sorted(entry.change.slug for entry in heard) == ["one", "two"]
    assert "feed.failed" in [getattr(record, "event", "") for record in caplog.records]


def test_a_round_over_many_roots_is_one_look(world: World, root: Path, wait_until: Wait) -> None:
    """After a round all sessions are looked through once, not once a root; what others wrote is found."""
    heard: list[Entry] = []
    feed = Feed()
    feed.subscribe(heard.append)
    changes = Changes(world.database, feed, host_id=HERE, started_at=world.clock(), gather=0.5)
    changes.start()
    world.sync(builders.make_session(root, "one", builders.v2()))
    place = world.place(root)
    with mirrors.counted(world.database) as sent:
        for number in range(50):
            changes.reconciled(replace(place, project_id=UUID(int=number)))
        changes.reconciled(place)
        wait_until(lambda: heard and not changes.pending and changes.progress().holding_since is None)
    changes.stop()
    assert [entry.change.slug for entry in heard] == ["one"]
    assert sum("missing_since >" in statement for statement in sent) == 1


def test_ringing_never_waits(world: World, root: Path, wait_until: Wait) -> None:
    """While the thread is held up, ten thousand doorbells are taken in well under a second."""
    held, release = threading.Event(), threading.Event()

    def hold(_: Sequence[Change]) -> None:
        held.set()
        release.wait(30)

    changes = Changes(
        world.database, Feed(), host_id=HERE, started_at=world.clock(), announce=hold, gather=0.0
    )
    changes.start()
    folder = builders.make_session(root, "wall", builders.v2())
    world.sync(folder)
    place = world.place(root)
    changes.touched(place, "wall")
    wait_until(held.is_set)
    began = time.monotonic()
    for number in range(10_000):
        changes.touched(place, f"s{number % 100}")
    assert time.monotonic() - began < 1.0
    assert changes.pending == 100
    assert changes.progress().holding_since is not None
    began = time.monotonic()
    changes.stop(timeout=0.1)
    assert time.monotonic() - began < 1.0
    release.set()
    wait_until(lambda: not changes.progress().alive)


def test_stopping_publishes_what_is_left(watch: Watch, root: Path) -> None:
    """What was rung for just before is published before the thread ends; stopping twice is no error."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    watch.changes.stop()
    watch.changes.stop()
    assert short(watch.heard) == [("created", 1)]
    assert not watch.changes.progress().alive


def test_idle_asks_nothing(watch: Watch, root: Path) -> None:
    """While nobody rings the database is not asked."""
    watch.touch(builders.make_session(root, "wall", builders.v2()))
    watch.look()
    with mirrors.counted(watch.world.database) as sent:
        time.sleep(0.3)
    assert sent == []


# --- two writers -----------------------------------------------------------------------------------


def test_two_writers(world: World, root: Path, tmp_path: Path, wait_until: Wait) -> None:
    """Another process mirrors the same sessions beside our queue: every version is published exactly once."""
    folders = [builders.make_session(root, f"s{number}", builders.v2()) for number in range(8)]
    place = world.place(root)
    watch = Watch(world, wait_until)
    done = root.parent / "done"
    url = world.database.url.render_as_string(hide_password=False)
    program = subprocess.Popen([sys.executable, "-m", "tests.syncing", url, str(root), f"until:{done}"])
    queue = SyncQueue(
        lambda paths, settled: world.mirror.sync(
            place, [path.name for path in paths], settled={path.name for path in settled}
        ),
        probe=world.database.probe,
    )
    queue.listen(
        on_recover=lambda: None,
        on_results=lambda told, _live: watch.changes.touched(place, *(path.name for path, _ in told)),
    )
    queue.start()
    wait_until(lambda: list(root.parent.glob("ready-*")), "the other process", 30)
    chance = random.Random(str(tmp_path))
    for number in range(1, 301):
        folder = chance.choice(folders)
        save(folder, number)
        time.sleep(chance.choice([0, 0, 0.002, 0.01]))
        queue.submit(folder)
    for folder in folders:
        queue.submit(folder)
    done.touch()
    assert program.wait(30) == 0
    for folder in folders:
        queue.submit(folder)
    assert queue.drain(20) == 0
    queue.close()
    watch.changes.stop(timeout=20)
    stored = [(str(row["session_id"]), row["seq"]) for row in world.rows("session_versions")]
    assert sorted((change.session_id, change.seq) for change in watch.heard) == sorted(stored)
    assert len(stored) > 50
    for session_id in {key for key, _ in stored}:
        numbers = [change.seq for change in watch.heard if change.session_id == session_id]
        assert numbers == sorted(numbers)
    assert {change.kind for change in watch.heard if change.seq == 1} == {"created"}
    assert {change.kind for change in watch.heard if change.seq > 1} == {"changed"}
