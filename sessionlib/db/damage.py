"""Values that are not what their columns hold: SQLite stores any value in any column, whoever writes it.

PostgreSQL refuses them, so there nothing is ever damaged.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Boolean, Column, Connection, Integer, Table
from sqlalchemy.types import JSON

from sessionlib.db import bulk, encoding, tables
from sessionlib.db.encoding import Row, columns_of
from sessionlib.db.types import ILLEGIBLE, Guid, UtcTime

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands in for a time that cannot be read: what was marked as gone stays so."""
_CHECKED = {"session_files": ("derived", "observed"), "sessions": ("observed",)}
"""Which columns of which tables are checked; all else that is derived is compared as it is stored."""


@contextmanager
def any_text(connection: Connection) -> Iterator[None]:
    """Let SQLite's driver give a text that is not UTF-8 as bytes; else it raises at the whole row."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "postgresql":
        yield
        return
    before = driver.text_factory
    driver.text_factory = _text_or_bytes
    try:
        yield
    finally:
        driver.text_factory = before


def _text_or_bytes(stored: bytes) -> str | bytes:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def teach(driver: sqlite3.Connection) -> None:
    """Let a connection to SQLite know the function that `find` asks with: whether bytes are a text."""
    driver.create_function(
        "is_text", 1, lambda stored: isinstance(_text_or_bytes(stored), str), deterministic=True
    )


def fetch_raw(connection: Connection, cursor: Any) -> list[Row]:
    """Return a cursor's rows as the driver gives them, whatever is stored, and close it."""
    with any_text(connection):
        rows: list[Row] = cursor.fetchall()
    cursor.close()
    return rows


class Damage(NamedTuple):
    """One value that cannot be read as what its column holds.

    Attributes:
        table: Where.
        key: The row's key, (column, value) each, as the driver gives it.
        at: The row's project, workspace, root and slug, as the driver gives them.
        column: Which one.
        raw: What is stored, as the driver gives it.
        is_observed: Whether no file tells it again.
    """

    table: str
    key: tuple[tuple[str, Any], ...]
    at: tuple[Any, Any, Any, Any]
    column: str
    raw: Any
    is_observed: bool

    @property
    def stored(self) -> str:
        """What is stored, as text: bytes escaped."""
        return self.raw.decode(errors="backslashreplace") if isinstance(self.raw, bytes) else str(self.raw)


_INSTEAD: tuple[tuple[type[Any], Any], ...] = (
    (Guid, UUID(int=0)),
    (UtcTime, UNKNOWN_TIME),
    (JSON, {}),
    (Boolean, False),
    (Integer, 0),
)


@cache
def _instead(column: Column[Any]) -> Any:
    """Return what stands in for a column's value that cannot be read."""
    return next((instead for kind, instead in _INSTEAD if isinstance(column.type, kind)), "")


def fetch(connection: Connection, cursor: Any, columns: Sequence[Column[Any]]) -> list[Row]:
    """Return what `bulk.fetch` does; something else stands in for each value that cannot be read."""
    if connection.dialect.name == "postgresql":
        return bulk.fetch(connection, cursor, columns)
    readers = [(encoding.reader_of(column), _instead(column)) for column in columns]
    rows = fetch_raw(connection, cursor)
    return [(*map(_read, row, readers), *row[len(readers) :]) for row in rows]


def _read(value: Any, reader: tuple[Callable[[Any], Any], Any]) -> Any:
    try:
        return None if value is None else reader[0](value)
    except ILLEGIBLE:
        return reader[1]


def files_among(connection: Connection, place: Mapping[str, Any], slugs: Collection[str]) -> list[Row]:
    """Return the rows of copies at a place (project, workspace, root), as `fetch` reads them.

    Args:
        connection: An open transaction.
        place: Column to value.
        slugs: None twice.
    """
    table = tables.session_files
    if connection.dialect.name == "postgresql" or not slugs:
        return bulk.rows_among(connection, table, place, "slug", slugs)
    fixed = " AND ".join(f"{name} = ?" for name in place)
    cursor = connection.connection.cursor()
    cursor.execute(
        f"SELECT {', '.join(encoding.names_of(table))} FROM session_files WHERE {fixed} "
        "AND slug IN (SELECT value FROM json_each(?))",
        [*map(encoding.sqlite_value, place.values()), orjson.dumps(list(slugs)).decode()],
    )
    return fetch(connection, cursor, columns_of(table))


def is_damaged(table: str, column: str, stored: Any) -> bool:
    """Tell whether a value, as SQLite's driver gives it, cannot be read as what its column holds."""
    if stored is None or isinstance(stored, datetime | UUID):
        return False
    try:
        encoding.reader_of(tables.metadata.tables[table].c[column])(stored)
    except ILLEGIBLE:
        return True
    return False


