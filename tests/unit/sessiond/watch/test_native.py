"""Events where there is no inotify: watchdog's events become the same hints."""

import pytest
from watchdog.events import (
    DirCreatedEvent,
    DirModifiedEvent,
    FileClosedNoWriteEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileOpenedEvent,
)
from watchdog.observers.api import BaseObserver, EventEmitter

from sessiond.watch.native import NativeBells, SessionBell


@pytest.fixture
def heard():
    """The session folders that rang."""
    return []


@pytest.fixture
def bell(heard):
    """The bell of one sessions root."""
    return SessionBell("/p/s", lambda rings: heard.extend(str(h.session_dir) for h in rings.hints()))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (FileModifiedEvent("/p/s/one/state.json"), {"/p/s/one"}),
        (DirCreatedEvent("/p/s/one"), {"/p/s/one"}),
        (FileMovedEvent("/p/s/one/state.json", "/p/s/two/state.json"), {"/p/s/one", "/p/s/two"}),
        (FileMovedEvent("/p/s/one/state.json", "/p/elsewhere"), {"/p/s/one"}),
        (FileModifiedEvent(b"/p/s/s\xe9/state.json"), {"/p/s/s\udce9"}),
        (DirModifiedEvent("/p/s"), set()),
        (FileOpenedEvent("/p/s/one/state.json"), set()),
        (FileClosedNoWriteEvent("/p/s/one/state.json"), set()),
    ],
)
def test_bell(bell, heard, event, expected):
    """An event rings for the sessions it names; reading and what is outside ring for nothing."""
    bell.dispatch(event)
    assert set(heard) == expected


def test_follow():
    """Roots are listened to while they are followed; a stopped one leaves no thread."""
    observers = []

    def make_observer():
        observers.append(BaseObserver(EventEmitter))
        return observers[-1]

    bells = NativeBells(lambda _: None, make_observer=make_observer)
    bells.follow({"/a", "/b"})
    bells.follow({"/b", "/c"})
    assert bells.followed == {"/b", "/c"}
    assert len(observers[0].emitters) == 2
    bells.stop(5.0)
    assert not observers[0].is_alive()
    assert bells.followed == frozenset()
