"""Rows as the drivers take them: plain texts and numbers for SQLite, one JSON text for PostgreSQL.

Values are turned a column at a time: which turn a value needs is a question of its column, asked once.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Boolean, Column, Integer, Table
from sqlalchemy.types import JSON, String

from sessionlib.db.types import (
    ILLEGIBLE,
    Guid,
    Money,
    UtcTime,
    decode_money,
    decode_time,
    encode_money,
    encode_time,
)
from sessionlib.errors import DamagedValueError, RowRejectedError

Row = tuple[Any, ...]
_Turn = Callable[[Sequence[Any]], Sequence[Any]]


@cache
def columns_of(table: Table) -> tuple[Column[Any], ...]:
    """Return a table's columns, in order."""
    return tuple(table.columns)


@cache
def names_of(table: Table) -> tuple[str, ...]:
    """Return the names of a table's columns, as plain strings: orjson refuses SQLAlchemy's own kind."""
    return tuple(str(column.name) for column in columns_of(table))


def for_sqlite(table: Table, rows: Sequence[Row]) -> list[Row]:
    """Return rows of a table as SQLite's driver takes them.

    Raises:
        RowRejectedError: A time has no zone, a text is none, or holds a NUL, which PostgreSQL would refuse.
    """
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for index in _places(table, UtcTime):
        _refuse_naive(table, index, columns[index])
    for index, turn in _turns(table):
        columns[index] = turn(columns[index])
    return list(zip(*columns, strict=True))


def from_sqlite(columns: Sequence[Column[Any]], rows: Sequence[Row]) -> list[Row]:
    """Return rows of SQLite's driver with their values read; columns beyond the given are left as they are.

    Raises:
        DamagedValueError: A value is not what its column holds.
    """
    readers = [reader_of(column) for column in columns]
    count = len(readers)
    try:
        return [
            (
                *(
                    None if value is None else read(value)
                    for value, read in zip(row[:count], readers, strict=True)
                ),
                *row[count:],
            )
            for row in rows
        ]
    except ILLEGIBLE:
        raise DamagedValueError from None


@cache
def reader_of(column: Column[Any]) -> Callable[[Any], Any]:
    """Return what reads a column's values, as SQLite's driver gives them; it raises for what is none."""
    return next((read for kind, read in _READERS if isinstance(column.type, kind)), _text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value


_READERS: tuple[tuple[type[Any], Callable[[Any], Any]], ...] = (
    (Guid, UUID),
    (UtcTime, decode_time),
    (Money, decode_money),
    (JSON, lambda value: orjson.loads(_text(value))),
    (Boolean, lambda value: bool(_whole(value))),
    (Integer, _whole),
)


def with_id_texts(table: Table, rows: Sequence[Row]) -> list[Row]:
    """Return rows of a table with ids as text, which are many times as quick to compare."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for index in _places(table, Guid):
        columns[index] = _as_text(str)(columns[index])
    return list(zip(*columns, strict=True))


def for_postgres(table: Table, rows: Sequence[Row]) -> str:
    """Return rows of a table as the JSON that ``jsonb_to_recordset`` takes.

    Raises:
        RowRejectedError: A time has no zone; or a value that JSON cannot hold.
    """
    for index in _places(table, UtcTime):
        _refuse_naive(table, index, [row[index] for row in rows])
    return json_rows(names_of(table), rows, _places(table, JSON))


def json_rows(names: Sequence[str], rows: Sequence[Row], json_places: Sequence[int] = ()) -> str:
    """Return rows as a JSON list of objects; values at `json_places` are JSON text already.

    Raises:
        RowRejectedError: A value that JSON cannot hold.
    """
    records = [dict(zip(names, row, strict=True)) for row in rows]
    for index in json_places:
        name = names[index]
        for record in records:
            if record[name] is not None:
                record[name] = orjson.Fragment(record[name])
    try:
        # A number in quotes is one to PostgreSQL, and keeps all its digits.
        return orjson.dumps(records, default=_as_digits).decode()
    except TypeError as error:
        # An integer over 64 bit or a lone surrogate.
        raise RowRejectedError(f"the database cannot hold a value: {error}") from error


def _as_digits(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)


def sqlite_value(value: Any) -> Any:
    """Return one value, of whatever column, as SQLite's driver takes it."""
    if isinstance(value, str):
        return _texts([value])[0]
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return encode_money(value)
    return encode_time(value) if isinstance(value, datetime) else value


@cache
def _places(table: Table, kind: type[Any]) -> tuple[int, ...]:
    found = enumerate(columns_of(table))
    return tuple(index for index, column in found if isinstance(column.type, kind))


@cache
def _turns(table: Table) -> tuple[tuple[int, _Turn], ...]:
    kinds: tuple[tuple[type[Any], _Turn], ...] = (
        (Guid, _as_text(str)),
        (UtcTime, _as_text(encode_time)),
        (Money, _amounts),
        (String, _texts),
    )
    found = enumerate(columns_of(table))
    return tuple(
        (index, turn) for index, column in found for kind, turn in kinds if isinstance(column.type, kind)
    )


def _refuse_naive(table: Table, index: int, times: Sequence[datetime | None]) -> None:
    """Refuse times without a zone: PostgreSQL would take them as its session's, SQLite as this machine's."""
    if any(time is not None and time.tzinfo is None for time in times):
        name = columns_of(table)[index].name
        raise RowRejectedError(f"the database refuses the row: {table.name}.{name} has no time zone")


def _as_text(write: Callable[[Any], str]) -> _Turn:
    """Return a turn of values into text; neighbours mostly share one, which is cheaper to see."""

    def turn(values: Sequence[Any]) -> list[str | None]:
        texts: list[str | None] = []
        last: Any = None
        text: str | None = None
        for value in values:
            if value is not last:
                last = value
                text = None if value is None else write(value)
            texts.append(text)
        return texts

    return turn


def _amounts(values: Sequence[Decimal | None]) -> list[float | None]:
    return [None if value is None else encode_money(value) for value in values]


def _texts(values: Sequence[str | None]) -> Sequence[str | None]:
    try:
        has_nul = "\0" in "".join(filter(None, values))
    except TypeError as error:
        raise RowRejectedError(f"the database cannot hold a value: {error}") from error
    if has_nul:
        raise RowRejectedError("the database refuses the row: a text holds a NUL character")
    return values
