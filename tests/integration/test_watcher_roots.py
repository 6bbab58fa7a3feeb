"""The watcher on the real kernel: projects and sessions roots that come, go, move and are replaced."""

import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.hints import Hint, RootTouched, SessionTouched
from sessiond.watch.watcher import Watcher
from sessionlib.state.scan import FinderOptions
from tests.conftest import Wait
from tests.watching import (
    OPTIONS,
    Listener,
    inotify_watches,
    make_session,
    make_watcher,
    running_watcher,
    save,
    sessions_root,
)


@pytest.fixture
def watcher(listener: Listener) -> Iterator[Watcher]:
    """A running watcher without entries."""
    with running_watcher(listener) as watcher:
        yield watcher


def _rings_when_saved(folder: Path, listener: Listener, wait_until: Wait) -> None:
    listener.clear()
    save(folder, "{again}")
    wait_until(lambda: folder in listener.sessions(), f"a hint for {folder}")


class TestSessionsRoot:
    def test_removed_and_made_again(self, watcher, top, listener, wait_until):
        """A sessions root that is removed and made again gives both hints and is watched again."""
        root = sessions_root(top / "project")
        make_session(root)
        watcher.add_root(top)
        shutil.rmtree(root)
        wait_until(lambda: root in listener.roots("vanished"))
        assert listener.projects() == [top]
        listener.clear()
        session = make_session(root)
        wait_until(lambda: root in listener.roots("appeared"))
        _rings_when_saved(session, listener, wait_until)

    def test_moved_away_and_back(self, watcher, top, listener, wait_until):
        """The same folder that comes back is watched again."""
        root = sessions_root(top / "project")
        session = make_session(root)
        watcher.add_root(top)
        root.rename(root.with_name("parked"))
        wait_until(lambda: root in listener.roots("vanished"))
        root.with_name("parked").rename(root)
        wait_until(lambda: root in listener.roots("appeared"))
        _rings_when_saved(session, listener, wait_until)

    def test_replaced_by_rename(self, watcher, top, listener, wait_until):
        """A folder that is renamed into the place of a sessions root is the one that is watched."""
        root = sessions_root(top / "project")
        make_session(root)
        other = make_session(root.with_name("other"), "two").parent
        watcher.add_root(top)
        root.rename(root.with_name("parked"))
        other.rename(root)
        wait_until(lambda: root in listener.roots("appeared"))
        _rings_when_saved(root / "two", listener, wait_until)

    def test_second_root_by_pattern(self, listener, top, wait_until):
        """A root that only a pattern of sessions_dirs allows is found when it appears."""
        options = FinderOptions(sessions_dirs=("agents/sessions", "apps/*/agents/sessions"))
        project = top / "project"
        sessions_root(project)
        watcher = make_watcher(listener, options=options)
        watcher.start()
        try:
            watcher.add_project(project)
            session = make_session(project / "apps" / "web" / "agents" / "sessions")
            wait_until(lambda: session.parent in listener.roots("appeared"))
            assert listener.projects() == []
            _rings_when_saved(session, listener, wait_until)
        finally:
            watcher.stop()

    def test_link_is_not_followed(self, watcher, top, tmp_path, listener, wait_until):
        """A sessions root behind a link is none, before and after the start."""
        outside = make_session(sessions_root(tmp_path / "outside"))
        for name in ("before", "after"):
            (top / name).mkdir()
            if name == "after":
                watcher.add_root(top)
            (top / name / "agents").symlink_to(tmp_path / "outside" / "agents")
        save(outside, "{1}")
        session = make_session(sessions_root(top / "real"))
        wait_until(lambda: session.parent in listener.roots())
        assert set(listener.roots()) == {session.parent}
        assert watcher.status()[0].sessions_roots == 1


