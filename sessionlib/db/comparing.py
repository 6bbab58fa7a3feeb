"""What is stored of some sessions beside what should be: the mirror's tables, field by field, in a few reads.

Keys and derived columns are compared, in the words of the driver: a value that cannot even be read as what it
should be differs as well. Of what was observed only this counts: what is there must not be marked as gone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Connection, Table
from sqlalchemy.types import JSON

from sessionlib.db import bulk, damage, encoding, tables
from sessionlib.db.encoding import Row, columns_of, names_of
from sessionlib.db.rows import FileRow
from sessionlib.db.store import Batch
from sessionlib.db.types import Guid

PRESENCE = "missing_since"
"""The observed column that tells whether a row is known to be gone."""

_PARTS: tuple[tuple[Table, str], ...] = (
    (tables.checkpoints, "checkpoints"),
    (tables.commits, "commits"),
    (tables.decisions, "decisions"),
    (tables.doc_updates, "doc_updates"),
    (tables.research_runs, "research_runs"),
    (tables.session_links, "links"),
)
COMPARED: tuple[str, ...] = (
    *(table.name for table in (tables.session_files, tables.session_inputs, tables.documents)),
    *(table.name for table in (tables.sessions, *(table for table, _ in _PARTS))),
)
"""The tables that are compared. A history is none: it records what was seen, and no file tells it again."""


class Difference(NamedTuple):
    """One value that is not as it should be, or one row too few or too many.

    Attributes:
        session_id: Whose it is.
        table: Where.
        key: The row's key, (column, value) each.
        column: Which one; None for the whole row.
        stored: What is stored; None where there is no row.
        expected: What should be; None where there should be no row.
    """

    session_id: UUID
    table: str
    key: tuple[tuple[str, Any], ...]
    column: str | None
    stored: Any
    expected: Any


def differences(connection: Connection, batch: Batch, stored: Iterable[FileRow]) -> Iterator[Difference]:
    """Compare a batch that holds all rows of its sessions with what is stored; a handful of statements.

    Args:
        connection: An open transaction.
        batch: With `anew`; of its owners all inputs, of its sessions all parts are in it.
        stored: The copies that are stored of the batch's files; they were read before.

    Raises:
        RowRejectedError: A value that no database can hold.
    """
    yield from _files(batch, stored)
    reads = [*_copies(batch), *_sessions(batch)]
    with bulk.pipelined(connection):
        cursors = [_asked(connection, read) for read in reads]
    for read, cursor in zip(reads, cursors, strict=True):
        yield from _compared(connection, read, damage.fetch_raw(connection, cursor))


class _Read(NamedTuple):
    """One statement, the rows that it should bring, and whose a row is; its ids are text.

    Rows are asked for by values of leading columns of the key, and by many of the next one.
    """

    table: Table
    fixed: tuple[Any, ...]
    among: Sequence[str]
    expected: Sequence[Row]
    owner: Callable[[Row], UUID]


def _sessions(batch: Batch) -> Iterator[_Read]:
    if not batch.sessions:
        return
    fixed = (batch.sessions[0].project_id,)
    ids = [str(row.session_id) for row in batch.sessions]
    for table, field in ((tables.sessions, "sessions"), *_PARTS):
        yield _Read(table, fixed, ids, getattr(batch, field), _owner)


def _copies(batch: Batch) -> Iterator[_Read]:
    owners = {row[:4]: row.session_id for row in batch.files}
    slugs: dict[tuple[Any, ...], list[str]] = {}
    for *place, slug in batch.input_owners:
        slugs.setdefault(tuple(place), []).append(slug)
    for fixed, some in slugs.items():
        inputs = [row for row in batch.inputs if row[:3] == fixed]
        ids = {slug: owners[*fixed, slug] for slug in some}
        yield _Read(tables.session_inputs, fixed, some, inputs, _by(ids, 3))
    if batch.documents:
        holders = {str(row.content_hash): row.session_id for row in batch.files}
        holders |= {row.content_hash: owners[row[:4]] for row in batch.inputs if row.content_hash}
        documents = list(batch.documents.values())
        fixed = (documents[0].project_id,)
        yield _Read(tables.documents, fixed, list(batch.documents), documents, _by(holders, 1))


def _owner(row: Row) -> UUID:
    return UUID(row[1])


def _by(owners: Mapping[str, UUID], place: int) -> Callable[[Row], UUID]:
    return lambda row: owners[row[place]]


def _asked(connection: Connection, read: _Read) -> Any:
    cursor = connection.connection.cursor()
    if connection.dialect.name == "postgresql":
        some: Any = bulk.array_text(read.among) if _by_id(read.table, len(read.fixed)) else list(read.among)
        cursor.execute(_sql(read.table, len(read.fixed), postgres=True), (*read.fixed, some))
    else:
        fixed = map(encoding.sqlite_value, read.fixed)
        some = orjson.dumps(list(read.among)).decode()
        cursor.execute(_sql(read.table, len(read.fixed), postgres=False), (*fixed, some))
    return cursor


def _by_id(table: Table, width: int) -> bool:
    return isinstance(table.primary_key.columns[width].type, Guid)


@cache
def _sql(table: Table, width: int, *, postgres: bool) -> str:
    keys = [column.name for column in table.primary_key.columns]
    # As text: JSON is not parsed where it is equal, and ids are quick to make and to compare.
    names = [
        f"{column.name}::text" if postgres and isinstance(column.type, JSON | Guid) else column.name
        for column in columns_of(table)
    ]
    kind = "uuid" if _by_id(table, width) else "text"
    among = f"= ANY(%s::{kind}[])" if postgres else "IN (SELECT value FROM json_each(?))"
    fixed = " AND ".join(f"{name} = {'%s' if postgres else '?'}" for name in keys[:width])
    return f"SELECT {', '.join(names)} FROM {table.name} WHERE {fixed} AND {keys[width]} {among}"


class _Shape(NamedTuple):
    """Where in a table's rows its key is, and what else is compared: plain values, and JSON text."""

    width: int
    plain: tuple[int, ...]
    json: tuple[int, ...]
    presence: int | None


