"""The tree of one entry: which of its folders are watched, brought in line with the disk.

Every step is watch first, look second: what changes before the watch is found by the look, what changes after
it raises an event. Methods want the lock of the `Watches`, but for those that say that they take it.
"""
# Paths are strings in here: ten thousand Path objects cost more than ten thousand watches.
# ruff: noqa: PTH112, PTH120

import os
from collections.abc import Iterable

from sessiond.watch.folders import Folder, Kind
from sessiond.watch.rings import Rings
from sessiond.watch.survey import Survey, survey_of, survey_of_new
from sessiond.watch.watches import Armed, Watches
from sessionlib.state.layout import RESEARCH_DIR
from sessionlib.state.mounts import is_silent, read_mounts, type_at
from sessionlib.state.scan import FinderOptions

_MAX_ROUNDS = 50
"""More than any tree has levels; what is created faster than this is caught by its events."""

_MOST_LOST = 256
"""So many roots that went are remembered; what is forgotten waits for the next reconcile."""

_PIECE = 200
"""So many sessions are armed before the reader gets its turn: a few milliseconds."""

_INSIDE = {Kind.ROOT: Kind.SESSION, Kind.SESSION: Kind.RESEARCH, Kind.RESEARCH: Kind.RUN}


class Tree:
    """The folders of one watch root, or of one project registered outside the roots.

    Args:
        path: The watch root or project folder, absolute.
        under: True for a watch root (projects lie below it), False for a project.
        watches: Where the folders get their watches.
        options: How projects are found.
        forced: Why nothing here is to be watched whatever the file system, or None.

    Attributes:
        filesystem: The type of the file system that holds the entry; None when unknown.
        roots: The sessions roots by path.
        missing: The folder of the entry is not there.
        doubt: Why the tree may not fit the disk and must be synced, or None.
        unsettled: There was a doubt, and the hints that follow from it are not delivered yet.
        degraded: Events were lost since the last clean pass.
        closed: Nothing is to be watched any more.
    """

    def __init__(
        self, path: str, *, under: bool, watches: Watches, options: FinderOptions, forced: str | None
    ) -> None:
        self.path = path
        self.under = under
        self.polled = forced
        self.filesystem: str | None = None
        self.watched = 0
        self.unwatched: set[Folder] = set()
        self.roots: dict[str, Folder] = {}
        self.missing = False
        self.doubt: str | None = None
        self.unsettled = False
        self.degraded = False
        self.closed = False
        self._forced = forced
        self._watches = watches
        self._options = options
        self._real_path = path
        self._mounts_inside: list[tuple[str, str]] = []
        self._top = Folder(self, path, Kind.CHAIN, None)
        self._lost: dict[str, None] = {}

    # --- the whole tree ---------------------------------------------------------------------------

    def sync(self, rings: Rings, reason: str, *, verify: bool = True) -> None:
        """Bring the whole tree in line with the disk.

        Takes the lock itself, piece by piece, so that the reader goes on meanwhile. Rings for every sessions
        root that came or went, and in the others for every session that came, went or had no watch.

        Args:
            rings: Collects what is new.
            reason: The reason given for roots that are new.
            verify: Also make sure of the watch of every session that is known.
        """
        known = list(self.roots)
        survey = self._converge(rings, reason)
        if survey is None:
            return
        with self._watches.lock:
            self._prune(survey, rings)
        for path in known:
            self._sync_sessions(path, rings, verify=verify)

    def _sync_sessions(self, path: str, rings: Rings, *, verify: bool) -> None:
        root = self.roots.get(path)
        names = None if root is None else _subfolders(path)
        if root is None or names is None:
            return
        if not verify:
            names = [name for name in names if name not in root.children]
        for start in range(0, len(names), _PIECE):
            with self._watches.lock:
                for name in names[start : start + _PIECE] if self.holds(root) else ():
                    self.take_in(root, name, rings)
        with self._watches.lock:
            if self.holds(root):
                self.relist(root, rings)

    def _converge(self, rings: Rings, reason: str) -> Survey | None:
        survey = Survey()
        for _ in range(_MAX_ROUNDS):
            with self._watches.lock:
                if self.closed:
                    return None
                armed = self._arm_top(rings)
                if self.missing:
                    return None
            survey = survey_of(self.path, self._options, under=self.under)
            with self._watches.lock:
                fresh = self._cover(survey, rings, reason)
            # A look that found nothing new came after every watch that it relies on.
            if not fresh and armed is not Armed.FRESH:
                break
        return survey

    def _arm_top(self, rings: Rings) -> Armed:
        # Asked every time: what is mounted here may be something else than last time.
        mounts = read_mounts()
        self._real_path = os.path.realpath(self.path)
        self._mounts_inside = [mount for mount in mounts if mount[0].startswith(self._real_path)]
        self.filesystem = fs_type = type_at(self._real_path, mounts)
        silent = f"file system {fs_type} does not tell what others change" if is_silent(fs_type) else None
        self.polled = self._forced or silent
        armed = self._watches.arm(self._top)
        was_missing, self.missing = self.missing, armed is Armed.GONE
        if self.missing:
            self.drop(rings, "vanished")
        elif was_missing and self.under:
            rings.projects(self.path, "appeared")
        return armed

    def _prune(self, survey: Survey, rings: Rings) -> None:
        """Forget what is not there any more: what a survey did not find may just have been unreadable."""
        wanted = survey.chain.keys() | survey.roots.keys()
        for folder in list(self._top.family()):
            unknown = folder.kind <= Kind.ROOT and folder.path not in wanted
            if unknown and folder.parent is not None and not os.path.isdir(folder.path):
                self.let_go(folder.parent, folder.name, rings)

    def verify_roots(self, rings: Rings) -> None:
        """Make sure that the paths of the sessions roots still lead to the folders that are watched.

        A mount over a folder, or a change far above the entry, raises no event. The kernel answers the wish
        to watch an inode again with the same descriptor, so asking again is the comparison.
        """
        moved = []
        if self._watches.arm(self._top) in {Armed.GONE, Armed.FRESH}:
            self.doubt = "replaced"
            return
        for root in list(self.roots.values()):
            armed = self._watches.arm(root)
            if armed is Armed.GONE and root.parent is not None:
                self.let_go(root.parent, root.name, rings)
                moved.append(root.path)
            elif armed is Armed.FRESH:
                self.ring_root(root.path, rings, "replaced")
                self.relist(root, rings, verify=True)
                moved.append(root.path)
        # The folders above those, and a project's own while it has no root, are made sure of by a survey.
        if moved or not (self.roots or self.under):
            self.explore(moved or [self.path], rings)

    def drop(self, rings: Rings, reason: str) -> None:
        """Forget everything; ring for every root that was known."""
        for path in self.roots:
            self.ring_root(path, rings, reason)
        if self.under and reason == "vanished" and self._top.children:
            rings.projects(self.path, reason)
        self._remove(self._top)

    def ring_all(self, rings: Rings, reason: str) -> None:
        """Ring for every root, and for the projects of a watch root."""
        for path in self.roots:
            rings.root(path, reason)
        if self.under:
            rings.projects(self.path, reason)

    def ring_root(self, path: str, rings: Rings, reason: str) -> None:
        """Ring for one root, which changes what projects there are below a watch root."""
        rings.root(path, reason)
        if self.under:
            rings.projects(self.path, reason)

    # --- the chain --------------------------------------------------------------------------------

    def explore(self, new_dirs: Iterable[str], rings: Rings) -> None:
        """Take in folders that appeared in the chain, with all that is below them by now."""
        new_dirs = list(new_dirs)
        for _ in range(_MAX_ROUNDS):
            survey = survey_of_new(self.path, new_dirs, self._options, under=self.under)
            if not self._cover(survey, rings, "appeared"):
                break

    def _cover(self, survey: Survey, rings: Rings, reason: str) -> bool:
        """Watch what a survey found; True when something of it had no watch."""
        fresh = False
        if self.closed:  # while the survey was made
            return fresh
        for path in survey.roots:
            fresh |= self._cover_root(path, rings, reason)
        for path in survey.chain:
            fresh |= self._reach(path, rings)[1]
        return fresh

    def _reach(self, path: str, rings: Rings) -> tuple[Folder | None, bool]:
        """Watch a folder of the chain, and those above it that are not; tell whether one of them is new."""
        folder, fresh = self._top, False
        names = [name for name in path[len(self.path) :].split("/") if name]
        for depth, name in enumerate(names, 1):
            child = folder.children.get(name)
            if folder.kind is not Kind.CHAIN:
                return folder, fresh  # inside a sessions root there is no chain
            if child is None or (depth == len(names) and child.kind is Kind.CHAIN):
                new = child is None
                child = child or Folder(self, folder.below(name), Kind.CHAIN, folder)
                armed = self._watches.arm(child)
                if armed is Armed.GONE:
                    self._give_up(child, rings)
                    return None, fresh
                fresh |= new or armed is Armed.FRESH
                folder.attach(child)
            folder = child
        return folder, fresh

    def _cover_root(self, path: str, rings: Rings, reason: str) -> bool:
        parent, fresh = self._reach(os.path.dirname(path), rings)
        if parent is None or parent.kind is not Kind.CHAIN:
            return fresh
        root = self.roots.get(path)
        new = root is None
        if root is None:
            root = self._plant_root(path, parent)
        armed = self._watches.arm(root)
        if armed is Armed.GONE:
            self._give_up(root, rings)
            return fresh
        if not new and armed is not Armed.FRESH:
            return fresh
        parent.attach(root)
        self.roots[path] = root
        self._lost.pop(path, None)
        self.ring_root(path, rings, reason if new else "replaced")
        self.relist(root, rings, verify=True)
        return True

    def _plant_root(self, path: str, parent: Folder) -> Folder:
        root = Folder(self, path, Kind.ROOT, parent)
        root.silent = is_silent(type_at(self._real_path + path[len(self.path) :], self._mounts_inside))
        before = parent.children.get(root.name)
        if before is not None:  # it was a mere candidate until now
            self._remove(before)
        return root

    # --- below the sessions roots -----------------------------------------------------------------

    def relist(self, root: Folder, rings: Rings, *, verify: bool = False) -> None:
        """Compare the sessions of a root with the tree.

        Args:
            root: A folder of kind ROOT.
            rings: Rings for the sessions that came or went.
            verify: Make sure of the watch of every session that is known, too.
        """
        names = _subfolders(root.path)
        if names is None:
            return  # not readable: a reason to look again, never to believe that everything is gone
        for name in names:
            if verify or name not in root.children:
                self.take_in(root, name, rings)
        for name in root.children.keys() - set(names):
            self.let_go(root, name, rings)

    def take_in(self, parent: Folder, name: str, rings: Rings) -> None:
        """Watch a session, a research folder or a run that may be new; ring when it is."""
        child = parent.children.get(name)
        new = child is None
        if child is None:
            child = Folder(self, parent.below(name), _INSIDE[parent.kind], parent)
        armed = self._watches.arm(child)
        if armed is Armed.GONE:
            self._give_up(child, rings)
            return
        parent.attach(child)
        if (new or armed is Armed.FRESH) and child.bell is not None:
            rings.session(child.bell)
        if armed is not Armed.REFUSED:  # what is polled is looked at with all that is in it
            self._take_in_research(child, rings)

    def _take_in_research(self, folder: Folder, rings: Rings) -> None:
        if folder.kind is Kind.SESSION:
            # Most sessions have none: asking costs half of what a watch or a stat does that fails.
            if RESEARCH_DIR in folder.children or os.access(folder.below(RESEARCH_DIR), os.F_OK):
                self.take_in(folder, RESEARCH_DIR, rings)
        elif folder.kind is Kind.RESEARCH:
            names = _subfolders(folder.path) or ()
            for name in names:
                self.take_in(folder, name, rings)
            for name in folder.children.keys() - set(names):
                self.let_go(folder, name, rings)

    def let_go(self, parent: Folder, name: str, rings: Rings) -> None:
        """Forget a folder that is not there any more, with everything below it; ring for what it was."""
        child = parent.children.get(name)
        if parent.kind is Kind.ROOT:
            rings.session(parent.below(name))
        elif parent.bell is not None:
            rings.session(parent.bell)
        else:
            self._ring_lost(parent.below(name), rings)
        if child is not None:
            for folder in child.family():
                if folder.kind is Kind.ROOT:
                    self.ring_root(folder.path, rings, "vanished")
            self._remove(child)

    def _give_up(self, folder: Folder, rings: Rings) -> None:
        """Forget a folder that went after it was found: let go of, when it was known before."""
        if folder.parent is not None and folder.parent.children.get(folder.name) is folder:
            self.let_go(folder.parent, folder.name, rings)
        else:
            self._remove(folder)

    def _ring_lost(self, path: str, rings: Rings) -> None:
        """Ring for the lost roots at or below a path that went.

        One that came back and went again before it was looked at here may have been seen by a comparison.
        """
        for root in self._lost:
            if root == path or root.startswith(f"{path}/"):
                self.ring_root(root, rings, "vanished")

    # --- bookkeeping ------------------------------------------------------------------------------

    def holds(self, folder: Folder) -> bool:
        """Return whether the folder still belongs to the tree."""
        while folder.parent is not None:
            if folder.parent.children.get(folder.name) is not folder:
                return False
            folder = folder.parent
        return folder is self._top

    def _remove(self, folder: Folder) -> None:
        for each in folder.family():
            self._watches.disarm(each)
            if each.kind is Kind.ROOT and self.roots.get(each.path) is each:
                del self.roots[each.path]
                self._lost[each.path] = None
                if len(self._lost) > _MOST_LOST:
                    del self._lost[next(iter(self._lost))]
        folder.children = {}
        if folder.parent is not None:
            folder.parent.detach(folder)


def _subfolders(path: str) -> list[str] | None:
    """Return the names of the folders that may be sessions or runs, or None when the listing fails."""
    try:
        with os.scandir(path) as entries:
            return [
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return None
