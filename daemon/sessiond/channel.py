"""PostgreSQL's channels: rescans that any machine asks for, and changes that hosts tell each other.

``NOTIFY sessiond_rescan, '…'`` asks for a rescan; ``sessiond_changes`` says what was committed. Both are
doorbells: whoever was not connected has missed them and must look at everything.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Event, Lock, Thread
from uuid import UUID

from sessiond.announcer import CHANGES, Announcer
from sessiond.feed import Change
from sessiond.logs import event
from sessiond.payloads import opening, read_target, unpack
from sessiond.progress import Progress
from sessiond.targets import Target
from sessionlib.db.channel import Listener, Notification
from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseError

_LOG = logging.getLogger("sessiond.channel")

RESCAN = "sessiond_rescan"

_IDLE = 10.0
_FIRST_DELAY = 0.2
_LONGEST_DELAY = 5.0
_LASTING = 10.0
"""Seconds after which a connection counts as a good one, and the next delay is the first again."""
_SHOWN_MOST = 200
_COMPLAINTS_MOST = 50


class Channel:
    """Listens, and announces; does nothing on SQLite.

    Callbacks are called from this object's thread and must not block for long.

    Args:
        database: Where the notifications come from.
        host_id: This host; what it announces itself is not heard.
        on_rescan: Is told what to rescan.
        on_changes: Is told what other hosts announce; the same change may be told twice.
        on_reconnect: Called when notifications may have been lost: after every connection but the first, and
            when another host could not announce all.
        host_name: A name by which a notification may mean this host, besides its id.
        pgbouncer: Behind it nothing is heard, so nobody listens; announcing works.
    """

    def __init__(
        self,
        database: Database,
        *,
        host_id: UUID,
        on_rescan: Callable[[Target], None],
        on_changes: Callable[[list[Change]], None],
        on_reconnect: Callable[[], None],
        host_name: str = "",
        pgbouncer: bool = False,
    ) -> None:
        self._database = database
        self._host = str(host_id)
        self._own = opening(self._host)
        self._names = tuple(filter(None, (self._host, host_name)))
        self._on_rescan = on_rescan
        self._on_changes = on_changes
        self._on_reconnect = on_reconnect
        self._is_listener = database.is_postgres and not pgbouncer
        self._announcer = Announcer(database, self._host) if database.is_postgres else None
        self._stop = Event()
        self._lock = Lock()
        self._listener: Listener | None = None
        self._is_up: bool | None = None
        self._has_listened = False
        self._ignored: set[str] = set()
        self._progressed_at: float | None = None
        self._busy_since: float | None = None
        self._thread = Thread(target=self._run, name="channel", daemon=True)

    @property
    def listening(self) -> bool:
        """Whether notifications are heard now."""
        return bool(self._is_up)

    @property
    def dropped(self) -> int:
        """Changes that were not announced, because the database was down or they were too many at once."""
        return self._announcer.dropped if self._announcer else 0

    def start(self) -> None:
        """Start listening and announcing; returns at once."""
        if self._announcer is not None:
            self._announcer.thread.start()
        if self._is_listener:
            self._thread.start()
        elif self._announcer is not None:
            words = "no notifications behind PgBouncer: rescans over the control socket only"
            event(_LOG, logging.INFO, "channel.off", words)

    def stop(self, timeout: float = 1.0) -> None:
        """End, in at most so many seconds even when the server hangs; safe to call twice."""
        deadline = time.monotonic() + timeout
        self._stop.set()
        with self._lock:
            if self._listener is not None:
                self._listener.interrupt()
        if self._announcer is not None:
            self._announcer.stop()
        for thread in self._threads():
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def announce(self, changes: Sequence[Change]) -> None:
        """Tell other hosts of changes, soon and together; never blocks, from any thread."""
        if self._announcer is not None and not self._stop.is_set():
            self._announcer.offer(changes)

    def progress(self) -> Progress:
        """Return how it gets on; waiting for the server is not holding work."""
        return Progress(
            name="channel",
            alive=all(thread.is_alive() for thread in self._threads()),
            since=self._progressed_at,
            holding_since=self._busy_since,
            doing="connecting" if self._is_listener and not self._is_up else None,
        )

    def _threads(self) -> list[Thread]:
        announcing = [self._announcer.thread] if self._announcer else []
        return announcing + ([self._thread] if self._is_listener else [])

    # --- the listening thread --------------------------------------------------------------------

    def _run(self) -> None:
        delay = _FIRST_DELAY
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except DatabaseError as error:
                self._lost(error.message)
            except Exception:  # noqa: BLE001 - logged with its traceback; the thread must outlive it
                _LOG.exception("listening failed", extra={"event": "channel.failed"})
                self._lost("unexpected error, see the log")
            if time.monotonic() - began > _LASTING:
                delay = _FIRST_DELAY
            self._stop.wait(delay * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            delay = min(delay * 2, _LONGEST_DELAY)

    def _listen(self) -> None:
        """Listen until the connection is lost or everything stops."""
        with Listener(self._database.url, (RESCAN, CHANGES)) as listener:
            with self._lock:
                self._listener = listener
            try:
                self._connected()
                while not self._stop.is_set():
                    self._progressed_at = time.monotonic()
                    self._hear(listener.wait(_IDLE))
            finally:
                with self._lock:
                    self._listener = None

    def _connected(self) -> None:
        event(_LOG, logging.INFO, "channel.listening", "hears notifications", channels=f"{RESCAN},{CHANGES}")
        self._is_up = True
        if self._has_listened:
            self._call(self._on_reconnect)
        self._has_listened = True

    def _lost(self, words: str) -> None:
        if self._is_up is not False:
            event(_LOG, logging.WARNING, "channel.lost", "hears no notifications, connecting", error=words)
        self._is_up = False

    def _hear(self, heard: Sequence[Notification]) -> None:
        """Pass on what arrived together: each target once, all changes at once."""
        self._busy_since = time.monotonic() if heard else None
        targets = dict.fromkeys(self._targets(heard))
        for target in [Target()] if Target() in targets else targets:
            self._call(partial(self._on_rescan, target))
        changes: list[Change] = []
        must_look = False
        for host, told, resync in self._announcements(heard):
            if host != self._host:
                changes += [change for change in told if change.host_id != self._host]
                must_look |= resync
        if changes:
            self._call(partial(self._on_changes, changes))
        if must_look:
            self._call(self._on_reconnect)
        self._busy_since = None

    def _targets(self, heard: Sequence[Notification]) -> Iterator[Target]:
        for channel, payload in heard:
            if channel == RESCAN:
                try:
                    target = read_target(payload, self._names)
                except ValueError as error:
                    self._ignore(channel, payload, error)
                else:
                    if target is not None:
                        yield target

    def _announcements(self, heard: Sequence[Notification]) -> Iterator[tuple[str, list[Change], bool]]:
        for channel, payload in heard:
            # Our own come back to us too, a great many of them in an import.
            if channel == CHANGES and not payload.startswith(self._own):
                try:
                    yield unpack(payload)
                except ValueError as error:
                    self._ignore(channel, payload, error)

    def _ignore(self, channel: str, payload: str, error: ValueError) -> None:
        """Say once what is wrong with a payload; whoever sends rubbish may send a lot of it."""
        shown = payload[:_SHOWN_MOST]
        if shown not in self._ignored and len(self._ignored) < _COMPLAINTS_MOST:
            self._ignored.add(shown)
            fields = {"channel": channel, "payload": shown, "error": error}
            event(_LOG, logging.WARNING, "channel.ignored", "not understood", **fields)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # noqa: BLE001 - logged with its traceback; the connection is not to blame
            _LOG.exception("a listener to a channel failed", extra={"event": "channel.failed"})
