"""Notifications of PostgreSQL: a connection of one's own that listens, and how to send some.

A listener hears only what is sent while it is connected, so whoever connects again must look at everything.
"""

import os
import selectors
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple, Self

from sqlalchemy.engine import URL

from sessionlib.db.engine import Database
from sessionlib.db.faults import translated
from sessionlib.errors import DatabaseUnavailableError

PAYLOAD_MOST = 7_900
"""Bytes of a payload; the server refuses 8,000."""

_APPLICATION_NAME = {"application_name": "sessiond listener"}


class Notification(NamedTuple):
    """What was sent on a channel."""

    channel: str
    payload: str


def announce(database: Database, channel: str, payloads: Sequence[str]) -> None:
    """Send these payloads, in order, in a short transaction of their own.

    Args:
        database: A PostgreSQL. A commit that notifies waits for every other one that does: call it from one
            place, and seldom.
        channel: Its name.
        payloads: Each of at most `PAYLOAD_MOST` bytes of UTF-8.

    Raises:
        DatabaseError: The database does not answer or refuses; nothing was sent.
    """
    if payloads:
        with database.write() as connection:
            connection.exec_driver_sql(
                "SELECT pg_notify(%s, %s)", [(channel, payload) for payload in payloads]
            )


class Listener:
    """A connection that listens, with the arguments and timeouts of every other connection.

    One thread makes it, waits and closes it; `interrupt` may be called from any.

    Args:
        url: A PostgreSQL database's. Behind PgBouncer in transaction mode nothing would be heard.
        channels: Names of lower-case letters, digits and underscores.

    Raises:
        DatabaseError: The database does not answer; connecting blocks for up to 5 s an address.
    """

    def __init__(self, url: URL, channels: Sequence[str]) -> None:
        if not all(name.isidentifier() and name.islower() for name in channels):
            raise ValueError(f"these are no names of channels: {channels}")
        self._arrived: list[Notification] = []
        self._interrupted = False
        self._closed = False
        self._lock = Lock()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ)
        # An engine of its own: a listener neither waits for a place in a pool nor goes back to one.
        named = url if "application_name" in url.query else url.update_query_dict(_APPLICATION_NAME)
        self._database = Database(named, pool_size=1)
        self._connection: Any = None
        try:
            with translated():
                self._connect(channels)
        except BaseException:
            self.close()
            raise

    def _connect(self, channels: Sequence[str]) -> None:
        self._connection = self._database.engine.raw_connection()
        driver: Any = self._connection.driver_connection
        self._connection.detach()
        # In a transaction a listener hears nothing until its end.
        driver.autocommit = True
        driver.add_notify_handler(lambda heard: self._arrived.append(Notification(*heard[:2])))
        for name in channels:
            driver.execute(f"LISTEN {name}")
        self._driver = driver.pgconn
        self._selector.register(self._driver.socket, selectors.EVENT_READ)

    def wait(self, timeout: float) -> list[Notification]:
        """Return what has arrived, waiting for the first at most so many seconds; nothing once interrupted.

        The thread sleeps in the kernel meanwhile: the driver's own generator wakes ten times a second.

        Raises:
            DatabaseUnavailableError: The connection is lost.
        """
        with translated():
            self._take()
            if not (self._arrived or self._interrupted) and self._selector.select(timeout):
                self._driver.consume_input()
                self._take()
        if not self._arrived and self._driver.status != 0:
            raise DatabaseUnavailableError("the listening connection is lost")
        arrived, self._arrived = self._arrived, []
        return [] if self._interrupted else arrived

    def _take(self) -> None:
        while (heard := self._driver.notifies()) is not None:
            words = (part.decode("utf-8", "replace") for part in (heard.relname, heard.extra))
            self._arrived.append(Notification(*words))

    def interrupt(self) -> None:
        """End a `wait` that goes on, and every later one at once; from any thread, never blocks."""
        with self._lock:
            self._interrupted = True
            if not self._closed:
                with suppress(BlockingIOError):
                    os.write(self._wake, b"!")

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._selector.close()
            os.close(self._woken)
            os.close(self._wake)
        if self._connection is not None:
            self._connection.close()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
