"""Bulk writes at driver speed, one code path for one row and for thousands.

SQLite takes many rows in one statement: it works on that while other threads have Python to themselves, and
after each statement it has to wait for Python again. PostgreSQL takes all rows of a table as one JSON
parameter (``jsonb_to_recordset``): measured within a tenth of binary arrays on the server and far cheaper to
prepare in Python. The SQL is built once per table from its definition.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, Table
from sqlalchemy.types import JSON

from sessionlib.db import encoding
from sessionlib.db.encoding import Row, columns_of, names_of
from sessionlib.db.types import Guid, Money, UtcTime

_SIZES = (64, 8)
"""Rows a statement on SQLite, the largest first; what is left over goes row by row."""


class Encoded(NamedTuple):
    """Rows of one table as the driver takes them: a list of rows for SQLite, one JSON text for PostgreSQL."""

    values: list[Row] | str


def encode(table: Table, rows: Sequence[Row], *, postgres: bool) -> Encoded:
    """Turn rows into what the driver takes; `insert` and `insert_new` take it instead of them.

    Raises:
        RowRejectedError: A value that neither database can hold.
    """
    return Encoded(encoding.for_postgres(table, rows) if postgres else encoding.for_sqlite(table, rows))


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """Send the statements of the block to PostgreSQL without waiting for each one's answer.

    An error is raised at the end of the block at the latest. SQLite has nobody to wait for.
    """
    if not _is_postgres(connection):
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
    _run(connection, table, rows, _conflict(table, keep, postgres=_is_postgres(connection)))


def upsert_where(
    connection: Connection, table: Table, rows: Sequence[Row], changing: Sequence[str], better: str
) -> None:
    """Insert the rows, or change some columns of those whose key exists where the new ones are better.

    Args:
        connection: Inside `Database.write`.
        table: Whose columns, in order, the rows' values are.
        rows: No key twice.
        changing: The columns that are changed.
        better: An SQL condition that compares ``excluded`` with the table's own columns.
    """
    sets = ", ".join(f"{name} = excluded.{name}" for name in changing)
    conflict = f" ON CONFLICT ({', '.join(_keys(table))}) DO UPDATE SET {sets} WHERE {better}"
    _run(connection, table, rows, conflict)


def insert_new(connection: Connection, table: Table, rows: Sequence[Row] | Encoded) -> None:
    """Insert the rows whose keys, the primary and the unique ones, do not exist; leave the others be."""
    _run(connection, table, rows, " ON CONFLICT DO NOTHING")


def insert(connection: Connection, table: Table, rows: Sequence[Row] | Encoded) -> None:
    """Insert rows whose keys are believed not to exist, which takes less than an upsert.

    Raises:
        RowRejectedError: A value that neither database can hold. (A key that exists after all is an
            integrity error of the driver's, which becomes the same.)
    """
    _run(connection, table, rows, "")


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
    postgres = _is_postgres(connection)
    sql = _prune_sql(table, width, postgres=postgres)
    with _cursor(connection) as cursor:
        if postgres:
            names = _keys(table)[width - 1 :]
            for prefix, last, rest in _prune_groups(owners, kept, width):
                cursor.execute(sql, [*prefix, last, encoding.json_rows(names, rest)])
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


def lock_ids(connection: Connection, ids: Iterable[UUID]) -> None:
    """Take PostgreSQL's advisory locks on ids until the end of the transaction, in an order all share.

    On SQLite the transaction holds the only write lock already.
    """
    if not _is_postgres(connection):
        return
    keys = sorted(int.from_bytes(one.bytes[:8], signed=True) for one in set(ids))
    # unnest in an ordered subquery with OFFSET 0 keeps the planner from taking the locks in another order.
    run(
        connection,
        "SELECT count(pg_advisory_xact_lock(k)) FROM (SELECT k FROM unnest(%s::bigint[]) AS u(k) OFFSET 0) s",
        array_text(keys),
    )


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
    if _is_postgres(connection):
        cursor.execute(sql.format(project="%s", among="= ANY(%s::uuid[])"), (project_id, array_text(ids)))
    else:
        chosen = sql.format(project="?", among="IN (SELECT value FROM json_each(?))")
        cursor.execute(chosen, (str(project_id), orjson.dumps(list(ids)).decode()))
    return cursor


def rows_among(
    connection: Connection, table: Table, fixed: Mapping[str, Any], column: str, values: Collection[Any]
) -> list[Row]:
    """Return whole rows whose `column` is one of some texts or ids, and other columns as given; JSON is read.

    Args:
        connection: An open transaction.
        table: Whose rows.
        fixed: Values of other columns.
        column: Of text or ids.
        values: None twice.
    """
    kind = _postgres_type(table.c[column])
    among = f"{column} = ANY(%s::{kind}[])", f"{column} IN (SELECT value FROM json_each(?))"
    return _rows_where(connection, table, fixed, among, [list(values)]) if values else []


def rows_paired(
    connection: Connection,
    table: Table,
    fixed: Mapping[str, Any],
    pair: tuple[str, str],
    values: Sequence[Row],
) -> list[Row]:
    """Return whole rows as `rows_among` does, whose two columns of a pair have some values together."""
    if not values:
        return []
    one, other = pair
    kinds = [_postgres_type(table.c[name]) for name in pair]
    picked = "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)"
    among = (
        f"({one}, {other}) IN (SELECT * FROM unnest(%s::{kinds[0]}[], %s::{kinds[1]}[]))",
        f"({one}, {other}) IN ({picked})",
    )
    if _is_postgres(connection):
        return _rows_where(
            connection, table, fixed, among, [list(some) for some in zip(*values, strict=True)]
        )
    return _rows_where(connection, table, fixed, among, [values])


def _rows_where(
    connection: Connection, table: Table, fixed: Mapping[str, Any], among: tuple[str, str], given: list[Any]
) -> list[Row]:
    """Run a SELECT; its last condition is spelt for PostgreSQL and for SQLite, which takes lists as JSON."""
    postgres = _is_postgres(connection)
    wanted = [*(f"{name} = {'%s' if postgres else '?'}" for name in fixed), among[0 if postgres else 1]]
    if postgres:
        values = [*fixed.values(), *given]
    else:
        values = [*map(encoding.sqlite_value, fixed.values()), *(orjson.dumps(one).decode() for one in given)]
    cursor = connection.connection.cursor()
    cursor.execute(
        f"SELECT {', '.join(names_of(table))} FROM {table.name} WHERE {' AND '.join(wanted)}", values
    )
    return fetch(connection, cursor, columns_of(table))


def fetch(connection: Connection, cursor: Any, columns: Sequence[Column[Any]]) -> list[Row]:
    """Return a cursor's rows with ids and times read, and close it; columns beyond the given are left.

    Raises:
        DamagedValueError: A value is not what its column holds.
    """
    rows: list[Row] = cursor.fetchall()
    cursor.close()
    return rows if _is_postgres(connection) else encoding.from_sqlite(columns, rows)


def array_text(items: Iterable[object]) -> str:
    """Return numbers or ids as PostgreSQL's array text: dumping them one by one costs far more."""
    return "{" + ",".join(map(str, items)) + "}"


def _run(connection: Connection, table: Table, rows: Sequence[Row] | Encoded, conflict: str) -> None:
    if not rows:
        return
    if not isinstance(rows, Encoded):
        rows = encode(table, rows, postgres=_is_postgres(connection))
    values = rows.values
    with _cursor(connection) as cursor:
        if isinstance(values, str):
            cursor.execute(_postgres_sql(table, conflict), [values])
            return
        done = 0
        for size in _SIZES:
            while len(values) - done >= size:
                some = values[done : done + size]
                cursor.execute(_sqlite_sql(table, size, conflict), list(chain.from_iterable(some)))
                done += size
        if done < len(values):
            cursor.executemany(_sqlite_sql(table, 1, conflict), values[done:])


def _is_postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


@contextmanager
def _cursor(connection: Connection) -> Iterator[Any]:
    cursor = connection.connection.cursor()
    try:
        yield cursor
    finally:
        cursor.close()


# --- SQL from table definitions ------------------------------------------------------------------


@cache
def _keys(table: Table) -> tuple[str, ...]:
    return tuple(str(column.name) for column in table.primary_key.columns)


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
        (Money, "numeric"),
    )
    return next((name for kind, name in kinds if isinstance(column.type, kind)), "text")


@cache
def _postgres_sql(table: Table, conflict: str) -> str:
    names = ", ".join(names_of(table))
    record = _record(columns_of(table))
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {names} "
        f"FROM jsonb_to_recordset(%s::jsonb) AS n({record}){conflict}"
    )


@cache
def _sqlite_sql(table: Table, rows: int, conflict: str) -> str:
    names = names_of(table)
    row = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([row] * rows)}{conflict}"


@cache
def _conflict(table: Table, keep: frozenset[str], *, postgres: bool) -> str:
    """Return what an upsert does with a row whose key exists: update what may change, if it differs."""
    keys = _keys(table)
    changing = [name for name in names_of(table) if name not in keys and name not in keep]
    if not changing:
        return " ON CONFLICT DO NOTHING"
    sets = ", ".join(f"{name} = excluded.{name}" for name in changing)
    differs = " OR ".join(
        f"{table.name}.{name} {'IS DISTINCT FROM' if postgres else 'IS NOT'} excluded.{name}"
        for name in changing
    )
    return f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets} WHERE {differs}"


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
    columns = {column.name: column for column in columns_of(table)}
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


def _prune_parameters(owners: Sequence[Row], kept: Iterable[Row], width: int) -> list[Row]:
    by_owner: dict[Row, list[Row]] = {tuple(owner): [] for owner in owners}
    for key in kept:
        if (rest := by_owner.get(tuple(key[:width]))) is not None:
            rest.append(tuple(map(encoding.sqlite_value, key[width:])))
    return [
        (*map(encoding.sqlite_value, owner), orjson.dumps(rest).decode()) for owner, rest in by_owner.items()
    ]
