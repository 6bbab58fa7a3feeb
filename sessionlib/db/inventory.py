"""What a database holds, in numbers and oddities: for operators, not on anybody's fast path."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, func, select

from sessionlib.db import tables
from sessionlib.db.matching import given

_S = tables.sessions.c


def row_counts(connection: Connection) -> dict[str, int]:
    """Return the number of rows of each table, by name; reads every table once."""
    return {
        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
        for table in sorted(tables.metadata.tables.values(), key=lambda table: table.name)
    }


class MismatchedId(NamedTuple):
    """A session whose document names another session than its folder does."""

    project: str
    session: str
    declared_id: str
    session_id: UUID


def mismatched_ids(connection: Connection, project: str | None = None, limit: int = 50) -> list[MismatchedId]:
    """Return the sessions whose declared id is not their folder's name, the last active first."""
    odd = select(_S.project_id, _S.slug, _S.declared_id, _S.session_id, _S.activity_at).where(
        _S.missing_since.is_(None), _S.declared_id != _S.slug
    )
    known = tables.projects.c
    if project is not None:
        of_project = select(known.project_id).where(known.slug == project).scalar_subquery()
        odd = odd.where(given(_S.project_id) == of_project)
    # The limit inside: the planner then begins with the few odd sessions, not with the projects.
    hit = odd.order_by(_S.activity_at.desc(), given(_S.session_id)).limit(limit).subquery("odd").c
    statement = (
        select(known.slug, hit.slug, hit.declared_id, hit.session_id)
        .join(tables.projects, known.project_id == hit.project_id)
        .order_by(hit.activity_at.desc(), hit.session_id)
    )
    return [MismatchedId(*row) for row in connection.execute(statement)]
