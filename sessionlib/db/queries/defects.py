"""What the questions about the quality of rows share: a count with a few examples."""

from collections import defaultdict
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from sessionlib.db import tables

_C: Any = tables.conversations.c

MOST = 5
"""Examples of one defect."""


class Defect(NamedTuple):
    """How many rows have a defect, and some of them in words."""

    number: int = 0
    examples: tuple[str, ...] = ()


def counted(connection: Connection, wanted: Select[Any]) -> Defect:
    """Count the rows of a selection, whose columns together tell of one."""
    count = connection.scalar(select(func.count()).select_from(wanted.order_by(None).subquery())) or 0
    if not count:
        return Defect()
    rows = connection.execute(wanted.limit(MOST))
    return Defect(count, tuple(" ".join(str(value) for value in row if value is not None) for row in rows))


def of_conversation(table: Any) -> ColumnElement[bool]:
    """Return the condition that a row belongs to a conversation."""
    return and_(_C.project_id == table.project_id, _C.conversation_id == table.conversation_id)


def by_project(connection: Connection, wanted: Any) -> dict[UUID, list[UUID]]:
    """Return the second column of a selection by the first, a project."""
    found: dict[UUID, list[UUID]] = defaultdict(list)
    for project_id, one in connection.execute(wanted):
        found[project_id].append(one)
    return dict(found)
