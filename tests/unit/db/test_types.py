"""Column types that mean the same on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Text, cast, func, insert, select, text, update

from sessionlib.db import tables
from sessionlib.db.engine import Database
from sessionlib.db.types import decode_time, encode_time
from sessionlib.errors import RowRejectedError
from sessionlib.models import derived_id
from tests import worlds

MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 2, 16, 12, 0, 0, 1, tzinfo=UTC),
    datetime(2026, 2, 16, 12, 0, 0, 10, tzinfo=UTC),
    datetime(2026, 2, 16, 14, tzinfo=timezone(timedelta(hours=1, minutes=30))),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]
H = tables.hosts


def add(connection: Connection, number: int, **values: Any) -> UUID:
    """Insert a host and return its id."""
    host_id = derived_id("host", number)
    connection.execute(insert(H).values({"host_id": host_id, "name": "x", "created_at": worlds.T0} | values))
    return host_id


def test_times_round_trip(database: Database) -> None:
    """Aware times come back as the same moments in UTC, from year 1 to 9999, to the microsecond."""
    with database.write() as connection:
        for number, moment in enumerate(MOMENTS):
            add(connection, number, name=f"{number}", heartbeat_at=moment)
        got = list(connection.scalars(select(H.c.heartbeat_at).order_by(H.c.name)))
    assert got == MOMENTS
    assert {moment.tzinfo for moment in got} == {UTC}


def test_times_order_and_compare_as_moments(database: Database) -> None:
    """The database sorts, compares and takes the greatest as Python does."""
    with database.write() as connection:
        for number, moment in enumerate(reversed(MOMENTS)):
            add(connection, number, heartbeat_at=moment)
        column = H.c.heartbeat_at
        assert list(connection.scalars(select(column).order_by(column))) == sorted(MOMENTS)
        assert connection.scalar(select(func.max(column))) == max(MOMENTS)
        later = select(func.count()).where(column > MOMENTS[4])
        assert connection.scalar(later) == sum(moment > MOMENTS[4] for moment in MOMENTS)


def test_text_of_times_sorts_as_they_do() -> None:
    """SQLite's text has one width, and its order is that of the moments."""
    texts = [encode_time(moment) for moment in MOMENTS]
    assert {len(written) for written in texts} == {27}
    assert [decode_time(written) for written in sorted(texts)] == sorted(MOMENTS)
    assert texts[0] == "0001-01-01T00:00:00.000000Z"


def test_naive_time_is_refused(database: Database) -> None:
    """A time without a zone is refused, as a value to store and as one to ask for."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(RowRejectedError, match="without a time zone"), database.write() as connection:
        add(connection, 1, heartbeat_at=naive)
    with pytest.raises(RowRejectedError, match="without a time zone"), database.read() as connection:
        connection.execute(select(H).where(H.c.created_at == naive))


def test_times_of_a_server_in_another_zone(postgres_url: str) -> None:
    """Where the server's own zone would overflow the calendar, the extremes still come back."""
    database = Database(postgres_url)
    name = database.url.database
    with database.write() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET timezone = 'Pacific/Kiritimati'"))
        add(connection, 1, heartbeat_at=MOMENTS[-1])
        add(connection, 2, heartbeat_at=MOMENTS[0])
    database.close()
    again = Database(postgres_url)
    with again.read() as connection:
        got = list(connection.scalars(select(H.c.heartbeat_at).order_by(H.c.heartbeat_at)))
    again.close()
    assert got == [MOMENTS[0], MOMENTS[-1]]


def test_ids(database: Database) -> None:
    """A UUID comes back as one, and SQLite keeps the text that people paste."""
    with database.write() as connection:
        host_id = add(connection, 1)
        assert connection.scalar(select(H.c.host_id).where(H.c.host_id == host_id)) == host_id
        assert connection.scalar(text("SELECT CAST(host_id AS text) FROM hosts")) == str(host_id)


VALUES = [
    None,
    {},
    {"a": None},
    [],
    [1, 2.5, 'ü\n"\\'],
    "text",
    0,
    True,
    {"deep": {"list": [{}, [[]]]}},
    1 << 53,
]


def test_json_round_trip(database: Database) -> None:
    """JSON values come back as they were."""
    table = tables.workspaces
    with database.write() as connection:
        worlds.add_place(connection)
        for value in VALUES:
            connection.execute(update(table).values(overrides=value))
            assert connection.scalar(select(table.c.overrides)) == value


def test_none_is_null_and_not_json_null(database: Database) -> None:
    """None is stored as SQL NULL in a JSON column; JSON's own null inside a document stays."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        table = tables.workspaces
        connection.execute(update(table).values(overrides={"a": None}))
        assert connection.scalar(select(func.count()).where(table.c.overrides.is_(None))) == 0
        connection.execute(update(table).values(overrides=None))
        assert connection.scalar(select(func.count()).where(table.c.overrides.is_(None))) == 1
        rows = [worlds.session(place, "wall")]
        worlds.write_sessions(connection, rows, bodies={"wall": {"status": None}})
        assert connection.scalar(select(tables.documents.c.body)) == {"status": None}
        assert "null" in str(connection.scalar(select(cast(tables.documents.c.body, Text))))


def test_text_sorts_by_code_point(database: Database) -> None:
    """Names sort alike on both databases, whatever the server's locale."""
    names = ["Zebra", "apple", "Äpfel", "_x", "a-b", "ab", "a b", "漢", "🧱", "é", "e"]
    with database.write() as connection:
        for number, name in enumerate(names):
            add(connection, number, name=name)
        assert list(connection.scalars(select(H.c.name).order_by(H.c.name))) == sorted(names)
