"""PostgreSQL's channels against a real server: rescans asked for, connections lost, stopping."""

import logging
import os
import signal
import socket
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sessiond.channel import Channel
from sessiond.payloads import unpack
from sessiond.targets import Target
from sessionlib.db.channel import Listener, announce
from sessionlib.db.engine import Database
from tests.listening import HERE, THERE, Ears, Wait, change, database, ears, events, listeners, plain

__all__ = ["database", "ears", "plain"]

pytestmark = pytest.mark.postgres


# --- rescans ---------------------------------------------------------------------------------------


def test_a_notification_asks_for_a_rescan(
    ears: Ears, plain: psycopg.Connection[Any], wait_until: Wait
) -> None:
    """Plain NOTIFYs reach the callback with the target they name, as a rule within a second."""
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
    assert statistics.median(delays) < 1.0


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
    wait_until(lambda: events(caplog) == ["channel.failed"] * 2)  # the line follows the call
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
            assert seconds_to_stop(ears.channel) < 1.9
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
            # It waits a second for threads that cannot end sooner.
            assert seconds_to_stop(deaf.channel) < 1.9
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
