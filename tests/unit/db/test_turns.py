"""Threads of one process that write to one database."""

import threading

import pytest
from sqlalchemy import func, select

from sessionlib.db import engine, tables
from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseBusyError
from tests import worlds
from tests.conftest import Wait


def test_writers_of_one_process_take_turns(database: Database, wait_until: Wait) -> None:
    """Many threads that write at once all succeed, and none sees another one's half."""
    seen: list[int] = []

    def write(number: int) -> None:
        with database.write() as connection:
            worlds.add_place(connection, f"p{number}")
            seen.append(connection.scalar(select(func.count()).select_from(tables.projects)) or 0)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    wait_until(lambda: len(seen) == 8, "eight writes")
    if not database.is_postgres:
        assert seen == list(range(1, 9))


def test_a_turn_that_never_ends_is_an_error(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that waits too long for another one's writing is told so; afterwards all is well."""
    database = Database(sqlite_url)
    monkeypatch.setattr(engine, "_SQLITE_BUSY_MS", 20)
    with database.write(), pytest.raises(DatabaseBusyError, match="another thread"), database.write():
        pass
    with database.write() as connection:
        worlds.add_place(connection, "late")
    database.close()