class TestProjects:
    def test_appears_three_levels_deep(self, watcher, top, listener, wait_until):
        """A project that appears deep below a watch root gives hints for the projects and its root."""
        watcher.add_root(top)
        session = make_session(top / "a" / "b" / "c" / "agents" / "sessions")
        wait_until(lambda: session.parent in listener.roots("appeared"))
        wait_until(lambda: top in listener.projects("appeared"))
        _rings_when_saved(session, listener, wait_until)

    def test_appears_by_rename(self, watcher, top, tmp_path, listener, wait_until):
        """A project that is moved in with everything in it is found."""
        watcher.add_root(top)
        make_session(sessions_root(tmp_path / "outside" / "project"))
        (tmp_path / "outside").rename(top / "group")
        session = top / "group" / "project" / "agents" / "sessions" / "one"
        wait_until(lambda: session.parent in listener.roots("appeared"))
        _rings_when_saved(session, listener, wait_until)

    def test_moved_inside(self, watcher, top, listener, wait_until):
        """A project that is moved below its watch root vanishes here and appears there."""
        session = make_session(sessions_root(top / "old"))
        watcher.add_root(top)
        before = inotify_watches()
        (top / "old").rename(top / "new")
        moved = top / "new" / "agents" / "sessions" / "one"
        wait_until(lambda: moved.parent in listener.roots("appeared"))
        assert session.parent in listener.roots("vanished")
        assert top in listener.projects()
        _rings_when_saved(moved, listener, wait_until)
        assert inotify_watches() == before

    def test_moved_out(self, watcher, top, tmp_path, listener, wait_until):
        """A project that is moved out vanishes, with all of its watches."""
        session = make_session(sessions_root(top / "project"))
        watcher.add_root(top)
        (top / "project").rename(tmp_path / "project")
        wait_until(lambda: session.parent in listener.roots("vanished"))
        wait_until(lambda: inotify_watches() == 1, "only the watch root to be watched")

    def test_inside_a_project_nothing_is_searched(self, watcher, top, listener, wait_until):
        """New folders of a project are not searched for projects: a project is a leaf."""
        sessions_root(top / "project")
        watcher.add_root(top)
        make_session(sessions_root(top / "project" / "src" / "inner"))
        session = make_session(sessions_root(top / "other"))
        wait_until(lambda: session.parent in listener.roots("appeared"))
        assert set(listener.roots()) == {session.parent}

    def test_pruned_names_are_passed_over(self, watcher, top, listener, wait_until):
        """A project in a folder that the finder passes over is not found."""
        watcher.add_root(top)
        make_session(sessions_root(top / "node_modules" / "inner"))
        session = make_session(sessions_root(top / "other"))
        wait_until(lambda: session.parent in listener.roots("appeared"))
        assert set(listener.roots()) == {session.parent}

    def test_depth_holds_for_new_folders(self, listener, top, wait_until):
        """What lies deeper than the finder looks is not found when it appears, either."""
        watcher = make_watcher(listener, options=FinderOptions(depth=1))
        watcher.start()
        try:
            watcher.add_root(top)
            make_session(sessions_root(top / "a" / "b"))
            session = make_session(sessions_root(top / "c"))
            wait_until(lambda: session.parent in listener.roots("appeared"))
            assert set(listener.roots()) == {session.parent}
        finally:
            watcher.stop()

    def test_registered_project(self, watcher, tmp_path, listener, wait_until):
        """A registered project without sessions is heard of when it gets some; no watch root is named."""
        project = tmp_path / "project"
        project.mkdir()
        watcher.add_project(project)
        session = make_session(sessions_root(project))
        wait_until(lambda: session.parent in listener.roots("appeared"))
        assert listener.projects() == []
        _rings_when_saved(session, listener, wait_until)


class TestEntryItself:
    @pytest.mark.parametrize("kind", ["root", "project"])
    def test_missing_then_made(self, watcher, top, listener, wait_until, kind):
        """An entry that is missing at the start is said to be so, and is watched once it is there."""
        path = top / "later"
        add = watcher.add_root if kind == "root" else watcher.add_project
        add(path)
        (status,) = watcher.status()
        assert status.mode == "polling"
        assert "not there" in (status.reason or "")
        session = make_session(sessions_root(path))
        wait_until(lambda: session.parent in listener.roots("appeared"))
        assert bool(listener.projects()) == (kind == "root")
        _rings_when_saved(session, listener, wait_until)
        assert watcher.status()[0].mode == "events"

    def test_file_then_folder(self, watcher, top, listener, wait_until):
        """An entry that is a file is none until it is a folder."""
        path = top / "later"
        path.touch()
        watcher.add_root(path)
        assert watcher.status()[0].mode == "polling"
        path.unlink()
        session = make_session(sessions_root(path / "project"))
        wait_until(lambda: session.parent in listener.roots("appeared"))
        assert path in listener.projects()

    def test_removed_and_made_again(self, watcher, top, listener, wait_until):
        """A watch root that is removed and made again gives both hints and is watched again."""
        session = make_session(sessions_root(top / "project"))
        watcher.add_root(top)
        shutil.rmtree(top)
        wait_until(lambda: session.parent in listener.roots("vanished"))
        listener.clear()
        make_session(session.parent)
        wait_until(lambda: session.parent in listener.roots("appeared"))
        assert top in listener.projects()
        _rings_when_saved(session, listener, wait_until)

    def test_renamed_away_and_back(self, watcher, top, listener, wait_until):
        """A watch root that is renamed away is silent there, and works again when it is back."""
        session = make_session(sessions_root(top / "project"))
        watcher.add_root(top)
        parked = top.rename(top.with_name("parked"))
        wait_until(lambda: session.parent in listener.roots("vanished"))
        listener.clear()
        save(parked / "project" / "agents" / "sessions" / "one", "{1}")
        parked.rename(top)
        wait_until(lambda: session.parent in listener.roots("appeared"))
        _rings_when_saved(session, listener, wait_until)

    def test_folder_above_is_renamed(self, watcher, tmp_path, listener, wait_until):
        """A change above the watch root, which raises no event, is noticed by the next look."""
        top = tmp_path / "above" / "watched"
        session = make_session(sessions_root(top / "project"))
        watcher.add_root(top)
        (tmp_path / "above").rename(tmp_path / "parked")
        wait_until(lambda: session.parent in listener.roots("vanished"))
        make_session(sessions_root(top / "project"), "other")
        wait_until(lambda: session.parent in listener.roots("appeared"))
        _rings_when_saved(session.parent / "other", listener, wait_until)

    def test_entry_behind_a_link(self, watcher, tmp_path, listener, wait_until):
        """A link as an entry is followed, because somebody named it; hints carry the name that was given."""
        session = make_session(sessions_root(tmp_path / "real" / "project"))
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "real")
        watcher.add_root(link)
        save(session, "{1}")
        wait_until(lambda: link / "project" / "agents" / "sessions" / "one" in listener.sessions())

    def test_mounted_over_and_unmounted(self, top, tmp_path):
        """A mount over a sessions root gives a hint, and so does its end."""
        session = make_session(sessions_root(top / "project"))
        script = tmp_path / "mounts.py"
        script.write_text(_MOUNTS)
        done = subprocess.run(
            ["unshare", "-Urm", os.sys.executable, str(script), str(top), str(session)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in os.sys.path if p)},
        )
        if "cannot mount" in done.stderr or "unshare" in done.stderr:
            pytest.skip(f"no mounts here: {done.stderr.strip()}")
        assert done.stdout.split() == ["mounted", "saved", "unmounted", "saved"], done.stderr


