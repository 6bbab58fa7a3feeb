"""Doorbells of the journals: a file in the spool, a transcript that has grown.

An event only says where to look; what it cannot say is found by the regular look at everything. Reading
raises no event, so our own work wakes nobody.
"""

import logging
import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from typing_extensions import override
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_LOG = logging.getLogger("sessiond.tracking")

_HEARD: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]


class Covered(Enum):
    """Whether a folder is watched: not, since now, or since before."""

    NOT = "not"
    NOW = "now"
    BEFORE = "before"


class Bells(FileSystemEventHandler):
    """Watches folders; one that is not there is watched when it comes, as `cover` is called again.

    Args:
        ring: Called on a thread of watchdog's with the path that an event is about.
    """

    def __init__(self, ring: Callable[[Path], None]) -> None:
        super().__init__()
        self._ring = ring
        self._observer: BaseObserver | None = None
        self._covered: dict[Path, tuple[int, int]] = {}
        self._watches: dict[Path, ObservedWatch] = {}

    def cover(self, folder: Path, *, recursive: bool) -> Covered:
        """Watch a folder from now on, if it is there; blocks while it lists what is below it."""
        if not folder.is_dir():
            self._covered.pop(folder, None)
            return Covered.NOT
        seen = folder.stat()
        identity = seen.st_dev, seen.st_ino
        if self._covered.get(folder) == identity:
            return Covered.BEFORE
        try:
            if self._observer is None:
                self._observer = Observer()
                self._observer.start()
            before = self._watches.pop(folder, None)
            if before is not None:
                # Of the folder that stood there before; else nothing new would be watched.
                self._observer.unschedule(before)
            self._watches[folder] = self._observer.schedule(
                self, os.fspath(folder), recursive=recursive, event_filter=_HEARD
            )
        except OSError as error:
            # Out of watches: the regular look is slower, and finds the same.
            _LOG.warning(
                "journals are not watched; they are looked at regularly",
                extra={
                    "event": "tracking.unwatched",
                    "fields": {"path": str(folder), "error": error.strerror},
                },
            )
            return Covered.NOT
        self._covered[folder] = identity
        return Covered.NOW

    @override
    def on_any_event(self, event: FileSystemEvent) -> None:
        path = event.dest_path or event.src_path
        self._ring(Path(os.fsdecode(path)))

    def stop(self, timeout: float) -> None:
        """End the watching."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout)
            self._observer = None
