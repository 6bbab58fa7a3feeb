"""The folders we watch, as a tree; what each one is for decides what its events mean."""

import enum
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from sessiond.watch.rings import Rings


class Kind(enum.IntEnum):
    """What a watched folder is for."""

    CHAIN = 0
    """A folder in which a new child may be a sessions root, or lead to one."""
    ROOT = 1
    """A sessions root."""
    SESSION = 2
    RESEARCH = 3
    """The folder of a session's research runs."""
    RUN = 4


class Owner(Protocol):
    """Whose tree a folder belongs to: what the watches and the events must know of it."""

    polled: str | None
    """Why nothing of this tree is to be watched, or None."""
    watched: int
    """How many folders of the tree have a watch."""
    unwatched: "set[Folder]"
    """The folders of the tree that were to be watched and are not: they must be polled."""

    def holds(self, folder: "Folder") -> bool:
        """Return whether the folder still belongs to the tree."""

    def explore(self, new_dirs: Iterable[str], rings: Rings) -> None:
        """Take in folders that appeared in the chain, with all that is below them by now."""

    def take_in(self, parent: "Folder", name: str, rings: Rings) -> None:
        """Take in a session, a research folder or a run that may be new."""

    def let_go(self, parent: "Folder", name: str, rings: Rings) -> None:
        """Forget a folder that is not there any more, with everything below it."""

    def drop(self, rings: Rings, reason: str) -> None:
        """Forget everything, because the top itself is gone."""


_NO_CHILDREN: Mapping[str, "Folder"] = MappingProxyType({})
"""Shared: most sessions have no subfolder, and ten thousand empty dicts are work for the collector."""


class Folder:
    """One folder of a tree. Guarded by the lock of the `Watches` it is armed with.

    Attributes:
        owner: Whose tree it belongs to.
        path: Its absolute path, as the user spelled the beginning of it.
        bell: The session folder that a change of state.json in here rings for; None above the sessions.
        wd: The watch descriptor, or `UNWATCHED`.
        failure: The errno of the failed watch, 0 when it stands or was not tried.
        silent: The file system raises no events here, so that a watch would be of no use.
    """

    __slots__ = ("bell", "children", "failure", "kind", "owner", "parent", "path", "silent", "wd")

    UNWATCHED = -1

    def __init__(self, owner: Owner, path: str, kind: Kind, parent: "Folder | None") -> None:
        self.owner = owner
        self.path = path
        self.kind = kind
        self.parent = parent
        self.bell: str | None = None
        if kind is Kind.SESSION:
            self.bell = path
        elif kind > Kind.SESSION and parent is not None:
            self.bell = parent.bell
        self.wd = self.UNWATCHED
        self.failure = 0
        self.silent: bool = parent is not None and parent.silent
        self.children: Mapping[str, Folder] = _NO_CHILDREN

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def below(self, name: str) -> str:
        """Return the path of an entry of this folder."""
        return f"{self.path}{name}" if self.path == "/" else f"{self.path}/{name}"

    def attach(self, child: "Folder") -> None:
        """Put a folder below this one."""
        if not isinstance(self.children, dict):
            self.children = {}
        self.children[child.name] = child

    def detach(self, child: "Folder") -> None:
        """Take a folder out from below this one, unless another one has its place."""
        if isinstance(self.children, dict) and self.children.get(child.name) is child:
            del self.children[child.name]

    def family(self) -> Iterator["Folder"]:
        """Yield this folder and everything below it, parents first."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting.extend(folder.children.values())
