"""One open database: the engine, its transactions, and what differs between SQLite and PostgreSQL."""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError

from sessionlib.db import damage, files
from sessionlib.db.faults import translated
from sessionlib.db.tables import metadata
from sessionlib.db.types import ILLEGIBLE
from sessionlib.errors import ConfigError, DamagedValueError, DatabaseBusyError

# SQLAlchemy prints a traceback here for each connection that died; the error itself reaches us anyway.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
# And psycopg warns at each pipeline that a refused statement ends: once a try, as long as an outage lasts.
logging.getLogger("psycopg").setLevel(logging.ERROR)

_SQLITE_BUSY_MS = 10_000
_SQLITE_CHECKPOINT = 4_000
"""Pages in the write-ahead log (16 MB) at which a commit moves them into the database: the more there are,
the more of them are one and the same page, and the fewer commits have to wait for the disk."""
# The zone: years 1 and 9999 overflow in Python when the server shows them in another one. Compilation of
# statements: it takes longer than any of ours. TCP: a server process whose client is gone without a word
# keeps its locks, and in the middle of a pipeline no other limit ends it; the kernel's own is two hours.
_PG_OPTIONS = (
    "-c statement_timeout=11s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s"
    " -c timezone=UTC -c jit=off"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=10s"
)
_PUBLIC_OPTIONS = frozenset({"dbname", "host", "hostaddr", "mode", "port", "service", "sslmode", "uri"})
"""Options of a URL that hold no secret; others, such as sslpassword, may."""
_PG_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
    "application_name": "sessiond",
}


