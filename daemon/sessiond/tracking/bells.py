"""Doorbells of the journals: a file in the spool, a transcript that has grown.

An event only says where to look; what it cannot say is found by the regular look at everything. Reading
raises no event, so our own work wakes nobody. The folder above each watched one is watched as well, for
nothing but that one's being replaced: a watch stays with the folder that it was made for, wherever that goes.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from pathlib import Path

from typing_extensions import override
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from sessiond.shortage import LIMIT_ERRORS, Shortage, remedy

_LOG = logging.getLogger("sessiond.tracking")
_WATCHDOG = logging.getLogger("watchdog.observers.inotify_c")

_HEARD: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
_HEARD_ABOVE: list[type[FileSystemEvent]] = [DirCreatedEvent, DirDeletedEvent, DirMovedEvent]


class Covered(Enum):
    """Whether a folder is watched: not, as it is not there; since now; since before; not, as it cannot be."""

    NOT = "not"
    NOW = "now"
    BEFORE = "before"
    REFUSED = "refused"


class _Above(FileSystemEventHandler):
    """Tells of folders that come and go in one folder."""

    def __init__(self, tell: Callable[[Path], None]) -> None:
        super().__init__()
        self._tell = tell

    @override
    def on_any_event(self, event: FileSystemEvent) -> None:
        for path in (event.src_path, event.dest_path):
            if path:
                self._tell(Path(os.fsdecode(path)))


class _Overflow(logging.Handler):
    """Tells that the kernel has dropped events: of this watchdog tells nobody but its log."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            self._tell()


class Bells(FileSystemEventHandler):
    """Watches folders; one that is not there is watched when it comes, as `cover` is called again.

    `cover` and `stop` are for one thread.

    Args:
        ring: Called on a thread of watchdog's with the path that an event is about.
        lost: Called on a thread of watchdog's when events were lost, perhaps of each folder.
        shortage: Of what inotify gives, which other parts of the process need as well.
    """

    def __init__(self, ring: Callable[[Path], None], lost: Callable[[], None], shortage: Shortage) -> None:
        super().__init__()
        self._shortage = shortage
        self._ring = ring
        self._overflow = _Overflow(lost)
        self._above = _Above(self._replaced)
        self._observer: BaseObserver | None = None
        self._wanted: set[Path] = set()
        self._covered: dict[Path, tuple[int, int]] = {}
        self._watches: dict[Path, ObservedWatch] = {}
        self._parents: dict[Path, tuple[tuple[int, int], ObservedWatch]] = {}
        self._refused: set[Path] = set()
        self._doubted: set[Path] = set()

    def cover(self, folder: Path, *, recursive: bool, again: bool = True) -> Covered:
        """Watch a folder from now on, if it is there; blocks while it lists what is below it.

        Args:
            folder: The folder.
            recursive: Whether to watch what is below it.
            again: Whether to try what could not be watched when it was tried last.
        """
        if folder in self._refused and not again:
            return Covered.REFUSED
        self._wanted.add(folder)
        covered = self._cover(folder, recursive=recursive)
        if covered is not Covered.REFUSED:
            with suppress(OSError):
                self._cover_above(folder.parent)
        return covered

    def _cover(self, folder: Path, *, recursive: bool) -> Covered:
        try:
            if not folder.is_dir():
                self._covered.pop(folder, None)
                return Covered.NOT
            # Before looking: what happens from here on counts for the next call.
            is_doubted = folder in self._doubted
            self._doubted.discard(folder)
            identity = _identity(folder)
            if self._covered.get(folder) == identity and not is_doubted and self._hears(folder):
                return Covered.BEFORE
            self._covered.pop(folder, None)
            self._unschedule(self._watches.pop(folder, None))
            self._watches[folder] = self._running().schedule(
                self, os.fspath(folder), recursive=recursive, event_filter=_HEARD
            )
        except FileNotFoundError:
            return Covered.NOT
        except OSError as error:
            self._refuse(folder, error)
            return Covered.REFUSED
        self._covered[folder] = identity
        self._refused.discard(folder)
        return Covered.NOW

    def _cover_above(self, parent: Path) -> None:
        identity = _identity(parent)
        known = self._parents.get(parent)
        if known is not None and known[0] == identity and self._is_alive(known[1]):
            return
        if known is not None:
            del self._parents[parent]
            self._unschedule(known[1])
        watch = self._running().schedule(self._above, os.fspath(parent), event_filter=_HEARD_ABOVE)
        self._parents[parent] = identity, watch

    def _refuse(self, folder: Path, error: OSError) -> None:
        """Say once that a folder cannot be watched; the regular look is slower, and finds the same."""
        if folder in self._refused:
            return
        self._refused.add(folder)
        level, fields = logging.WARNING, {"path": str(folder), "error": error.strerror}
        if error.errno in LIMIT_ERRORS:
            # Whoever is the first to meet the limit says what raises it: the others are quieter then.
            level = self._shortage.level(error)
            fields["remedy"] = remedy(error)
        _LOG.log(
            level,
            "journals are not watched; they are looked at regularly",
            extra={"event": "tracking.unwatched", "fields": fields},
        )

    def _running(self) -> BaseObserver:
        if self._observer is None:
            observer = Observer()
            observer.start()
            _WATCHDOG.addHandler(self._overflow)
            self._observer = observer
        return self._observer

    def _hears(self, folder: Path) -> bool:
        watch = self._watches.get(folder)
        return watch is not None and self._is_alive(watch)

    def _is_alive(self, watch: ObservedWatch) -> bool:
        """Tell whether a watch still hears something: that of a folder that was deleted has ended."""
        observer = self._observer
        return observer is not None and any(
            emitter.watch == watch and emitter.is_alive() for emitter in observer.emitters
        )

    def _unschedule(self, watch: ObservedWatch | None) -> None:
        """Forget a watch of a folder that stood there before; else nothing new would be watched."""
        if watch is not None and self._observer is not None:
            with suppress(KeyError):
                self._observer.unschedule(watch)

    def _replaced(self, path: Path) -> None:
        """Take note, on a thread of watchdog's, if it is a watched folder that comes or goes."""
        if path in self._wanted:
            self._doubted.add(path)
            self._ring(path)

    @override
    def on_any_event(self, event: FileSystemEvent) -> None:
        path = event.dest_path or event.src_path
        self._ring(Path(os.fsdecode(path)))

    def stop(self, timeout: float) -> None:
        """End the watching."""
        _WATCHDOG.removeHandler(self._overflow)
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout)
            self._observer = None


def _identity(folder: Path) -> tuple[int, int]:
    seen = folder.stat()
    return seen.st_dev, seen.st_ino
