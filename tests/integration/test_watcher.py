"""The watcher on the real kernel: which change of a session rings, and which does not."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.hints import Hint, SessionTouched
from sessiond.watch.watcher import Watcher
from sessionlib.state.files import read_inputs
from sessionlib.state.scan import FinderOptions, find_roots, list_sessions
from tests.conftest import Wait
from tests.watching import (
    Listener,
    inotify_watches,
    make_session,
    make_watcher,
    open_descriptors,
    running_watcher,
    save,
    sessions_root,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The sessions root of a project below the watch root."""
    return sessions_root(tmp_path / "watched" / "project")


@pytest.fixture
def session(root: Path) -> Path:
    """A session that is there before the watcher."""
    return make_session(root)


@pytest.fixture
def watcher(tmp_path: Path, session: Path, listener: Listener) -> Iterator[Watcher]:
    """A running watcher on the watch root."""
    with running_watcher(listener, tmp_path / "watched") as watcher:
        yield watcher


@pytest.fixture
def quiet(watcher: Watcher, root: Path, listener: Listener, wait_until: Wait):
    """Wait until every event so far has been told, by ringing a bell of our own behind them."""

    def settle() -> None:
        fence = root / f"fence-{len(listener.hints)}"
        fence.mkdir()
        wait_until(lambda: fence in listener.sessions(), "the fence")
        fence.rmdir()
        wait_until(lambda: listener.sessions().count(fence) >= 2, "the fence to fall")

    return settle


def _others(listener: Listener) -> list[Hint]:
    return [
        hint
        for hint in listener.hints
        if not (isinstance(hint, SessionTouched) and hint.session_dir.name.startswith("fence"))
    ]


class TestSavedSession:
    def test_atomic_replace(self, watcher, session, listener, wait_until):
        """A state.json that is renamed into place rings for its session."""
        save(session, "{1}")
        wait_until(lambda: session in listener.sessions())

    def test_in_place_write(self, watcher, session, listener, wait_until):
        """A state.json that is written in place rings when the writer closes it."""
        (session / "state.json").write_text("{1}")
        wait_until(lambda: session in listener.sessions())

    def test_hard_link(self, watcher, root, listener, wait_until):
        """A state.json that is linked into place rings."""
        folder = root / "two"
        folder.mkdir()
        wait_until(lambda: folder in listener.sessions())
        (folder / "draft").write_text("{}")
        listener.clear()
        (folder / "state.json").hardlink_to(folder / "draft")
        wait_until(lambda: folder in listener.sessions())

    def test_plan(self, watcher, session, listener, wait_until):
        """plan.json rings like state.json."""
        save(session, "{}", "plan.json")
        wait_until(lambda: session in listener.sessions())

    def test_deleted_state(self, watcher, session, listener, wait_until):
        """A state.json that is deleted rings."""
        (session / "state.json").unlink()
        wait_until(lambda: session in listener.sessions())

    def test_other_files_do_not_ring(self, watcher, session, listener, quiet):
        """Documents, lock files and temporary files of a session ring nothing."""
        (session / "spec.md").write_text("words")
        (session / ".state.lock").write_text("")
        (session / ".state.json.123.tmp").write_text("{}")
        (session / "notes").mkdir()
        quiet()
        assert _others(listener) == []

    def test_own_reading_is_silent(self, watcher, tmp_path, root, session, listener, quiet):
        """Finding, listing and reading sessions raises no hint."""
        for _ in range(3):
            find_roots(tmp_path / "watched", FinderOptions())
            list_sessions(root)
            read_inputs(session)
        quiet()
        assert _others(listener) == []

    def test_many_saves_are_coalesced(self, watcher, session, listener, wait_until):
        """A flurry of saves gives at most one hint a save, and the last save is followed by one."""
        for number in range(500):
            save(session, f"{{{number}}}")
        (session / "state.json").unlink()
        wait_until(lambda: session in listener.sessions())
        assert len(listener.sessions()) <= 501


class TestResearch:
    def test_run_state_rings_for_the_session(self, watcher, session, listener, quiet, wait_until):
        """A research run that is made and saved later rings for the session it belongs to."""
        run = session / "research" / "run-1"
        run.mkdir(parents=True)
        wait_until(lambda: session in listener.sessions())
        quiet()
        for write in (lambda: (run / "state.json").write_text("{}"), lambda: save(run, "{1}")):
            listener.clear()
            write()
            wait_until(lambda: session in listener.sessions())

    def test_run_of_an_old_session(self, tmp_path, session, listener, wait_until):
        """Runs that were there before the watcher are watched, too."""
        run = session / "research" / "run-1"
        run.mkdir(parents=True)
        watcher = make_watcher(listener)
        watcher.start()
        try:
            watcher.add_root(tmp_path / "watched")
            save(run, "{1}")
            wait_until(lambda: session in listener.sessions())
        finally:
            watcher.stop()

    def test_run_removed(self, watcher, session, listener, quiet, wait_until):
        """Removing a run, or all of them, rings for the session and frees the watches."""
        before = inotify_watches()
        for name in ("run-1", "run-2"):
            (session / "research" / name).mkdir(parents=True, exist_ok=True)
        quiet()
        assert inotify_watches() == before + 3
        listener.clear()
        (session / "research" / "run-1").rmdir()
        wait_until(lambda: session in listener.sessions())
        shutil.rmtree(session / "research")
        wait_until(lambda: inotify_watches() == before, "the watches to go")


