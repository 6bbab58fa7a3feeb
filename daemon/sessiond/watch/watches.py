"""Which folders stand behind which watch descriptor; the one owner of the kernel's side.

Everything here and every `Folder` is guarded by `Watches.lock`. The lock is held while folders are armed, and
never while a hint is delivered, so that a listener may call back into the watcher from any thread.
"""

import enum
import errno
import logging
import sys
import threading
from pathlib import Path

from sessiond.shortage import LIMIT_ERRORS, Shortage, remedy
from sessiond.watch.folders import Folder, Kind

if sys.platform == "linux":
    from sessiond.watch.inotify import CHAIN_MASK, DONT_FOLLOW, SESSION_MASK, Inotify

    _MASKS = {kind: SESSION_MASK if kind in {Kind.SESSION, Kind.RUN} else CHAIN_MASK for kind in Kind}

logger = logging.getLogger("sessiond.watch")

GONE_ERRORS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class Armed(enum.Enum):
    """What became of a wish to watch a folder."""

    FRESH = enum.auto()
    """A watch stands on an inode that had none for this folder: what happened before must be looked at."""
    KNOWN = enum.auto()
    """The watch stood already, on the very inode the path leads to."""
    REFUSED = enum.auto()
    """The folder has to be polled."""
    GONE = enum.auto()
    """No such folder, or a link, or not a folder any more."""


class Watches:
    """All watches of the process, on one inotify instance.

    Without an instance (another platform, `open` not called or failed) every folder is refused, which means
    polled.

    Args:
        shortage: Of what inotify gives, which other parts of the process need as well.

    Attributes:
        lock: Guards the watches and all trees.
        closed_because: Why there is no instance, in words, when `open` failed.
    """

    def __init__(self, shortage: Shortage) -> None:
        self._shortage = shortage
        self.lock = threading.RLock()
        self._inotify: Inotify | None = None
        self._behind: dict[int, tuple[Folder, ...]] = {}
        self._warned = False
        self.closed_because: str | None = None

    @property
    def inotify(self) -> "Inotify | None":
        """The open instance, for its reader."""
        return self._inotify

    @property
    def is_closed(self) -> bool:
        """Whether there is no instance."""
        return self._inotify is None

    def open(self) -> None:
        """Open the instance.

        Raises:
            OSError: EMFILE at the limit of instances or descriptors; ENOSYS where there is no inotify.
        """
        if sys.platform != "linux":
            self.closed_because = "this system has no inotify"
            raise OSError(errno.ENOSYS, self.closed_because)
        try:
            self._inotify = self._inotify or Inotify()
        except OSError as error:
            self.closed_because = f"no inotify instance is to be had: {error.strerror}"
            raise
        self.closed_because = None

    def close(self) -> None:
        """Drop every watch at once; the reader must have left `Inotify.read`."""
        with self.lock:
            inotify, self._inotify = self._inotify, None
            self._behind.clear()
        if inotify is not None:
            inotify.close()

    def __len__(self) -> int:
        """Return how many watches stand."""
        return len(self._behind)

    def behind(self, wd: int) -> tuple[Folder, ...]:
        """Return the folders a watch descriptor stands for: several when entries overlap."""
        return self._behind.get(wd, ())

    def arm(self, folder: Folder) -> Armed:
        """Watch a folder, or make sure that its watch still stands on what its path leads to."""
        inotify = self._inotify
        if inotify is None or folder.silent or folder.owner.polled is not None:
            return self._poll_instead(folder)
        try:
            # The entry itself may be a link, because the user said so; nothing below it may be.
            mask = _MASKS[folder.kind] if folder.parent is None else _MASKS[folder.kind] | DONT_FOLLOW
            wd = inotify.watch(folder.path, mask)
        except OSError as error:
            self._release(folder)
            return self._refused(folder, error)
        if wd == folder.wd:
            return Armed.KNOWN
        self._release(folder)
        folder.wd = wd
        folder.failure = 0
        folder.owner.watched += 1
        self._behind[wd] = (*self._behind.get(wd, ()), folder)
        return Armed.FRESH

    def disarm(self, folder: Folder) -> None:
        """Stop watching and polling a folder; events already queued under its descriptor are dropped."""
        self._release(folder)
        folder.owner.unwatched.discard(folder)

    def lost(self, wd: int) -> None:
        """Note that the kernel has dropped a watch by itself (IN_IGNORED)."""
        for folder in self._behind.pop(wd, ()):
            folder.wd = Folder.UNWATCHED
            folder.owner.watched -= 1

    def _release(self, folder: Folder) -> None:
        folder.owner.unwatched.discard(folder)
        wd = folder.wd
        if wd == Folder.UNWATCHED:
            return
        folder.wd = Folder.UNWATCHED
        folder.owner.watched -= 1
        others = tuple(other for other in self._behind.get(wd, ()) if other is not folder)
        if others:
            self._behind[wd] = others
        elif self._behind.pop(wd, None) is not None and self._inotify is not None:
            self._inotify.unwatch(wd)

    def _poll_instead(self, folder: Folder) -> Armed:
        self._release(folder)
        # Sessions come out of a listing; whether they are still there shows when they are looked at.
        if folder.kind <= Kind.ROOT and not _is_folder(folder):
            return Armed.GONE
        folder.owner.unwatched.add(folder)
        return Armed.REFUSED

    def _refused(self, folder: Folder, error: OSError) -> Armed:
        if error.errno in GONE_ERRORS:
            return Armed.GONE
        folder.failure = error.errno or errno.EIO
        folder.owner.unwatched.add(folder)
        if error.errno in LIMIT_ERRORS and not self._warned:
            self._warned = True
            self._warn_of_limit(folder, error)
        return Armed.REFUSED

    def _warn_of_limit(self, folder: Folder, error: OSError) -> None:
        advice = remedy(error, len(self))
        logger.log(
            self._shortage.level(error),
            "watch limit reached: what has no watch is polled; remedy: %s",
            advice,
            extra={
                "event": "watch.limit",
                "fields": {
                    "path": folder.path,
                    "watches": len(self),
                    "error": error.strerror,
                    "remedy": advice,
                },
            },
        )


def _is_folder(folder: Folder) -> bool:
    path = Path(folder.path)
    return path.is_dir() and (folder.parent is None or not path.is_symlink())
