"""Create, upgrade and check the schema, under a lock, with Alembic's numbered migrations."""

from enum import StrEnum

from sqlalchemy import Connection, inspect, text

from sessionlib.db.engine import Database, take_time
from sessionlib.db.tables import metadata
from sessionlib.errors import SchemaMismatchError, SchemaMissingError

HEAD = "0007"
"""The newest migration; kept here too so that a check needs no Alembic (a test compares the two)."""

_KNOWN = frozenset({"0001", "0002", "0003", "0004", "0005", "0006", "0007"})
_LOCK = 0x5E5510D


class SchemaState(StrEnum):
    """How the database's schema stands to this program."""

    MISSING = "missing"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def current_revision(connection: Connection) -> str | None:
    """Return the database's revision, or None where it has no schema of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def state(database: Database) -> SchemaState:
    """Return how the schema stands; reads one row."""
    with database.read() as connection:
        return _state_of(current_revision(connection))


def _state_of(revision: str | None) -> SchemaState:
    if revision is None:
        return SchemaState.MISSING
    if revision == HEAD:
        return SchemaState.CURRENT
    return SchemaState.OLDER if revision in _KNOWN else SchemaState.NEWER


def _refuse_foreign(database: Database, connection: Connection) -> None:
    """Refuse a database without our revision that has tables of our names: it is another program's."""
    found = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))
    if found:
        raise SchemaMismatchError(
            f"the database {database.name} is not ours: it has a table {found[0]} but no revision",
            hint="name an empty database with database.url; nothing was changed",
        )


def require_current(database: Database) -> None:
    """Return if the schema is the one this program needs.

    Raises:
        SchemaMismatchError: It is newer than this program, or another program's.
        SchemaMissingError: It is missing or older.
    """
    with database.read() as connection:
        found = _state_of(current_revision(connection))
        if found is SchemaState.MISSING:
            _refuse_foreign(database, connection)
    if found is SchemaState.NEWER:
        raise _newer(database)
    if found is not SchemaState.CURRENT:
        raise SchemaMissingError(
            f"the database {database.name} has no mirror yet"
            if found is SchemaState.MISSING
            else f"the schema of {database.name} is older than this program",
            hint="run `sessiond run ROOT`, `sessionctl sync PATH` or `sessionctl db upgrade`",
        )


def _newer(database: Database) -> SchemaMismatchError:
    return SchemaMismatchError(
        f"the schema of {database.name} is newer than this program knows (newest known: {HEAD})",
        hint="upgrade sessiond on this machine; nothing was changed",
    )


def upgrade(database: Database, *, target: str = HEAD) -> SchemaState:
    """Bring the schema to a revision, the newest one; several processes may call it at once.

    The whole upgrade is one transaction under a lock: an advisory one on PostgreSQL, the write lock on
    SQLite. Returns how the schema stood before.

    Raises:
        SchemaMismatchError: The schema is newer, or another program's; nothing was changed.
        DatabaseError: The database does not answer or refuses.
    """
    before = state(database)
    if before is SchemaState.CURRENT:
        return before
    with database.write() as connection:
        if database.is_postgres:
            take_time(connection)
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        before = _state_of(current_revision(connection))
        if before is SchemaState.NEWER:
            raise _newer(database)
        if before is SchemaState.MISSING:
            _refuse_foreign(database, connection)
        if before is not SchemaState.CURRENT:
            _run_migrations(connection, target)
    return before


def _run_migrations(connection: Connection, target: str) -> None:
    # Alembic takes 0.2 s to import, which every command would pay.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "sessionlib:db/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, target)
