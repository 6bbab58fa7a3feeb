"""What agents have noted to do and not done yet."""

from typing import Any

from sqlalchemy import Connection, and_, or_, select

from sessionlib.db import tables
from sessionlib.db.crud import conversations
from sessionlib.db.queries.base import P
from sessionlib.db.queries.conversation_lists import slugs_of, split_slugs
from sessionlib.db.queries.scoping import Listing, scope
from sessionlib.models import TodoSummary

_C: Any = tables.conversations.c
_D: Any = tables.todos.c

OPEN = ("pending", "in_progress")
"""How an item stands that is not done; one of which nobody has said how it stands is not done either."""


def todos(
    connection: Connection,
    project: str | None = None,
    conversation: str | None = None,
    *,
    everything: bool = False,
    limit: int = 50,
) -> Listing:
    """Return items of agents' own lists as `TodoSummary`, the last changed first.

    Args:
        connection: Open for reading.
        project: Only those of a project: slug, alias or id.
        conversation: Only those of a conversation: native id, the beginning of one, or id.
        everything: Also those that are done or were dropped.
        limit: At most so many.

    Raises:
        RecordNotFoundError: There is no such project or conversation.
        UsageError: Several conversations fit.
    """
    found = scope(connection, project, None)
    conditions = found.of(_D.project_id)
    if conversation is not None:
        one = conversations.find(connection, conversation, project_id=found.project_id)
        conditions += [_D.project_id == one.project_id, _D.conversation_id == one.conversation_id]
    if not everything:
        conditions.append(or_(_D.status.in_(OPEN), _D.status.is_(None)))
    order = (_D.updated_at.desc(), _D.conversation_id, _D.todo_key)
    chosen = select(tables.todos).where(*conditions).order_by(*order).limit(limit + 1).subquery("chosen")
    shown = {
        "project_slug": P.slug,
        "conversation": _C.native_id,
        "conversation_status": _C.status,
        "sessions": slugs_of(_C),
    }
    columns = [
        (shown[name] if name in shown else chosen.c[name]).label(name) for name in TodoSummary.model_fields
    ]
    same = and_(_C.project_id == chosen.c.project_id, _C.conversation_id == chosen.c.conversation_id)
    rows = connection.execute(
        select(*columns)
        .select_from(chosen)
        .join(tables.conversations, same)
        .join(tables.projects, P.project_id == chosen.c.project_id)
        .order_by(chosen.c.updated_at.desc(), chosen.c.conversation_id, chosen.c.todo_key)
    )
    return Listing.cut([_summary(row) for row in rows.mappings()], limit)


def _summary(row: Any) -> TodoSummary:
    return TodoSummary.model_validate(dict(row) | {"sessions": split_slugs(row["sessions"])})
