"""What goes wrong with a SQLite file, and as which of our errors it arrives."""
# ruff: noqa: PT012 - what is refused may be refused at the commit, so the transaction stands in the block

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text

from sessionlib.db import bulk, engine, tables
from sessionlib.db.engine import Database
from sessionlib.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    RowRejectedError,
)
from tests import worlds


@pytest.fixture
def path(sqlite_url: str) -> Path:
    """The file of a fresh database."""
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture
def mirror(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A fresh database that waits 50 ms for another writer, with one session in it."""
    monkeypatch.setattr(engine, "_SQLITE_BUSY_MS", 50)
    database = Database(sqlite_url)
    with database.write() as connection:
        worlds.write_sessions(connection, [worlds.session(worlds.add_place(connection), "wall")])
    yield database
    database.close()


def expect(kind: type[DatabaseError], name: str | None, work: Callable[[], Any]) -> DatabaseError:
    """Run work that must fail as this kind, with this name of SQLite's."""
    with pytest.raises(DatabaseError) as caught:
        work()
    assert type(caught.value) is kind, caught.value
    assert caught.value.sqlstate == name, caught.value
    return caught.value


def in_write(database: Database, part: Callable[[Connection], Any]) -> Callable[[], None]:
    """Return work that runs a function in one writing transaction."""

    def work() -> None:
        with database.write() as connection:
            part(connection)

    return work


def statement(sql: str) -> Callable[[Connection], Any]:
    """Return a function that runs one statement."""
    return lambda connection: connection.execute(text(sql))


def test_another_writer(mirror: Database, path: Path) -> None:
    """A file that another process writes to is busy after the wait; readers are not disturbed."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        error = expect(DatabaseBusyError, "SQLITE_BUSY", in_write(mirror, lambda _: None))
        assert error.transient
        mirror.probe()
        other.execute("ROLLBACK")
    in_write(mirror, statement("DELETE FROM hosts WHERE name = 'x'"))()


def test_a_reader_that_became_stale_cannot_write(mirror: Database) -> None:
    """A read transaction that writes after another's commit is busy, not wrong."""
    with pytest.raises(DatabaseBusyError) as caught, mirror.read() as connection:
        connection.execute(select(tables.hosts.c.name)).all()
        in_write(mirror, statement("UPDATE hosts SET name = 'new'"))()
        connection.execute(text("UPDATE hosts SET name = 'old'"))
    assert caught.value.sqlstate == "SQLITE_BUSY_SNAPSHOT"


def test_read_only(mirror: Database, path: Path, tmp_path: Path) -> None:
    """A file that may only be read is readable, and refuses all of our writes."""
    expect(
        DatabaseRefusedError,
        "SQLITE_READONLY",
        in_write(
            mirror,
            lambda c: [statement("PRAGMA query_only = ON")(c), statement("UPDATE hosts SET name = 'x'")(c)],
        ),
    )
    mirror.close()
    only = Database(f"sqlite:///file:{path}?mode=ro&uri=true")
    only.probe()
    error = expect(DatabaseRefusedError, "SQLITE_READONLY", in_write(only, statement("DELETE FROM findings")))
    assert error.transient
    only.close()
    assert not [found for found in tmp_path.rglob("*") if "file:" in str(found)]
    assert not Path("file:").exists()


def test_not_a_database(tmp_path: Path) -> None:
    """A file of another kind is refused and left as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, this is no database at all. " * 100)
    before = path.read_bytes()
    database = Database(f"sqlite:///{path}")
    expect(DatabaseRefusedError, "SQLITE_NOTADB", database.probe)
    with pytest.raises(DatabaseRefusedError) as caught:
        database.probe()
    assert "the mirror is rebuilt" in str(caught.value.hint)
    expect(DatabaseRefusedError, "SQLITE_NOTADB", in_write(database, lambda _: None))
    database.close()
    assert path.read_bytes() == before


def test_broken_pages(mirror: Database, path: Path) -> None:
    """A damaged file is an operator's matter, no row's fault."""
    mirror.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)
    expect(DatabaseRefusedError, "SQLITE_CORRUPT", in_write(mirror, statement("DELETE FROM hosts")))


def test_disk_full(mirror: Database) -> None:
    """A full disk is an outage: with room the same write works."""

    def fill(connection: Connection) -> None:
        connection.execute(text("PRAGMA max_page_count = 1"))
        connection.execute(text("CREATE TABLE big AS SELECT zeroblob(5000000) AS blob"))

    error = expect(DatabaseUnavailableError, "SQLITE_FULL", in_write(mirror, fill))
    assert error.transient


def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    """A folder in the file's place, or a file in the folder's, is an outage with the path in its words."""
    (tmp_path / "file").write_text("x")
    below = Database(f"sqlite:///{tmp_path}/file/deep/mirror.db")
    error = expect(DatabaseUnavailableError, None, below.probe)
    assert str(tmp_path / "file") in error.message
    assert error.hint
    folder = Database(f"sqlite:///{tmp_path}")
    expect(DatabaseUnavailableError, "SQLITE_CANTOPEN", folder.probe)


def test_missing_tables_and_columns(mirror: Database) -> None:
    """A schema that does not fit refuses all of our writes."""
    for sql in (
        "SELECT * FROM nothing",
        "SELECT nothing FROM hosts",
        "INSERT INTO hosts (nothing) VALUES (1)",
    ):
        expect(DatabaseRefusedError, "SQLITE_ERROR", in_write(mirror, statement(sql)))
    mirror.probe()


def test_rejected_rows(mirror: Database) -> None:
    """What one row's values cause is that row's fault, and waiting does not help."""
    with mirror.read() as connection:
        shown = connection.execute(select(tables.sessions)).one()
    row = worlds.session(worlds.Place(shown.project_id, shown.project_id, shown.workspace_id), "wall")
    naive = insert(tables.hosts).values(
        host_id=worlds.derived_id("x"), name="x", created_at=worlds.T0.replace(tzinfo=None)
    )

    def put(table: Any, made: Any) -> Callable[[Connection], Any]:
        return lambda connection: bulk.upsert(connection, table, [made])

    cases: list[tuple[str | None, Callable[[Connection], Any]]] = [
        (None, lambda connection: connection.execute(naive)),
        (None, put(tables.sessions, row._replace(topic="a\0b"))),
        (None, put(tables.sessions, row._replace(topic="\ud800"))),
        (None, put(tables.session_files, worlds.file_of(row, inode=1 << 70))),
        (None, put(tables.sessions, row._replace(topic=object()))),
        ("SQLITE_CONSTRAINT_CHECK", put(tables.sessions, row._replace(checkpoints_completed=-1))),
        ("SQLITE_CONSTRAINT_NOTNULL", put(tables.sessions, row._replace(effective_status=None))),
        ("SQLITE_CONSTRAINT_FOREIGNKEY", put(tables.sessions, row._replace(content_hash="unknown"))),
        (
            "SQLITE_CONSTRAINT_UNIQUE",
            put(tables.sessions, row._replace(session_id=worlds.derived_id("another"))),
        ),
        ("SQLITE_TOOBIG", statement("INSERT INTO hosts VALUES ('a', zeroblob(2000000000), NULL, 'x')")),
    ]
    for name, part in cases:
        error = expect(RowRejectedError, name, in_write(mirror, part))
        assert not error.transient
    mirror.probe()
