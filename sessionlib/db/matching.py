"""Two ways to put a condition that SQLAlchemy has no word for: a part of a text, and a table read first."""

import string
from typing import Any

from sqlalchemy import ColumnElement, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NULLTYPE


class _Holds(FunctionElement[Any]):
    """Whether a text holds another one, ASCII letters in any case."""

    # A boolean would be compared with 1 on SQLite.
    type = NULLTYPE
    inherit_cache = True
    name = "holds"


@compiles(_Holds, "postgresql")
def _holds_postgres(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    text, pattern = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({text} ILIKE {pattern} ESCAPE '/')"


@compiles(_Holds, "sqlite")
def _holds_sqlite(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    # Its LIKE takes ASCII letters in any case by itself; lower() would copy every text first.
    text, pattern = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({text} LIKE {pattern} ESCAPE '/')"


class _HoldsInAll(_Holds):
    """The same, where every row will be read."""

    inherit_cache = True


@compiles(_HoldsInAll, "postgresql")
def _holds_in_all_postgres(element: _HoldsInAll, compiler: SQLCompiler, **options: Any) -> str:
    # ILIKE makes a small copy of the pattern too, for each row. Under the collation of all our texts lower()
    # changes ASCII letters alone. But nothing is known of how many texts hold it, as there is with ILIKE.
    text, pattern = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(lower({text}) LIKE {pattern} ESCAPE '/')"


compiles(_HoldsInAll, "sqlite")(_holds_sqlite)

_LOWER = {ord(letter): letter.lower() for letter in string.ascii_uppercase}


def holds(column: ColumnElement[Any], part: str, *, in_all: bool = False) -> ColumnElement[bool]:
    """Return the condition that a column's text holds a part, ASCII letters in any case.

    Args:
        column: Of our own text type.
        part: Any text.
        in_all: Whether all rows are read for it in any case; it takes less then.
    """
    escaped = part.replace("/", "//").replace("%", "/%").replace("_", "/_").translate(_LOWER)
    return (_HoldsInAll if in_all else _Holds)(column, literal(f"%{escaped}%"))


class _Given(FunctionElement[Any]):
    """A column of a table that is read before the one it is compared with."""

    type = NULLTYPE
    inherit_cache = True
    name = "given"


@compiles(_Given)
def _given(element: _Given, compiler: SQLCompiler, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(_Given, "sqlite")
def _given_sqlite(element: _Given, compiler: SQLCompiler, **options: Any) -> str:
    # A plus in front keeps an index of this table from being used for the comparison.
    return f"+{compiler.process(element.clauses, **options)}"


def given(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column such that its table is read first: SQLite guesses wrong with one project."""
    return _Given(column)
