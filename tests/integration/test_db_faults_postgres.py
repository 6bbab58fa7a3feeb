"""What goes wrong with a real PostgreSQL, and as which of our errors it arrives."""
# ruff: noqa: PT012 - what is refused may be refused at the commit, so the transaction stands in the block

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, insert, select, text

from sessionlib.db import bulk, schema, tables
from sessionlib.db.engine import Database
from sessionlib.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    RowRejectedError,
)
from tests import postgres, worlds

pytestmark = pytest.mark.postgres

CANARY = "c4n4ry-Pa55"


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.PostgresServer]:
    """A server of our own, to be stopped and started."""
    binaries = postgres.find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL binaries to start a server of our own")
    own = postgres.PostgresServer(binaries)
    try:
        own.start()
        postgres.execute(own, "CREATE DATABASE mirror")
        database = Database(own.url("mirror"))
        schema.upgrade(database)
        with database.write() as connection:
            worlds.write_sessions(connection, [worlds.session(worlds.add_place(connection), "wall")])
            connection.execute(text("CREATE ROLE plain"))
            connection.execute(text("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0"))
        database.close()
        yield own
    finally:
        own.remove()


def url_of(server: postgres.PostgresServer, name: str = "mirror", user: str = "postgres") -> str:
    """Return the URL of a database over TCP, with a password that must never be shown."""
    return f"postgresql://{user}:{CANARY}@127.0.0.1:{server.port}/{name}"


@pytest.fixture
def own(server: postgres.PostgresServer) -> Iterator[Database]:
    """The database on our own server, through a URL with a password."""
    database = Database(url_of(server))
    yield database
    database.close()


def expect(kind: type[DatabaseError], state: str | None, work: Callable[[], Any]) -> DatabaseError:
    """Run work that must fail as this kind; its whole traceback must not show the password."""
    with pytest.raises(DatabaseError) as caught:
        work()
    error = caught.value
    assert type(error) is kind, error
    assert error.sqlstate == state, error
    assert "\n" not in error.message
    assert CANARY not in "".join(traceback.format_exception(error)) + str(error.hint)
    return error


def statements(database: Database, *wanted: str) -> Callable[[], None]:
    """Return work that runs statements in one writing transaction."""

    def work() -> None:
        with database.write() as connection:
            for statement in wanted:
                connection.execute(text(statement))

    return work


def in_write(database: Database, part: Callable[[Connection], Any]) -> Callable[[], None]:
    """Return work that runs a function in one writing transaction."""

    def work() -> None:
        with database.write() as connection:
            part(connection)

    return work


def kill_others(server: postgres.PostgresServer) -> None:
    """Terminate every other connection to the mirror, and wait until they are gone."""
    with psycopg.connect(server.conninfo("mirror"), autocommit=True) as connection:
        while connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = 'mirror' AND pid <> pg_backend_pid()"
        ).fetchall():
            time.sleep(0.01)


def test_server_stops_and_comes_back(server: postgres.PostgresServer, own: Database) -> None:
    """A stopped server is an outage for idle, running and new connections; later the same pool works."""
    own.probe()
    with pytest.raises(DatabaseUnavailableError) as caught, own.write() as connection:
        connection.execute(select(1))
        server.stop()
        connection.execute(select(1))
    assert caught.value.transient
    try:
        for _ in range(2):
            expect(DatabaseUnavailableError, None, own.probe)
        other = Database(url_of(server))
        error = expect(DatabaseUnavailableError, None, other.probe)
        assert "refused" in error.message
        other.close()
    finally:
        server.start()
    for _ in range(3):
        own.probe()


@pytest.mark.parametrize("driver", ["core", "bulk", "store", "commit"])
def test_connection_killed_in_a_transaction(
    server: postgres.PostgresServer, own: Database, driver: str
) -> None:
    """A connection that dies while we write is an outage; the next transaction gets a good one."""
    with pytest.raises(DatabaseUnavailableError) as caught, own.write() as connection:
        place = worlds.add_place(connection)
        kill_others(server)
        if driver == "core":
            connection.execute(select(1))
        elif driver == "bulk":
            bulk.upsert(connection, tables.sessions, [worlds.session(place, "wall")])
        elif driver == "store":
            worlds.write_sessions(connection, [worlds.session(place, "wall")])
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    for _ in range(2):
        with own.write() as connection:
            bulk.insert_new(connection, tables.hosts, [(worlds.derived_id("h"), "h", None, worlds.T0)])


