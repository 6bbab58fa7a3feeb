"""Whom a folder belongs to that a conversation was started in: mostly no sessions root, and maybe gone."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db.crud import hosts, projects, workspaces
from sessionlib.db.engine import Database
from sessionlib.errors import StateNotFoundError
from sessionlib.models import ProjectCreate
from sessionlib.state.checkout import Checkout, find_checkout
from sessionlib.sync.folders import folder_at
from sessionlib.sync.places import real_name, stored_name
from sessionlib.sync.registrar import Host, Registrar, slug_of

_UNPLACED = "unplaced"


class Owner(NamedTuple):
    """Whom a folder belongs to; without a workspace where there is none to be found."""

    project_id: UUID
    workspace_id: UUID | None
    path: Path | None


class Looked(NamedTuple):
    """What is known of a folder: its project, None if nobody knows it, and the folder whose files count."""

    project_id: UUID | None
    path: Path


def look_up(connection: Connection, host_id: UUID, path: Path) -> Looked:
    """Return whom `Owners.owner_of` would say that a folder belongs to, and register nothing."""
    real = Path(os.path.realpath(path))
    above = [stored_name(str(one)) for one in (real, *real.parents)]
    checkout = find_checkout(real) if real.is_dir() else None
    registered = _registered(connection, host_id, above, checkout)
    if registered is not None:
        return Looked(registered.project_id, registered.path or real)
    if checkout is not None:
        aliases = folder_at(host_id, checkout.path, checkout).aliases
        return Looked(projects.by_alias(connection, aliases), checkout.path)
    return Looked(projects.by_alias(connection, [f"path:{host_id}:{above[0]}"]), real)


def _registered(
    connection: Connection, host_id: UUID, above: Sequence[str], checkout: Checkout | None
) -> Owner | None:
    """Return the longest registered workspace among paths, unless a checkout of its own lies below it."""
    known = workspaces.paths_among(connection, host_id, above)
    longest = next((one for one in above if one in known), None)
    if longest is None:
        return None
    place = Path(real_name(longest))
    if checkout is not None and checkout.path != place and checkout.path.is_relative_to(place):
        return None
    found = workspaces.alike(connection, host_id, longest, 0, 0)
    at = next(one for one in found if one.path == longest)
    return Owner(at.project_id, at.workspace_id, place)


class Owners:
    """Finds, or registers, the project of a folder.

    Args:
        database: With the current schema.
        host: The machine whose folders these are.
        registrar: Registers workspaces.
    """

    def __init__(self, database: Database, host: Host, registrar: Registrar) -> None:
        self._database = database
        self._host = host
        self._registrar = registrar

    def owner_of(self, path: Path | None) -> Owner:
        """Return whom a folder belongs to; None, a folder that nobody knows, to a project of such.

        The workspace that is registered at it or above it, unless a checkout of its own lies between; else
        its checkout's; else a project that is known by this path. That one gets no workspace: what lies below
        a folder is not part of its project only because somebody has started a client there.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self._database.write() as connection:
            hosts.ensure(connection, self._host.host_id, self._host.name)
            if path is None:
                return self._project_known_by(connection, f"{_UNPLACED}:{self._host.host_id}", _UNPLACED)
            real = Path(os.path.realpath(path))
            above = [stored_name(str(one)) for one in (real, *real.parents)]
            checkout = find_checkout(real) if real.is_dir() else None
            registered = _registered(connection, self._host.host_id, above, checkout)
            if registered is not None:
                return registered
            if checkout is not None:
                try:
                    folder = folder_at(self._host.host_id, checkout.path, checkout)
                    made = self._registrar.adopt(connection, folder)
                    return Owner(made.project_id, made.workspace_id, checkout.path)
                except StateNotFoundError:
                    pass  # it has gone meanwhile
            alias = f"path:{self._host.host_id}:{above[0]}"
            return self._project_known_by(connection, alias, above[0].rpartition("/")[2] or "root", real)

    def _project_known_by(
        self, connection: Connection, alias: str, name: str, path: Path | None = None
    ) -> Owner:
        project_id = projects.by_alias(connection, [alias])
        if project_id is None:
            new = ProjectCreate(slug=slug_of(name), name=name, minted_from=alias)
            project_id = projects.create(connection, new).project_id
            projects.add_aliases(connection, project_id, [alias])
        return Owner(project_id, None, path)
