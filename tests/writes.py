"""What anybody writes into a database, seen from outside, with none of our code between."""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg

from sessionlib.db import tables

_COUNTED = [name for name in tables.metadata.tables if name != "hosts"]
"""Every table but the one that the heartbeat is written into."""


class Writes:
    """Tells what was written between two calls; belongs to one thread.

    Attributes:
        beats: Heartbeats seen so far.
    """

    def __init__(self, connection: Any, *, is_postgres: bool) -> None:
        self.beats = 0
        self._connection = connection
        self._is_postgres = is_postgres
        self._beat = self._hosts()
        self._mark = self._now()
        self._rows = self._count(0)[0] if is_postgres else 0

    def taken(self) -> int:
        """Return how much was written since the last call, leaving out the heartbeat.

        On PostgreSQL rows that were inserted, updated or deleted. SQLite only says whether anything was
        committed: 1 if so; a heartbeat is taken for all of it, so ask at least every few seconds.
        """
        before, self._mark = self._mark, self._now()
        if self._mark == before:
            return 0
        beat = self._hosts()
        has_beaten, self._beat = beat != self._beat, beat
        self.beats += has_beaten
        if not self._is_postgres:
            return int(not has_beaten)
        rows, newer = self._count(before)
        gone, self._rows = max(0, self._rows - rows), rows
        return newer + gone

    def _now(self) -> int:
        """Return a number that moves whenever anybody commits something."""
        if self._is_postgres:
            return int(self._one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text"))
        return int(self._one("PRAGMA data_version"))

    def _hosts(self) -> str:
        gathered = "string_agg" if self._is_postgres else "group_concat"
        return str(self._one(f"SELECT {gathered}(CAST(heartbeat_at AS text), ',') FROM hosts"))

    def _count(self, since: int) -> tuple[int, int]:
        """Return how many rows there are, and how many versions of rows are of that transaction or later."""
        newer = f"count(*) FILTER (WHERE xmin::text::bigint >= {since})"
        each = " UNION ALL ".join(f"SELECT count(*) AS a, {newer} AS b FROM {name}" for name in _COUNTED)
        row = self._connection.execute(f"SELECT sum(a), sum(b) FROM ({each}) AS one").fetchone()
        return int(row[0]), int(row[1])

    def _one(self, statement: str) -> Any:
        return self._connection.execute(statement).fetchone()[0]


@contextlib.contextmanager
def watched(url: str) -> Iterator[Writes]:
    """Watch a database, whose schema is there, until the block ends."""
    is_postgres = url.startswith("postgres")
    if is_postgres:
        connection: Any = psycopg.connect(url, autocommit=True)
    else:
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    with contextlib.closing(connection):
        yield Writes(connection, is_postgres=is_postgres)