class Database:
    """An open SQLite file or PostgreSQL database; safe to use from any thread.

    Args:
        url: ``sqlite:///path`` or ``postgresql://…`` (psycopg 3 is used whatever the driver named).
        pool_size: Connections kept open, one per worker thread and a few for readers.
        pgbouncer: True behind PgBouncer in transaction mode: no prepared statements, no start-up options.

    Raises:
        ConfigError: The URL is not one of the two.
    """

    def __init__(self, url: str | URL, *, pool_size: int = 6, pgbouncer: bool = False) -> None:
        self.url = _usable_url(url)
        self.is_postgres = self.url.get_backend_name() == "postgresql"
        self.pgbouncer = pgbouncer
        self.engine = self._engine(self.url, pool_size)
        self._writer = self.engine.execution_options(sessiond_write=True)
        self._turn = Lock()

    def _engine(self, url: URL, pool_size: int) -> Engine:
        try:
            return _postgres(url, pool_size, pgbouncer=self.pgbouncer) if self.is_postgres else _sqlite(url)
        except (ArgumentError, ValueError):
            # A host in a file's URL, a port that is no number; their texts may hold a part of the password.
            raise _unusable("the database URL cannot be used") from None

    def reconnect(self, url: str | URL, *, pool_size: int) -> None:
        """Use other connections to the same database from now on: another user, password or pool size.

        Transactions that are open end on their old connections.

        Raises:
            ConfigError: The URL is none of this kind of database.
            DatabaseError: The database does not answer under it; the old connections stay in use.
        """
        usable = _usable_url(url)
        if usable.get_backend_name() != self.url.get_backend_name():
            raise _unusable("another kind of database needs a restart")
        engine = self._engine(usable, pool_size)
        try:
            with translated(), engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
        except BaseException:
            engine.dispose()
            raise
        old = self.engine
        self.url, self.engine = usable, engine
        self._writer = engine.execution_options(sessiond_write=True)
        # dispose() closes those that are idle; the others are closed when they come back.
        event.listen(old, "checkin", lambda connection, record: connection and record.invalidate())
        old.dispose()

    @property
    def name(self) -> str:
        """The URL without its secrets, for messages."""
        return public_name(self.url)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write; committed at the end, rolled back on any exception.

        On SQLite it holds the one write lock from its first statement (BEGIN IMMEDIATE), waiting up to 10 s
        for the other threads of this process, and as long for other processes.

        Raises:
            DatabaseError: One of its kinds, translated from the driver's.
        """
        with self._in_turn(), translated(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Let one thread of this process write at a time: SQLite itself would only look now and then."""
        if self.is_postgres:
            yield
            return
        if not self._turn.acquire(timeout=_SQLITE_BUSY_MS / 1000):
            raise DatabaseBusyError("another thread has been writing to the database for too long")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction for reading: one snapshot on SQLite, read committed on PostgreSQL.

        Raises:
            DatabaseError: One of its kinds, translated from the driver's; DamagedValueError also where a row
                that was read is not what its model says.
        """
        with translated(), self.engine.connect() as connection:
            try:
                yield connection
            except ValidationError as error:
                raise DamagedValueError from error

    def identity(self) -> tuple[int, int] | None:
        """Return which file SQLite's database is; None while there is none, and for PostgreSQL."""
        return None if self.is_postgres else _identity(Path(str(self.url.database)))

    def probe(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            DatabaseError: It did not give one.
        """
        with self.read() as connection:
            connection.exec_driver_sql("SELECT 1")

    def refresh_statistics(self) -> None:
        """Let the planner count the tables anew; worth it when they have grown, and takes under a second.

        PostgreSQL keeps the plans of prepared statements and of foreign keys' checks until a table's
        statistics change. Those made while the tables were empty take any index, or none, and read all
        sessions of a project for each row until its own background job comes by, up to minutes later.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self.write() as connection:
            if self.is_postgres:
                connection.exec_driver_sql(f"ANALYZE {', '.join(metadata.tables)}")
            else:
                connection.exec_driver_sql("PRAGMA analysis_limit = 400")
                connection.exec_driver_sql("ANALYZE")

    def close(self) -> None:
        """Close all pooled connections; safe to call twice."""
        self.engine.dispose()


def public_name(url: str | URL) -> str:
    """Return a URL as it may be shown: without its password, and with no options but those that name a place.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Their texts may hold a part of the password.
        raise _unusable("the database URL cannot be read") from None
    shown = {name: value for name, value in parsed.query.items() if name in _PUBLIC_OPTIONS}
    return parsed.set(query=shown).render_as_string(hide_password=True)


def _usable_url(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Their texts may hold a part of the password.
        raise _unusable("the database URL cannot be read") from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return _postgres_url(parsed)
    if backend != "sqlite":
        raise _unusable(f"databases of the kind {backend!r} are not supported")
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError(
            "an in-memory SQLite database would be lost at once",
            key="database.url",
            hint="name a file: sqlite:////absolute/path.db",
        )
    if "uri" not in parsed.query:
        # Fixed now: a daemon may change its working folder later.
        parsed = parsed.set(database=os.path.abspath(os.path.expanduser(parsed.database)))  # noqa: PTH100, PTH111
    return parsed.set(drivername="sqlite")


def _postgres_url(parsed: URL) -> URL:
    if "@" in (parsed.host or ""):
        # The rest of a password with an @ in it; it must not be shown as a host's name.
        raise _unusable("the database URL has an @ too many; in a password write %40")
    password = parsed.query.get("password")
    if isinstance(password, str):
        parsed = parsed.difference_update_query(["password"]).set(password=parsed.password or password)
    return parsed.set(drivername="postgresql+psycopg")


def _unusable(message: str) -> ConfigError:
    return ConfigError(
        message,
        key="database.url",
        hint="use sqlite:////absolute/path.db or postgresql://user@host/name",
    )


def _postgres(url: URL, pool_size: int, *, pgbouncer: bool) -> Engine:
    # Imported late: whoever keeps a SQLite file needs no driver of another database.
    from sessionlib.db.patience import make_patient  # noqa: PLC0415

    arguments = {name: value for name, value in _PG_CONNECT.items() if name not in url.query}
    if pgbouncer:
        arguments["prepare_threshold"] = None
    else:
        # The URL's own come last, and so hold where both say something.
        theirs = url.normalized_query.get("options", ())
        arguments["options"] = " ".join([_PG_OPTIONS, *theirs])
        url = url.difference_update_query(["options"])
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=4,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=arguments,
    )
    make_patient(engine, pgbouncer=pgbouncer)
    return engine


def take_time(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they need, where somebody would end them."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        driver: Any = connection.connection.driver_connection
        driver.patience = None


def _set_up(connection: sqlite3.Connection) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_SQLITE_BUSY_MS}")
    _use_wal(cursor)
    checkpoint = f"wal_autocheckpoint={_SQLITE_CHECKPOINT}"
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY", checkpoint):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch to WAL; of several processes that switch a new file at once SQLite lets some fail at once."""
    deadline = time.monotonic() + _SQLITE_BUSY_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _sqlite(url: URL) -> Engine:
    arguments = {"timeout": _SQLITE_BUSY_MS / 1000}
    engine = create_engine(url, hide_parameters=True, connect_args=arguments, json_deserializer=_from_json)
    path = Path(str(url.database))

    @event.listens_for(engine, "do_connect")
    def _create_private(*_: Any) -> None:
        if "uri" not in url.query:
            files.create(path)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, record: Any) -> None:
        record.info["identity"] = _identity(path)
        # sqlite3 must not open transactions by itself: a deferred BEGIN that turns into a write fails at
        # once with SQLITE_BUSY_SNAPSHOT, whatever the busy timeout.
        connection.isolation_level = None
        try:
            _set_up(connection)
            damage.teach(connection)
        except sqlite3.Error:
            connection.close()
            raise

    @event.listens_for(engine, "checkout")
    def _still_there(_: Any, record: Any, __: Any) -> None:
        # A file that was deleted or replaced would go on taking our rows, where nobody can read them.
        if record.info.get("identity") != _identity(path):
            raise DisconnectionError("the database file was replaced")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("sessiond_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _from_json(stored: Any) -> Any:
    if isinstance(stored, int | float):
        return stored  # SQLite turns a document that is one number into that
    if not isinstance(stored, str):
        raise DamagedValueError
    try:
        return json.loads(stored)
    except ILLEGIBLE:
        raise DamagedValueError from None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino
