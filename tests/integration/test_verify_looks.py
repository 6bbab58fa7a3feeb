"""Verifying while something moves, without writing, and in two processes, on both databases."""

import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionlib.db.engine import Database
from sessionlib.sync import anew, checking, piping, second
from tests import builders, mirrors, verifying, writes
from tests.mirrors import World
from tests.verifying import drifts, one_fixture, places, verified  # noqa: F401 - a fixture


def test_what_arrives_within_a_moment_is_no_drift(world: World, one: Path) -> None:
    """A save whose row comes a second later is no drift while a daemon may bring it."""
    builders.write_json(one / "state.json", verifying.everything("one", topic="new"))
    threading.Timer(1.0, lambda: world.sync(one)).start()
    assert verified(world).count == 0
    verifying.aged(one)
    began = time.monotonic()
    assert verified(world).count > 0
    assert time.monotonic() - began < 2
    threading.Timer(1.0, lambda: world.sync(one)).start()
    assert verified(world, is_live=True).count == 0


def test_drift_under_a_daemon_is_told_after_a_while(world: World, one: Path) -> None:
    """Where a daemon could still mend it, a difference is drift when it has stayed for three seconds."""
    verifying.edit(world, "sessions", world.session("one"), topic="edited")
    began = time.monotonic()
    assert places(drifts(world, is_live=True)) == [("sessions", "topic")]
    assert 3 <= time.monotonic() - began < 8


def test_a_new_workspace_has_a_moment_too(world: World, tmp_path: Path, one: Path) -> None:
    """A root that is registered within three seconds was only under way."""
    other = builders.make_project(tmp_path / "away" / "shop", ["a"]) / "agents/sessions"
    threading.Timer(0.5, lambda: world.place(other)).start()
    assert drifts(world, roots=[tmp_path / "away"], is_live=True) == []


def test_only_what_differs_in_every_look_is_drift(world: World, one: Path) -> None:
    """A row that lags behind its file again and again is alive; a value that never moves is drift."""
    numbers = iter(range(1_000))
    verifying.edit(world, "sessions", world.session("one"), description="behind", topic="edited")
    edits = threading.Event()

    def churn() -> None:
        while not edits.wait(0.05):
            verifying.edit(world, "sessions", world.session("one"), description=f"step {next(numbers)}")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        found = drifts(world, is_live=True)
    finally:
        edits.set()
        thread.join()
    assert places(found) == [("sessions", "topic")]


def test_nothing_is_written(world: World, root: Path, one: Path) -> None:
    """Neither a clean look nor one that finds drift of every kind commits anything."""
    url = world.database.url.render_as_string(hide_password=False)
    with writes.watched(url.replace("postgresql+psycopg", "postgresql")) as written:
        assert verified(world).count == 0
        verifying.make(root, "new")
        (one / "state.json").write_bytes(b"{}")
        verifying.aged(one)
        assert written.taken() == 0
    verifying.edit(world, "sessions", world.session("one"), missing_since=mirrors.NOON)
    verifying.add(world, "session_files", world.file("one") | {"slug": "gone", "path": "/gone"})
    with writes.watched(url.replace("postgresql+psycopg", "postgresql")) as written:
        assert len({drift.path for drift in drifts(world)}) == 3
        assert written.taken() == 0
    with writes.watched(url.replace("postgresql+psycopg", "postgresql")) as written:
        assert verifying.rebuilt(world).rows > 0
        assert written.taken() > 0


def test_a_database_that_cannot_be_written_is_verified(world: World, one: Path, tmp_path: Path) -> None:
    """A role that may only read, or a file opened for reading, is enough; drift is found there too."""
    verifying.edit(world, "sessions", world.session("one"), topic="edited")
    url = world.database.url
    if world.database.is_postgres:
        reading = url.update_query_dict({"options": "-c default_transaction_read_only=on"})
    else:
        reading = url.set(database=f"file:{url.database}").update_query_dict({"mode": "ro", "uri": "true"})
    database = Database(reading)
    try:
        readonly = World(database)
        assert places(drifts(readonly)) == [("sessions", "topic")]
    finally:
        database.close()


