"""PostgreSQL's channels against a real server: rescans asked for, changes told, connections lost."""

import contextlib
import logging
import os
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
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
from sessiond.targets import Target
from sessionlib.db.channel import PAYLOAD_MOST, Listener, announce
from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseError, DatabaseUnavailableError
from sessionlib.models.base import utc_now
from tests import builders
from tests.mirrors import World

pytestmark = pytest.mark.postgres

Wait = Callable[..., None]
HERE, THERE = UUID(int=1), UUID(int=2)
LISTENER = "SELECT pid FROM pg_stat_activity WHERE application_name = 'sessiond listener' AND datname = %s"


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """A fresh PostgreSQL database."""
    opened = Database(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def plain(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A connection of somebody who knows nothing of us."""
    with connected(database) as connection:
        yield connection


@contextlib.contextmanager
def connected(database: Database) -> Iterator[psycopg.Connection[Any]]:
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


class Ears:
    """A channel and what it was told, with times."""

    def __init__(self, database: Database, host: UUID = HERE, **more: Any) -> None:
        self.targets: list[tuple[Target, float]] = []
        self.told: list[list[Change]] = []
        self.reconnected = 0
        self.channel = Channel(
            database,
            host_id=host,
            on_rescan=self._rescan,
            on_changes=self.told.append,
            on_reconnect=self._reconnect,
            **more,
        )

    def _rescan(self, target: Target) -> None:
        self.targets.append((target, time.monotonic()))

    def _reconnect(self) -> None:
        self.reconnected += 1

    @property
    def asked(self) -> list[Target]:
        return [target for target, _ in self.targets]


@pytest.fixture
def ears(database: Database, wait_until: Wait) -> Iterator[Ears]:
    """A channel that listens."""
    made = Ears(database, host_name="anvil")
    made.channel.start()
    wait_until(lambda: made.channel.listening, "listening")
    yield made
    made.channel.stop()


def listeners(plain: psycopg.Connection[Any]) -> list[int]:
    """Return the server's processes that serve listeners of this database."""
    return [row[0] for row in plain.execute(LISTENER, (plain.info.dbname,))]


def events(caplog: pytest.LogCaptureFixture, prefix: str = "channel.") -> list[str]:
    """Return the events that were logged."""
    names = [getattr(record, "event", "") for record in caplog.records]
    return [name for name in names if name.startswith(prefix)]


def change(number: int = 1, **more: Any) -> Change:
    """Return a change of a made-up session of this host."""
    fields: dict[str, Any] = {
        "kind": "changed",
        "at": "2026-01-05T09:00:00.000Z",
        "project": "garden",
        "project_id": str(UUID(int=7)),
        "session_id": str(UUID(int=number)),
        "root": "agents/sessions",
        "slug": f"s{number}",
        "seq": number,
        "phase": "build",
        "status": "active",
        "host_id": str(HERE),
    }
    return Change(**(fields | more))


# --- the driver's side -----------------------------------------------------------------------------


def test_a_listener_hears_in_order(database: Database, plain: psycopg.Connection[Any]) -> None:
    """Notifications of its channels arrive as they were sent, whatever their text; others do not."""
    with Listener(database.url, ("one_channel", "two")) as listener:
        plain.execute("NOTIFY other, 'x'")
        announce(database, "one_channel", ["größer", "y" * PAYLOAD_MOST])
        plain.execute("NOTIFY two")
        heard = []
        while len(heard) < 3:
            heard += listener.wait(5)
    assert heard == [("one_channel", "größer"), ("one_channel", "y" * PAYLOAD_MOST), ("two", "")]


def test_waiting_without_a_notification(database: Database) -> None:
    """The time is kept, the thread sleeps meanwhile, and an interrupt ends it at once and for good."""
    with Listener(database.url, ("one",)) as listener:
        began, used = time.monotonic(), time.thread_time()
        assert listener.wait(0.3) == []
        assert 0.29 < time.monotonic() - began < 2
        assert time.thread_time() - used < 0.05
        threading.Timer(0.1, listener.interrupt).start()
        began = time.monotonic()
        assert listener.wait(30) == []
        assert time.monotonic() - began < 2
        assert listener.wait(30) == []
    listener.interrupt()


def test_a_listener_that_is_cut_off(database: Database, plain: psycopg.Connection[Any]) -> None:
    """Whoever waits is told that the connection is lost; closing it twice is no error."""
    listener = Listener(database.url, ("one",))
    plain.execute("SELECT pg_terminate_backend(%s)", listeners(plain))
    with pytest.raises(DatabaseUnavailableError):
        wait_often(listener)
    listener.close()
    listener.close()
    assert listeners(plain) == []


def test_listening_to_nobody(database: Database) -> None:
    """A server that is not there is the database's error; a name that is none is a mistake of ours."""
    with pytest.raises(DatabaseUnavailableError):
        Listener(database.url.set(host="127.0.0.1", port=1, query={}), ("one",))
    with pytest.raises(ValueError, match="channels"):
        Listener(database.url, ("one; DROP TABLE sessions",))


def test_announcing_what_is_too_long(database: Database) -> None:
    """The server refuses it, and nothing of that transaction is sent."""
    with Listener(database.url, ("one",)) as listener:
        with pytest.raises(DatabaseError):
            announce(database, "one", ["short", "x" * 8000])
        assert listener.wait(0.2) == []


# --- rescans ---------------------------------------------------------------------------------------


def test_a_notification_asks_for_a_rescan(
    ears: Ears, plain: psycopg.Connection[Any], wait_until: Wait
) -> None:
    """Plain NOTIFYs reach the callback with the target they name, as a rule within 100 ms."""
    delays = []
    for payload, target in (
        ("garden", Target(project="garden")),
        ("/srv/garden", Target(path=Path("/srv/garden"))),
        ("", Target()),
        ('{"project": "shed", "host": "anvil"}', Target(project="shed")),
        (f'{{"path": "/srv/x", "host": "{HERE}"}}', Target(path=Path("/srv/x"))),
    ):
        sent = time.monotonic()
        plain.execute("SELECT pg_notify('sessiond_rescan', %s)", (payload,))
        wait_until(lambda: ears.targets)
        ((heard, at),) = ears.targets
        assert heard == target
        delays.append(at - sent)
        ears.targets.clear()
    assert statistics.median(delays) < 0.1


def test_what_arrives_together_is_asked_once(
    ears: Ears, plain: psycopg.Connection[Any], wait_until: Wait
) -> None:
    """Equal targets of one transaction coalesce, and everything covers the rest."""
    with plain.transaction():
        for payload in ("garden", "shed", " garden", '{"project": "garden"}'):
            plain.execute("SELECT pg_notify('sessiond_rescan', %s)", (payload,))
    wait_until(lambda: len(ears.targets) >= 2)
    with plain.transaction():
        for payload in ("shed", "*", "garden"):
            plain.execute("SELECT pg_notify('sessiond_rescan', %s)", (payload,))
    wait_until(lambda: len(ears.targets) >= 3)
    time.sleep(0.1)
    assert ears.asked == [Target(project="garden"), Target(project="shed"), Target()]


def test_rubbish_is_logged_once(
    ears: Ears, plain: psycopg.Connection[Any], wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be understood is ignored with one line; what is for another host without any."""
    for payload in ("{", "{", '{"path": "here"}', '{"host": "bench"}', "{"):
        plain.execute("SELECT pg_notify('sessiond_rescan', %s)", (payload,))
        plain.execute("SELECT pg_notify('sessiond_changes', %s)", (payload,))
    plain.execute("NOTIFY sessiond_rescan, 'garden'")
    wait_until(lambda: ears.targets)
    assert ears.asked == [Target(project="garden")]
    assert events(caplog) == ["channel.ignored"] * 2
    assert ears.told == []


def test_a_callback_that_fails(
    ears: Ears, plain: psycopg.Connection[Any], wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """Its exception is logged; the connection stands and the next notification is heard."""
    heard: list[Target] = []

    def fail(target: Target) -> None:
        heard.append(target)
        raise ValueError(target)

    ears.channel._on_rescan = fail
    for name in ("one", "two"):
        plain.execute("SELECT pg_notify('sessiond_rescan', %s)", (name,))
        wait_until(lambda: heard and heard[-1] == Target(project=name))  # noqa: B023 - waited for at once
    assert events(caplog) == ["channel.failed"] * 2
    assert ears.reconnected == 0


# --- connections -----------------------------------------------------------------------------------


def test_a_lost_connection(
    ears: Ears, plain: psycopg.Connection[Any], wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """It is made again, with one line for each state, and its owner is told that he missed something."""
    caplog.set_level(logging.INFO)
    for times in (1, 2):
        plain.execute("SELECT pg_terminate_backend(%s)", listeners(plain))
        wait_until(lambda: ears.reconnected == times)  # noqa: B023 - waited for at once
        plain.execute("NOTIFY sessiond_rescan, 'garden'")
        wait_until(lambda: len(ears.targets) == times)  # noqa: B023 - waited for at once
    assert events(caplog) == ["channel.lost", "channel.listening"] * 2
    assert len(listeners(plain)) == 1


def test_a_database_that_is_down_for_a_while(
    ears: Ears, plain: psycopg.Connection[Any], wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """Many failed tries are one line; meanwhile changes are dropped and counted, then listeners are told."""
    caplog.set_level(logging.INFO)
    name = plain.info.dbname
    with psycopg.connect(plain.info.dsn, dbname="postgres", autocommit=True) as admin:
        plain.close()
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')  # type: ignore[arg-type]
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        try:
            admin.execute(others, (name,))
            wait_until(lambda: not ears.channel.listening)
            ears.channel.announce([change(1), change(2)])
            wait_until(lambda: ears.channel.dropped == 2)
            time.sleep(1.0)
            assert ears.reconnected == 0
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')  # type: ignore[arg-type]
    wait_until(lambda: ears.reconnected == 1)
    assert events(caplog).count("channel.lost") == 1
    assert events(caplog).count("channel.listening") == 1
    assert events(caplog).count("channel.dropped") == 1
    with Listener(ears.channel._database.url, ("sessiond_changes",)) as listener:
        ears.channel.announce([change(3)])
        heard = [unpack(one.payload) for one in listener.wait(5)]
    assert [(resync, [one.seq for one in told]) for _, told, resync in heard] == [(True, []), (False, [3])]


def test_another_host_that_could_not_announce_all(ears: Ears, database: Database, wait_until: Wait) -> None:
    """Its resync is the same as a connection of our own that was lost."""
    announce(database, "sessiond_changes", [f'{{"host": "{THERE}", "resync": true, "changes": []}}'])
    wait_until(lambda: ears.reconnected == 1)
    announce(database, "sessiond_changes", [f'{{"host": "{HERE}", "resync": true, "changes": []}}'])
    announce(database, "sessiond_rescan", ["garden"])
    wait_until(lambda: ears.targets)
    assert ears.reconnected == 1


@pytest.mark.parametrize("how", ["hung server", "silent server"])
def test_stopping_while_the_server_hangs(
    ears: Ears, database: Database, plain: psycopg.Connection[Any], how: str
) -> None:
    """It ends within a second, connected or connecting, with announcements on their way."""
    if how == "hung server":
        (process,) = listeners(plain)
        if not Path(f"/proc/{process}").exists():
            pytest.skip("the server runs elsewhere")
        os.kill(process, signal.SIGSTOP)
        try:
            assert seconds_to_stop(ears.channel) < 1.0
        finally:
            os.kill(process, signal.SIGCONT)
        assert not ears.channel.progress().alive
        return
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        away = Database(database.url.set(host="127.0.0.1", port=port, query={"connect_timeout": "2"}))
        deaf = Ears(away)
        deaf.channel.start()
        deaf.channel.announce([change()])
        taken, _ = silent.accept()
        with taken:
            assert deaf.channel.progress().doing == "connecting"
            assert seconds_to_stop(deaf.channel) < 1.1
    for thread in deaf.channel._threads():
        thread.join(10)
    away.close()


def seconds_to_stop(channel: Channel) -> float:
    began = time.monotonic()
    channel.stop()
    return time.monotonic() - began


def test_stopping_leaves_nothing(ears: Ears, plain: psycopg.Connection[Any], wait_until: Wait) -> None:
    """Threads and connections are gone at once, nothing is announced any more, and twice is no error."""
    assert ears.channel.progress().alive
    assert seconds_to_stop(ears.channel) < 0.5
    assert not any(thread.is_alive() for thread in ears.channel._threads())
    wait_until(lambda: listeners(plain) == [])
    ears.channel.announce([change()])
    ears.channel.stop()


def test_idle_sleeps(ears: Ears) -> None:
    """While nothing is said its threads need no time."""
    time.sleep(0.2)
    used = time.process_time()
    before = ears.channel.progress().since
    time.sleep(1.0)
    assert time.process_time() - used < 0.05
    assert ears.channel.progress().since == before


def test_behind_pgbouncer(
    database: Database, plain: psycopg.Connection[Any], wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens, which is said once; what is committed is announced nevertheless."""
    caplog.set_level(logging.INFO)
    ears = Ears(database, pgbouncer=True)
    with Listener(database.url, ("sessiond_changes",)) as listener:
        ears.channel.start()
        assert ears.channel.progress().alive
        ears.channel.announce([change()])
        assert len(listener.wait(5)) == 1
    ears.channel.stop()
    wait_until(lambda: listeners(plain) == [])
    assert events(caplog) == ["channel.off"]


def test_on_sqlite(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """There are no channels: nothing is started, logged or announced, and it counts as healthy."""
    caplog.set_level(logging.INFO)
    before = set(threading.enumerate())
    ears = Ears(Database(sqlite_url))
    ears.channel.start()
    ears.channel.announce([change()])
    assert set(threading.enumerate()) == before
    assert ears.channel.progress().alive
    assert (ears.channel.listening, ears.channel.dropped) == (False, 0)
    ears.channel.stop()
    assert events(caplog) == []


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
    monkeypatch.setattr(channel, "_FIRST_DELAY", 1.0)


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


def wait_often(listener: Listener) -> None:
    """Wait a few times: the server's last words come before the end of the connection."""
    for _ in range(5):
        listener.wait(5)


def drained(listener: Listener, seconds: float = 0.2) -> list[Any]:
    """Return all that has arrived, once nothing has come for so long."""
    heard: list[Any] = []
    while more := listener.wait(seconds):
        heard += more
    return heard


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
