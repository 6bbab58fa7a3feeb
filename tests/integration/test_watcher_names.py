"""Folders called like the files that ring: projects, sessions and runs of such names are watched like any."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.watching import Listener, make_session, make_watcher, save, sessions_root

Wait = Callable[..., None]


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """A listener to a watcher that runs on an empty folder."""
    made = Listener()
    (tmp_path / "watched").mkdir()
    watcher = make_watcher(made)
    watcher.start()
    watcher.add_root(tmp_path / "watched")
    yield made
    watcher.stop()


@pytest.mark.parametrize("name", ["state.json", "plan.json", "research", ".state.lock"[1:]])
def test_folders_called_like_files(tmp_path: Path, listener: Listener, wait_until: Wait, name: str) -> None:
    """A project, a session and a run of that name, made one after the other, ring for each later save."""
    root = sessions_root(tmp_path / "watched" / name)
    wait_until(lambda: root in listener.roots(), "the root")
    folder = make_session(root, name)
    wait_until(lambda: folder in listener.sessions(), "the session")
    run = folder / "research" / name
    run.mkdir(parents=True)
    beacon = make_session(root, "beacon")
    for place in (folder, run, folder):
        # Events come in order: when the last save of the beacon rings, nothing older is on its way.
        wait_until(lambda: beacon in listener.sessions(), "silence")
        listener.clear()
        save(place, "{1}")
        wait_until(lambda: folder in listener.sessions(), f"a save in {place}")
        save(beacon, "{1}")