def test_connections_killed_while_idle(server: postgres.PostgresServer, own: Database) -> None:
    """Connections that died in the pool are replaced without anybody noticing."""
    with own.read() as first, own.read() as second:
        first.execute(select(1))
        second.execute(select(1))
    kill_others(server)
    for _ in range(3):
        own.probe()


def test_connections_that_cannot_be_made(server: postgres.PostgresServer) -> None:
    """Wrong database, closed port, unknown host or user, too many connections: an outage with a reason."""
    base = url_of(server)
    cases = {
        base.replace("/mirror", "/nowhere"): '"nowhere" does not exist',
        base.replace(str(server.port), "1"): "refused",
        base.replace("127.0.0.1", "localhost").replace(str(server.port), "1"): "refused",
        base.replace("127.0.0.1", "nowhere.invalid"): "nowhere.invalid",
        base.replace("postgres:", "nobody-we-know:"): '"nobody-we-know" does not exist',
        base.replace("postgres:", "crowded:"): "too many connections",
        base + "?connect_timeout=2&hostaddr=127.0.0.1&host=x&sslmode=require": "SSL",
    }
    for url, words in cases.items():
        database = Database(url)
        error = expect(DatabaseUnavailableError, None, database.probe)
        assert words in error.message, error.message
        database.close()


def test_unknown_option_in_the_url(server: postgres.PostgresServer) -> None:
    """A URL with an option that does not exist is no row's fault."""
    database = Database(url_of(server) + "?colour=red")
    error = expect(DatabaseRefusedError, None, database.probe)
    assert "colour" in error.message


