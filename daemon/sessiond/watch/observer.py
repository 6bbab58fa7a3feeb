"""The thread that reads the kernel's events and says which sessions they concern.

watchdog's extension points in their own meaning: the observer dispatches, and one emitter an entry knows what
is watched for it. What is left out is the queue between the two: an event here is a hint on its way to the
service's own queue, so the dispatching thread reads the descriptor itself and the emitters need no thread.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime

from typing_extensions import override
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, EventEmitter, EventQueue, ObservedWatch

from sessiond.watch.folders import Owner
from sessiond.watch.rings import Rings
from sessiond.watch.upkeep import Upkeep
from sessiond.watch.watches import Watches
from sessionlib.models.base import utc_now

if sys.platform == "linux":
    from sessiond.watch.digest import Digest

logger = logging.getLogger("sessiond.watch")

_INERT = FileSystemEventHandler()
"""`BaseObserver.schedule` wants a handler; hints are delivered by the observer itself."""

_PAUSE_AFTER_ERROR = 0.1
"""Seconds; an error that comes back at once must not turn the thread into a heater."""


class TreeEmitter(EventEmitter):
    """The emitter of one entry: keeps its tree watched, and has no thread."""

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        timeout: float,
        event_filter: list[type[FileSystemEvent]] | None = None,
        plant: Callable[[str], Upkeep],
    ) -> None:
        super().__init__(event_queue, watch, timeout=timeout, event_filter=event_filter)
        self.upkeep = plant(watch.raw_path)

    @override
    def start(self) -> None:
        """Watch everything there is; returns when the watches stand."""
        self.upkeep.start()

    @override
    def on_thread_stop(self) -> None:
        self.upkeep.close()


class SessionObserver(BaseObserver):
    """Reads one inotify instance for all entries, and never dies.

    Args:
        watches: Holds the instance, or none yet: then the thread sleeps until `wake`.
        plant: Makes the upkeep of an entry from its path; nothing is watched yet.
        deliver: Called on this thread, without a lock, with what a batch had to say.
        distrust: Called on this thread, without a lock, when events were lost; gets the reason and the trees
            concerned, None for all.
    """

    def __init__(
        self,
        watches: Watches,
        *,
        plant: Callable[[str], Upkeep],
        deliver: Callable[[Rings], None],
        distrust: Callable[[str, set[Owner] | None], None],
    ) -> None:
        super().__init__(TreeEmitter, plant=plant)
        self.name = "sessiond-reader"
        self.last_event_at: datetime | None = None
        self.busy_since: float | None = None
        """Monotonic time since which events are read and not all passed on yet; None while it waits."""
        self.events = 0
        """Events read since the start."""
        self._session_watches = watches
        self._deliver = deliver
        self._distrust = distrust
        self._instance_opened = threading.Event()

    def cover(self, path: str) -> TreeEmitter:
        """Schedule an entry and return its emitter; blocks until its watches stand."""
        # Recursive is for watchdog's eyes: what is watched below the path is the upkeep's to say.
        watch = self.schedule(_INERT, path, recursive=True)
        emitter = self._emitter_for_watch[watch]
        assert isinstance(emitter, TreeEmitter)  # noqa: S101 - says which class __init__ gave to the base
        return emitter

    @override
    def on_thread_stop(self) -> None:
        # Not the base's: closing the instance drops ten thousand watches at once, one by one takes a while.
        self.wake()

    def wake(self) -> None:
        """Let the thread look up from its wait: the instance was opened, or it shall end."""
        self._instance_opened.set()
        inotify = self._session_watches.inotify
        if inotify is not None:
            inotify.wake()

    @override
    def run(self) -> None:
        while self.should_keep_running():
            try:
                self._turn()
            except Exception:
                logger.exception(
                    "reading events failed; everything is looked at again",
                    extra={"event": "watch.reader_error", "fields": {}},
                )
                self._distrust("error", None)
                self.stopped_event.wait(_PAUSE_AFTER_ERROR)

    def _turn(self) -> None:
        inotify = self._session_watches.inotify
        if inotify is None:
            self._instance_opened.wait()
            self._instance_opened.clear()
            return
        self.busy_since = None
        batch = inotify.read()
        if not batch:
            return
        self.busy_since = time.monotonic()
        self.last_event_at = utc_now()
        rings = Rings()
        digest = Digest(self._session_watches, rings)
        with self._session_watches.lock:
            digest.take(batch)
        self.events += digest.events
        for tree, reason in digest.doubtful.items():
            self._distrust(reason, {tree})
        if digest.overflow:
            self._distrust("overflow", None)
        self._deliver(rings)
