"""Workspaces and the sessions roots in them."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, and_, delete, or_, select, update

from sessionlib.db import bulk
from sessionlib.db.crud.changes import set_fields
from sessionlib.db.tables import workspace_roots, workspaces
from sessionlib.errors import RecordNotFoundError
from sessionlib.models import Workspace, WorkspaceCreate, WorkspaceUpdate, derived_id, utc_now


class Root(NamedTuple):
    """One sessions root of a workspace, and the identity of its folder when it was last seen."""

    project_id: UUID
    workspace_id: UUID
    root: str
    dev: int
    inode: int
    missing_since: datetime | None
    reconciled_at: datetime | None


def create(connection: Connection, new: WorkspaceCreate) -> Workspace:
    """Register a workspace; one of the project at this place is returned as it is.

    Its id is derived from the host and the path it was first seen at. One that moved from there keeps its
    id, and the new one gets the next.
    """
    here = _at(connection, new)
    if here is not None:
        return here
    place = (new.project_id, new.host_id, new.path)
    workspace_id = derived_id("workspace", *place)
    turn = 1
    while _exists(connection, workspace_id):
        turn += 1
        workspace_id = derived_id("workspace", *place, turn)
    row = (
        new.project_id,
        workspace_id,
        new.host_id,
        new.path,
        new.dev,
        new.inode,
        new.registered,
        None,
        None,
        None,
        None,
        utc_now(),
    )
    bulk.insert_new(connection, workspaces, [row])
    # Another process may have been first, so not by the id.
    return _at(connection, new) or get(connection, workspace_id)


def _at(connection: Connection, place: WorkspaceCreate) -> Workspace | None:
    row = connection.execute(
        select(workspaces).where(
            workspaces.c.project_id == place.project_id,
            workspaces.c.host_id == place.host_id,
            workspaces.c.path == place.path,
        )
    ).one_or_none()
    return None if row is None else Workspace.model_validate(row)


def _exists(connection: Connection, workspace_id: UUID) -> bool:
    wanted = select(workspaces.c.workspace_id).where(workspaces.c.workspace_id == workspace_id).limit(1)
    return connection.scalar(wanted) is not None


def get(connection: Connection, workspace_id: UUID) -> Workspace:
    """Return a workspace.

    Raises:
        RecordNotFoundError: There is none with this id.
    """
    row = connection.execute(
        select(workspaces).where(workspaces.c.workspace_id == workspace_id)
    ).one_or_none()
    if row is None:
        raise RecordNotFoundError("workspace", str(workspace_id))
    return Workspace.model_validate(row)


def of_host(connection: Connection, host_id: UUID) -> list[Workspace]:
    """Return the workspaces of a host by path."""
    rows = connection.execute(
        select(workspaces).where(workspaces.c.host_id == host_id).order_by(workspaces.c.path)
    )
    return [Workspace.model_validate(row) for row in rows]


def alike(connection: Connection, host_id: UUID, path: str, dev: int, inode: int) -> list[Workspace]:
    """Return the workspaces of a host at this path, or whose folder had this identity, by path."""
    table = workspaces.c
    rows = connection.execute(
        select(workspaces)
        .where(
            table.host_id == host_id,
            or_(table.path == path, and_(table.dev == dev, table.inode == inode)),
        )
        .order_by(table.path)
    )
    return [Workspace.model_validate(row) for row in rows]


def paths_among(connection: Connection, host_id: UUID, paths: Collection[str]) -> set[str]:
    """Return those of the paths at which a workspace of the host is registered."""
    table = workspaces.c
    wanted = select(table.path).where(table.host_id == host_id, table.path.in_(list(paths)))
    return set(connection.scalars(wanted))


def paths_registered(connection: Connection, host_id: UUID) -> list[str]:
    """Return the paths of a host's workspaces that a person registered, in order."""
    table = workspaces.c
    wanted = select(table.path).where(table.host_id == host_id, table.registered).order_by(table.path)
    return list(connection.scalars(wanted))


def of_project(connection: Connection, project_id: UUID) -> list[Workspace]:
    """Return the workspaces of a project on all hosts."""
    rows = connection.execute(
        select(workspaces).where(workspaces.c.project_id == project_id).order_by(workspaces.c.path)
    )
    return [Workspace.model_validate(row) for row in rows]


def change(connection: Connection, workspace_id: UUID, change: WorkspaceUpdate) -> Workspace:
    """Write the fields that were set.

    Raises:
        RecordNotFoundError: There is no such workspace.
    """
    values = set_fields(change)
    if values:
        connection.execute(update(workspaces).where(workspaces.c.workspace_id == workspace_id).values(values))
    return get(connection, workspace_id)


def remove(connection: Connection, workspace_id: UUID) -> None:
    """Delete a workspace and its copies; the sessions they showed must be settled by the caller."""
    connection.execute(delete(workspaces).where(workspaces.c.workspace_id == workspace_id))


def roots_of(connection: Connection, workspace_id: UUID) -> dict[str, Root]:
    """Return the known sessions roots of a workspace."""
    rows = connection.execute(
        select(workspace_roots)
        .where(workspace_roots.c.workspace_id == workspace_id)
        .order_by(workspace_roots.c.root)
    )
    return {row.root: Root(*row) for row in rows}


class RootPlace(NamedTuple):
    """Where one known sessions root lies, as stored."""

    project_id: UUID
    workspace_id: UUID
    path: str
    root: str


def roots_of_host(connection: Connection, host_id: UUID) -> list[RootPlace]:
    """Return where all known sessions roots of a host lie, by path; one query, however many there are."""
    rows = connection.execute(
        select(workspaces.c.project_id, workspaces.c.workspace_id, workspaces.c.path, workspace_roots.c.root)
        .join(workspace_roots, workspace_roots.c.workspace_id == workspaces.c.workspace_id)
        .where(workspaces.c.host_id == host_id)
        .order_by(workspaces.c.path, workspace_roots.c.root)
    )
    return [RootPlace(*row) for row in rows]


class Registered(NamedTuple):
    """A workspace, the identity of its folder when it was last seen, and one of its sessions roots."""

    project_id: UUID
    workspace_id: UUID
    path: str
    dev: int
    inode: int
    root: str | None


def registered(connection: Connection, host_id: UUID) -> list[Registered]:
    """Return all workspaces of a host, once for each sessions root, and once if they have none."""
    table = workspaces.c
    rows = connection.execute(
        select(
            table.project_id, table.workspace_id, table.path, table.dev, table.inode, workspace_roots.c.root
        )
        .outerjoin_from(
            workspaces,
            workspace_roots,
            and_(
                workspace_roots.c.project_id == table.project_id,
                workspace_roots.c.workspace_id == table.workspace_id,
            ),
        )
        .where(table.host_id == host_id)
    )
    return [Registered(*row) for row in rows]


def put_root(connection: Connection, root: Root) -> None:
    """Register a sessions root, or write how it was seen now."""
    bulk.upsert(connection, workspace_roots, [root])