def test_pool_exhausted(own: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections in use is an outage, not a crash."""
    narrow = Database(own.url, pool_size=1)
    monkeypatch.setattr(narrow.engine.pool, "_timeout", 0.05)
    monkeypatch.setattr(narrow.engine.pool, "_max_overflow", 0)
    with narrow.read() as connection:
        connection.execute(select(1))
        error = expect(DatabaseUnavailableError, None, narrow.probe)
    assert "QueuePool" in error.message
    narrow.close()


def test_deadlock(own: Database) -> None:
    """One of two transactions that wait for each other is told to try again; the other goes on."""
    barrier = threading.Barrier(2)
    outcomes: list[DatabaseError | None] = []

    def work(first: int, second: int) -> None:
        try:
            with own.write() as connection:
                connection.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
                connection.execute(text(f"SELECT pg_advisory_xact_lock({first})"))
                barrier.wait(5)
                connection.execute(text(f"SELECT pg_advisory_xact_lock({second})"))
        except DatabaseError as error:
            outcomes.append(error)
        else:
            outcomes.append(None)

    threads = [threading.Thread(target=work, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    (lost,) = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(lost, DatabaseBusyError)
    assert (lost.sqlstate, lost.transient, len(outcomes)) == ("40P01", True, 2)


def test_serialization(own: Database) -> None:
    """A lost race under a stricter isolation is tried again."""

    def race(connection: Connection) -> None:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        connection.execute(select(tables.projects.c.name))
        with own.write() as other:
            other.execute(text("UPDATE projects SET name = name"))
        connection.execute(text("UPDATE projects SET name = name"))

    expect(DatabaseBusyError, "40001", in_write(own, race))


def test_waits_that_end(own: Database) -> None:
    """Lock, statement and idle timeouts are tried again."""

    def blocked(connection: Connection) -> None:
        connection.execute(text("LOCK TABLE findings"))
        with own.write() as other:
            other.execute(text("SET LOCAL lock_timeout = '20ms'"))
            other.execute(text("LOCK TABLE findings"))

    def idle(connection: Connection) -> None:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '20ms'"))
        time.sleep(0.2)
        connection.execute(select(1))

    expect(DatabaseBusyError, "55P03", in_write(own, blocked))
    slow = statements(own, "SET LOCAL statement_timeout = '20ms'", "SELECT pg_sleep(5)")
    assert expect(DatabaseBusyError, "57014", slow).transient
    with pytest.raises(DatabaseError) as caught:
        in_write(own, idle)()
    assert caught.value.transient
    own.probe()


def test_a_server_ends_its_side_of_a_dead_link(own: Database) -> None:
    """In the middle of a pipeline it waits for more, with its locks, whatever other limits there are."""
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    with own.read() as connection:
        told = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]
    assert told == ["10", "3", "3", "10000"]


def test_without_any_schema_nothing_is_made(server: postgres.PostgresServer) -> None:
    """Not as temporary tables either, which would be gone with the connection."""
    postgres.execute(server, "DROP DATABASE IF EXISTS bare WITH (FORCE)")
    postgres.execute(server, "CREATE DATABASE bare")
    postgres.execute(server, "DROP SCHEMA public", "bare")
    bare = Database(url_of(server, "bare"))
    with pytest.raises(DatabaseError, match="no schema has been selected"):
        schema.upgrade(bare)
    bare.close()


def test_nobody_slips_tables_in_before_ours(own: Database) -> None:
    """The schemas are those of when the connection was made; temporary tables come last."""
    with own.write() as connection:
        (pinned,) = connection.execute(text("SHOW search_path")).one()
        connection.execute(text("CREATE TEMP TABLE hosts (host_id int)"))
        assert connection.execute(text("SELECT count(*) FROM hosts WHERE name IS NULL")).scalar_one() == 0
        connection.execute(text("CREATE SCHEMA postgres"))
        connection.execute(text("CREATE TABLE postgres.projects (project_id int)"))
        assert connection.execute(text("SELECT current_schemas(false)")).scalar_one()[0] == "public"
        connection.rollback()
    assert pinned == "public, pg_temp"


def test_refusals_of_all_writes(own: Database) -> None:
    """Read-only, no privilege, and tables or columns that are missing concern more than one row."""
    insert_host = "INSERT INTO hosts VALUES (gen_random_uuid(), 'x', NULL, now())"
    cases = {
        "25006": ("SET TRANSACTION READ ONLY", insert_host),
        "42501": ("SET LOCAL ROLE plain", insert_host),
        "42P01": ("SELECT * FROM nothing",),
        "42703": ("SELECT nothing FROM hosts",),
        "42601": ("SELEC",),
        "25P02": ("SAVEPOINT a",),
    }
    for state, wanted in cases.items():
        if state == "25P02":

            def broken(connection: Connection) -> None:
                with pytest.raises(Exception, match="division by zero"):
                    connection.execute(text("SELECT 1/0"))
                connection.execute(select(1))

            error = expect(DatabaseRefusedError, state, in_write(own, broken))
        else:
            error = expect(DatabaseRefusedError, state, statements(own, *wanted))
        assert error.transient
    own.probe()


def test_rejected_rows(own: Database) -> None:
    """What one row's values cause is that row's fault, and waiting does not help."""
    with own.read() as connection:
        shown = connection.execute(select(tables.sessions)).one()
    row = worlds.session(worlds.Place(shown.project_id, shown.project_id, shown.workspace_id), "wall")
    nul = insert(tables.hosts).values(host_id=worlds.derived_id("x"), name="a\0b", created_at=worlds.T0)
    naive = insert(tables.hosts).values(
        host_id=worlds.derived_id("x"), name="x", created_at=worlds.T0.replace(tzinfo=None)
    )
    long = "".join(f"{number:x}" for number in range(40_000))

    def put(table: Any, made: Any) -> Callable[[Connection], Any]:
        return lambda connection: bulk.upsert(connection, table, [made])

    cases: list[tuple[str | None, Callable[[Connection], Any]]] = [
        (None, lambda connection: connection.execute(nul)),
        (None, lambda connection: connection.execute(naive)),
        ("22P05", put(tables.sessions, row._replace(topic="a\0b"))),
        ("22P05", put(tables.documents, worlds.document(row.project_id, "x", {"a": "\0"}))),
        ("22P02", put(tables.documents, worlds.document(row.project_id, "x")._replace(body="{"))),
        ("22003", put(tables.sessions, row._replace(version_seq=1 << 40))),
        ("22003", put(tables.session_files, worlds.file_of(row, inode=1 << 63))),
        (None, put(tables.session_files, worlds.file_of(row, inode=1 << 70))),
        ("23514", put(tables.sessions, row._replace(checkpoints_completed=-1))),
        ("23514", put(tables.sessions, row._replace(checkpoints_total_source="guess"))),
        ("23502", put(tables.sessions, row._replace(effective_status=None))),
        ("23503", put(tables.sessions, row._replace(content_hash="unknown"))),
        ("23505", put(tables.sessions, row._replace(session_id=worlds.derived_id("another")))),
        ("54000", put(tables.sessions, row._replace(slug=long, session_id=worlds.derived_id("long")))),
        (None, put(tables.sessions, row._replace(topic="\ud800"))),
    ]
    for state, part in cases:
        error = expect(RowRejectedError, state, in_write(own, part))
        assert not error.transient
    own.probe()


def test_other_errors_pass_unchanged(own: Database) -> None:
    """A bug in the caller's own code is not dressed up as a database's failure."""
    for bug in (KeyError("x"), ValueError("x"), OSError("x")):
        with pytest.raises(type(bug)) as caught, own.write():
            raise bug
        assert caught.value is bug
