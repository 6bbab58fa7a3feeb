"""Every change once, whoever committed it: the change feed's finder on both databases."""

import logging
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sessiond.changes import Changes
from sessiond.feed import Change, Entry, Feed
from sessionlib.db.engine import Database
from sessionlib.models.base import utc_now
from sessionlib.sync.mirror import Result
from sessionlib.sync.queue import SyncQueue
from tests import builders, mirrors
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


# --- what is published -----------------------------------------------------------------------------


def test_a_new_session_and_its_change(watch: Watch, root: Path) -> None:
    """The first version is `created`, the next `changed`; each tells what its row shows."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    (created,) = watch.look()
    row = watch.world.session("wall")
    assert created == Change(
        kind="created",
        at=row["synced_at"].isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        project="garden",
        project_id=str(row["project_id"]),
        session_id=str(row["session_id"]),
        root="agents/sessions",
        slug="wall",
        seq=1,
        phase="spec",
        status="active",
        host_id=str(HERE),
    )
    save(folder, 1, current_phase="plan")
    watch.touch(folder)
    (changed,) = watch.look()
    assert (changed.kind, changed.seq, changed.phase) == ("changed", 2, "plan")


def test_versions_between_two_looks(watch: Watch, root: Path) -> None:
    """All versions that were committed before a look are published, in order, and once."""
    folder = builders.make_session(root, "wall", builders.v2())
    for number in range(1, 6):
        watch.world.sync(folder)
        save(folder, number)
    watch.touch(folder)
    watch.ring(folder, folder)
    assert short(watch.look()) == [("created", 1), *(("changed", seq) for seq in range(2, 7))]
    watch.touch(folder)
    assert watch.look() == []


def test_what_another_process_committed(watch: Watch, root: Path) -> None:
    """A sync that finds nothing to do, because somebody else was faster, publishes what he wrote."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.world.restarted().sync(folder)
    (result,) = watch.touch(folder)
    assert result.outcome == "unchanged"
    assert short(watch.look()) == [("created", 1)]


def test_what_was_there_before_the_start(world: World, root: Path, wait_until: Wait) -> None:
    """Versions, tombstones and errors from before the start are no news; what follows them is."""
    old, gone, bad = (builders.make_session(root, slug, builders.v2()) for slug in ("old", "gone", "bad"))
    world.sync(old, gone, bad)
    save(old, 1)
    builders.write_json(bad / "state.json", b"{}}")
    world.sync(old)
    world.mirror.sync(world.place(root), ["bad"], settled=["bad"])
    shutil.rmtree(gone)
    world.reconcile(root)
    world.confirm(root)
    assert world.session("gone")["missing_since"] is not None
    assert world.session("bad")["error"] is not None
    world.clock.tick(20)
    watch = Watch(world, wait_until)
    watch.touch(old, bad)
    watch.ring(gone)
    watch.changes.reconciled(world.place(root))
    watch.changes.catch_up()
    assert watch.look() == []
    save(old, 2)
    builders.make_session(root, "gone", builders.v2())
    builders.write_json(bad / "state.json", builders.v2())
    watch.touch(old, gone, bad)
    assert sorted((change.slug, change.kind, change.seq) for change in watch.look()) == [
        ("bad", "restored", 1),
        ("gone", "restored", 1),
        ("old", "changed", 3),
    ]
    watch.changes.stop()


def test_removed_and_restored(watch: Watch, root: Path) -> None:
    """A tombstone is published after the comparison that made it, its end after the sync that ended it."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    watch.look()
    folder.rename(root.parent / "away")
    watch.world.reconcile(root)
    watch.world.confirm(root)
    watch.changes.reconciled(watch.world.place(root))
    (removed,) = watch.look()
    assert (removed.kind, removed.seq, removed.slug) == ("removed", 1, "wall")
    watch.ring(folder)
    assert watch.look() == []
    (root.parent / "away").rename(folder)
    watch.touch(folder)
    assert short(watch.look()) == [("restored", 1)]


def test_created_and_removed_between_two_looks(watch: Watch, root: Path) -> None:
    """Both are published although the session was never looked at in between."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.world.sync(folder)
    shutil.rmtree(folder)
    watch.world.reconcile(root)
    watch.world.confirm(root)
    watch.ring(folder)
    assert short(watch.look()) == [("created", 1), ("removed", 1)]


