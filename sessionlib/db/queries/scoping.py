"""What the questions about agents' work share: whose it is, and a list cut to a limit."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, literal

from sessionlib.db.crud import projects, sessions
from sessionlib.db.types import TextType


class Scope(NamedTuple):
    """Of which project and of which session something is wanted; None leaves it open."""

    project_id: UUID | None = None
    session_id: UUID | None = None

    def of(self, project_id: Any, session_id: Any = None) -> list[ColumnElement[bool]]:
        """Return the conditions on the columns that hold the ids."""
        wanted = [] if self.project_id is None else [project_id == self.project_id]
        if self.session_id is not None and session_id is not None:
            wanted.append(session_id == self.session_id)
        return wanted


def scope(connection: Connection, project: str | None, session: str | None) -> Scope:
    """Find the project and the session that somebody named.

    Args:
        connection: Open for reading.
        project: A slug, alias or id.
        session: A slug, a part of one, a declared id or an id; of a path the folder's name counts.

    Raises:
        RecordNotFoundError: There is no such project or session; the nearest names are its hint.
        UsageError: Several sessions fit.
    """
    found = None if project is None else projects.find(connection, project)
    if session is None:
        return Scope(None if found is None else found.project_id)
    one = sessions.find(connection, folder_name(session), project=None if found is None else found.slug)
    return Scope(one.project_id, one.session_id)


def folder_name(text: str) -> str:
    """Return the slug where the path of a session's folder was given; no slug holds a slash."""
    return text.rstrip("/").rsplit("/", 1)[-1] or text


def word(value: str, known: Iterable[str]) -> Any:
    """Return a value to compare a column with, written into the statement where it is one of a few words.

    PostgreSQL then knows how many rows have it, also when it keeps the statement's plan: of all agents most
    are complete and few are running. Any other text stays a parameter.
    """
    return literal(value, TextType, literal_execute=True) if value in set(known) else value


class Listing(NamedTuple):
    """Rows of an answer, and whether there are more than its limit."""

    rows: Sequence[Any]
    more: bool

    @classmethod
    def cut(cls, rows: Sequence[Any], limit: int) -> "Listing":
        """Return the first `limit` of rows of which one more was asked for."""
        return cls(rows[:limit], len(rows) > limit)
