"""What is announced, and what hosts tell each other, against a real server."""

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from sessiond import announcer, channel
from sessiond.changes import Changes
from sessiond.channel import Channel
from sessiond.feed import Change, Feed
from sessiond.payloads import unpack
from sessionlib.db.channel import PAYLOAD_MOST, Listener, announce
from sessionlib.db.engine import Database
from sessionlib.models.base import utc_now
from tests import builders
from tests.listening import (
    HERE,
    THERE,
    Ears,
    Wait,
    change,
    connected,
    database,
    drained,
    ears,
    listeners,
    plain,
)
from tests.mirrors import World

__all__ = ["database", "ears", "plain"]

pytestmark = pytest.mark.postgres


# --- announcements ---------------------------------------------------------------------------------


def test_announcements_are_few_and_complete(
    ears: Ears, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes offered one by one end in a few transactions, which together hold each of them once."""
    sent: list[float] = []

    def counting(*arguments: Any) -> None:
        announce(*arguments)
        sent.append(time.monotonic())

    monkeypatch.setattr(announcer, "announce", counting)
    with Listener(database.url, ("sessiond_changes",)) as listener:
        for number in range(1, 1501):
            ears.channel.announce([change(number)])
            time.sleep(0.001)
        heard = listener.wait(5)
        while unpack(heard[-1].payload)[1][-1].seq < 1500:
            heard += listener.wait(5)
    assert all(len(one.payload.encode()) <= PAYLOAD_MOST for one in heard)
    assert [told.seq for one in heard for told in unpack(one.payload)[1]] == list(range(1, 1501))
    assert all(later - sooner >= announcer.ANNOUNCE_EVERY - 0.01 for sooner, later in pairwise(sent))
    assert ears.told == []


def test_too_many_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what may wait, changes are dropped and counted, and listeners are told to look at everything."""
    monkeypatch.setattr(announcer, "_WAITING_MOST", 10)
    ears = Ears(database)
    for number in range(1, 13):
        ears.channel.announce([change(number)])
    with Listener(database.url, ("sessiond_changes",)) as listener:
        ears.channel.start()
        heard = [unpack(one.payload) for one in listener.wait(5)]
    ears.channel.stop()
    assert ears.channel.dropped == 2
    assert heard[0][2]
    assert [told.seq for _, changes, _ in heard for told in changes] == list(range(1, 11))


class Node:
    """A host: a mirror driven by hand, a feed with its finder, and a channel."""

    def __init__(self, url: str, host: UUID) -> None:
        self.database = Database(url)
        self.world = World(self.database, clock=Now())  # type: ignore[arg-type]
        self.heard: list[Change] = []
        feed = Feed()
        feed.subscribe(lambda entry: self.heard.append(entry.change))
        self.changes: Changes
        self.channel = Channel(
            self.database,
            host_id=host,
            on_rescan=lambda _: None,
            on_changes=lambda told: self.changes.relay(told),  # noqa: PLW0108 - made only afterwards
            on_reconnect=lambda: self.changes.catch_up(),  # noqa: PLW0108 - made only afterwards
        )
        self.changes = Changes(
            self.database, feed, host_id=host, started_at=utc_now(), announce=self.channel.announce
        )
        self.changes.start()
        self.channel.start()

    def save(self, folder: Path, number: int) -> None:
        document = builders.v2(topic=str(number), updated_at=builders.at(number))
        builders.write_json(folder / "state.json", document)
        self.world.sync(folder)
        self.changes.touched(self.world.place(folder.parent), folder.name)

    def close(self) -> None:
        self.changes.stop()
        self.channel.stop()
        self.database.close()


class Now:
    """The real clock."""

    def __call__(self) -> Any:
        return utc_now()


@pytest.fixture
def nodes(postgres_url: str, wait_until: Wait) -> Iterator[list[Node]]:
    """Two hosts with one database, both listening."""
    made = [Node(postgres_url, host) for host in (HERE, THERE)]
    wait_until(lambda: all(node.channel.listening for node in made))
    yield made
    for node in made:
        node.close()


def test_two_hosts_tell_each_other(
    nodes: list[Node], root: Path, database: Database, wait_until: Wait
) -> None:
    """Each feed has every change of both hosts once, and nothing is told back and forth."""
    mine = [builders.make_session(root, f"mine{number}", builders.v2()) for number in range(3)]
    theirs = [builders.make_session(root, f"theirs{number}", builders.v2()) for number in range(3)]
    with Listener(database.url, ("sessiond_changes",)) as listener:
        for number in range(1, 41):
            nodes[0].save(mine[number % 3], number)
            nodes[1].save(theirs[number % 3], number)
        wait_until(lambda: all(len(node.heard) >= 80 for node in nodes))
        time.sleep(3 * announcer.ANNOUNCE_EVERY)
        told = [one for heard in drained(listener) for one in unpack(heard.payload)[1]]
    stored = {(str(row["session_id"]), row["seq"]) for row in nodes[0].world.rows("session_versions")}
    for node in nodes:
        keys = [(one.session_id, one.seq) for one in node.heard]
        assert len(keys) == len(set(keys)) == 80
        assert set(keys) == stored
    assert sorted((one.session_id, one.seq) for one in told) == sorted(stored)
    for one in told:
        assert one.host_id == str(HERE if one.slug.startswith("mine") else THERE)


@pytest.fixture
def _slow_to_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_FIRST_DELAY", 5.0)


@pytest.mark.usefixtures("_slow_to_reconnect")
def test_what_a_host_missed_while_it_was_cut_off(
    nodes: list[Node], root: Path, plain: psycopg.Connection[Any], wait_until: Wait
) -> None:
    """After its connection came back a feed catches up with what the other host did meanwhile."""
    one = builders.make_session(root, "one", builders.v2())
    nodes[1].save(one, 1)
    wait_until(lambda: len(nodes[0].heard) == 1)
    plain.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) p (pid)", (listeners(plain),))
    nodes[1].save(one, 2)
    wait_until(lambda: len(nodes[1].heard) == 2)
    time.sleep(2 * announcer.ANNOUNCE_EVERY)
    assert len(nodes[0].heard) == 1
    wait_until(lambda: [change.seq for change in nodes[0].heard] == [1, 2])


def test_writers_pay_nothing(ears: Ears, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast four writers commit, announcing takes a few transactions a second, none of them theirs."""
    sent: list[str] = []

    def noting(*arguments: Any) -> None:
        sent.append(threading.current_thread().name)
        announce(*arguments)

    monkeypatch.setattr(announcer, "announce", noting)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE scratch (writer int, number int)"))
    counts, offering = [0] * 4, [0.0] * 4
    began = time.monotonic()

    def write(writer: int) -> None:
        with connected(database) as own:
            while time.monotonic() < began + 1.0:
                own.execute("INSERT INTO scratch VALUES (%s, %s)", (writer, counts[writer]))
                counts[writer] += 1
                before = time.thread_time()
                ears.channel.announce([change(counts[writer])])
                offering[writer] += time.thread_time() - before

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasted = time.monotonic() - began
    ears.channel.stop(timeout=10)
    assert set(sent) == {"announcer"}
    assert len(sent) <= lasted / announcer.ANNOUNCE_EVERY + 2
    assert sum(offering) / sum(counts) < 0.001
    assert ears.channel.dropped == 0