def test_unreadable_and_mended(watch: Watch, root: Path) -> None:
    """An error is published when it is new, and its end also when the content is what it was."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    watch.look()
    for text_, published in ((b"{]", 1), (b"{]", 0), (b"[]", 1)):
        builders.write_json(folder / "state.json", text_)
        watch.world.mirror.sync(watch.world.place(root), ["wall"], settled=["wall"])
        watch.ring(folder)
        found = watch.look()
        assert short(found) == [("unreadable", 1)] * published
        assert all(change.error == watch.world.session("wall")["error"] for change in found)
    builders.write_json(folder / "state.json", builders.v2())
    watch.touch(folder)
    assert short(watch.look()) == [("restored", 1)]
    builders.write_json(folder / "state.json", b"[]")
    watch.touch(folder)
    save(folder, 1)
    watch.touch(folder)
    assert watch.look()[-1].kind == "changed"


def test_a_session_that_was_never_readable(watch: Watch, root: Path) -> None:
    """Without a row it is told by its file alone; once it can be read it is created."""
    folder = builders.make_session(root, "wall", b"[]")
    watch.touch(folder)
    (found,) = watch.look()
    assert (found.kind, found.seq, found.phase, found.project) == ("unreadable", 0, None, "garden")
    assert found.error == watch.world.file("wall")["error"]
    watch.touch(folder)
    assert watch.look() == []
    save(folder, 1)
    watch.touch(folder)
    assert short(watch.look()) == [("created", 1)]


def test_a_plan_alone(watch: Watch, root: Path) -> None:
    """A row that is written anew without a new version is a change too, with the old number."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    watch.look()
    builders.write_json(folder / "plan.json", builders.plan(3))
    watch.touch(folder)
    assert short(watch.look()) == [("changed", 1)]
    watch.touch(folder)
    assert watch.look() == []


def test_a_database_that_was_built_anew(watch: Watch, root: Path) -> None:
    """When somebody deleted the rows, their sessions are created again, with numbers from 1."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    save(folder, 1)
    watch.touch(folder)
    watch.look()
    mirrors.empty(watch.world.database)
    watch.world.registrar.forget()
    watch.touch(folder)
    assert short(watch.look()) == [("created", 1)]


def test_a_project_that_is_gone(watch: Watch, root: Path) -> None:
    """Sessions whose rows went with their project are removed; nothing is left to look up."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    watch.look()
    mirrors.empty(watch.world.database)
    watch.ring(folder)
    (removed,) = watch.look()
    assert (removed.kind, removed.project, removed.slug) == ("removed", None, "wall")
    watch.ring(folder)
    assert watch.look() == []


# --- where it looks --------------------------------------------------------------------------------


def test_a_comparison_finds_what_nobody_rang_for(watch: Watch, root: Path) -> None:
    """What others wrote in a root is found after its comparison; a second one reads no session."""
    folders = [builders.make_session(root, f"s{number}", builders.v2()) for number in range(3)]
    watch.world.restarted().sync(*folders)
    watch.changes.reconciled(watch.world.place(root))
    assert short(watch.look()) == [("created", 1)] * 3
    with mirrors.counted(watch.world.database) as sent:
        watch.changes.reconciled(watch.world.place(root))
        assert watch.look() == []
    assert len([statement for statement in sent if "sessions" in statement]) == 1


def test_catching_up(world: World, root: Path, wait_until: Wait) -> None:
    """What happened while nobody rang is found in all projects: versions, tombstones, what was mended."""
    gone = builders.make_session(root, "gone", builders.v2())
    world.sync(gone)
    gone.rename(root.parent / "away")
    world.reconcile(root)
    world.confirm(root)
    other = builders.make_project(root.parents[2] / "shed") / "agents/sessions"
    watch = Watch(world, wait_until)
    (root.parent / "away").rename(gone)
    world.clock.tick()
    world.sync(gone)
    world.sync(builders.make_session(other, "roof", builders.v2()))
    watch.changes.catch_up()
    assert sorted((change.slug, change.kind) for change in watch.look()) == [
        ("gone", "restored"),
        ("roof", "created"),
    ]
    watch.changes.stop()


def test_more_sessions_than_fit_into_a_query(watch: Watch, root: Path) -> None:
    """Many sessions at once are looked at in several queries, and none is left out."""
    folders = [builders.make_session(root, f"s{number:04}", builders.v2()) for number in range(1100)]
    watch.world.sync(*folders)
    with mirrors.counted(watch.world.database) as sent:
        watch.ring(*folders)
        found = watch.look()
    assert sorted(change.slug for change in found) == [folder.name for folder in folders]
    assert len([statement for statement in sent if "session_versions" in statement]) <= 10


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
        assert watch.changes.pending >= 3
        assert watch.changes.progress().holding_since is None
    finally:
        with watch.world.database.write() as connection:
            connection.execute(text("ALTER TABLE hidden_versions RENAME TO session_versions"))
    wait_until(lambda: len(watch.heard) == 2)
    assert watch.changes.progress().doing is None
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
        on_result=lambda path, _result, _live: watch.changes.touched(place, path.name),
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
