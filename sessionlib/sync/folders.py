"""The folder that is the workspace of a sessions root, and the keys its project may be known by."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from uuid import UUID

from sessionlib.errors import StateNotFoundError
from sessionlib.state.checkout import Checkout, find_checkout
from sessionlib.state.looks import signed64
from sessionlib.sync.places import stored_name

_LONGEST_PATH = 1 << 16
_MOST_TREES = 50
"""Worktrees that are looked at to find a project's: the writer of the database waits meanwhile."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A workspace's folder as it is now, and the keys its project may be known by, best first.

    `checkout` is the repository those keys speak of; None where there is none.
    """

    path: Path
    dev: int
    inode: int
    aliases: tuple[str, ...]
    name: str
    checkout: Checkout | None = None


def folder_at(host_id: UUID, path: Path, checkout: Checkout | None, *, explicit: bool = False) -> Folder:
    """Return the folder at a path as a workspace.

    Args:
        host_id: The machine whose path it is.
        path: Absolute, without links.
        checkout: The repository it lies in, if any.
        explicit: Whether a registration names it; then it need not be the repository's top level.

    Raises:
        StateNotFoundError: It is not there.
    """
    try:
        seen = path.stat()
    except OSError as error:
        raise StateNotFoundError(f"no folder {path}", session_dir=path) from error
    aliases = [_path_key(host_id, path)]
    name = path.name
    if checkout is not None and explicit and checkout.path != path:
        checkout = None
    if checkout is not None:
        aliases.append(f"git:{host_id}:{stored_name(str(checkout.common_dir))}")
        if checkout.remote_url:
            aliases.append(f"remote:{checkout.remote_url}")
            name = checkout.remote_url.rsplit("/", 1)[-1] or name
        elif checkout.main_path is not None:
            name = checkout.main_path.name
    # The root folder of a container has no name.
    name = stored_name(name) or "root"
    return Folder(path, signed64(seen.st_dev), signed64(seen.st_ino), tuple(aliases), name, checkout)


def kin_of(host_id: UUID, folder: Folder) -> list[str]:
    """Return the keys of the paths at which other checkouts of a folder's repository lie now.

    A project that was registered before it became a repository is known by its path alone, until somebody
    looks it up again: whoever finds a worktree of it first must ask for that one.
    """
    mine = folder.checkout
    if mine is None:
        return []
    paths = [mine.main_path, *(_tree_of(entry) for entry in _listed(mine.common_dir))]
    others = [path for path in paths if path is not None and path != folder.path]
    return [_path_key(host_id, path) for path in others if _shares(path, mine)]


def _path_key(host_id: UUID, path: Path) -> str:
    return f"path:{host_id}:{stored_name(str(path))}"


def _listed(common_dir: Path) -> list[Path]:
    """Return what git keeps of each additional worktree, whether that is still there or not."""
    try:
        return sorted((common_dir / "worktrees").iterdir())[:_MOST_TREES]
    except OSError:
        return []


def _tree_of(entry: Path) -> Path | None:
    """Return the folder of a worktree, by the one line git keeps of it: the path of its ``.git`` file."""
    pointer = entry / "gitdir"
    try:
        if not stat.S_ISREG(pointer.stat().st_mode):
            return None
        with pointer.open("rb") as file:
            line = os.fsdecode(file.read(_LONGEST_PATH)).rstrip("\r\n")
        # Without links, as workspaces are registered; a relative one is meant from here.
        return Path(os.path.realpath((entry / line).parent)) if line else None
    except (OSError, ValueError):
        return None


def _shares(path: Path, mine: Checkout) -> bool:
    """Tell whether a checkout of the same repository lies at a path: git lists also those that have gone."""
    other = find_checkout(path)
    return other is not None and (other.path, other.common_dir) == (path, mine.common_dir)


def owner_of(host_id: UUID, sessions_path: Path, is_registered: Callable[[Path], bool]) -> Folder:
    """Decide which folder is the workspace of a sessions root.

    Args:
        host_id: The machine whose path it is.
        sessions_path: Absolute, without links.
        is_registered: Tells whether a folder is a workspace already.

    Raises:
        StateNotFoundError: The folder has gone meanwhile.
    """
    checkout = find_checkout(sessions_path)
    longest = next((path for path in (sessions_path, *sessions_path.parents) if is_registered(path)), None)
    if longest is not None and longest.is_dir():
        inside = checkout is not None and checkout.path != longest and checkout.path.is_relative_to(longest)
        if not inside:
            return folder_at(host_id, longest, find_checkout(longest), explicit=True)
    if checkout is not None:
        return folder_at(host_id, checkout.path, checkout)
    return folder_at(host_id, _project_dir(sessions_path), None)


def root_in(folder: Folder, sessions_path: Path) -> str:
    """Return a sessions root's path relative to the workspace it lies in, as stored."""
    return stored_name(PurePath(os.path.relpath(sessions_path, folder.path)).as_posix())


def located(sessions_path: Path) -> tuple[Path, os.stat_result | None]:
    """Return where a sessions root lies without links, and what is there; None without a folder.

    A project may be reached through links, but what stands for the root inside it may be none.
    """
    project = _project_dir(sessions_path)
    parts = sessions_path.relative_to(project).parts
    # Not Path.resolve: it raises for links that lead in circles.
    top = Path(os.path.realpath(project))
    real = top.joinpath(*parts)
    ways = [top.joinpath(*parts[: count + 1]) for count in range(len(parts))]
    try:
        seen = [way.lstat() for way in ways]
    except OSError:
        return real, None
    return real, seen[-1] if all(stat.S_ISDIR(one.st_mode) for one in seen) else None


def is_folder(path: Path, dev: int, inode: int) -> bool:
    """Tell whether a path leads to the folder with this identity (64 bit, signed)."""
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
