"""Bulk writes at driver speed, one code path for one row and for thousands.

SQLite runs a prepared ``executemany``. PostgreSQL takes all rows of a table as one JSON parameter
(``jsonb_to_recordset``): measured within a tenth of binary arrays on the server and far cheaper to prepare in
Python. The SQL is built once per table from its definition.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, Table
from sqlalchemy.types import JSON

from sessionlib.db.types import Guid, UtcTime, decode_time, encode_time
from sessionlib.errors import RowRejectedError

Row = tuple[Any, ...]


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """Send the statements of the block to PostgreSQL without waiting for each one's answer.

    An error is raised at the end of the block at the latest. SQLite has nobody to wait for.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    driver: Any = connection.connection.driver_connection
    with driver.pipeline():
        yield


def upsert(
    connection: Connection, table: Table, rows: Sequence[Row], *, keep: frozenset[str] = frozenset()
) -> None:
    """Insert the rows, or update those whose key exists and whose content differs.

    Args:
        connection: Inside `Database.write`.
        table: Whose columns, in order, the rows' values are; JSON columns take JSON text.
        rows: No key twice.
        keep: Columns written at insert only.

    Raises:
        RowRejectedError: A value that neither database can hold.
    """
    if rows:
        postgres = connection.dialect.name == "postgresql"
        _run(connection, table, _upsert_sql(table, keep, postgres=postgres), rows)


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows whose keys, the primary and the unique ones, do not exist; leave the others be."""
    if rows:
        postgres = connection.dialect.name == "postgresql"
        _run(connection, table, _insert_sql(table, postgres=postgres), rows)


def prune(connection: Connection, table: Table, owners: Sequence[Row], kept: Iterable[Row]) -> None:
    """Delete the rows of these owners whose whole key is not among `kept`.

    Args:
        connection: Inside `Database.write`.
        table: A table whose primary key starts with the owner's.
        owners: Owner keys, none twice.
        kept: Whole primary keys that stay; those of other owners do not matter.
    """
    if not owners:
        return
    width = len(owners[0])
    postgres = connection.dialect.name == "postgresql"
    sql = _prune_sql(table, width, postgres=postgres)
    with _cursor(connection) as cursor:
        if postgres:
            names = _keys(table)[width - 1 :]
            for prefix, last, rest in _prune_groups(owners, kept, width):
                cursor.execute(sql, [*prefix, last, _json_rows(names, rest)])
        else:
            cursor.executemany(sql, _prune_parameters(owners, kept, width))


def _prune_groups(
    owners: Sequence[Row], kept: Iterable[Row], width: int
) -> Iterator[tuple[Row, list[Any], list[Row]]]:
    """Group owners that differ in their last column alone, with the rest of the keys that they keep."""
    groups: dict[Row, tuple[list[Any], list[Row]]] = {}
    for owner in owners:
        groups.setdefault(tuple(owner[:-1]), ([], []))[0].append(owner[-1])
    for key in kept:
        if (group := groups.get(tuple(key[: width - 1]))) is not None:
            group[1].append(key[width - 1 :])
    for prefix, (last, rest) in groups.items():
        yield prefix, last, rest


def run(connection: Connection, sql: str, *parameters: Any) -> None:
    """Run one statement in the driver's own spelling, without asking for its rows."""
    with _cursor(connection) as cursor:
        cursor.execute(sql, parameters)


def ask_among(connection: Connection, sql: str, project_id: UUID, ids: Iterable[UUID]) -> Any:
    """Run a SELECT over some ids and return its cursor, for `fetch`.

    Args:
        connection: May be in a pipeline; then fetch after its end.
        sql: With ``{project}`` for the project's id and ``{among}`` after the column that holds the ids.
        project_id: The project.
        ids: The ids, none twice.
    """
    cursor = connection.connection.cursor()
    if connection.dialect.name == "postgresql":
        cursor.execute(sql.format(project="%s", among="= ANY(%s::uuid[])"), (project_id, array_text(ids)))
    else:
        chosen = sql.format(project="?", among="IN (SELECT value FROM json_each(?))")
        cursor.execute(chosen, (str(project_id), orjson.dumps(list(ids)).decode()))
    return cursor


def fetch(connection: Connection, cursor: Any, columns: Sequence[Column[Any]]) -> list[Row]:
    """Return a cursor's rows with ids and times read, and close it; columns beyond the given are left."""
    rows: list[Row] = cursor.fetchall()
    cursor.close()
    if connection.dialect.name == "postgresql":
        return rows
    readers = [
        (index, UUID if isinstance(column.type, Guid) else decode_time)
        for index, column in enumerate(columns)
        if isinstance(column.type, Guid | UtcTime)
    ]
    return [_read_row(row, readers) for row in rows]


def _read_row(row: Row, readers: Sequence[tuple[int, Callable[[str], Any]]]) -> Row:
    values = list(row)
    for index, reader in readers:
        if values[index] is not None:
            values[index] = reader(values[index])
    return tuple(values)


def array_text(items: Iterable[object]) -> str:
    """Return numbers or ids as PostgreSQL's array text: dumping them one by one costs far more."""
    return "{" + ",".join(map(str, items)) + "}"


def _run(connection: Connection, table: Table, sql: str, rows: Sequence[Row]) -> None:
    _refuse_naive(table, rows)
    with _cursor(connection) as cursor:
        if connection.dialect.name == "postgresql":
            cursor.execute(sql, [_json_rows(_names(table), rows, _json_places(table))])
        else:
            cursor.executemany(sql, [tuple(map(_for_sqlite, row)) for row in rows])


@contextmanager
def _cursor(connection: Connection) -> Iterator[Any]:
    cursor = connection.connection.cursor()
    try:
        yield cursor
    finally:
        cursor.close()


# --- SQL from table definitions ------------------------------------------------------------------


@cache
def _columns(table: Table) -> tuple[Column[Any], ...]:
    return tuple(table.columns)


@cache
def _names(table: Table) -> tuple[str, ...]:
    # Plain strings: SQLAlchemy's own kind is refused by orjson.
    return tuple(str(column.name) for column in _columns(table))


@cache
def _keys(table: Table) -> tuple[str, ...]:
    return tuple(str(column.name) for column in table.primary_key.columns)


@cache
def _places(table: Table, kind: type[Any]) -> tuple[int, ...]:
    return tuple(index for index, column in enumerate(_columns(table)) if isinstance(column.type, kind))


def _json_places(table: Table) -> tuple[int, ...]:
    return _places(table, JSON)


def _record(columns: Iterable[Column[Any]]) -> str:
    """Return the column definitions of a ``jsonb_to_recordset``."""
    return ", ".join(f"{column.name} {_postgres_type(column)}" for column in columns)


def _postgres_type(column: Column[Any]) -> str:
    kinds: tuple[tuple[type[Any], str], ...] = (
        (Guid, "uuid"),
        (UtcTime, "timestamptz"),
        (BigInteger, "bigint"),
        (Integer, "integer"),
        (Boolean, "boolean"),
        (JSON, "jsonb"),
    )
    return next((name for kind, name in kinds if isinstance(column.type, kind)), "text")


@cache
def _upsert_sql(table: Table, keep: frozenset[str], *, postgres: bool) -> str:
    columns = _columns(table)
    names = ", ".join(column.name for column in columns)
    keys = _keys(table)
    if postgres:
        source = f"SELECT {names} FROM jsonb_to_recordset(%s::jsonb) AS n({_record(columns)})"
    else:
        source = f"VALUES ({', '.join('?' * len(columns))})"
    changing = [c.name for c in columns if c.name not in keys and c.name not in keep]
    if not changing:
        return f"INSERT INTO {table.name} ({names}) {source} ON CONFLICT DO NOTHING"
    sets = ", ".join(f"{name} = excluded.{name}" for name in changing)
    differs = " OR ".join(
        f"{table.name}.{name} {'IS DISTINCT FROM' if postgres else 'IS NOT'} excluded.{name}"
        for name in changing
    )
    return (
        f"INSERT INTO {table.name} ({names}) {source} "
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets} WHERE {differs}"
    )


@cache
def _insert_sql(table: Table, *, postgres: bool) -> str:
    return _upsert_sql(table, frozenset(c.name for c in _columns(table)), postgres=postgres)


@cache
def _prune_sql(table: Table, owner: int, *, postgres: bool) -> str:
    # NOT IN, not NOT EXISTS: the kept keys are hashed once; else both databases compare each with each.
    keys = _keys(table)
    owners, rest = keys[:owner], keys[owner:]
    if not postgres:
        picks = ", ".join(f"json_extract(value, '$[{index}]')" for index in range(len(rest)))
        match = " AND ".join(f"{name} = ?" for name in owners)
        return (
            f"DELETE FROM {table.name} WHERE {match} "
            f"AND ({', '.join(rest)}) NOT IN (SELECT {picks} FROM json_each(?))"
        )
    columns = {column.name: column for column in _columns(table)}
    # Constants and one array, whatever the number of owners: with a join the planner, which cannot know how
    # many rows a JSON parameter holds, reads the whole table for one session.
    *prefix, last = owners
    match = "".join(f"{name} = %s::{_postgres_type(columns[name])} AND " for name in prefix)
    compared = (last, *rest)
    record = _record(columns[name] for name in compared)
    return (
        f"DELETE FROM {table.name} WHERE {match}{last} = ANY(%s::{_postgres_type(columns[last])}[]) "
        f"AND ({', '.join(compared)}) "
        f"NOT IN (SELECT {', '.join(compared)} FROM jsonb_to_recordset(%s::jsonb) AS n({record}))"
    )


# --- values --------------------------------------------------------------------------------------


def _refuse_naive(table: Table, rows: Sequence[Row]) -> None:
    """Refuse times without a zone: PostgreSQL would take them as its session's, SQLite as this machine's."""
    for index in _places(table, UtcTime):
        if any(row[index] is not None and row[index].tzinfo is None for row in rows):
            name = _columns(table)[index].name
            raise RowRejectedError(f"the database refuses the row: {table.name}.{name} has no time zone")


def _json_rows(names: Sequence[str], rows: Sequence[Row], json_places: Sequence[int] = ()) -> str:
    """Return rows as the JSON that ``jsonb_to_recordset`` takes."""
    records = [dict(zip(names, row, strict=True)) for row in rows]
    for index in json_places:
        name = names[index]
        for record in records:
            if record[name] is not None:
                record[name] = orjson.Fragment(record[name])
    try:
        return orjson.dumps(records).decode()
    except TypeError as error:
        # An integer over 64 bit or a lone surrogate.
        raise RowRejectedError(f"the database cannot hold a value: {error}") from error


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, str):
        if "\0" in value:
            raise RowRejectedError("the database refuses the row: a text holds a NUL character")
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return encode_time(value)
    return value


def _prune_parameters(owners: Sequence[Row], kept: Iterable[Row], width: int) -> list[Row]:
    by_owner: dict[Row, list[Row]] = {tuple(owner): [] for owner in owners}
    for key in kept:
        if (rest := by_owner.get(tuple(key[:width]))) is not None:
            rest.append(key[width:])
    return [(*map(_for_sqlite, owner), orjson.dumps(rest).decode()) for owner, rest in by_owner.items()]
