"""Conversations, found by what people call them."""

from contextlib import suppress
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, and_, or_, select

from sessionlib.db.tables import conversations, projects
from sessionlib.errors import RecordNotFoundError, UsageError

_MOST_ALIKE = 6
_LAST = "\N{REPLACEMENT CHARACTER}"
"""Sorts behind whatever an id holds."""


class ConversationKey(NamedTuple):
    """Which conversation of which project; `native_id` is what its client calls it."""

    project_id: UUID
    conversation_id: UUID
    native_id: str


def find(connection: Connection, name: str, *, project_id: UUID | None = None) -> ConversationKey:
    """Return the one conversation whose id, native id or beginning of a native id this is.

    Raises:
        RecordNotFoundError: There is none.
        UsageError: There are several.
    """
    table = conversations.c
    named = [table.native_id == name]
    with suppress(ValueError):
        named.append(table.conversation_id == UUID(name))
    begun = and_(table.native_id >= name, table.native_id < name + _LAST)
    within = [] if project_id is None else [table.project_id == project_id]
    for wanted in (or_(*named), begun):
        rows = connection.execute(
            select(table.project_id, table.conversation_id, table.native_id, projects.c.slug)
            .join(projects, projects.c.project_id == table.project_id)
            .where(wanted, *within)
            .order_by(table.native_id, projects.c.slug)
            .limit(_MOST_ALIKE)
        ).all()
        if len(rows) == 1:
            return ConversationKey(*rows[0][:3])
        if rows:
            places = ", ".join(f"{row.slug}:{row.native_id}" for row in rows[:5])
            raise UsageError(
                f"{name!r} means several conversations: {places}",
                hint="give more of its id, or its project with --project",
            )
    raise RecordNotFoundError("conversation", name)