def test_what_is_half_written_under_the_lock_is_renewed_later(
    world: World, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was whole at the first look, and is half of a write at the next, is waited for."""
    verifying.edit(world, "sessions", world.session("one"), topic="edited")
    state, real = one / "state.json", anew.look_again
    whole = state.read_bytes()

    def cut(*args: Any) -> Any:
        state.write_bytes(whole[: len(whole) // 2])
        readings = real(*args)
        assert anew.torn(readings) == ["one"]
        state.write_bytes(whole)
        monkeypatch.undo()
        return readings

    monkeypatch.setattr(anew, "look_again", cut)
    assert verifying.rebuilt(world).unreadable == []
    assert drifts(world) == []


@pytest.fixture
def many(world: World, root: Path) -> World:
    """Forty sessions."""
    world.sync(*(verifying.make(root, f"s{number:02}") for number in range(40)))
    return world


def test_two_processes_find_the_same(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a second process each session is compared once; its drift is found, and mended, wherever it is."""
    for row in many.rows("sessions")[::3]:
        verifying.edit(many, "sessions", row, topic="edited")
    alone = verified(many)
    there = _Sharing(monkeypatch, portions=30)
    together = verified(many)
    assert together.sessions == alone.sessions == 40
    assert together.drifts == alone.drifts
    assert len(alone.drifts) == 14
    assert sum(len(found.suspects) for found in there.taken()) >= 4
    done = verifying.rebuilt(many)
    assert (done.sessions, done.written, done.rows) == (40, 14, 14)
    assert sum(found.renewed.sessions for found in there.taken()) >= 4
    assert verified(many).count == 0


class _Sharing:
    """Many small portions, of which the second process has done some before the first one does its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, portions: int) -> None:
        monkeypatch.setattr(checking, "_WORTH_STARTING", 1)
        monkeypatch.setattr("sessionlib.sync.surveying._TOGETHER", 1)
        monkeypatch.setattr(piping, "has_two_cores", lambda: True)
        self._portions = portions
        self._found: list[checking.Found] = []
        self._enough = threading.Event()
        check, add = checking.check, checking._Work.add

        def waiting(*args: Any) -> checking.Found:
            assert self._enough.wait(60)
            return check(*args)

        def noted(work: Any, portion: Any, found: checking.Found) -> None:
            if threading.current_thread().name == "checking":
                self._found.append(found)
                if len(self._found) == self._portions:
                    self._enough.set()
            add(work, portion, found)

        monkeypatch.setattr(checking, "check", waiting)
        monkeypatch.setattr(checking._Work, "add", noted)

    def taken(self) -> list[checking.Found]:
        """What the second process has found, and forget it."""
        self._enough.clear()
        found, self._found = self._found, []
        assert len(found) >= self._portions
        return found


def test_a_second_process_that_is_barred_gets_no_more(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot use the database does not run through all that there is."""
    monkeypatch.setattr(checking, "_WORTH_STARTING", 1)
    monkeypatch.setattr("sessionlib.sync.surveying._TOGETHER", 1)
    monkeypatch.setattr(piping, "has_two_cores", lambda: True)
    check, follow, hand_out = checking.check, checking._Helper._follow, checking._Helper._hand_out
    over = threading.Event()

    def astray(helper: Any) -> None:
        helper._task = ("sqlite:////nowhere/mirror.db", False, False)
        follow(helper)

    def handed_out(helper: Any, *both: Any) -> None:
        hand_out(helper, *both)
        assert len(helper._work.given_back()) == 3
        over.set()

    def waiting(*args: Any) -> checking.Found:
        assert over.wait(60)
        return check(*args)

    monkeypatch.setattr(checking._Helper, "_follow", astray)
    monkeypatch.setattr(checking._Helper, "_hand_out", handed_out)
    monkeypatch.setattr(checking, "check", waiting)
    told: list[int] = []
    checked = checking.checked(
        many.database, verifying.surveyed(many), lambda done, _total: told.append(done)
    )
    assert (checked.sessions, checked.suspects) == (40, [])
    assert told == [*range(1, 41), 40]


def test_a_second_process_that_dies_is_made_good_for(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was to compare is compared here; nothing is left out or counted twice."""
    monkeypatch.setattr(checking, "_WORTH_STARTING", 1)
    monkeypatch.setattr("sessionlib.sync.surveying._TOGETHER", 1)
    check, portions, popen = checking.check, checking._Work.portions, subprocess.Popen
    started: list[Any] = []
    asked: list[Any] = []

    def noted(*args: Any, **more: Any) -> Any:
        started.append(popen(*args, **more))
        return started[-1]

    def fatal(work: Any) -> Any:
        for portion in portions(work):
            if threading.current_thread().name == "checking":
                started[0].kill()
                started[0].wait()
                asked.append(portion.slugs)
            yield portion

    def slow(*args: Any, **more: Any) -> Any:
        time.sleep(0 if asked else 0.2)
        return check(*args, **more)

    monkeypatch.setattr(piping.subprocess, "Popen", noted)
    monkeypatch.setattr(checking._Work, "portions", fatal)
    monkeypatch.setattr(checking, "check", slow)
    assert (verified(many).sessions, len(asked)) == (40, 1)


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("least", [1, 1_000])
def test_it_works_where_there_are_many(
    many: World, monkeypatch: pytest.MonkeyPatch, least: int, is_early: bool
) -> None:
    """Started early or not: it is there for many sessions, and ended at once where there are few."""
    monkeypatch.setattr(checking, "_WORTH_STARTING", least)
    monkeypatch.setattr(piping, "has_two_cores", lambda: True)
    started: list[Any] = []
    popen = subprocess.Popen

    def noted(*args: Any, **more: Any) -> Any:
        started.append(popen(*args, **more))
        return started[-1]

    monkeypatch.setattr(piping.subprocess, "Popen", noted)
    asked: list[bool] = []
    connections = second.SecondProcess.connections

    def connected(process: second.SecondProcess) -> Any:
        both = connections(process)
        asked.append(both is not None)
        return both

    monkeypatch.setattr(second.SecondProcess, "connections", connected)
    with closing(second.SecondProcess()) as other:
        if is_early:
            other.start()
        checked = checking.checked(
            many.database, verifying.surveyed(many), lambda _done, _total: None, second=other
        )
        assert len(started) == (is_early or least == 1)
        assert asked == [least == 1]
        assert [process.poll() is None for process in started] == [False] * len(started)
    assert (checked.sessions, checked.suspects) == (40, [])
