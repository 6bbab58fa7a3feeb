"""The watcher without events: the same hints, a little later."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.watch import tree
from sessiond.watch.watcher import Watcher
from sessionlib.state import mounts
from tests.watching import (
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
    """A running watcher that was told to poll."""
    with running_watcher(listener, force_polling=True, poll_interval=0.02) as watcher:
        yield watcher


def test_status(watcher, top):
    """A polled entry says so, and has no watch."""
    make_session(sessions_root(top / "project"))
    watcher.add_root(top)
    (status,) = watcher.status()
    assert (status.mode, status.reason, status.watches) == ("polling", "polling is configured", 0)
    assert status.sessions_roots == 1
    assert inotify_watches() == 0


@pytest.mark.parametrize("name", ["state.json", "plan.json", "research/run/state.json"])
def test_saved(watcher, top, listener, wait_until, name):
    """A save of any input of a session rings for it."""
    session = make_session(sessions_root(top / "project"))
    (session / "research" / "run").mkdir(parents=True)
    watcher.add_root(top)
    for text in ("{1}", "{22}"):
        listener.clear()
        save((session / name).parent, text, Path(name).name)
        wait_until(lambda: session in listener.sessions())


def test_only_what_changed_rings(watcher, top, listener, wait_until):
    """A session that did not change is quiet while others change."""
    root = sessions_root(top / "project")
    quiet, busy = make_session(root, "quiet"), make_session(root, "busy")
    watcher.add_root(top)
    # Files of this very second are looked at once more; wait until that is over.
    wait_until(lambda: {quiet, busy} <= set(listener.sessions()))
    listener.clear()
    save(busy, "{1}")
    wait_until(lambda: busy in listener.sessions())
    assert quiet not in listener.sessions()


def test_sessions_come_and_go(watcher, top, listener, wait_until):
    """A new session rings, and so does one that is deleted."""
    root = sessions_root(top / "project")
    watcher.add_root(top)
    session = make_session(root)
    wait_until(lambda: session in listener.sessions())
    listener.clear()
    shutil.rmtree(session)
    wait_until(lambda: session in listener.sessions())


def test_projects_come_and_go(watcher, top, listener, wait_until):
    """A project that appears and vanishes gives the hints that events would give."""
    watcher.add_root(top)
    session = make_session(top / "a" / "b" / "agents" / "sessions")
    wait_until(lambda: session.parent in listener.roots("appeared"))
    assert top in listener.projects("appeared")
    (top / "a").rename(top / "c")
    wait_until(lambda: session.parent in listener.roots("vanished"))
    wait_until(lambda: top / "c" / "b" / "agents" / "sessions" in listener.roots("appeared"))


def test_missing_root(watcher, top, listener, wait_until):
    """A watch root that goes away vanishes with its sessions roots, and appears again."""
    session = make_session(sessions_root(top / "project"))
    watcher.add_root(top)
    shutil.rmtree(top)
    wait_until(lambda: session.parent in listener.roots("vanished"))
    wait_until(lambda: "not there" in (watcher.status()[0].reason or ""))
    make_session(session.parent)
    wait_until(lambda: session.parent in listener.roots("appeared"))


@pytest.mark.parametrize("gone", [".", "project", "project/agents", "project/agents/sessions"])
def test_gone_between_survey_and_watch(watcher, top, listener, wait_until, monkeypatch, gone):
    """A sessions root that goes between the survey that found it and its watch vanishes as any other."""
    session = make_session(sessions_root(top / "project"))
    watcher.add_root(top)
    survey_of = tree.survey_of

    def survey_and_remove(*arguments, **options):
        survey = survey_of(*arguments, **options)
        shutil.rmtree(top / gone, ignore_errors=True)
        return survey

    monkeypatch.setattr(tree, "survey_of", survey_and_remove)
    wait_until(lambda: session.parent in listener.roots("vanished"))


def test_network_file_system(listener, top, wait_until, monkeypatch):
    """A watch root on a file system that raises no events is polled, and only that one."""
    far, near = top / "far", top / "near"
    sessions = [make_session(sessions_root(path / "project")) for path in (far, near)]
    listed = [*mounts.read_mounts(), (str(far), "nfs4")]
    monkeypatch.setattr(tree, "read_mounts", lambda: listed)
    watcher = make_watcher(listener)
    watcher.start()
    try:
        watcher.add_root(far)
        watcher.add_root(near)
        first, second = watcher.status()
        assert (first.mode, first.watches) == ("polling", 0)
        assert "nfs4" in (first.reason or "")
        assert second.mode == "events"
        for session in sessions:
            save(session, "{1}")
        wait_until(lambda: set(sessions) <= set(listener.sessions()))
    finally:
        watcher.stop()


def test_network_mount_inside(listener, top, wait_until, monkeypatch):
    """A sessions root on such a file system below a local watch root is polled; its neighbours are not."""
    far = make_session(sessions_root(top / "far"))
    near = make_session(sessions_root(top / "near"))
    listed = [*mounts.read_mounts(), (str(far.parent), "fuse.sshfs")]
    monkeypatch.setattr(tree, "read_mounts", lambda: listed)
    watcher = make_watcher(listener)
    watcher.start()
    try:
        watcher.add_root(top)
        (status,) = watcher.status()
        assert status.mode == "mixed"
        assert "2 folders have no watch" in (status.reason or "")
        for session in (far, near):
            save(session, "{1}")
        wait_until(lambda: {far, near} <= set(listener.sessions()))
    finally:
        watcher.stop()
