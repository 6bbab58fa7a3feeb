"""Work is proportional to change: what a comparison, a save and our own reading cost, counted, not timed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessiond.watch import inotify
from sessionlib.db import tables
from sessionlib.state.manager import StateManager
from sessionlib.state.scan import find_roots
from sessionlib.sync.mirror import Outcome
from tests import builders, mirrors, opens
from tests.mirrors import World
from tests.watching import OPTIONS, Listener, inotify_watches, make_watcher, save

Wait = Callable[..., None]

COUNT = 12


@pytest.fixture(name="garden")
def garden_fixture(tmp_path: Path) -> Path:
    """The sessions root of a project whose sessions have every kind of input."""
    sessions = builders.make_project(tmp_path / "code" / "garden") / "agents/sessions"
    for number in range(COUNT):
        builders.make_session(
            sessions,
            f"s{number:02}",
            builders.v2_building(topic=f"wall {number}"),
            plan=builders.plan(4),
            research={"run-1": builders.research_run()},
        )
    return sessions


def owned(world: World, session_id: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows of one session and all other rows, by table; only those that sessions have."""
    own: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for table in tables.metadata.sorted_tables:
        rows = world.rows(table.name)
        own[table.name] = [row for row in rows if row.get("session_id") == session_id]
        others[table.name] = [row for row in rows if row.get("session_id") != session_id]
    return own, others


def test_a_second_reconcile_opens_parses_and_writes_nothing(world: World, garden: Path) -> None:
    """What has not changed is looked at from outside: no file is opened, no transaction begun to write."""
    world.reconcile(garden)
    world.reconcile(garden)
    before = world.everything()
    with opens.watched(opens.below(garden)) as opened, mirrors.begun_writes(world.database) as begun:
        report = world.reconcile(garden)
        assert (report.total, report.ticket.total) == (COUNT, 0)
        assert opened.taken() == []
        assert begun == []
        assert world.everything() == before
        # The counters count: one that has changed is opened, and written in one transaction.
        folder = garden / "s03"
        save(folder, (folder / "state.json").read_text().replace("wall 3", "gate 3"))
        opened.taken()
        world.reconcile(garden)
        assert world.queued == [folder]
        files = opened.taken()
        assert f"{folder}/state.json" in files
        assert {Path(file).relative_to(garden).parts[0] for file in files} == {"s03"}
        assert len(begun) == 1


def test_a_sync_of_what_is_mirrored_writes_nothing(world: World, garden: Path) -> None:
    """A folder that is synced though nothing changed costs a look and no row."""
    folders = sorted(garden.iterdir())
    world.sync(*folders)
    before = world.everything()
    with mirrors.counted(world.database) as sent:
        assert mirrors.outcomes(world, *folders) == [Outcome.UNCHANGED] * COUNT
    writing = ("INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "WITH")
    assert [statement for statement in sent if statement.lstrip().upper().startswith(writing)] == []
    assert world.everything() == before


def test_a_save_writes_only_the_rows_of_its_session(world: World, garden: Path) -> None:
    """One change leaves every row of the other sessions as it was, and every part of its own that it kept."""
    world.reconcile(garden)
    world.clock.tick()
    session_id = world.session("s05")["session_id"]
    own, others = owned(world, session_id)
    folder = garden / "s05"
    save(folder, (folder / "state.json").read_text().replace("wall 5", "gate 5"))
    assert mirrors.outcomes(world, folder) == [Outcome.WRITTEN]
    own_now, others_now = owned(world, session_id)
    changed = {name for name, rows in own_now.items() if rows != own[name]}
    assert changed == {"sessions", "session_files", "session_versions"}
    differing = {name for name, rows in others_now.items() if rows != others[name]}
    # Of what belongs to no session alone: the document is stored, and the copy lists what it is made of.
    assert differing <= {"documents", "session_inputs"}
    assert all(row in others_now["documents"] for row in others["documents"])


def read_everything(world: World, garden: Path) -> None:
    """Look for projects, import, compare, sync and load."""
    find_roots(garden.parents[2], OPTIONS)
    world.reconcile(garden)
    world.reconcile(garden)
    mirrors.outcomes(world, *sorted(garden.iterdir()))
    for folder in garden.iterdir():
        StateManager(folder, read_only=True).load()


def test_our_own_reading_and_writing_wakes_nobody(world: World, garden: Path) -> None:
    """Under the masks the watcher uses, on every folder, the kernel has nothing to tell of our reading."""
    ear = inotify.Inotify()
    try:
        for folder in opens.below(garden.parents[2]):
            ear.watch(str(folder), inotify.CHAIN_MASK | inotify.SESSION_MASK)
        read_everything(world, garden)
        ear.wake()
        assert ear.read() == b""
        save(garden / "s01", "{}")
        assert ear.read() != b""
    finally:
        ear.close()


def test_our_own_reading_and_writing_rings_for_nobody(world: World, garden: Path, wait_until: Wait) -> None:
    """The watcher gives no hint while everything is read and stored; a save rings for its session alone."""
    listener = Listener()
    watcher = make_watcher(listener)
    watcher.start()
    try:
        watcher.add_root(garden.parents[2])
        read_everything(world, garden)
        # Events come in order: when the last one is here, those before it would be.
        save(garden / "s01", (garden / "s01" / "state.json").read_text())
        wait_until(listener.sessions, "the save to ring")
        assert set(listener.sessions()) == {garden / "s01"}
        assert listener.roots() == []
        assert listener.projects() == []
    finally:
        watcher.stop()


def test_watches_are_one_a_session_and_a_few_a_project(tmp_path: Path) -> None:
    """What lies beside the sessions costs no watch, however much it is."""
    projects, each = 4, 10
    for number in range(projects):
        project = builders.make_project(tmp_path / "code" / f"p{number}", [f"s{n}" for n in range(each)])
        for package in range(50):
            (project / "node_modules" / f"package-{package}" / "lib").mkdir(parents=True)
        (project / "agents" / "sessions" / "s0" / "notes" / "deep").mkdir(parents=True)
    before = inotify_watches()
    watcher = make_watcher(Listener())
    watcher.start()
    try:
        watcher.add_root(tmp_path / "code")
        watches = inotify_watches() - before
    finally:
        watcher.stop()
    assert projects * each <= watches <= projects * (each + 4) + 2
