"""Sessions that no copy backs, and copies that lie in folders nobody has registered."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, String, exists, func, select, type_coerce

from sessionlib.db import damage, tables


class Unbacked(NamedTuple):
    """A session that is not known to be gone, and has no copy that is not."""

    session_id: UUID
    workspace_id: UUID
    root: str
    slug: str


def unbacked(connection: Connection, project_id: UUID) -> list[Unbacked]:
    """Return the sessions of a project that no copy backs, by root and slug."""
    session, copy = tables.sessions.c, tables.session_files.c
    live = exists().where(
        copy.project_id == session.project_id,
        copy.session_id == session.session_id,
        copy.missing_since.is_(None),
    )
    statement = (
        # As the driver gives them: an id that cannot be read is nobody's.
        select(*(type_coerce(session[name], String) for name in Unbacked._fields))
        .where(session.project_id == project_id, session.missing_since.is_(None), ~live)
        .order_by(session.root, session.slug)
    )
    with damage.any_text(connection):
        rows = connection.execute(statement).all()
    return [
        Unbacked(UUID(str(session_id)), UUID(str(workspace_id)), root, slug)
        for session_id, workspace_id, root, slug in map(tuple, rows)
        if _is_legible((session_id, workspace_id, root, slug))
    ]


def _is_legible(row: Sequence[Any]) -> bool:
    return not any(damage.is_damaged("sessions", *pair) for pair in zip(Unbacked._fields, row, strict=True))


def unregistered(connection: Connection, host_id: UUID) -> list[tuple[str, str, int]]:
    """Return (workspace's path, root, copies) of a host's sessions roots that are not registered."""
    copy, place, root = tables.session_files.c, tables.workspaces.c, tables.workspace_roots.c
    registered = exists().where(
        root.project_id == copy.project_id, root.workspace_id == copy.workspace_id, root.root == copy.root
    )
    rows = connection.execute(
        select(place.path, copy.root, func.count())
        .where(
            place.project_id == copy.project_id,
            place.workspace_id == copy.workspace_id,
            place.host_id == host_id,
            copy.missing_since.is_(None),
            ~registered,
        )
        .group_by(place.path, copy.root)
        .order_by(place.path, copy.root)
    )
    return [(path, name, count) for path, name, count in map(tuple, rows)]


def ownerless(connection: Connection) -> int:
    """Return how many copies are stored of workspaces that are not."""
    copy, place = tables.session_files.c, tables.workspaces.c
    owner = exists().where(place.project_id == copy.project_id, place.workspace_id == copy.workspace_id)
    count = select(func.count()).select_from(tables.session_files).where(~owner)
    return connection.scalar(count) or 0
