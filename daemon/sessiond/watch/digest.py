"""From raw events to doorbells: what a batch says about the folders it names.

Linux only, like `sessiond.watch.inotify`.
"""

import os

from sessiond.watch.folders import Folder, Kind, Owner
from sessiond.watch.inotify import (
    GONE,
    IN_IGNORED,
    IN_ISDIR,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    ITSELF,
    events_in,
    padded,
)
from sessiond.watch.rings import Rings
from sessiond.watch.watches import Watches
from sessionlib.state.layout import PLAN_FILE, RESEARCH_DIR, STATE_FILE

_BELLS = frozenset({padded(STATE_FILE), padded(PLAN_FILE)})
_STRUCTURAL = IN_ISDIR | ITSELF


class Digest:
    """Takes one batch of events in; wants the lock of the watches throughout.

    Folders that went are forgotten as their events are read. Folders that came are looked at after the whole
    batch: what counts is what is there then, and a folder that was named five times is looked at once.

    Attributes:
        overflow: The kernel dropped events after this batch.
        events: How many the kernel had to tell.
        doubtful: Trees that may not fit the disk any more, with the reason to give for what is found there.
    """

    def __init__(self, watches: Watches, rings: Rings) -> None:
        self.overflow = False
        self.events = 0
        self.doubtful: dict[Owner, str] = {}
        self._watches = watches
        self._rings = rings
        self._came: dict[tuple[Folder, str], None] = {}

    def take(self, batch: bytes) -> None:
        """Read a batch, ring for what changed, watch what is new."""
        behind, rings = self._watches.behind, self._rings
        for wd, mask, name in events_in(batch):
            self.events += 1
            if name in _BELLS:
                for folder in behind(wd):
                    if folder.bell is not None:
                        rings.session(folder.bell)
            # Not instead: a session, a project or a run may be called like that, too.
            if mask & _STRUCTURAL:
                self._structural(wd, mask, name)
            elif mask & IN_Q_OVERFLOW:
                self.overflow = True
        self._take_in_what_came()

    def _structural(self, wd: int, mask: int, name: bytes) -> None:
        folders = self._watches.behind(wd)
        if mask & ITSELF:
            for folder in folders:
                self._itself(folder, mask)
            if mask & IN_IGNORED:
                self._watches.lost(wd)
            return
        text = os.fsdecode(name.rstrip(b"\0"))
        for folder in folders:
            self._subfolder(folder, text, gone=bool(mask & GONE))

    def _itself(self, folder: Folder, mask: int) -> None:
        tree = folder.owner
        if folder.parent is None:
            tree.drop(self._rings, "vanished")
            self.doubtful[tree] = "appeared"  # it may be there again by now
        elif mask & IN_UNMOUNT and folder.kind <= Kind.ROOT:
            # What was deleted or moved is told by its parent, too; a mount that went away is not.
            self.doubtful.setdefault(tree, "replaced")

    def _subfolder(self, folder: Folder, name: str, *, gone: bool) -> None:
        if folder.kind is Kind.RUN or (folder.kind is Kind.SESSION and name != RESEARCH_DIR):
            return
        if gone:
            self._came.pop((folder, name), None)
            folder.owner.let_go(folder, name, self._rings)
        elif folder.kind is Kind.CHAIN or not name.startswith("."):
            self._came[folder, name] = None

    def _take_in_what_came(self) -> None:
        unexplored: dict[Owner, list[str]] = {}
        for folder, name in self._came:
            tree = folder.owner
            if not tree.holds(folder):
                continue
            if folder.kind is Kind.CHAIN:
                unexplored.setdefault(tree, []).append(folder.below(name))
            else:
                tree.take_in(folder, name, self._rings)
        for tree, paths in unexplored.items():
            tree.explore(paths, self._rings)
