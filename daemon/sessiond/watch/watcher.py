"""What watches the project folders: entries come in, hints go out.

Two threads. The reader (`SessionObserver`) turns the kernel's events into hints. The `Tender` looks, every
`poll_interval` seconds, at what raises no events: whether the paths still lead where they led, what could not
be watched, and what is in doubt since events were lost.
"""

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from sessiond.hints import Hint
from sessiond.progress import Progress
from sessiond.shortage import Shortage, remedy
from sessiond.watch.folders import Owner
from sessiond.watch.observer import SessionObserver, TreeEmitter
from sessiond.watch.rings import Rings
from sessiond.watch.rootstatus import RootStatus, status_of
from sessiond.watch.tender import Tender
from sessiond.watch.tree import Tree
from sessiond.watch.upkeep import Upkeep
from sessiond.watch.watches import Watches
from sessionlib.state.scan import DEFAULT_OPTIONS, FinderOptions

__all__ = ["RootStatus", "Watcher"]

logger = logging.getLogger("sessiond.watch")

POLL_SECONDS = 2.0
RETRY_SECONDS = 300.0


class Watcher:
    """Watches entries and calls `on_hint`; every method may be called from any thread, also from `on_hint`.

    `on_hint` is called on the reader's or the tender's thread, never with a lock held; it should only queue.
    What it raises is logged and forgotten.

    Args:
        on_hint: Gets each hint.
        options: How projects are found below a watch root.
        poll_interval: Seconds between two looks at what raises no events.
        force_polling: Watch nothing, look at everything.
        shortage: Of what inotify gives; one's own, unless other parts of the process watch as well.
        retry_interval: Seconds between two tries to watch what was refused for a limit.
    """

    def __init__(
        self,
        on_hint: Callable[[Hint], None],
        *,
        options: FinderOptions,
        poll_interval: float = POLL_SECONDS,
        force_polling: bool = False,
        shortage: Shortage | None = None,
        retry_interval: float = RETRY_SECONDS,
    ) -> None:
        self._on_hint = on_hint
        self._options = options
        self._poll_interval = poll_interval
        self._forced = "polling is configured" if force_polling else None
        self._shortage = shortage or Shortage()
        self._watches = Watches(self._shortage)
        self._trees: set[Tree] = set()  # guarded by the lock of the watches; also those still being armed
        self._emitters: dict[str, TreeEmitter] = {}
        self._under: dict[str, bool] = {}
        self._aside: set[str] = set()
        self._entries_lock = threading.RLock()
        self._observer = SessionObserver(
            self._watches, plant=self._plant, deliver=self._deliver, distrust=self._distrust
        )
        self._tender = Tender(
            self._upkeeps,
            deliver=self._deliver,
            reopen=self._reopen,
            poll_interval=poll_interval,
            retry_interval=retry_interval,
        )
        self._stopped = False
        self._started = time.monotonic()
        self.overflows = 0
        """How often events were lost since the start."""
        self.hints = 0
        """Hints given since the start."""

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads. Without an inotify instance everything is polled, with one warning."""
        if self._forced is None:
            self._open()
        self._observer.start()
        self._tender.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the threads and close the descriptors; blocks `timeout` seconds at most. Safe to call twice."""
        if self._stopped:
            return
        self._stopped = True
        deadline = time.monotonic() + timeout
        self._observer.stop()
        if self._observer.ident is not None and self._observer is not threading.current_thread():
            self._observer.join(timeout)
        self._tender.stop(max(0.0, deadline - time.monotonic()))
        # Closing the instance drops every watch at once; afterwards the trees have nothing to give back.
        self._watches.close()
        self._observer.unschedule_all()
        self._emitters.clear()

    def is_alive(self) -> bool:
        """Return whether both threads run."""
        return self._observer.is_alive() and self._tender.is_alive()

    @property
    def polled_since(self) -> float:
        """Monotonic time: what changed before it has been seen, also where no events come."""
        return self._tender.looked_since or self._started

    @property
    def heard_since(self) -> float | None:
        """Since when events have been read that are not passed on yet, in monotonic seconds; None without."""
        return self._observer.busy_since

    def progress(self) -> Progress:
        """Return how the threads get on; a look that hangs (a network file system) is work that is held."""
        since = self.polled_since
        return Progress("watcher", self.is_alive(), since, since + self._poll_interval)

    @property
    def events(self) -> int:
        """Events of the kernel read since the start: what others do in the watched folders, never we."""
        return self._observer.events

    @property
    def watches(self) -> int:
        """Kernel watches that stand now, all entries together."""
        return len(self._watches)

    @property
    def descriptor(self) -> int | None:
        """The descriptor that holds them; None where there are no events."""
        inotify = self._watches.inotify
        return None if inotify is None else inotify.fileno()

    @property
    def poll_interval(self) -> float:
        """Seconds between two looks at what raises no events."""
        return self._poll_interval

    @property
    def last_event_at(self) -> datetime | None:
        """When the kernel last told anything, in UTC; None before."""
        return self._observer.last_event_at

    # --- entries ----------------------------------------------------------------------------------

    def add_root(self, path: Path) -> None:
        """Watch a folder below which projects lie; returns when the watches stand, without any hint.

        The folder may be missing: it is looked for until it appears, which gives `ProjectsTouched`.
        """
        self._add(_key(path), under=True)

    def add_project(self, path: Path) -> None:
        """Watch one project; returns when the watches stand, without any hint. It may be missing, too."""
        self._add(_key(path), under=False)

    def add_aside(self, path: Path) -> RootStatus:
        """Watch a project that is none of the user's, as any other; `status` leaves it out.

        Returns when the watches stand, with how it is being watched. It must not lie in another entry.
        """
        key = _key(path)
        self._aside.add(key)
        self._add(key, under=False)
        with self._watches.lock:
            return status_of(self._emitters[key].upkeep.tree, self._watches)

    def remove(self, path: Path) -> None:
        """Stop watching an entry; without effect when it is not one."""
        with self._entries_lock:
            emitter = self._emitters.pop(_key(path), None)
            if emitter is None:
                return
            self._observer.unschedule(emitter.watch)
            del self._under[_key(path)]
        with self._watches.lock:
            self._trees.discard(emitter.upkeep.tree)
        if _key(path) in self._aside:
            self._aside.discard(_key(path))
        else:
            _log("no longer watching %s", "watch.removed", path=_key(path))

    def mark_clean(self, path: Path) -> None:
        """Note that an entry was reconciled completely since its events were lost.

        Without effect while the hints about the loss are still to come.
        """
        emitter = self._emitters.get(_key(path))
        if emitter is not None:
            with self._watches.lock:
                if not emitter.upkeep.tree.unsettled:
                    emitter.upkeep.tree.degraded = False

    def status(self) -> tuple[RootStatus, ...]:
        """Return how each entry is being watched, in the order in which they were added."""
        with self._watches.lock:
            trees = [upkeep.tree for upkeep in self._upkeeps()]
            return tuple(status_of(tree, self._watches) for tree in trees if tree.path not in self._aside)

    def _add(self, path: str, *, under: bool) -> None:
        with self._entries_lock:
            known = self._emitters.get(path)
            if known is not None:
                if known.upkeep.tree.under or not under:
                    return
                self.remove(Path(path))  # a project that becomes a watch root, which covers it
            self._under[path] = under
            emitter = self._observer.cover(path)
            self._emitters[path] = emitter
        with self._watches.lock:
            status = status_of(emitter.upkeep.tree, self._watches)
        if path in self._aside:
            return
        _log(
            "watching %s",
            "watch.added",
            path=path,
            mode=status.mode,
            reason=status.reason,
            watches=status.watches,
            sessions_roots=status.sessions_roots,
        )

    def _plant(self, path: str) -> Upkeep:
        tree = Tree(
            path,
            under=self._under[path],
            watches=self._watches,
            options=DEFAULT_OPTIONS if path in self._aside else self._options,
            forced=self._forced,
        )
        with self._watches.lock:
            self._trees.add(tree)
        return Upkeep(tree, self._watches, poll_interval=self._poll_interval)

    def _upkeeps(self) -> list[Upkeep]:
        return [emitter.upkeep for emitter in list(self._emitters.values())]

    # --- hints ------------------------------------------------------------------------------------

    def _deliver(self, rings: Rings) -> None:
        hints = list(rings.hints())
        with self._watches.lock:  # two threads deliver
            self.hints += len(hints)
        for hint in hints:
            try:
                self._on_hint(hint)
            except Exception:
                logger.exception(
                    "a listener failed on a hint",
                    extra={"event": "watch.listener_error", "fields": {"hint": repr(hint)}},
                )

    def _distrust(self, reason: str, trees: Iterable[Owner] | None) -> None:
        """Have the tender sync trees and ring for all of their roots; None means that events were lost."""
        with self._watches.lock:
            doubted = self._trees if trees is None else self._trees.intersection(trees)
            news = any(tree.doubt != reason for tree in doubted)
            for tree in doubted:
                tree.doubt, tree.unsettled = reason, True
                tree.degraded = tree.degraded or trees is None
        if trees is None and news:
            self.overflows += 1
            logger.warning(
                "events were lost (%s): everything is looked at again",
                reason,
                extra={"event": "watch.lost", "fields": {"reason": reason}},
            )
        self._tender.attend()

    # --- the instance -----------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._watches.open()
        except OSError as error:
            if error.errno != errno.ENOSYS:
                advice = remedy(error)
                logger.log(
                    self._shortage.level(error),
                    "no inotify instance is to be had, everything is polled; remedy: %s",
                    advice,
                    extra={
                        "event": "watch.instances",
                        "fields": {"error": error.strerror, "remedy": advice},
                    },
                )

    def _reopen(self) -> None:
        """Try again to get an instance, and move everything from polling to events when there is one."""
        if self._forced is not None or not self._watches.is_closed or self._stopped:
            return
        try:
            self._watches.open()
        except OSError:
            return
        self._observer.wake()
        with self._watches.lock:
            for tree in self._trees:
                tree.doubt = "retry"
        logger.info("events are back", extra={"event": "watch.events", "fields": {}})


def _key(path: Path) -> str:
    # Links stay as they are: hints carry the paths the user knows.
    return os.path.abspath(path)  # noqa: PTH100 - Path.absolute keeps "..", Path.resolve follows links


def _log(message: str, event: str, *, path: str, **fields: object) -> None:
    logger.info(message, path, extra={"event": event, "fields": {"path": path, **fields}})
