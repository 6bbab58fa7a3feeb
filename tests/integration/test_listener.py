"""The driver's side of notifications, against a real server."""

import threading
import time
from typing import Any

import psycopg
import pytest

from sessionlib.db.channel import PAYLOAD_MOST, Listener, announce
from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseError, DatabaseUnavailableError
from tests.listening import database, ears, listeners, plain, wait_often

__all__ = ["database", "ears", "plain"]

pytestmark = pytest.mark.postgres


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
        assert 0.29 < time.monotonic() - began < 10
        assert time.thread_time() - used < 0.05
        threading.Timer(0.1, listener.interrupt).start()
        began = time.monotonic()
        assert listener.wait(30) == []
        assert time.monotonic() - began < 10
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
