"""Roots that come back and go again before the watcher has looked: whoever saw them there is told."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessiond.watch.watcher import Watcher
from tests.watching import Listener, make_session, make_watcher, sessions_root

Wait = Callable[..., None]


@pytest.fixture
def watcher(tmp_path: Path, listener: Listener) -> Iterator[Watcher]:
    """A watcher that looks only when there are events, on a folder with one project."""
    make_session(sessions_root(tmp_path / "watched" / "project"))
    made = make_watcher(listener, poll_interval=3600)
    made.start()
    made.add_root(tmp_path / "watched")
    yield made
    made.stop()


@pytest.mark.parametrize("part", ["agents/sessions", "agents", "."])
def test_a_root_that_comes_and_goes_unseen_rings(
    tmp_path: Path, watcher: Watcher, listener: Listener, wait_until: Wait, part: str
) -> None:
    """A comparison may have found the root in between, so that its going is news."""
    project = tmp_path / "watched" / "project"
    root = project / "agents" / "sessions"
    parked = tmp_path / "parked"
    (project / part).rename(parked)
    wait_until(lambda: root in listener.roots("vanished"), "the first going")
    listener.clear()
    with watcher._watches.lock:  # keeps the reader from looking
        parked.rename(project / part)
        (project / part).rename(parked)
    wait_until(lambda: root in listener.roots("vanished"), "the second going")
