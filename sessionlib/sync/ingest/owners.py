"""Whom a folder belongs to that a conversation was started in: mostly no sessions root, and maybe gone."""

import os
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db.crud import hosts, projects, workspaces
from sessionlib.db.engine import Database
from sessionlib.errors import StateNotFoundError
from sessionlib.models import ProjectCreate
from sessionlib.state.checkout import find_checkout
from sessionlib.sync.folders import folder_at
from sessionlib.sync.places import real_name, stored_name
from sessionlib.sync.registrar import Host, Registrar, slug_of

_UNPLACED = "unplaced"


class Owner(NamedTuple):
    """Whom a folder belongs to; without a workspace where there is none to be found."""

    project_id: UUID
    workspace_id: UUID | None
    path: Path | None


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
            known = workspaces.paths_among(connection, self._host.host_id, above)
            longest = next((one for one in above if one in known), None)
            checkout = find_checkout(real) if real.is_dir() else None
            if longest is not None:
                place = Path(real_name(longest))
                if checkout is None or checkout.path == place or not checkout.path.is_relative_to(place):
                    at = next(
                        one
                        for one in workspaces.alike(connection, self._host.host_id, longest, 0, 0)
                        if one.path == longest
                    )
                    return Owner(at.project_id, at.workspace_id, place)
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