@cache
def _shape(table: Table) -> _Shape:
    columns = columns_of(table)
    derived = [index for index, column in enumerate(columns) if column.info["kind"] == "derived"]
    is_json = {index for index in derived if isinstance(columns[index].type, JSON)}
    names = names_of(table)
    return _Shape(
        len(table.primary_key.columns),
        tuple(index for index in derived if index not in is_json),
        tuple(sorted(is_json)),
        names.index(PRESENCE) if PRESENCE in names else None,
    )


def _files(batch: Batch, stored: Iterable[FileRow]) -> Iterator[Difference]:
    owners = {row[:4]: row.session_id for row in batch.files}
    yield from _differing(tables.session_files, list(stored), batch.files, lambda row: owners[row[:4]])


def _compared(connection: Connection, read: _Read, stored: list[Row]) -> Iterator[Difference]:
    encode = encoding.with_id_texts if connection.dialect.name == "postgresql" else encoding.for_sqlite
    expected = encode(read.table, read.expected) if read.expected else []
    yield from _differing(read.table, stored, expected, read.owner)


def _differing(
    table: Table, stored: Sequence[Row], expected: Sequence[Row], owner: Callable[[Row], UUID]
) -> Iterator[Difference]:
    shape = _shape(table)
    if not shape.json and shape.presence is None and set(stored) == set(expected):
        return
    left = {row[: shape.width]: row for row in stored}
    plain = itemgetter(*shape.plain) if shape.plain else None
    for row in expected:
        found = left.pop(row[: shape.width], None)
        if found is None:
            yield Difference(owner(row), table.name, _key(table, row), None, None, row[shape.width :])
            continue
        columns = [] if plain is None or plain(found) == plain(row) else _unlike(shape.plain, found, row)
        columns += [index for index in shape.json if not _same_json(found[index], row[index])]
        if shape.presence is not None and found[shape.presence] is not None and row[shape.presence] is None:
            columns.append(shape.presence)
        for index in columns:
            name = names_of(table)[index]
            yield Difference(owner(row), table.name, _key(table, row), name, found[index], row[index])
    for row in left.values():
        yield Difference(owner(row), table.name, _key(table, row), None, row[shape.width :], None)


def _unlike(places: Iterable[int], found: Row, row: Row) -> list[int]:
    return [index for index in places if found[index] != row[index]]


def _key(table: Table, row: Row) -> tuple[tuple[str, Any], ...]:
    width = _shape(table).width
    return tuple(zip(names_of(table)[:width], row[:width], strict=True))


def _same_json(stored: Any, expected: str) -> bool:
    """Tell whether two JSON texts mean the same; a database may have written its own in another way."""
    if stored == expected:
        return True
    try:
        one, other = orjson.loads(stored), orjson.loads(expected)
    except (ValueError, TypeError):
        return False
    # Mostly in C; a number may be written in two ways, which only the slow way sees.
    if orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS):
        return True
    return bool(one == other) and _same_kinds(one, other)


def _same_kinds(one: Any, other: Any) -> bool:
    """Tell whether what is equal is of the same kind too: to Python true is 1."""
    if isinstance(one, dict):
        return all(_same_kinds(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return all(map(_same_kinds, one, other))
    return isinstance(one, bool) == isinstance(other, bool)
