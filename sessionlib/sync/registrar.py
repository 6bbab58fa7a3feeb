"""Which project and workspace a folder belongs to: looked up by any key it is known by, minted once.

In order: an explicit registration, the longest registered workspace that contains the folder, the git top
level, the remote's URL, else the path on this host. A git top level that lies inside a registered workspace
(a clone or a worktree kept in it) is a workspace of its own.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from threading import Lock
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import store
from sessionlib.db.crud import hosts, projects, workspaces
from sessionlib.db.crud.workspaces import Root
from sessionlib.db.engine import Database
from sessionlib.errors import StateNotFoundError
from sessionlib.models import ProjectCreate, Workspace, WorkspaceCreate, WorkspaceUpdate
from sessionlib.state.checkout import Checkout, find_checkout
from sessionlib.state.looks import signed64
from sessionlib.sync.places import Place, real_name, stored_name

_LOG = logging.getLogger("sessionlib.sync")


@dataclass(frozen=True, slots=True)
class Host:
    """The machine we run on."""

    host_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class _Folder:
    """A workspace's folder as it is now, and the keys its project may be known by, best first."""

    path: Path
    dev: int
    inode: int
    aliases: tuple[str, ...]
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
        with self._lock:
            # What was cached of the place where the workspace was before, or of another one in its place, no
            # longer holds.
            self._places = {
                path: known
                for path, known in self._places.items()
                if (known.workspace_id == place.workspace_id)
                == (known.workspace_path == place.workspace_path)
            }
            if self._forgotten == before:
                self._places[sessions_path] = place
        return place

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

    def places(self) -> list[Place]:
        """Return every sessions root that is registered on this host, whether its folder is there or not."""
        with self._database.read() as connection:
            known = workspaces.roots_of_host(connection, self._host.host_id)
        found = []
        for at in known:
            path = Path(real_name(at.path))
            found.append(Place(at.project_id, at.workspace_id, path, at.root, path / real_name(at.root)))
        return found

    def registered_paths(self) -> list[Path]:
        """Return the workspaces of this host that a person registered."""
        with self._database.read() as connection:
            known = workspaces.of_host(connection, self._host.host_id)
        return [_path(workspace) for workspace in known if workspace.registered]

    def register_project(self, path: Path) -> Workspace:
        """Register a folder as a workspace because a person asked for it, wherever it lies.

        Raises:
            StateNotFoundError: There is no such folder.
            DatabaseError: The database does not answer.
        """
        folder = self._folder(path.resolve(), find_checkout(path.resolve()), explicit=True)
        with self._database.write() as connection:
            hosts.ensure(connection, self._host.host_id, self._host.name)
            workspace = self._workspace(connection, folder)
            workspace = workspaces.change(
                connection, workspace.workspace_id, WorkspaceUpdate(registered=True)
            )
        # Not before the commit: who looks up meanwhile must do so again.
        self.forget()
        return workspace

    def _register(self, sessions_path: Path) -> Place:
        real = sessions_path.resolve()
        try:
            seen = real.stat()
        except OSError as error:
            known = next((place for place in self.places() if place.path == real), None)
            if known is not None:
                return known
            raise StateNotFoundError(f"no folder {sessions_path}", session_dir=sessions_path) from error
        with self._database.write() as connection:
            hosts.ensure(connection, self._host.host_id, self._host.name)
            folder = self._owner(connection, real)
            workspace = self._workspace(connection, folder)
            root = stored_name(PurePath(os.path.relpath(real, folder.path)).as_posix())
            place = Place(workspace.project_id, workspace.workspace_id, folder.path, root, real)
            # Of a root that is known, the reconcile compares the identity: it tells an unmounted disk.
            if root not in workspaces.roots_of(connection, workspace.workspace_id):
                dev, inode = signed64(seen.st_dev), signed64(seen.st_ino)
                workspaces.put_root(
                    connection, Root(place.project_id, place.workspace_id, root, dev, inode, None, None)
                )
        return place

    def _owner(self, connection: Connection, sessions_path: Path) -> _Folder:
        """Decide which folder is the workspace of a sessions root."""
        checkout = find_checkout(sessions_path)
        registered = [
            _path(workspace)
            for workspace in workspaces.of_host(connection, self._host.host_id)
            if sessions_path.is_relative_to(_path(workspace))
        ]
        longest = max(registered, key=lambda path: len(path.parts), default=None)
        if longest is not None and longest.is_dir():
            inside = (
                checkout is not None and checkout.path != longest and checkout.path.is_relative_to(longest)
            )
            if not inside:
                return self._folder(longest, find_checkout(longest), explicit=True)
        if checkout is not None:
            return self._folder(checkout.path, checkout)
        return self._folder(_project_dir(sessions_path), None)

    def _folder(self, path: Path, checkout: Checkout | None, *, explicit: bool = False) -> _Folder:
        try:
            seen = path.stat()
        except OSError as error:
            raise StateNotFoundError(f"no folder {path}", session_dir=path) from error
        aliases = [f"path:{self._host.host_id}:{stored_name(str(path))}"]
        name = path.name
        if checkout is not None and (checkout.path == path or not explicit):
            aliases.append(f"git:{self._host.host_id}:{stored_name(str(checkout.common_dir))}")
            if checkout.remote_url:
                aliases.append(f"remote:{checkout.remote_url}")
                name = checkout.remote_url.rsplit("/", 1)[-1] or name
            elif checkout.main_path is not None:
                name = checkout.main_path.name
        # The root folder of a container has no name.
        name = stored_name(name) or "root"
        return _Folder(path, signed64(seen.st_dev), signed64(seen.st_ino), tuple(aliases), name)

    def _workspace(self, connection: Connection, folder: _Folder) -> Workspace:
        known = workspaces.of_host(connection, self._host.host_id)
        text = stored_name(str(folder.path))
        here = next((workspace for workspace in known if workspace.path == text), None)
        if here is None:
            here = self._moved(connection, known, folder)
        elif (here.dev, here.inode) != (folder.dev, folder.inode):
            here = self._moved_back(connection, known, here, folder) or here
        if here is None:
            return self._new_workspace(connection, folder, text)
        if (here.path, here.dev, here.inode) != (text, folder.dev, folder.inode):
            change = WorkspaceUpdate(path=text, dev=folder.dev, inode=folder.inode)
            if here.path != text:
                store.look_again(connection, here.project_id, here.workspace_id)
            here = workspaces.change(connection, here.workspace_id, change)
        projects.add_aliases(connection, here.project_id, folder.aliases)
        return here

    def _new_workspace(self, connection: Connection, folder: _Folder, text: str) -> Workspace:
        project_id = projects.by_alias(connection, folder.aliases)
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

    def _moved(self, connection: Connection, known: list[Workspace], folder: _Folder) -> Workspace | None:
        """Return the workspace this folder was before it moved, or None.

        The folder's inode must be the same, the old path must not hold it any more, and a session of the
        old place must be found in the new one: inodes are used again.
        """
        for workspace in known:
            if (workspace.dev, workspace.inode) != (folder.dev, folder.inode):
                continue
            old = _path(workspace)
            if _is_folder(old, workspace.dev, workspace.inode):
                # The same folder by another spelling: a file system that ignores case, or a bind mount.
                return workspace
            if not self._holds_its_sessions(connection, workspace, folder.path):
                continue
            self._note_move(connection, workspace, folder)
            return workspace
        return None

    def _moved_back(
        self, connection: Connection, known: list[Workspace], here: Workspace, folder: _Folder
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
        return _is_folder(path, workspace.dev, workspace.inode) and self._finds_sessions(
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
        return {
            root: [
                slug
                for slug, copy in store.fingerprints(
                    connection, workspace.project_id, workspace.workspace_id, root
                ).items()
                if missing or copy.missing_since is None
            ]
            for root in workspaces.roots_of(connection, workspace.workspace_id)
        }

    def _note_move(self, connection: Connection, workspace: Workspace, folder: _Folder) -> None:
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


def _path(workspace: Workspace) -> Path:
    return Path(real_name(workspace.path))


def _is_any_there(path: Path, stored: Mapping[str, Sequence[str]]) -> bool:
    return any(
        (path / real_name(root) / real_name(slug)).is_dir()
        for root, slugs in stored.items()
        for slug in slugs
    )


def _is_folder(path: Path, dev: int, inode: int) -> bool:
    try:
        seen = path.stat()
    except OSError:
        return False
    return (signed64(seen.st_dev), signed64(seen.st_ino)) == (dev, inode)


def _project_dir(sessions_path: Path) -> Path:
    """Return the project folder of a sessions root outside git: above ``agents/sessions``, else above it."""
    if sessions_path.parent.name == "agents":
        return sessions_path.parent.parent
    return sessions_path.parent