def find(connection: Connection, project_id: UUID) -> Iterator[Damage]:
    """Return the damaged values in a project's copies and sessions; reads all of their rows once.

    Args:
        connection: An open transaction.
        project_id: The project.
    """
    if connection.dialect.name == "postgresql":
        return
    for name, kinds in _CHECKED.items():
        table = tables.metadata.tables[name]
        readers = [
            (index, encoding.reader_of(column))
            for index, column in enumerate(columns_of(table))
            if column.info["kind"] in kinds
        ]
        cursor: Any = connection.connection.cursor()
        names = ", ".join(encoding.names_of(table))
        odd = " OR ".join(_odd(columns_of(table)[index]) for index, _ in readers)
        cursor.execute(f"SELECT {names} FROM {name} WHERE project_id = ? AND ({odd})", (str(project_id),))
        for row in fetch_raw(connection, cursor):
            yield from (_damage(table, row, index) for index in _unreadable(row, readers))


_DIGIT = "[0-9]"
_TIME = "-".join((_DIGIT * 4, _DIGIT * 2, _DIGIT * 2)) + f"T{':'.join([_DIGIT * 2] * 3)}.{_DIGIT * 6}Z"
_HEX = "[0-9a-f]"
_GUID = "-".join(_HEX * digits for digits in (8, 4, 4, 4, 12))
_ODD: tuple[tuple[type[Any], str], ...] = (
    (Guid, f"NOT (typeof({{0}}) = 'text' AND {{0}} GLOB '{_GUID}')"),
    # A month's 31st that it does not have is the next one's first to SQLite.
    (
        UtcTime,
        (
            f"NOT (typeof({{0}}) = 'text' AND {{0}} GLOB '{_TIME}' AND {{0}} >= '0001' "
            f"AND substr({{0}}, 1, 10) IS date({{0}}, '+0 days'))"
        ),
    ),
    (Boolean, "typeof({0}) <> 'integer'"),
    (Integer, "typeof({0}) <> 'integer'"),
)
# Only what is more than plain ASCII is handed to Python.
_ODD_TEXT = "typeof({0}) <> 'text' OR ({0} GLOB '*[^ -~]*' AND NOT is_text(CAST({0} AS BLOB)))"


@cache
def _odd(column: Column[Any]) -> str:
    """Return a condition, quick for SQLite, that holds for all of a column's values that cannot be read."""
    found = (condition for kind, condition in _ODD if isinstance(column.type, kind))
    odd = next(found, _ODD_TEXT).format(column.name)
    return f"({column.name} IS NOT NULL AND ({odd}))"


def _unreadable(row: Row, readers: Sequence[tuple[int, Callable[[Any], Any]]]) -> Iterator[int]:
    for index, read in readers:
        if row[index] is not None:
            try:
                read(row[index])
            except ILLEGIBLE:
                yield index


def _damage(table: Table, row: Row, index: int) -> Damage:
    column = columns_of(table)[index]
    named = {str(one.name): found for one, found in zip(columns_of(table), row, strict=True)}
    key = tuple((str(one.name), named[str(one.name)]) for one in table.primary_key.columns)
    at = named["project_id"], named["workspace_id"], named["root"], named["slug"]
    observed = column.info["kind"] == "observed"
    return Damage(table.name, key, at, str(column.name), row[index], observed)


def mend(connection: Connection, damage: Damage, now: datetime) -> Any:
    """Write what is known instead of a damaged value, where it still is stored; return it.

    A time that must be there becomes the present one; a number of a version the history's last.

    Args:
        connection: Inside `Database.write`, on SQLite.
        damage: Which.
        now: The time.
    """
    value = replacement(connection, damage, now)
    where = " AND ".join(f"{name} = ?" for name, _ in damage.key)
    # Bytes are of a text that is none, or were stored as such.
    stored = f"CAST({damage.column} AS BLOB)" if isinstance(damage.raw, bytes) else damage.column
    bulk.run(
        connection,
        f"UPDATE {damage.table} SET {damage.column} = ? WHERE {where} AND {stored} IS ?",
        encoding.sqlite_value(value),
        *(found for _, found in damage.key),
        damage.raw,
    )
    return value


def replacement(connection: Connection, damage: Damage, now: datetime) -> Any:
    """Return what `mend` writes."""
    column = tables.metadata.tables[damage.table].c[damage.column]
    if column.nullable:
        return None
    if damage.column == "version_seq":
        cursor: Any = connection.connection.cursor()
        where = " AND ".join(f"{name} = ?" for name, _ in damage.key)
        sql = f"SELECT coalesce(max(seq), 0) FROM session_versions WHERE {where} AND typeof(seq) = 'integer'"
        cursor.execute(sql, [found for _, found in damage.key])
        (last,) = cursor.fetchone()
        cursor.close()
        return last
    return now if isinstance(column.type, UtcTime) else _instead(column)
