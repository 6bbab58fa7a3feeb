"""What the watcher counts: events of the kernel, and the hints they gave."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.watch.watcher import Watcher
from tests.conftest import Wait
from tests.watching import Listener, make_session, running_watcher, save, sessions_root


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A session that is there before the watcher."""
    return make_session(sessions_root(tmp_path / "watched" / "project"))


@pytest.fixture
def watcher(tmp_path: Path, session: Path, listener: Listener) -> Iterator[Watcher]:
    """A running watcher on the watch root."""
    with running_watcher(listener, tmp_path / "watched") as watcher:
        yield watcher


def test_a_save_is_four_events_and_one_hint(watcher: Watcher, session: Path, wait_until: Wait) -> None:
    """Made, closed, moved from, moved to: the temporary file's rings no bell."""
    assert (watcher.events, watcher.hints) == (0, 0)
    for count in range(1, 4):
        save(session, f'{{"count": {count}}}')
        wait_until(lambda count=count: watcher.events == 4 * count, "the events of a save")
    wait_until(lambda: watcher.hints == 3, "the hints")


def test_every_hint_counts_once(
    watcher: Watcher, session: Path, listener: Listener, wait_until: Wait
) -> None:
    """As many are counted as the listener was given, whoever gives them."""
    for number in range(20):
        make_session(session.parent, f"new-{number}")
    wait_until(lambda: len(set(listener.sessions())) == 20, "a hint for each session")
    wait_until(lambda: watcher.hints == len(listener.hints), "the counts to agree")


def test_reading_is_no_event(watcher: Watcher, session: Path, wait_until: Wait) -> None:
    """Listing, opening and reading what is watched is told by no event: only the save behind it is."""
    for _ in range(50):
        assert [path.read_bytes() for path in session.iterdir()] == [b"{}"]
    save(session, "[]")
    wait_until(lambda: watcher.hints == 1, "the hint of the save")
    wait_until(lambda: watcher.events == 4, "the events of the save")
