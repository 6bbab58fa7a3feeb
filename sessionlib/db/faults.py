"""Translate driver errors into the tree of `sessionlib.errors`, once, at the database's edge.

Which SQLSTATE means what was found by provoking each; psycopg's connection errors carry none at all, so a
wrong password cannot be told from a server that starts, and both are treated as an outage.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import exc

from sessionlib.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    RowRejectedError,
)

_BUSY_STATES = {"40P01", "40001", "55P03", "57014", "25P03"}
_REFUSED_STATES = {"25006", "42501", "42P01", "42703", "3F000", "42P06", "42883"}
_ROW_CLASSES = ("22", "23", "54")
_DOWN_CLASSES = ("08", "57P", "53", "58")

_SQLITE_BUSY = {"SQLITE_BUSY", "SQLITE_LOCKED"}
_SQLITE_DOWN = {"SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_NOMEM", "SQLITE_PROTOCOL"}
_SQLITE_REFUSED = {"SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH", "SQLITE_NOTADB", "SQLITE_CORRUPT"}
_SQLITE_ROW = {"SQLITE_CONSTRAINT", "SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE"}


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _from_postgres(error: psycopg.Error) -> DatabaseError:
    state = error.sqlstate
    text = _first_line(error)
    if state is None:
        if isinstance(error, psycopg.DataError | psycopg.NotSupportedError | psycopg.ProgrammingError):
            return RowRejectedError(f"the database refuses the row: {text}")
        return DatabaseUnavailableError(f"the database does not answer: {text}")
    if state in _BUSY_STATES:
        return DatabaseBusyError(f"the database is busy: {text}", sqlstate=state)
    if state in _REFUSED_STATES:
        return DatabaseRefusedError(f"the database refuses our writes: {text}", sqlstate=state)
    if state.startswith(_ROW_CLASSES):
        return RowRejectedError(f"the database refuses the row: {text}", sqlstate=state)
    if state.startswith(_DOWN_CLASSES):
        return DatabaseUnavailableError(f"the database does not answer: {text}", sqlstate=state)
    return DatabaseRefusedError(f"the database refuses the statement: {text}", sqlstate=state)


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
    if base in _SQLITE_REFUSED or "no such" in text:
        return DatabaseRefusedError(f"the database file refuses our writes: {text}", sqlstate=name or None)
    if isinstance(error, sqlite3.InterfaceError | sqlite3.ProgrammingError) and not name:
        return RowRejectedError(f"the database refuses the row: {text}")
    return DatabaseUnavailableError(f"the database file cannot be used: {text}", sqlstate=name or None)


def translate(error: BaseException) -> DatabaseError | None:
    """Return our error for a driver's or SQLAlchemy's, or None for one that is not a database's."""
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        return translate(error.orig)
    if isinstance(error, psycopg.Error):
        return _from_postgres(error)
    if isinstance(error, sqlite3.Error):
        return _from_sqlite(error)
    if isinstance(error, exc.TimeoutError):
        return DatabaseUnavailableError(f"no database connection came free: {_first_line(error)}")
    if isinstance(error, exc.SQLAlchemyError):
        return DatabaseUnavailableError(f"the database connection failed: {_first_line(error)}")
    if isinstance(error, OverflowError | UnicodeEncodeError):
        # Raised by the drivers while they bind: an integer over 64 bit, a lone surrogate.
        return RowRejectedError(f"the database cannot hold a value: {_first_line(error)}")
    return None


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
