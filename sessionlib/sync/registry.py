"""What is registered on a host at one moment: enough to place many sessions roots without asking again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from sessionlib.db.crud.workspaces import Registered
from sessionlib.errors import StateNotFoundError
from sessionlib.sync.folders import located, owner_of, root_in
from sessionlib.sync.places import Place, real_name, stored_name


class Placed(NamedTuple):
    """The place of a sessions root, and the keys by which its project must be known for it to be right."""

    place: Place
    aliases: Sequence[str]


class Registry:
    """The workspaces of a host and their sessions roots.

    Args:
        host_id: The host.
        rows: All that is registered on it.
    """

    def __init__(self, host_id: UUID, rows: Sequence[Registered]) -> None:
        self._host_id = host_id
        self._workspaces: dict[str, Registered | None] = {}
        self._roots = {(row.workspace_id, row.root) for row in rows if row.root is not None}
        for row in rows:
            other = self._workspaces.setdefault(row.path, row)
            if other is None or other.workspace_id != row.workspace_id:
                self._workspaces[row.path] = None  # of two projects: a closer look decides
        self._gone: Mapping[Path, Place] = {
            place.path: place for place in map(_place, rows) if place is not None
        }

    def find(self, sessions_path: Path) -> Placed | None:
        """Return the place of a sessions root; None unless all about it is as it is registered."""
        real, seen = located(sessions_path)
        if seen is None:
            gone = self._gone.get(real)
            return None if gone is None else Placed(gone, ())
        try:
            folder = owner_of(self._host_id, real, lambda path: stored_name(str(path)) in self._workspaces)
        except StateNotFoundError:
            return None
        here = self._workspaces.get(stored_name(str(folder.path)))
        if here is None or (here.dev, here.inode) != (folder.dev, folder.inode):
            return None
        root = root_in(folder, real)
        if (here.workspace_id, root) not in self._roots:
            return None
        return Placed(Place(here.project_id, here.workspace_id, folder.path, root, real), folder.aliases)


def _place(row: Registered) -> Place | None:
    if row.root is None:
        return None
    path = Path(real_name(row.path))
    return Place(row.project_id, row.workspace_id, path, row.root, path / real_name(row.root))
