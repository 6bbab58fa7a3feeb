"""Events where there is no inotify: watchdog's own observer, for latency only.

On macOS and Windows everything is found by polling; what this adds is that a change inside a known sessions
root rings within milliseconds rather than within a poll. watchdog's default observer watches each sessions
root recursively there (FSEvents and ReadDirectoryChangesW do that for one handle), and its events are cut
down to the same hints. Not exercised by the test suite on Linux beyond the translation of events.
"""

import logging
import os
from collections.abc import Callable

from typing_extensions import override
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from sessiond.watch.rings import Rings

logger = logging.getLogger("sessiond.watch")

_READING = frozenset({"opened", "closed_no_write"})
"""What our own reading raises; listening to it would make the daemon wake itself."""


class SessionBell(FileSystemEventHandler):
    """Turns watchdog's events below one sessions root into rings for its sessions."""

    def __init__(self, sessions_root: str, deliver: Callable[[Rings], None]) -> None:
        self._root = sessions_root
        self._deliver = deliver

    @override
    def dispatch(self, event: FileSystemEvent) -> None:
        if event.event_type in _READING:
            return
        rings = Rings()
        for path in (event.src_path, event.dest_path):
            inside = os.path.relpath(os.fsdecode(path), self._root) if path else os.curdir
            session = inside.split(os.sep, 1)[0]
            if session not in {os.curdir, os.pardir}:
                rings.session(os.path.join(self._root, session))  # noqa: PTH118 - rings take strings
        self._deliver(rings)


class NativeBells:
    """Listens to the sessions roots it is told to follow. One thread calls everything.

    Args:
        deliver: Called on watchdog's thread with each ring.
        make_observer: Makes an observer that is not started.
    """

    def __init__(
        self, deliver: Callable[[Rings], None], *, make_observer: Callable[[], BaseObserver] = Observer
    ) -> None:
        self._deliver = deliver
        self._make_observer = make_observer
        self._observer: BaseObserver | None = None
        self._watches: dict[str, ObservedWatch] = {}

    @property
    def followed(self) -> frozenset[str]:
        """The sessions roots whose changes ring."""
        return frozenset(self._watches)

    def follow(self, sessions_roots: set[str]) -> None:
        """Listen to these roots and no others; one that cannot be listened to is left to polling."""
        if self._observer is None:
            self._observer = self._make_observer()
            self._observer.start()
        for path in self._watches.keys() - sessions_roots:
            self._observer.unschedule(self._watches.pop(path))
        for path in sessions_roots - self._watches.keys():
            try:
                self._watches[path] = self._observer.schedule(
                    SessionBell(path, self._deliver), path, recursive=True
                )
            except OSError as error:
                logger.debug("not listening to %s: %s", path, error)

    def stop(self, timeout: float) -> None:
        """End watchdog's threads; blocks for `timeout` seconds at most."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout)
            self._observer = None
            self._watches.clear()
