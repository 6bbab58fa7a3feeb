"""The change feed over HTTP: every change once, in order, and a clear word when some were missed."""

import json
import time
from collections.abc import Iterator

import pytest

from sessiond.control import streaming
from tests.conftest import Wait
from tests.controls import House, Listener, change, connected, house


@pytest.fixture
def home() -> Iterator[House]:
    """A control server with a played daemon."""
    with house() as made:
        yield made


def test_a_change_arrives_at_once(home: House, wait_until: Wait) -> None:
    """The stream begins with a comment and the time to retry; a change has id, kind and its JSON."""
    with Listener(home.socket) as listener:
        assert listener.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert listener.answer.headers["Server"] == "sessiond/9.8.7"
        assert listener.answer.headers["Cache-Control"] == "no-store"
        assert listener.block() == [": sessiond 9.8.7", "retry: 2000"]
        assert listener.block() == [f"id: {home.daemon.feed.last_id}"]
        before = time.monotonic()
        home.daemon.feed.publish([change("wall", "created")])
        seen = listener.event()
        assert time.monotonic() - before < 10
        assert (seen["id"], seen["event"]) == (home.daemon.feed.last_id, "created")
        assert json.loads(seen["data"]) == change("wall", "created").to_json()
    wait_until(lambda: home.daemon.feed.listeners == 0, "the listener to be forgotten")


def test_every_change_comes_once_and_in_order(home: House) -> None:
    """Also while they are published faster than they are sent, by several listeners alike."""
    listeners = [Listener(home.socket) for _ in range(3)]
    for listener in listeners:
        listener.block()
    for start in range(0, 600, 20):
        home.daemon.feed.publish(change(seq=number) for number in range(start, start + 20))
    for listener in listeners:
        seen = [json.loads(listener.event()["data"])["seq"] for _ in range(600)]
        assert seen == list(range(600))
        listener.close()


@pytest.mark.parametrize("how", ["header", "parameter", "both"])
def test_a_listener_that_comes_back_misses_nothing(home: House, how: str) -> None:
    """After the last id it has seen, in the header that browsers send or in the URL; the header is newer."""
    feed = home.daemon.feed
    feed.publish([change("one")])
    first = feed.last_id
    feed.publish([change("two")])
    second = feed.last_id
    feed.publish([change("three")])
    after = {"header": second, "parameter": None, "both": second}[how]
    target = {"header": "/events", "parameter": f"/events?after={second}", "both": f"/events?after={first}"}[
        how
    ]
    with Listener(home.socket, after, target=target) as listener:
        assert json.loads(listener.event()["data"])["slug"] == "three"
        feed.publish([change("four")])
        assert json.loads(listener.event()["data"])["slug"] == "four"


def test_a_listener_that_missed_nothing_keeps_its_place(home: House) -> None:
    """Its own id is confirmed, so that it can come back again."""
    home.daemon.feed.publish([change()])
    last = home.daemon.feed.last_id
    with Listener(home.socket, last) as listener:
        assert [listener.block(), listener.block()][1] == [f"id: {last}"]


@pytest.mark.parametrize("after", ["0000-5", "x", "feed-99", "-1", "a" * 5000, "%D9%A1", "a%0Ab"])
def test_a_listener_from_another_life_must_look_anew(home: House, after: str) -> None:
    """An id nobody knows is answered with a resync, whose id it can go on from."""
    home.daemon.feed.publish([change()])
    with Listener(home.socket, target=f"/events?after={after}") as listener:
        seen = listener.event()
        assert seen["event"] == "resync"
        assert seen["id"] == home.daemon.feed.last_id
        assert "no longer known" in json.loads(seen["data"])["reason"]


def test_a_listener_that_was_away_too_long_must_look_anew(home: House) -> None:
    """More changes than are kept cannot be made good."""
    home.daemon.feed.publish([change()])
    first = home.daemon.feed.last_id
    home.daemon.feed.publish(change(seq=number) for number in range(2500))
    with Listener(home.socket, first) as listener:
        assert listener.event()["event"] == "resync"


def test_a_listener_that_reads_too_slowly_is_told(home: House) -> None:
    """What it can no longer get is a resync; from there on it misses nothing, and others are not held up."""
    feed = home.daemon.feed
    with Listener(home.socket) as slow, Listener(home.socket) as quick:
        slow.block()
        quick.block()
        for start in range(0, 4000, 200):
            feed.publish(change("x" * 2000, seq=number) for number in range(start, start + 200))
            assert [json.loads(quick.event()["data"])["seq"] for _ in range(200)] == list(
                range(start, start + 200)
            )
        seqs = []
        while (seen := slow.event())["event"] != "resync":
            seqs.append(json.loads(seen["data"])["seq"])
        assert seqs == list(range(len(seqs)))
        assert len(seqs) < 4000
        assert seen["id"] == feed.last_id
        assert "faster than they were read" in json.loads(seen["data"])["reason"]
        feed.publish([change("next")])
        assert json.loads(slow.event()["data"])["slug"] == "next"


def test_a_silent_stream_shows_signs_of_life(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment every few seconds tells client and proxies that the connection stands."""
    monkeypatch.setattr(streaming, "PING_EVERY", 0.05)
    with Listener(home.socket) as listener:
        listener.block()
        listener.block()
        assert [listener.block() for _ in range(3)] == [[":"]] * 3
        home.daemon.feed.publish([change()])
        assert listener.event()["event"] == "changed"


def test_a_listener_that_never_reads_is_let_go(
    home: House, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """It would keep its place for ever."""
    monkeypatch.setattr(streaming, "STALLED", 0.2)
    with connected(home.socket) as stalled:
        stalled.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: home.daemon.feed.listeners == 1)
        for _ in range(20):
            home.daemon.feed.publish(change("x" * 500) for _ in range(900))
            time.sleep(0.01)
        wait_until(lambda: home.daemon.feed.listeners == 0, "the listener to be let go")


def test_streams_may_take_half_of_the_places(wait_until: Wait) -> None:
    """However many listen, there is room for a question; a place is free again when one goes."""
    with house(clients=4) as home:
        with Listener(home.socket) as first, Listener(home.socket) as second:
            first.block()
            second.block()
            answer = home.ask("GET", "/events")
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert answer.json["error"] == "2 event streams are open, and there may be no more"
            assert home.get("/status")["version"] == "9.8.7"
        wait_until(lambda: home.daemon.feed.listeners == 0)
        with Listener(home.socket) as third:
            assert third.block()[0] == ": sessiond 9.8.7"


def test_stopping_ends_the_streams(home: House) -> None:
    """The last line says why, and the end of the stream is a proper one."""
    with Listener(home.socket) as listener:
        listener.block()
        listener.block()
        home.daemon.feed.publish([change()])
        assert listener.event()["event"] == "changed"
        before = time.monotonic()
        home.server.stop(timeout=20)
        assert time.monotonic() - before < 10
        assert listener.block() == [": the daemon is stopping"]
        assert listener.block() == []
    assert home.daemon.feed.listeners == 0
