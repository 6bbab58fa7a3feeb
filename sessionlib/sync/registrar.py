"""Which project and workspace a folder belongs to: looked up by any key it is known by, minted once.

In order: an explicit registration, the longest registered workspace that contains the folder, the git top
level, the remote's URL, else the path on this host. A git top level that lies inside a registered workspace
(a clone or a worktree kept in it) is a workspace of its own.
"""

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import pictures, store
from sessionlib.db.crud import hosts, projects, workspaces
from sessionlib.db.crud.workspaces import Root, RootPlace
from sessionlib.db.engine import Database
from sessionlib.errors import DamagedValueError, RowRejectedError, StateNotFoundError
from sessionlib.models import ProjectCreate, Workspace, WorkspaceCreate, WorkspaceUpdate
from sessionlib.state.checkout import find_checkout
from sessionlib.state.looks import signed64
from sessionlib.sync.folders import Folder, folder_at, is_folder, kin_of, located, owner_of, root_in
from sessionlib.sync.places import Place, real_name, stored_name
from sessionlib.sync.registry import Registry

_LOG = logging.getLogger("sessionlib.sync")


@dataclass(frozen=True, slots=True)
class Host:
    """The machine we run on."""

    host_id: UUID
    name: str


class Registrar:
    """Finds, or registers, the place of a sessions root; safe to use from any thread.

    Args:
        database: With the current schema.
        host: The machine whose paths these are.
    """

    def __init__(self, database: Database, host: Host) -> None:
        self._database = database
        self._host = host
        self._places: dict[Path, Place] = {}
        self._registering = Lock()
        self._lock = Lock()
        self._forgotten = 0

    def place_of(self, sessions_path: Path) -> Place:
        """Return the place of a sessions root, registering its project and workspace if they are new.

        Raises:
            StateNotFoundError: The folder is not there and was never registered.
            DatabaseError: The database does not answer.
        """
        place = self._places.get(sessions_path)
        if place is None:
            with self._registering:
                place = self._places.get(sessions_path) or self._looked_up(sessions_path)
        return place

    def _looked_up(self, sessions_path: Path) -> Place:
        before = self._forgotten
        place = self._register(sessions_path)
        self._keep({sessions_path: place}, before)
        return place

    def _keep(self, found: Mapping[Path, Place], before: int) -> None:
        """Keep what was found, unless something was forgotten since `before`."""
        paths = {place.workspace_id: place.workspace_path for place in found.values()}
        owners = {place.workspace_path: place.workspace_id for place in found.values()}
        with self._lock:
            # What was cached of the place where a workspace was before, or of another one in its place, no
            # longer holds.
            self._places = {
                path: known
                for path, known in self._places.items()
                if paths.get(known.workspace_id, known.workspace_path) == known.workspace_path
                and owners.get(known.workspace_path, known.workspace_id) == known.workspace_id
            }
            if self._forgotten == before:
                self._places |= found

    def look_up(self, sessions_paths: Iterable[Path]) -> None:
        """Look many sessions roots up at once: those that lie as they are registered cost two queries in all.

        Those that lack a key they have by now get it. The others are left to `place_of`.

        Raises:
            DatabaseError: The database does not answer.
        """
        wanted = [path for path in sessions_paths if path not in self._places]
        if not wanted:
            return
        with self._registering:
            before = self._forgotten
            with self._database.read() as connection:
                rows = workspaces.registered(connection, self._host.host_id)
            registry = Registry(self._host.host_id, rows)
            found = {path: placed for path in wanted if (placed := registry.find(path)) is not None}
            with self._database.read() as connection:
                wanted_aliases = {alias for placed in found.values() for alias in placed.aliases}
                aliases = projects.aliases_among(connection, wanted_aliases)
            # A repository or a remote since it was registered: before anything new is, which may share it.
            lacking = {path for path, one in found.items() if not aliases.issuperset(one.aliases)}
            self._keep({path: one.place for path, one in found.items() if path not in lacking}, before)
            for path in sorted(lacking):
                # Gone since it was looked at, or of no database's size: the others do not wait for it.
                with suppress(StateNotFoundError, RowRejectedError, DamagedValueError):
                    self._looked_up(path)

    def known(self, sessions_path: Path) -> Place | None:
        """Return the place of a sessions root if it has been looked up, without asking the database."""
        return self._places.get(sessions_path)

    def forget(self, sessions_path: Path | None = None) -> None:
        """Look a sessions root up anew next time (None: all): it moved, or projects were merged.

        Never waits for the database: who reads the kernel's events calls this.
        """
        with self._lock:
            self._forgotten += 1
            if sessions_path is None:
                self._places.clear()
            else:
                self._places.pop(sessions_path, None)

    def places(self, *, near: Path | None = None, project_id: UUID | None = None) -> list[Place]:
        """Return the sessions roots that are registered on this host, whether their folders are there or not.

        Args:
            near: Only those below this path, or of the workspaces that hold it; absolute, without links.
            project_id: Only those of this project.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self._database.read() as connection:
            known = workspaces.roots_of_host(connection, self._host.host_id)
        return [
            _place_at(at)
            for at in known
            if (near is None or _is_near(at, near)) and project_id in (None, at.project_id)
        ]

    def registered_paths(self) -> list[Path]:
        """Return the workspaces of this host that a person registered."""
        with self._database.read() as connection:
            paths = workspaces.paths_registered(connection, self._host.host_id)
        return [Path(real_name(path)) for path in paths]

    def register_project(self, path: Path) -> Workspace:
        """Register a folder as a workspace because a person asked for it, wherever it lies.

        Raises:
            StateNotFoundError: There is no such folder.
            DatabaseError: The database does not answer.
        """
        real = path.resolve()
        folder = folder_at(self._host.host_id, real, find_checkout(real), explicit=True)
        with self._database.write() as connection:
            hosts.ensure(connection, self._host.host_id, self._host.name)
            workspace = self.adopt(connection, folder)
            workspace = workspaces.change(
                connection, workspace.workspace_id, WorkspaceUpdate(registered=True)
            )
        # Not before the commit: who looks up meanwhile must do so again.
        self.forget()
        return workspace

    def _register(self, sessions_path: Path) -> Place:
        real, seen = located(sessions_path)
        if seen is None:
            gone = next((place for place in self.places(near=real) if place.path == real), None)
            if gone is not None:
                return gone
            raise StateNotFoundError(f"no folder {sessions_path}", session_dir=sessions_path)
        with self._database.write() as connection:
            hosts.ensure(connection, self._host.host_id, self._host.name)
            above = [stored_name(str(path)) for path in (real, *real.parents)]
            known = workspaces.paths_among(connection, self._host.host_id, above)
            folder = owner_of(self._host.host_id, real, lambda path: stored_name(str(path)) in known)
            workspace = self.adopt(connection, folder)
            root = root_in(folder, real)
            place = Place(workspace.project_id, workspace.workspace_id, folder.path, root, real)
            # Of a root that is known, the reconcile compares the identity: it tells an unmounted disk.
            if root not in workspaces.roots_of(connection, workspace.workspace_id):
                dev, inode = signed64(seen.st_dev), signed64(seen.st_ino)
                workspaces.put_root(
                    connection, Root(place.project_id, place.workspace_id, root, dev, inode, None, None)
                )
        return place

    def adopt(self, connection: Connection, folder: Folder) -> Workspace:
        """Return the workspace that a folder is, registering it and its project if they are new.

        Raises:
            StateNotFoundError: The folder has gone meanwhile.
        """
        text = stored_name(str(folder.path))
        known = workspaces.alike(connection, self._host.host_id, text, folder.dev, folder.inode)
        here = next((workspace for workspace in known if workspace.path == text), None)
        if here is None:
            here = self._moved(connection, known, folder)
        elif (here.dev, here.inode) != (folder.dev, folder.inode):
            here = self._moved_back(connection, known, here, folder) or here
        if here is None:
            if known and not is_folder(folder.path, folder.dev, folder.inode):
                # It moved on while it was compared with what it may have been: no project of its own.
                raise StateNotFoundError(f"no folder {folder.path}", session_dir=folder.path)
            return self._new_workspace(connection, folder, text)
        if (here.path, here.dev, here.inode) != (text, folder.dev, folder.inode):
            change = WorkspaceUpdate(path=text, dev=folder.dev, inode=folder.inode)
            if here.path != text:
                store.look_again(connection, here.project_id, here.workspace_id)
            here = workspaces.change(connection, here.workspace_id, change)
        projects.add_aliases(connection, here.project_id, folder.aliases)
        return here

    def _new_workspace(self, connection: Connection, folder: Folder, text: str) -> Workspace:
        project_id = self._project_of(connection, folder)
        if project_id is None:
            # The last key is the most portable one: the remote's URL, else git's folder, else the path.
            new = ProjectCreate(slug=slug_of(folder.name), name=folder.name, minted_from=folder.aliases[-1])
            project_id = projects.create(connection, new).project_id
            _LOG.info(
                "project registered",
                extra={"event": "project.registered", "fields": {"project": new.slug, "path": text}},
            )
        projects.add_aliases(connection, project_id, folder.aliases)
        return workspaces.create(
            connection,
            WorkspaceCreate(
                project_id=project_id,
                host_id=self._host.host_id,
                path=text,
                dev=folder.dev,
                inode=folder.inode,
            ),
        )

    def _project_of(self, connection: Connection, folder: Folder) -> UUID | None:
        """Return the project a new workspace belongs to; None where it is one of its own.

        What shares its repository goes before what shares its remote, and need not be known by that yet.
        """
        own = [alias for alias in folder.aliases if not alias.startswith("remote:")]
        known = projects.by_alias(connection, own)
        if known is None and folder.checkout is not None:
            known = projects.by_alias(connection, kin_of(self._host.host_id, folder))
        return known or projects.by_alias(connection, folder.aliases)

    def _moved(self, connection: Connection, known: list[Workspace], folder: Folder) -> Workspace | None:
        """Return the workspace this folder was before it moved, or None.

        The folder's inode must be the same, the old path must not hold it any more, and a session of the
        old place must be found in the new one: inodes are used again.
        """
        for workspace in known:
            if (workspace.dev, workspace.inode) != (folder.dev, folder.inode):
                continue
            old = _path(workspace)
            if is_folder(old, workspace.dev, workspace.inode):
                # The same folder by another spelling: a file system that ignores case, or a bind mount.
                return workspace
            if not self._holds_its_sessions(connection, workspace, folder.path):
                continue
            self._note_move(connection, workspace, folder)
            return workspace
        return None

    def _moved_back(
        self, connection: Connection, known: list[Workspace], here: Workspace, folder: Folder
    ) -> Workspace | None:
        """Return the workspace of another project that has come to this registered path, or None.

        A path that holds another folder than before was mostly cloned or mounted anew, and stays what it
        was. It is another workspace's only if that one's folder has left its own path for this one: the
        inode is the same, and the sessions in it are of that one, and none of them of the one registered
        here. That one is then registered where the other came from, if its folder is there or nothing is;
        found elsewhere, it is known again by its inode.
        """
        for workspace in known:
            if workspace.project_id == here.project_id:
                continue  # within one project nothing is split: the path decides
            if (workspace.dev, workspace.inode) != (folder.dev, folder.inode):
                continue
            if (
                self._can_take(connection, here, _path(workspace))
                and self._finds_sessions(connection, workspace, folder.path)
                and not self._finds_sessions(connection, here, folder.path)
            ):
                self._free_aliases(connection, here, ())
                store.look_again(connection, here.project_id, here.workspace_id)
                workspaces.change(connection, here.workspace_id, WorkspaceUpdate(path=workspace.path))
                self._note_move(connection, workspace, folder)
                return workspace
        return None

    def _can_take(self, connection: Connection, workspace: Workspace, path: Path) -> bool:
        """Tell whether a workspace can be registered at a path: it lies there, or nothing does."""
        if not os.path.lexists(path):
            return True
        return is_folder(path, workspace.dev, workspace.inode) and self._finds_sessions(
            connection, workspace, path
        )

    def _holds_its_sessions(self, connection: Connection, workspace: Workspace, path: Path) -> bool:
        """Tell whether a folder holds a session of a workspace, or a root of one that has no sessions."""
        stored = self._stored(connection, workspace)
        if not any(stored.values()):
            return any((path / real_name(root)).is_dir() for root in stored)
        return _is_any_there(path, stored)

    def _finds_sessions(self, connection: Connection, workspace: Workspace, path: Path) -> bool:
        """Tell whether a folder holds a session that the workspace held when it was last looked at."""
        return _is_any_there(path, self._stored(connection, workspace, missing=False))

    def _stored(
        self, connection: Connection, workspace: Workspace, *, missing: bool = True
    ) -> dict[str, list[str]]:
        """Return the slugs of the stored copies of a workspace, by root."""
        stored = pictures.slugs(connection, workspace.project_id, workspace.workspace_id)
        return {
            root: [slug for slug, is_missing in stored.get(root, ()) if missing or not is_missing]
            for root in workspaces.roots_of(connection, workspace.workspace_id)
        }

    def _note_move(self, connection: Connection, workspace: Workspace, folder: Folder) -> None:
        _LOG.info(
            "workspace moved",
            extra={
                "event": "workspace.moved",
                "fields": {"from": workspace.path, "to": stored_name(str(folder.path))},
            },
        )
        self._free_aliases(connection, workspace, folder.aliases)

    def _free_aliases(self, connection: Connection, workspace: Workspace, kept: tuple[str, ...]) -> None:
        """Free the keys that named the old place, so that what is made there next is a project of its own."""
        old = workspace.path
        stale = [f"path:{self._host.host_id}:{old}", f"git:{self._host.host_id}:{old}/.git"]
        projects.drop_aliases(connection, workspace.project_id, [key for key in stale if key not in kept])


def slug_of(name: str) -> str:
    """Return a project's short name made of lower-case letters, digits, dots, dashes and underscores."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.")
    return slug[:100] or "project"


def _place_at(at: RootPlace) -> Place:
    path = Path(real_name(at.path))
    return Place(at.project_id, at.workspace_id, path, at.root, path / real_name(at.root))


def _is_near(at: RootPlace, path: Path) -> bool:
    """Tell by the texts alone, because of many hundreds a few are: making paths of all takes far longer."""
    wanted, top = _ended(str(path)), _ended(real_name(at.path))
    return wanted.startswith(top) or f"{top}{real_name(at.root)}/".startswith(wanted)


def _ended(path: str) -> str:
    return path.rstrip("/") + "/"


def _path(workspace: Workspace) -> Path:
    return Path(real_name(workspace.path))


def _is_any_there(path: Path, stored: Mapping[str, Sequence[str]]) -> bool:
    return any(
        (path / real_name(root) / real_name(slug)).is_dir()
        for root, slugs in stored.items()
        for slug in slugs
    )
