"""The metadata, the naming of constraints, and short spellings for columns."""

from typing import Any

from sqlalchemy import Boolean, Column, MetaData

from sessionlib.db.types import Guid, JsonType, TextType, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

KEY = {"kind": "key"}
DERIVED = {"kind": "derived"}
"""A pure function of the files that can be read now; recomputed by verify and rebuild."""
OBSERVED = {"kind": "observed"}
"""What the daemon saw; kept by a rebuild and never verified."""


def key(name: str, kind: Any = None) -> Column[Any]:
    """Return a primary key column, an id unless `kind` says otherwise."""
    return Column(name, kind or Guid(), primary_key=True, nullable=False, info=KEY)


def ref(name: str, kind: Any = None, *, null: bool = False, info: dict[str, str] = DERIVED) -> Column[Any]:
    """Return a column that is part of a foreign key."""
    return Column(name, kind or Guid(), nullable=null, info=info)


def text(name: str, *, null: bool = True, info: dict[str, str] = DERIVED) -> Column[Any]:
    """Return a text column."""
    return Column(name, TextType, nullable=null, info=info)


def time(name: str, *, null: bool = True, info: dict[str, str] = DERIVED) -> Column[Any]:
    """Return a column of aware UTC times."""
    return Column(name, UtcTime(), nullable=null, info=info)


def number(name: str, kind: Any, *, null: bool = True, info: dict[str, str] = DERIVED) -> Column[Any]:
    """Return a numeric column of the given type."""
    return Column(name, kind, nullable=null, info=info)


def flag(name: str, *, info: dict[str, str] = DERIVED) -> Column[Any]:
    """Return a NOT NULL boolean column."""
    return Column(name, Boolean(), nullable=False, info=info)


def json(name: str, *, null: bool = False, info: dict[str, str] = DERIVED) -> Column[Any]:
    """Return a JSON column."""
    return Column(name, JsonType, nullable=null, info=info)