_MOUNTS = """
import subprocess, sys, time
from pathlib import Path
from tests.watching import Listener, make_watcher, make_session, save

top, session = map(Path, sys.argv[1:])
root = session.parent
listener = Listener()
watcher = make_watcher(listener)
watcher.start()
watcher.add_root(top)

def wait(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, (listener.hints, watcher.status())
        time.sleep(0.01)

def saves(folder):
    listener.clear()
    save(folder, "{again}")
    wait(lambda: folder in listener.sessions())
    print("saved")

if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root]).returncode:
    sys.exit("cannot mount")
wait(lambda: root in listener.roots())
print("mounted")
make_session(root, "inside")
wait(lambda: root / "inside" in listener.sessions())
saves(root / "inside")
listener.clear()
subprocess.run(["umount", root], check=True)
wait(lambda: root in listener.roots())
print("unmounted")
saves(session)
watcher.stop()
"""


class _Service:
    """Reads what it is pointed at, on its own thread, as the real one does."""

    def __init__(self) -> None:
        self.seen: set[Path] = set()
        self._hints: queue.Queue[Hint | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __call__(self, hint: Hint) -> None:
        self._hints.put(hint)

    def stop(self) -> None:
        self._hints.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (hint := self._hints.get()) is not None:
            if isinstance(hint, SessionTouched):
                self._look(hint.session_dir)
            elif isinstance(hint, RootTouched):
                self._look_at_root(hint.sessions_root)

    def _look_at_root(self, root: Path) -> None:
        if root.is_dir():
            for session in root.iterdir():
                self._look(session)

    def _look(self, session: Path) -> None:
        if (session / "state.json").exists():
            self.seen.add(session)


def _race(top: Path, count: int, wait_until: Wait) -> None:
    service = _Service()
    watcher = Watcher(service, options=OPTIONS)
    watcher.start()
    try:
        watcher.add_root(top)
        root = sessions_root(top / "project")
        made = []
        for number in range(count):
            # In turn: a session, a project, a project three levels deep; the first write follows at once.
            parent = [root, top / f"p{number}/agents/sessions", top / f"a{number}/b/c/agents/sessions"]
            session = parent[number % 3] / f"s{number}"
            session.mkdir(parents=True)
            (session / "state.json").write_text("{}")
            made.append(session)
        wait_until(lambda: service.seen >= set(made), "every first write to be seen", seconds=15.0)
    finally:
        watcher.stop()
        service.stop()


def test_first_writes_are_not_missed(top, wait_until):
    """mkdir -p and a first write at once, 300 times: every write is seen."""
    _race(top, 300, wait_until)


@pytest.mark.slow
def test_first_writes_are_not_missed_for_long(top, wait_until):
    """mkdir -p and a first write at once, 1,000 times: every write is seen."""
    _race(top, 1000, wait_until)