class TestSessionFolders:
    def test_new_session(self, watcher, root, listener, wait_until):
        """A new session folder rings, and its first save rings."""
        folder = make_session(root, "two")
        wait_until(lambda: folder in listener.sessions())
        listener.clear()
        save(folder, "{1}")
        wait_until(lambda: folder in listener.sessions())

    def test_deleted_session(self, watcher, session, listener, wait_until):
        """A session folder that is deleted rings, and gives its watch back."""
        before = inotify_watches()
        shutil.rmtree(session)
        wait_until(lambda: session in listener.sessions())
        wait_until(lambda: inotify_watches() == before - 1, "the watch to go")

    def test_renamed_session(self, watcher, session, listener, wait_until):
        """A renamed session rings under both names, and from then on under the new one only."""
        renamed = session.rename(session.with_name("renamed"))
        wait_until(lambda: {session, renamed} <= set(listener.sessions()))
        listener.clear()
        save(renamed, "{1}")
        wait_until(lambda: renamed in listener.sessions())
        assert session not in listener.sessions()

    def test_moved_out(self, watcher, tmp_path, session, listener, quiet, wait_until):
        """A session that is moved out rings once, and is not heard of again."""
        outside = session.rename(tmp_path / "outside")
        wait_until(lambda: session in listener.sessions())
        quiet()
        listener.clear()
        save(outside, "{1}")
        quiet()
        assert _others(listener) == []

    def test_moved_in(self, watcher, tmp_path, root, listener, wait_until):
        """A session that is moved in rings, and its later saves and runs do."""
        outside = make_session(tmp_path / "outside", "two")
        (outside / "research" / "run").mkdir(parents=True)
        folder = outside.rename(root / "two")
        wait_until(lambda: folder in listener.sessions())
        for place in (folder, folder / "research" / "run"):
            listener.clear()
            save(place, "{1}")
            wait_until(lambda: folder in listener.sessions())

    def test_replaced_by_another(self, watcher, tmp_path, session, listener, quiet, wait_until):
        """A folder that takes the place of a session is the one that is watched."""
        other = make_session(tmp_path / "outside", "other")
        session.rename(tmp_path / "old")
        other.rename(session)
        quiet()
        listener.clear()
        save(session, "{1}")
        wait_until(lambda: session in listener.sessions())
        listener.clear()
        save(tmp_path / "old", "{1}")
        quiet()
        assert _others(listener) == []

    def test_symlinked_session_is_ignored(self, watcher, tmp_path, root, listener, quiet):
        """A link in a sessions root is not a session, whether it is old or new."""
        outside = make_session(tmp_path / "outside", "two")
        (root / "link").symlink_to(outside)
        quiet()
        save(outside, "{1}")
        quiet()
        assert _others(listener) == []

    def test_hidden_folder_is_ignored(self, watcher, root, listener, quiet):
        """A dot-folder in a sessions root is not a session."""
        make_session(root, ".hidden")
        quiet()
        assert _others(listener) == []

    def test_undecodable_name(self, watcher, root, listener, wait_until):
        """A session whose name is not UTF-8 rings under the name Python gives it."""
        folder = root / os.fsdecode(b"s\xe9")
        make_session(root, folder.name)
        wait_until(lambda: folder in listener.sessions())
        listener.clear()
        save(folder, "{1}")
        wait_until(lambda: folder in listener.sessions())


