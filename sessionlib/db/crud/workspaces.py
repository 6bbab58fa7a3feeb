"""Workspaces and the sessions roots in them."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, delete, select, update

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
    """Register a workspace; its id is derived from the host and the path it was first seen at."""
    workspace_id = derived_id("workspace", new.project_id, new.host_id, new.path)
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
    return get(connection, workspace_id)


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
    connection.execute(
        update(workspaces).where(workspaces.c.workspace_id == workspace_id).values(set_fields(change))
    )
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


def put_root(connection: Connection, root: Root) -> None:
    """Register a sessions root, or write how it was seen now."""
    bulk.upsert(connection, workspace_roots, [root])
