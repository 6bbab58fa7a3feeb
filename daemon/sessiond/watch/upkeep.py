"""What is done for an entry every few seconds: looking at what has no events, syncing what is in doubt."""

import errno
import logging
import os

from sessiond.shortage import LIMIT_ERRORS
from sessiond.watch.folders import Folder, Kind
from sessiond.watch.polling import Looks, Spacing
from sessiond.watch.rings import Rings
from sessiond.watch.tree import Tree
from sessiond.watch.watches import Armed, Watches

logger = logging.getLogger("sessiond.watch")

_CLOSED_ERRORS = frozenset({errno.EACCES, errno.EPERM})


class Upkeep:
    """Keeps one tree right where events do not.

    `start` comes first and on any thread; afterwards everything belongs to the thread that calls `tick`.

    Args:
        tree: The tree of the entry.
        watches: Whose lock guards the tree.
        poll_interval: Seconds between two looks for new projects where the kernel does not tell; more when
            such a look takes long.
    """

    def __init__(self, tree: Tree, watches: Watches, *, poll_interval: float) -> None:
        self.tree = tree
        self._watches = watches
        self._looks = Looks()
        self._discovery = Spacing(poll_interval)

    def start(self) -> None:
        """Watch everything there is, and remember the looks of what cannot be watched."""
        rings = Rings()
        self._sync(rings, "appeared")
        self._look_at_sessions(rings, frozenset())

    def close(self) -> None:
        """Give the tree's watches back."""
        with self._watches.lock:
            self.tree.closed = True
            self.tree.drop(Rings(), "closed")

    def tick(self, rings: Rings, *, retry: bool, told: frozenset[str] = frozenset()) -> None:
        """Do one round; takes the lock piece by piece.

        Args:
            rings: Collects what is new.
            retry: Try again to watch what was refused for a limit.
            told: Sessions roots whose sessions another observer watches.
        """
        tree = self.tree
        with self._watches.lock:
            if tree.closed:
                return
            if tree.doubt is None and not tree.missing:
                tree.verify_roots(rings)
            doubt, tree.doubt = tree.doubt, None
        if doubt is not None or tree.missing:
            self._sync(rings, doubt or "appeared")
        if doubt is not None and not tree.missing:
            with self._watches.lock:
                tree.ring_all(rings, doubt)
        if tree.unwatched:
            self._discover(rings)
            self._retry(rings, limits=retry)
            self._list_roots(rings)
        self._look_at_sessions(rings, told)

    def settle(self) -> None:
        """Note that what the last round had to say is delivered."""
        with self._watches.lock:
            self.tree.unsettled = self.tree.doubt is not None

    def _sync(self, rings: Rings, reason: str) -> None:
        was_missing = self.tree.missing
        self.tree.sync(rings, reason)
        if self.tree.missing != was_missing:
            logger.log(
                logging.WARNING if self.tree.missing else logging.INFO,
                "%s is gone; it is looked for" if self.tree.missing else "%s is there again",
                self.tree.path,
                extra={
                    "event": "watch.missing" if self.tree.missing else "watch.found",
                    "fields": {"path": self.tree.path},
                },
            )

    def _discover(self, rings: Rings) -> None:
        """Look for projects where folders of the chain raise no events."""
        with self._watches.lock:
            blind = any(
                folder.kind is Kind.CHAIN and folder.failure not in _CLOSED_ERRORS
                for folder in self.tree.unwatched
            )
        if blind and self._discovery.due():
            self.tree.sync(rings, "appeared", verify=False)
            self._discovery.done()

    def _retry(self, rings: Rings, *, limits: bool) -> None:
        # A closed folder is asked again every round: it costs one system call, and tells when it opens.
        wanted = _CLOSED_ERRORS | LIMIT_ERRORS if limits else _CLOSED_ERRORS
        with self._watches.lock:
            for folder in [one for one in self.tree.unwatched if one.failure in wanted]:
                if self.tree.holds(folder):
                    self._retry_one(folder, rings)

    def _retry_one(self, folder: Folder, rings: Rings) -> None:
        armed = self._watches.arm(folder)
        if armed is Armed.GONE and folder.parent is not None:
            self.tree.let_go(folder.parent, folder.name, rings)
        elif armed is not Armed.FRESH:
            return
        elif folder.kind is Kind.CHAIN:
            self.tree.explore([folder.path], rings)
        elif folder.kind is Kind.ROOT:
            self.tree.ring_root(folder.path, rings, "retry")
            self.tree.relist(folder, rings, verify=True)
        elif folder.parent is not None:
            rings.session(folder.bell or folder.path)
            self.tree.take_in(folder.parent, folder.name, rings)

    def _list_roots(self, rings: Rings) -> None:
        for root in list(self.tree.roots.values()):
            with self._watches.lock:
                if root in self.tree.unwatched:
                    self.tree.relist(root, rings)

    def _look_at_sessions(self, rings: Rings, told: frozenset[str]) -> None:
        with self._watches.lock:
            bells = {folder.bell for folder in self.tree.unwatched if folder.bell is not None}
        if told:
            bells = {path for path in bells if os.path.dirname(path) not in told}  # noqa: PTH120 - see `tree`
        for session_dir in self._looks.changed(bells):
            rings.session(session_dir)
