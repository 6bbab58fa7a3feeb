"""The tracker: one thread that brings journals into the database, and what follows from them up to date."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from uuid import UUID

from sessiond.logs import event
from sessiond.progress import Progress
from sessiond.shortage import Shortage
from sessiond.tracking.bells import Bells, Covered
from sessiond.tracking.journals import Journals
from sessiond.tracking.patience import Patience
from sessiond.tracking.settling import Settling
from sessionlib.config import Config
from sessionlib.control.status import TrackingState
from sessionlib.db import execution
from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseError
from sessionlib.journal.adapter import Adapter, JournalFile
from sessionlib.models.base import iso_milliseconds, utc_now
from sessionlib.sync.ingest import upkeep
from sessionlib.sync.ingest.deliveries import FEW, MOST
from sessionlib.sync.ingest.prices import pricer, version_of

logger = logging.getLogger("sessiond.tracking")

_LOOK = 60.0
"""Seconds between two looks at everything, for what no event told."""
_COME = 5.0
"""Seconds between two looks for a folder that is not there yet: a client that was never started has none."""
_QUIET = 0.05
"""Seconds that are waited after an event, so that a flurry of them is one turn."""
_HOUR = 3600.0


class Tracker:
    """Owns the thread; `start` and `stop` are called once each, the rest from any thread.

    Args:
        database: With the current schema.
        host_id: This machine.
        journals: What is read; by this thread alone.
        config: The settings in force.
        shortage: Of what inotify gives; one's own, unless other parts of the process watch as well.
        refuse: Called before each turn; raises a `DatabaseError` while nothing may be written.
        settled_before: Sessions that were written since then are counted anew at the start, and those
            since all were counted last.
    """

    def __init__(
        self,
        database: Database,
        host_id: UUID,
        journals: Journals,
        config: Config,
        *,
        shortage: Shortage | None = None,
        refuse: Callable[[], None] = lambda: None,
        settled_before: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self._database = database
        self._host_id = host_id
        self._spool = journals.spool
        self._folders = dict(journals.folders)
        self._ingester = journals.ingester
        self._deliveries = journals.deliveries
        self._transcripts = journals.transcripts
        self.config = config
        self._refuse = refuse
        self._patience = Patience()
        self._settling = Settling(database, journals.ingester, host_id, settled_before)
        self._bells = Bells(self._ring, self._lost, shortage or Shortage())
        self._thread = threading.Thread(target=self._run, name="tracker", daemon=True)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._touched: dict[Path, None] = {}
        self._look_at = 0.0
        self._tidy_at = self._note_at = 0.0
        self._is_loaded = self._is_covered = self._is_priced = False
        self._is_tidy = True
        self._loads = 0
        self._since: float | None = None
        self._holding: float | None = None
        self._doing: str | None = None
        self._error: str | None = None
        self._stored = self._buried = self._lines = 0
        self._unlinked: int | None = None
        self._last_delivery: datetime | None = None

    # --- from any thread -----------------------------------------------------------------------

    def start(self) -> None:
        """Begin; returns at once."""
        if self._spool is not None:
            self._spool.prepare()
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End after the transaction that is under way; what is left is found by the next start."""
        ends = time.monotonic() + timeout
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        self._bells.stop(max(0.0, ends - time.monotonic()))

    def sessions_changed(self, project_id: UUID, session_ids: Collection[UUID]) -> None:
        """Count the usage of conversations anew that worked on these sessions, soon."""
        if self._settling.add(project_id, session_ids):
            self._wake.set()

    def change(self, config: Config) -> None:
        """Work with other settings from the next turn on."""
        with self._lock:
            prices, self.config = self.config.prices, config
            if config.prices != prices:
                self._ingester.use_prices(pricer(config.prices))
                self._is_priced = False
        self._wake.set()

    def database_replaced(self) -> None:
        """Read everything anew: what was stored may be gone."""
        with self._lock:
            self._is_loaded = False
            self._look_at = 0.0
        self._wake.set()

    def progress(self) -> Progress:
        """Tell how it gets on; what waits for the database is not held."""
        return Progress("tracker", self._thread.is_alive(), self._since, self._holding, self._doing)

    def status(self) -> TrackingState:
        """Return how it stands; lists the spool, but not what was put aside."""
        spooled = self._spool.waiting()[0] if self._spool is not None else 0
        heard = self._last_delivery
        return TrackingState(
            spooled=spooled,
            dropped=self._spool.dropped() if self._spool is not None else 0,
            stored=self._stored,
            buried=self._buried,
            lines=self._lines,
            unlinked=self._unlinked,
            last_delivery_at=None if heard is None else iso_milliseconds(heard),
            error=self._error,
        )

    def _ring(self, path: Path) -> None:
        with self._lock:
            self._touched[path] = None
        self._wake.set()

    def _lost(self) -> None:
        """Look at everything: nobody knows what the events said that were lost."""
        with self._lock:
            self._look_at = 0.0
        self._wake.set()

    # --- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except DatabaseError as error:
                self._complain(error)
                self._stopping.wait(self._patience.failed(error))
                continue
            except Exception as error:  # a defect in here must not end the thread
                self._error = f"{type(error).__name__}: {error}"
                logger.exception("tracking failed", extra={"event": "tracking.failed", "fields": {}})
                self._look_at = 0.0
                self._stopping.wait(self._patience.failed(error))
                continue
            self._patience.succeeded()
            if self._error is not None:
                self._error = None
                event(logger, logging.INFO, "tracking.recovered", "tracking goes on")
            self._holding = self._doing = None
            self._wake.wait(self._pause())
            if self._wake.is_set() and not self._stopping.is_set():
                self._stopping.wait(_QUIET)

    def _complain(self, error: DatabaseError) -> None:
        self._holding = self._doing = None
        self._look_at = 0.0  # what the events said that were taken by then
        self._is_priced = False  # and what was counted by half
        if self._error is None:
            event(logger, logging.WARNING, "tracking.waiting", "tracking waits", error=str(error))
        self._error = str(error)

    def _pause(self) -> float:
        now = time.monotonic()
        settle_at = self._settling.due_at
        due = [self._look_at, *([settle_at] if settle_at is not None else [])]
        if not self._is_covered:
            due.append(now + _COME)
        return max(0.0, min(due) - now)

    def _cover(self) -> None:
        """Watch what is there by now; what was written there before must be looked for.

        What cannot be watched is tried again with each look at everything.
        """
        again = time.monotonic() >= self._look_at
        wanted = [(adapter.watched(folder), True) for folder, adapter in self._folders.items()]
        if self._spool is not None:
            wanted.append((self._spool.inbox, False))
        news = [self._bells.cover(path, recursive=recursive, again=again) for path, recursive in wanted]
        if any(one is Covered.NOW for one in news):
            self._look_at = 0.0
        self._is_covered = Covered.NOT not in news

    def _turn(self) -> None:
        self._wake.clear()
        self._refuse()
        self._holding = time.monotonic()
        for step in (
            self._load,
            self._cover,
            self._drain,
            self._look,
            self._tidy,
            self._settle,
            self._price,
            self._note,
        ):
            if self._stopping.is_set():
                return
            step()

    def _load(self) -> None:
        if not self._is_loaded:
            self._transcripts.load()
            self._catch_up()
            self._is_loaded = True

    def _catch_up(self) -> None:
        """Have done anew, soon, what may be missing in a database that was just opened."""
        self._is_priced = False
        self._settling.load()
        self._loads = self._transcripts.loads

    def _look(self) -> None:
        """Look at all journals if that is due, else at those that rang."""
        with self._lock:
            touched, self._touched = list(self._touched), {}
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK
            self._look_at_all()
            self._is_tidy = False
        else:
            self._look_at_some(touched)
        if self._transcripts.loads != self._loads:
            self._catch_up()  # the database is not what it was

    def _price(self) -> None:
        """Count to its end what was begun, and price what has no price.

        The next turn does what an error, or a change of prices, has left.
        """
        if self._is_priced:
            return
        self._is_priced = True
        is_done = False
        try:
            version = version_of(self.config.prices)
            begun = upkeep.finish_counting(self._database, self._ingester)
            unpriced = upkeep.price_anew(self._database, self._ingester, self._host_id, version)
            stored = upkeep.count_stored(self._ingester)
            is_done = self._work_off("pricing usage", chain(begun, unpriced, stored))
        finally:
            if not is_done:
                self._is_priced = False

    def _work_off(self, doing: str, slices: Iterable[int]) -> bool:
        """Do something long slice by slice, and what waits in the spool in between; tell whether it ended."""
        for _ in slices:
            self._moved(doing)
            self._drain()
            if self._stopping.is_set():
                return False
        return True

    def _moved(self, doing: str) -> None:
        self._since = time.monotonic()
        self._doing = doing

    def _drain(self) -> None:
        """Store what waits in the spool."""
        if self._deliveries is None or self._spool is None:
            return
        was_more = False
        while not self._stopping.is_set():
            done = self._deliveries.drain(FEW if self._transcripts.is_pressed() else MOST)
            self._stored += done.stored
            self._buried += done.buried
            self._last_delivery = done.latest or self._last_delivery
            self._moved("reading the spool")
            if not done.is_more:
                if was_more:
                    # There is room again; until this is said, hooks keep less than they are told.
                    self._spool.relieve()
                return
            was_more = True

    def _look_at_all(self) -> None:
        """Look at everything that is there."""
        if self._spool is not None:
            self._spool.relieve()
        if self._deliveries is not None:
            self._deliveries.look_again()
            self._drain()
        self._transcripts.refresh()
        for folder, adapter in self._folders.items():
            for journal in self._transcripts.changed(adapter, folder):
                self._read(adapter, journal)
                self._drain()
                if self._stopping.is_set():
                    return
        if self._deliveries is not None:
            self._deliveries.looked_everywhere()

    def _look_at_some(self, touched: Collection[Path]) -> None:
        journals: dict[JournalFile, Adapter] = {}
        for path in touched:
            for folder, adapter in self._folders.items():
                journal = adapter.journal_at(path, folder)
                if journal is not None:
                    journals[journal] = adapter
                elif path.is_relative_to(adapter.watched(folder)) and path.is_dir():
                    # A new folder: what was written into it before it was watched rang no bell.
                    self._look_at = 0.0
        for journal, adapter in journals.items():
            self._read(adapter, journal)
            if self._stopping.is_set():
                return

    def _read(self, adapter: Adapter, journal: JournalFile) -> None:
        for looked in self._transcripts.read(adapter, journal):
            self._lines += looked.lines
            self._moved("reading transcripts")
            # What happens now comes before what happened long ago.
            self._drain()
            if self._patience.is_outage:  # what cannot be counted does not keep journals from being read
                self._settle()
            if self._stopping.is_set():
                return

    def _settle(self) -> None:
        """Count usage anew where sessions have changed, and where storing has left that to be done."""
        changed = self._settling.settle() if self._settling.is_due() else ()
        self._work_off("counting usage anew", chain(changed, upkeep.count_stored(self._ingester)))

    def _tidy(self) -> None:
        """After a look at everything, close what nobody closed; delete old events once an hour."""
        if self._is_tidy:
            return
        now, tracking = utc_now(), self.config.tracking
        idle = timedelta(seconds=tracking.abandon_after)
        silent = upkeep.close_abandoned(self._database, self._ingester, self._host_id, now=now, idle=idle)
        if not self._work_off("closing conversations", silent):
            return
        with self._database.read() as connection:
            self._unlinked = execution.unlinked(connection)
        if tracking.log_days and time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + _HOUR
            old = upkeep.drop_old_logs(self._database, now - timedelta(days=tracking.log_days))
            if not self._work_off("deleting old events", old):
                return
        self._is_tidy = True

    def _note(self) -> None:
        """Note once an hour that all is counted."""
        if time.monotonic() >= self._note_at:
            self._settling.note()
            self._note_at = time.monotonic() + _HOUR