class TestWatches:
    def test_nothing_beside_the_sessions_costs_a_watch(self, tmp_path, listener):
        """A big node_modules and a source tree beside the sessions cost no watch, not even when they grow."""
        root = sessions_root(tmp_path / "watched" / "project")
        for number in range(50):
            make_session(root, f"s{number}")
        for number in range(300):
            (tmp_path / "watched/project/node_modules" / f"m{number}" / "lib").mkdir(parents=True)
            (tmp_path / "watched/project/src" / f"m{number}").mkdir(parents=True)
        watcher = make_watcher(listener)
        watcher.start()
        try:
            watcher.add_root(tmp_path / "watched")
            # The watch root, the project, agents, sessions; and each session.
            assert inotify_watches() == watcher.status()[0].watches == 4 + 50
            (tmp_path / "watched/project/src/new/deep").mkdir(parents=True)
            make_session(root, "last")
            while root / "last" not in listener.sessions():
                pass
            assert inotify_watches() == watcher.status()[0].watches == 4 + 51
        finally:
            watcher.stop()

    def test_overlapping_entries(self, watcher, tmp_path, session, listener, quiet, wait_until):
        """A project that is also below a watch root is watched once, and still is when one entry goes."""
        before = inotify_watches()
        watcher.add_project(tmp_path / "watched" / "project")
        assert inotify_watches() == before
        save(session, "{1}")
        wait_until(lambda: session in listener.sessions())
        watcher.remove(tmp_path / "watched")
        quiet()
        listener.clear()
        save(session, "{2}")
        wait_until(lambda: session in listener.sessions())
        watcher.remove(tmp_path / "watched" / "project")
        wait_until(lambda: inotify_watches() == 0, "the watches to go")

    def test_remove(self, watcher, tmp_path, session, listener):
        """After remove an entry has no watch, no status and no hints; removing it again is harmless."""
        watcher.remove(tmp_path / "watched")
        watcher.remove(tmp_path / "watched")
        assert watcher.status() == ()
        assert inotify_watches() == 0


class TestLife:
    def test_status(self, watcher, tmp_path, session, listener, wait_until):
        """The status tells the mode, the watches and the sessions roots; an event leaves its time."""
        (status,) = watcher.status()
        assert (status.path, status.mode, status.reason) == (tmp_path / "watched", "events", None)
        assert (status.watches, status.sessions_roots, status.degraded) == (5, 1, False)
        save(session, "{1}")
        wait_until(lambda: watcher.last_event_at is not None)
        assert watcher.is_alive()

    def test_stop_leaves_nothing(self, tmp_path, session, listener):
        """After stop there is no thread, no descriptor, no watch; stopping twice is harmless."""
        threads, descriptors = set(threading.enumerate()), open_descriptors()
        watcher = make_watcher(listener)
        watcher.start()
        watcher.add_root(tmp_path / "watched")
        assert len(open_descriptors()) == len(descriptors) + 2
        watcher.stop()
        watcher.stop()
        assert set(threading.enumerate()) == threads
        assert open_descriptors() == descriptors
        assert not watcher.is_alive()

    def test_never_started(self, listener):
        """A watcher that was never started holds nothing, and can be stopped."""
        descriptors = open_descriptors()
        make_watcher(listener).stop()
        assert open_descriptors() == descriptors

    def test_listener_that_fails(self, tmp_path, session, wait_until, caplog):
        """A listener's exception is logged, and the next hint is delivered all the same."""
        heard = []

        def listener(hint: Hint) -> None:
            heard.append(hint)
            raise ValueError("deaf")

        watcher = Watcher(listener, options=FinderOptions())
        watcher.start()
        try:
            watcher.add_root(tmp_path / "watched")
            for count in (1, 2):
                save(session, f"{{{count}}}")
                wait_until(lambda count=count: len(heard) >= count)
            assert watcher.is_alive()
        finally:
            watcher.stop()
        assert {getattr(record, "event", None) for record in caplog.records if record.exc_info} == {
            "watch.listener_error"
        }

    def test_listener_that_calls_back(self, tmp_path, session, wait_until):
        """A listener may add and remove entries, while another thread that it waits for does so, too."""
        lock, added = threading.Lock(), []
        other = sessions_root(tmp_path / "elsewhere" / "project")

        def listener(_hint: Hint) -> None:
            with lock:
                watcher.add_project(other.parent.parent)
                watcher.remove(tmp_path / "nothing")
                added.append(True)

        watcher = Watcher(listener, options=FinderOptions())
        watcher.start()
        try:
            watcher.add_root(tmp_path / "watched")
            with lock:
                save(session, "{1}")
                watcher.add_root(tmp_path / "elsewhere")
            wait_until(lambda: added)
        finally:
            watcher.stop()

    def test_reader_survives_its_own_errors(self, watcher, root, session, listener, wait_until, monkeypatch):
        """An exception while events are read is told as RootTouched, and the next event is read."""
        monkeypatch.setattr("sessiond.watch.digest.Digest.take", lambda *_: 1 / 0)
        save(session, "{1}")
        wait_until(lambda: root in listener.roots("error"))
        monkeypatch.undo()
        listener.clear()
        save(session, "{2}")
        wait_until(lambda: session in listener.sessions())
        assert watcher.is_alive()

    def test_tender_survives_its_own_errors(self, watcher, root, session, listener, wait_until, monkeypatch):
        """An exception while an entry is looked after is told as RootTouched, when the next look succeeds."""
        monkeypatch.setattr("sessiond.watch.tree.Tree.verify_roots", lambda *_: 1 / 0)
        wait_until(lambda: root in listener.roots("error"))
        monkeypatch.undo()
        assert watcher.is_alive()
