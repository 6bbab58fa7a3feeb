"""Bulk writes, on every table of the schema and on both databases."""
# ruff: noqa: PT012 - what is refused may be refused at the commit, so the transaction stands in the block

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, Table, func, select, text
from sqlalchemy.types import JSON

from sessionlib.db import bulk, tables
from sessionlib.db.engine import Database
from sessionlib.db.types import Guid, Money, UtcTime
from sessionlib.errors import RowRejectedError
from sessionlib.models import FALLBACK_IDENTITY_ID, derived_id
from tests import deeds, worlds

TABLES = tables.metadata.sorted_tables
PARTS = [
    tables.checkpoints,
    tables.commits,
    tables.decisions,
    tables.doc_updates,
    tables.research_runs,
    tables.session_links,
]
NASTY = "'single' \"double\" \\back\\slash %s %(x)s 100% $1 ? :name {} \t\n\r ü 漢 🧱 \u202e \ufffd NULL"
WORDS = {"status": "active", "checkpoints_total_source": "plan"}
UNIQUE = {
    "sessions": "slug",
    "identities": "name",
    "projects": "slug",
    "workspaces": "path",
    "conversations": "native_id",
    "agents": "native_id",
}
FIXED: dict[str, dict[str, Any]] = {
    "conversations": {"started_at": worlds.T0, "last_activity_at": worlds.T0, "ended_at": None},
    "conversation_links": {"source": "link"},
    "agents": {"kind": "main", "parent_agent_id": None, "parent_source": "none", "status": "running"},
    "agent_logs": {"category": "hook"},
    "tool_calls": {"outcome": "ok"},
    "usage_totals": {"source": "messages"},
}
"""What the checks of a table leave no choice of."""


class Seed:
    """Ids of rows that stand before each test, for foreign keys to point to."""

    def __init__(self, connection: Connection) -> None:
        place = worlds.add_place(connection, "seed")
        self.shown = worlds.session(place, "seed")
        worlds.write_sessions(connection, [self.shown])
        self.values: dict[str, Any] = {
            "project_id": place.project_id,
            "workspace_id": place.workspace_id,
            "host_id": place.host_id,
            "session_id": self.shown.session_id,
            "content_hash": self.shown.content_hash,
            "root": self.shown.root,
            "slug": self.shown.slug,
            "default_identity_id": None,
            "identity_id": FALLBACK_IDENTITY_ID,
        }
        talk = deeds.conversation(place, "seed")
        main = deeds.agent(talk)
        deeds.write(connection, deeds.Deeds(conversations=[talk], agents=[main]))
        self.values |= {"conversation_id": talk.conversation_id, "agent_id": main.agent_id}


MAKERS: dict[type[Any], Callable[[str, int, str], Any]] = {
    Guid: lambda name, number, _: derived_id(name, number),
    UtcTime: lambda _, number, salt: _moment(number, len(salt)),
    JSON: lambda _, number, salt: orjson.dumps({"n": number, "s": salt, NASTY: [None, 1.5, "ü"]}).decode(),
    BigInteger: lambda _, number, salt: (1 << 62) + number + len(salt),
    Integer: lambda _, number, salt: number + len(salt),
    Boolean: lambda _, number, _salt: number % 2 == 0,
    Money: lambda _, number, salt: Decimal(f"{number + len(salt)}.000000001"),
}


def _of_type(column: Column[Any], number: int, salt: str) -> Any:
    for kind, make in MAKERS.items():
        if isinstance(column.type, kind):
            return make(column.name, number, salt)
    return WORDS.get(column.name, f"{number} {salt} {NASTY}")


def _moment(number: int, micros: int) -> datetime:
    if number == 3:
        return datetime.min.replace(tzinfo=UTC) if micros else datetime.max.replace(tzinfo=UTC)
    start = datetime(2026, 1, 1, 12, 30, 59, 999_999, tzinfo=UTC)
    return start + timedelta(seconds=number, microseconds=micros)


