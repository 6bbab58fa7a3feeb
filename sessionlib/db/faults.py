"""Translate driver errors into the tree of `sessionlib.errors`, once, at the database's edge.

Which SQLSTATE means what was found by provoking each; psycopg's connection errors carry none at all, so a
wrong password cannot be told from a server that starts, and both are treated as an outage.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeGuard

from sqlalchemy import exc

from sessionlib.errors import (
    DamagedValueError,
    DatabaseBusyError,
    DatabaseError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    RowRejectedError,
)

if TYPE_CHECKING:
    import psycopg

_BUSY_STATES = ("40", "55P03", "57014", "25P03")
_ROW_CLASSES = ("21", "22", "23", "54")
_DOWN_CLASSES = ("08", "57P", "53", "58")

_SQLITE_BUSY = {"SQLITE_BUSY", "SQLITE_LOCKED"}
_SQLITE_DOWN = {"SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_NOMEM", "SQLITE_PROTOCOL"}
# SQLITE_ERROR is a statement that does not fit the schema, a table or a column that is missing.
_SQLITE_REFUSED = {
    "SQLITE_READONLY",
    "SQLITE_PERM",
    "SQLITE_AUTH",
    "SQLITE_NOTADB",
    "SQLITE_CORRUPT",
    "SQLITE_ERROR",
    "SQLITE_SCHEMA",
}
_REBUILD = "move the file away: the mirror is rebuilt from the session files"
_SQLITE_HINTS = {
    "SQLITE_NOTADB": _REBUILD,
    "SQLITE_CORRUPT": _REBUILD,
    "SQLITE_READONLY": "let this user write the file and its folder",
    "SQLITE_PERM": "let this user write the file and its folder",
}
_SQLITE_ROW = {"SQLITE_CONSTRAINT", "SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE"}

_NO_TEXT = "Could not decode to UTF-8"
"""How Python's driver of SQLite begins when it meets a text that is none; the text itself follows."""
_POOLER = "unsupported startup parameter"
"""What PgBouncer says of settings that come with a connection, whatever its version."""

_NO_CONNECTION = (exc.TimeoutError, exc.PendingRollbackError, exc.ResourceClosedError, exc.DisconnectionError)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    if lines[0].startswith("Multiple connection attempts failed"):
        # A name with several addresses: the last attempt's reason says more than the heading.
        return lines[-1].strip(" -")
    return lines[0]


def _is_psycopg(error: BaseException) -> "TypeGuard[psycopg.Error]":
    """Tell whether an error is psycopg's; a process that uses SQLite never imports that."""
    driver = sys.modules.get("psycopg")
    return driver is not None and isinstance(error, driver.Error)


def _from_postgres(error: "psycopg.Error") -> DatabaseError:
    import psycopg  # noqa: PLC0415 - imported already, or there would be no such error

    state = error.sqlstate
    text = _first_line(error)
    if state is None:
        if isinstance(error, psycopg.DataError | psycopg.NotSupportedError):
            return RowRejectedError(f"the database refuses the row: {text}")
        if isinstance(error, psycopg.ProgrammingError):
            return DatabaseRefusedError(f"the database cannot be used like this: {text}")
        hint = "behind PgBouncer set database.pgbouncer = true" if _POOLER in text else None
        return DatabaseUnavailableError(f"the database does not answer: {text}", hint=hint)
    if state.startswith(_BUSY_STATES):
        return DatabaseBusyError(f"the database is busy: {text}", sqlstate=state)
    if state.startswith(_ROW_CLASSES):
        return RowRejectedError(f"the database refuses the row: {text}", sqlstate=state)
    if state.startswith(_DOWN_CLASSES):
        return DatabaseUnavailableError(f"the database does not answer: {text}", sqlstate=state)
    # Read-only, no privilege, tables missing, and whatever else concerns more than one row.
    return DatabaseRefusedError(f"the database refuses our statements: {text}", sqlstate=state)


def _from_sqlite(error: sqlite3.Error) -> DatabaseError:
    name = getattr(error, "sqlite_errorname", None) or ""
    base = "_".join(name.split("_")[:2])
    text = _first_line(error)
    if base in _SQLITE_BUSY:
        return DatabaseBusyError(f"the database is locked by another writer: {text}", sqlstate=name)
    if base in _SQLITE_DOWN:
        return DatabaseUnavailableError(f"the database file cannot be used: {text}", sqlstate=name)
    if base in _SQLITE_ROW or isinstance(error, sqlite3.DataError | sqlite3.IntegrityError):
        return RowRejectedError(f"the database refuses the row: {text}", sqlstate=name or None)
    if base in _SQLITE_REFUSED:
        return DatabaseRefusedError(
            f"the database file refuses our statements: {text}", sqlstate=name, hint=_SQLITE_HINTS.get(base)
        )
    if text.startswith(_NO_TEXT):
        return DamagedValueError()
    if "binding parameter" in text:
        return RowRejectedError(f"the database refuses the row: {text}")
    return DatabaseUnavailableError(f"the database file cannot be used: {text}", sqlstate=name or None)


def translate(error: BaseException) -> DatabaseError | None:
    """Return our error for a driver's or SQLAlchemy's, or None for one that is not a database's."""
    if isinstance(error, exc.StatementError) and error.orig is not None:
        # A driver's error, or one raised while a value was bound: a time without a zone, a NUL.
        return translate(error.orig) or _unbound(error.orig)
    if _is_psycopg(error):
        return _from_postgres(error)
    if isinstance(error, sqlite3.Error):
        return _from_sqlite(error)
    if isinstance(error, _NO_CONNECTION):
        return DatabaseUnavailableError(f"there is no database connection: {_first_line(error)}")
    if isinstance(error, OverflowError | UnicodeEncodeError):
        # Raised by the drivers while they bind: an integer over 64 bit, a lone surrogate.
        return _unbound(error)
    return None


def _unbound(error: BaseException) -> RowRejectedError:
    return RowRejectedError(f"the database cannot hold a value: {_first_line(error)}")


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors in place of the drivers'."""
    try:
        yield
    except DatabaseError:
        raise
    except Exception as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error
