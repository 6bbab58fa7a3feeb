"""Bulk writes at driver speed, one code path for one row and for thousands.

SQLite runs a prepared ``executemany``, PostgreSQL one statement over binary arrays (``unnest``): the fastest
routes measured that keep ``ON CONFLICT``. The SQL is built once per table from its definition.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, Table
from sqlalchemy.types import JSON

from sessionlib.db.types import Guid, UtcTime, encode_time

Row = tuple[Any, ...]


def _array_type(column: Column[Any]) -> str:
    kind = column.type
    if isinstance(kind, Guid):
        return "uuid"
    if isinstance(kind, UtcTime):
        return "timestamptz"
    if isinstance(kind, BigInteger):
        return "bigint"
    if isinstance(kind, Integer):
        return "integer"
    if isinstance(kind, Boolean):
        return "boolean"
    return "text"


def _is_json(column: Column[Any]) -> bool:
    return isinstance(column.type, JSON)


@cache
def _columns(table: Table) -> tuple[Column[Any], ...]:
    return tuple(table.columns)


@cache
def _keys(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key.columns)


@cache
def _upsert_sql(table: Table, keep: frozenset[str], *, postgres: bool) -> str:
    columns = _columns(table)
    names = ", ".join(column.name for column in columns)
    keys = _keys(table)
    if postgres:
        arrays = ", ".join(f"%b::{_array_type(column)}[]" for column in columns)
        picks = ", ".join(
            f"n.{column.name}::jsonb" if _is_json(column) else f"n.{column.name}" for column in columns
        )
        source = f"SELECT {picks} FROM unnest({arrays}) AS n({names})"
    else:
        source = f"VALUES ({', '.join('?' * len(columns))})"
    changing = [c.name for c in columns if c.name not in keys and c.name not in keep]
    if not changing:
        return f"INSERT INTO {table.name} ({names}) {source} ON CONFLICT ({', '.join(keys)}) DO NOTHING"
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


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return encode_time(value)
    return value


def _run(connection: Connection, sql: str, rows: Sequence[Row], *, postgres: bool) -> None:
    cursor = connection.connection.cursor()
    try:
        if postgres:
            cursor.execute(sql, [list(column) for column in zip(*rows, strict=True)])
        else:
            cursor.executemany(sql, [tuple(map(_for_sqlite, row)) for row in rows])
    finally:
        cursor.close()


def upsert(
    connection: Connection, table: Table, rows: Sequence[Row], *, keep: frozenset[str] = frozenset()
) -> None:
    """Insert the rows, or update those whose key exists and whose content differs.

    Args:
        connection: Inside `Database.write`.
        table: Whose columns, in order, the rows' values are; JSON columns take JSON text.
        rows: No key twice.
        keep: Columns written at insert only.
    """
    if rows:
        postgres = connection.dialect.name == "postgresql"
        _run(connection, _upsert_sql(table, keep, postgres=postgres), rows, postgres=postgres)


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows whose key does not exist; leave the others as they are."""
    if rows:
        postgres = connection.dialect.name == "postgresql"
        _run(connection, _insert_sql(table, postgres=postgres), rows, postgres=postgres)


@cache
def _prune_sql(table: Table, owner: int, *, postgres: bool) -> str:
    keys = _keys(table)
    owners, rest = keys[:owner], keys[owner:]
    if not postgres:
        same = " AND ".join(
            f"json_extract(j.value, '$[{index}]') = {name}" for index, name in enumerate(rest)
        )
        match = " AND ".join(f"{name} = ?" for name in owners)
        return (
            f"DELETE FROM {table.name} WHERE {match} "
            f"AND NOT EXISTS (SELECT 1 FROM json_each(?) AS j WHERE {same})"
        )
    kinds = {column.name: _array_type(column) for column in _columns(table)}
    owner_arrays = ", ".join(f"%b::{kinds[name]}[]" for name in owners)
    all_arrays = ", ".join(f"%b::{kinds[name]}[]" for name in keys)
    match = " AND ".join(f"t.{name} = o.{name}" for name in owners)
    same = " AND ".join(f"n.{name} = t.{name}" for name in keys)
    return (
        f"DELETE FROM {table.name} AS t USING unnest({owner_arrays}) AS o({', '.join(owners)}) "
        f"WHERE {match} AND NOT EXISTS "
        f"(SELECT 1 FROM unnest({all_arrays}) AS n({', '.join(keys)}) WHERE {same})"
    )


def prune(connection: Connection, table: Table, owners: Sequence[Row], kept: Iterable[Row]) -> None:
    """Delete the rows of these owners whose whole key is not among `kept`.

    Args:
        connection: Inside `Database.write`.
        table: A table whose primary key starts with the owner's.
        owners: Owner keys, none twice.
        kept: Whole primary keys that stay.
    """
    if not owners:
        return
    width = len(owners[0])
    kept = list(kept)
    postgres = connection.dialect.name == "postgresql"
    sql = _prune_sql(table, width, postgres=postgres)
    cursor = connection.connection.cursor()
    try:
        if postgres:
            arrays = [list(column) for column in zip(*owners, strict=True)]
            keys = (
                [list(column) for column in zip(*kept, strict=True)] if kept else [[] for _ in _keys(table)]
            )
            cursor.execute(sql, [*arrays, *keys])
        else:
            cursor.executemany(sql, _prune_parameters(owners, kept, width))
    finally:
        cursor.close()


def _prune_parameters(owners: Sequence[Row], kept: list[Row], width: int) -> list[Row]:
    by_owner: dict[Row, list[Row]] = {owner: [] for owner in owners}
    for key in kept:
        by_owner[key[:width]].append(key[width:])
    return [(*map(_for_sqlite, owner), orjson.dumps(rest).decode()) for owner, rest in by_owner.items()]
