"""How an entry is being watched, in words for an operator."""

import os
from dataclasses import dataclass
from pathlib import Path

from sessiond.watch.folders import Folder
from sessiond.watch.tree import Tree
from sessiond.watch.watches import Watches


@dataclass(frozen=True, slots=True)
class RootStatus:
    """How one entry is being watched.

    Attributes:
        path: The watch root, or the project registered outside the roots.
        mode: `events`, `polling`, or `mixed` when some of its folders have no watch.
        reason: Why not events, in words for an operator; None with `events`.
        watches: How many folders have a watch.
        folders: How many folders should have one, or be polled instead.
        filesystem: The type of the file system; None when unknown.
        sessions_roots: How many sessions roots are known.
        degraded: Events were lost since the last clean pass.
    """

    path: Path
    mode: str
    reason: str | None
    watches: int
    sessions_roots: int
    degraded: bool
    folders: int
    filesystem: str | None


def status_of(tree: Tree, watches: Watches) -> RootStatus:
    """Return the status of one entry; wants the lock of the watches."""
    reason = _reason(tree, watches)
    mode = "events"
    if reason is not None:
        mode = "mixed" if tree.watched else "polling"
    return RootStatus(
        path=Path(tree.path),
        mode=mode,
        reason=reason,
        watches=tree.watched,
        sessions_roots=len(tree.roots),
        degraded=tree.degraded,
        folders=tree.watched + len(tree.unwatched),
        filesystem=tree.filesystem,
    )


def _reason(tree: Tree, watches: Watches) -> str | None:
    if tree.missing:
        return "the folder is not there; it is looked for"
    if tree.polled is not None:
        return tree.polled
    if watches.closed_because is not None:
        return watches.closed_because
    if not tree.unwatched:
        return None
    count = len(tree.unwatched)
    return f"{count} folder{'s have' if count > 1 else ' has'} no watch: {_failures(tree.unwatched)}"


def _failures(folders: set[Folder]) -> str:
    words = {
        os.strerror(folder.failure) if folder.failure else "the file system raises no events"
        for folder in folders
    }
    return ", ".join(sorted(words))