def make_row(table: Table, seed: Seed, number: int, *, bare: bool = False, salt: str = "") -> tuple[Any, ...]:
    """Return a row of any table: a key that depends on the number, everything else also on the salt."""
    varying = list(table.primary_key.columns)[-1].name
    row = []
    for column in table.columns:
        if column.name in FIXED.get(table.name, ()):
            row.append(FIXED[table.name][column.name])
        elif column.name in (varying, UNIQUE.get(table.name)):
            row.append(_of_type(column, number, ""))
        elif column.name in seed.values:
            row.append(None if bare and column.nullable else seed.values[column.name])
        elif column.primary_key:
            row.append(_of_type(column, number, ""))
        elif bare and column.nullable:
            row.append(None)
        else:
            row.append(_of_type(column, number, salt))
    return tuple(row)


def stored(connection: Connection, table: Table, wanted: set[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the stored rows whose key is wanted, in key order; JSON as text again."""
    keys = list(table.primary_key.columns)
    rows = connection.execute(select(table).order_by(*keys))
    return [
        tuple(value for value in row)
        for row in rows
        if tuple(row._mapping[key.name] for key in keys) in wanted
    ]


def expected(table: Table, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows as reading gives them, in key order."""
    names = [column.name for column in table.columns]
    places = [names.index(column.name) for column in table.primary_key.columns]

    def read(column: Column[Any], value: Any) -> Any:
        return orjson.loads(value) if isinstance(column.type, JSON) and value is not None else value

    made = [tuple(read(c, v) for c, v in zip(table.columns, row, strict=True)) for row in rows]
    return sorted(
        made,
        key=lambda row: [
            str(row[place]).encode() if not isinstance(row[place], int) else row[place] for place in places
        ],
    )


def keys_of(table: Table, rows: list[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    """Return the primary keys of rows."""
    names = [column.name for column in table.columns]
    places = [names.index(column.name) for column in table.primary_key.columns]
    return {tuple(row[place] for place in places) for row in rows}


def marks(connection: Connection, table: Table) -> Any:
    """Return something that changes when a row is written, even with the same content."""
    if connection.dialect.name == "postgresql":
        return connection.execute(text(f"SELECT xmin::text, ctid::text FROM {table.name} ORDER BY 2")).all()
    return connection.connection.dbapi_connection.total_changes


@pytest.mark.parametrize("bare", [False, True], ids=["full", "bare"])
def test_upsert_stores_and_updates_every_table(database: Database, bare: bool) -> None:
    """Values of all types arrive as they were, NULLs too, and a second upsert replaces what differs."""
    for table in TABLES:
        with database.write() as connection:
            seed = Seed(connection)
            rows = [make_row(table, seed, number, bare=bare) for number in range(1, 6)]
            bulk.upsert(connection, table, rows)
            assert stored(connection, table, keys_of(table, rows)) == expected(table, rows)
            changed = [make_row(table, seed, number, bare=not bare, salt="x") for number in range(3, 9)]
            bulk.upsert(connection, table, rows[:2] + changed)
            wanted = expected(table, rows[:2] + changed)
            assert stored(connection, table, keys_of(table, wanted)) == wanted


def test_unchanged_rows_are_not_rewritten(database: Database) -> None:
    """An upsert of what is there touches no row; one changed row among them is the only one written."""
    for table in TABLES:
        with database.write() as connection:
            seed = Seed(connection)
            rows = [make_row(table, seed, number, bare=number % 2 == 0) for number in range(1, 8)]
            bulk.upsert(connection, table, rows)
        with database.write() as connection:
            before = marks(connection, table)
            bulk.upsert(connection, table, rows)
            assert marks(connection, table) == before, table.name
            bulk.insert_new(connection, table, [make_row(table, seed, n, salt="other") for n in range(1, 8)])
            assert marks(connection, table) == before, table.name
            assert stored(connection, table, keys_of(table, rows)) == expected(table, rows)
            bulk.upsert(connection, table, [*rows[:6], make_row(table, seed, 7, bare=True, salt="y")])
            after = marks(connection, table)
            written = after - before if isinstance(after, int) else len(set(after) - set(before))
            assert written == 1, table.name


def test_two_thousand_rows(database: Database) -> None:
    """Thousands of rows take the same path as one, with NULLs among values of every column."""
    for table in TABLES:
        with database.write() as connection:
            seed = Seed(connection)
            rows = [make_row(table, seed, number, bare=number % 3 == 0) for number in range(1, 2001)]
            before = connection.scalar(select(func.count()).select_from(table)) or 0
            bulk.upsert(connection, table, rows)
            assert connection.scalar(select(func.count()).select_from(table)) == before + 2000, table.name


def test_nothing_to_write(database: Database) -> None:
    """Empty lists do nothing."""
    with database.write() as connection:
        for table in tables.metadata.tables.values():
            bulk.upsert(connection, table, [])
            bulk.insert_new(connection, table, [])
        bulk.prune(connection, tables.commits, [], [])
        assert connection.scalar(select(func.count()).select_from(tables.hosts)) == 0


def test_kept_columns_are_written_at_insert_only(database: Database) -> None:
    """`keep` protects a column of a row that exists, and a change in it alone writes nothing."""
    with database.write() as connection:
        seed = Seed(connection)
        row = seed.shown
        later = row._replace(first_seen_at=worlds.hours(5))
        before = marks(connection, tables.sessions)
        bulk.upsert(connection, tables.sessions, [later], keep=frozenset({"first_seen_at"}))
        assert marks(connection, tables.sessions) == before
        bulk.upsert(
            connection, tables.sessions, [later._replace(topic="new")], keep=frozenset({"first_seen_at"})
        )
        got = connection.execute(select(tables.sessions.c.first_seen_at, tables.sessions.c.topic)).one()
    assert got == (worlds.T0, "new")


def test_insert_new_leaves_rows_whose_unique_key_is_taken(database: Database) -> None:
    """A row whose slug belongs to another id is left out, and its neighbours are stored."""
    with database.write() as connection:
        worlds.add_project(connection, "garden")
        rows = [
            (derived_id("project", key), slug, "n", "active", None, None, None, key, worlds.T0, worlds.T0)
            for key, slug in (("a", "garden"), ("b", "shed"))
        ]
        bulk.insert_new(connection, tables.projects, rows)
        slugs = list(connection.scalars(select(tables.projects.c.slug).order_by(tables.projects.c.slug)))
    assert slugs == ["garden", "shed"]


def _owners(connection: Connection, seed: Seed, count: int) -> list[tuple[UUID, UUID]]:
    place = worlds.Place(seed.values["project_id"], seed.values["host_id"], seed.values["workspace_id"])
    rows = [worlds.session(place, f"owner-{number}") for number in range(count)]
    worlds.write_sessions(connection, rows)
    return [(row.project_id, row.session_id) for row in rows]


def test_prune_deletes_exactly_the_others(database: Database) -> None:
    """Of the named owners only the kept keys stay, also of one with nothing kept; others are untouched."""
    for table in PARTS:
        with database.write() as connection:
            seed = Seed(connection)
            emptied, thinned, whole, bystander = _owners(connection, seed, 4)
            rows = {}
            for owner in (emptied, thinned, whole, bystander):
                seed.values["session_id"] = owner[1]
                rows[owner] = [make_row(table, seed, number) for number in range(1, 6)]
                bulk.upsert(connection, table, rows[owner])
            width = len(table.primary_key.columns)
            kept = [rows[thinned][1], rows[thinned][3], *rows[whole], rows[bystander][0]]
            bulk.prune(connection, table, [emptied, thinned, whole], [row[:width] for row in kept])
            left = keys_of(table, list(connection.execute(select(table))))
        assert left == keys_of(table, kept[:-1] + rows[bystander]), table.name


def test_prune_of_copies_inputs(database: Database) -> None:
    """An owner of four columns works alike; an input whose owner is new in the batch does not disturb."""
    table = tables.session_inputs
    with database.write() as connection:
        seed = Seed(connection)
        place = worlds.Place(seed.values["project_id"], seed.values["host_id"], seed.values["workspace_id"])
        known, new = worlds.session(place, "known"), worlds.session(place, "new")
        worlds.write_sessions(connection, [known])
        first = [(*worlds.file_of(known)[:4], name, None, "bad") for name in ("a", "plan.json", "research/x")]
        bulk.upsert(connection, table, first)
        later = (*worlds.file_of(new)[:4], "plan.json", None, "bad")
        worlds.write_sessions(
            connection, [known, new], inputs=[first[1], later], input_owners=[worlds.file_of(known)[:4]]
        )
        left = keys_of(table, list(connection.execute(select(table))))
    assert left == keys_of(table, [first[1], later])


def test_pruning_a_huge_document_is_quick(database: Database) -> None:
    """Twenty thousand kept parts cost no time that grows with their square."""
    with database.write() as connection:
        seed = Seed(connection)
        (owner,) = _owners(connection, seed, 1)
        rows = [(*owner, number, f"{number:040x}", None, None, None) for number in range(20_000)]
        bulk.upsert(connection, tables.commits, rows)
        bulk.prune(connection, tables.commits, [owner], [row[:3] for row in rows[1:]])
        assert connection.scalar(select(func.count()).select_from(tables.commits)) == 19_999


def test_nul_is_refused(database: Database) -> None:
    """A text with a NUL is this row's fault alone, on both databases."""
    for table, column in ((tables.commits, "message"), (tables.sessions, "topic"), (tables.hosts, "name")):
        place = [c.name for c in table.columns].index(column)
        with pytest.raises(RowRejectedError), database.write() as connection:
            row = list(make_row(table, Seed(connection), 1))
            row[place] = "a\0b"
            bulk.upsert(connection, table, [tuple(row)])


def test_time_without_a_zone_is_refused(database: Database) -> None:
    """A naive time is refused where one of the databases would guess a zone."""
    for naive in (datetime(2026, 1, 1), datetime(1, 1, 1)):  # noqa: DTZ001
        with (
            pytest.raises(RowRejectedError, match=r"commits\.created_at has no time zone"),
            database.write() as connection,
        ):
            shown = Seed(connection).shown
            bulk.upsert(
                connection,
                tables.commits,
                [worlds.commit(shown, 0, "a"), worlds.commit(shown, 1, "b", created_at=naive)],
            )


def test_bad_rows_are_rejected_and_leave_nothing(database: Database) -> None:
    """One bad row rejects its transaction as a row's fault, and the next write works."""
    with database.write() as connection:
        shown = Seed(connection).shown
    good = worlds.commit(shown, 1, "abc")
    bad: list[tuple[str, Any]] = [
        ("sha", None),
        ("sha", "\ud800"),
        ("position", 1 << 70),
        ("session_id", derived_id("nobody")),
    ]
    for column, value in bad:
        with pytest.raises(RowRejectedError), database.write() as connection:
            bulk.upsert(
                connection, tables.commits, [good, worlds.commit(shown, 2, "d")._replace(**{column: value})]
            )
        with database.read() as connection:
            assert connection.scalar(select(func.count()).select_from(tables.commits)) == 0, column
    with database.write() as connection:
        bulk.upsert(connection, tables.commits, [good])


def test_same_key_twice_is_a_rows_fault(postgres_url: str) -> None:
    """PostgreSQL's refusal of two rows with one key does not pause the whole mirror."""
    database = Database(postgres_url)
    with pytest.raises(RowRejectedError) as caught, database.write() as connection:
        shown = Seed(connection).shown
        bulk.upsert(connection, tables.commits, [worlds.commit(shown, 1, "a"), worlds.commit(shown, 1, "b")])
    assert caught.value.sqlstate == "21000"
    database.close()
