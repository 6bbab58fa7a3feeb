"""From the hook spool into the database: deliveries in the order of their names, each removed once stored."""

import errno
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sessionlib.errors import DamagedValueError, RowRejectedError
from sessionlib.journal import canary
from sessionlib.journal.adapter import Adapter, BadPayloadError
from sessionlib.journal.facts import Fact
from sessionlib.journal.spool import BadDeliveryError, Delivery, Spool
from sessionlib.models.base import utc_now
from sessionlib.sync.ingest.batch import Key
from sessionlib.sync.ingest.drafts import Clean, Draft, Folder
from sessionlib.sync.ingest.ingester import Ingested, Ingester

logger = logging.getLogger("sessionlib.ingest")

MOST, FEW = 200, 50
"""Deliveries in one transaction, which takes the only writer of SQLite some 100 ms; or, while others wait
for it, a quarter of that."""
_MOST_BYTES = 8 * 1024 * 1024
_LISTED = 20_000
_EARLY_FOR = timedelta(hours=1)
"""How long a delivery waits that tells of a conversation of which nothing is known: telemetry of one may come
before the first line of its transcript."""
_EVERYBODYS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What is no fault of one file, and passes."""
_NO_FILE = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EPERM})


class Drained(NamedTuple):
    """What one turn has done.

    Attributes:
        stored: Deliveries stored.
        buried: Deliveries put aside.
        is_more: Whether more may wait.
        latest: When the last of their hooks ran; None for none.
    """

    stored: int
    buried: int
    is_more: bool
    latest: datetime | None


class Deliveries:
    """Brings what lies in the spool into the database; used by one thread at a time.

    Args:
        spool: Where deliveries lie.
        ingester: Stores them.
        adapters: The clients, by name.
        clean: Takes secrets out of texts.
        bodies: Characters of an event's text that are kept; 0 for none.
    """

    def __init__(
        self,
        spool: Spool,
        ingester: Ingester,
        adapters: Mapping[str, Adapter],
        clean: Clean,
        *,
        bodies: int = 0,
    ) -> None:
        self._spool = spool
        self._ingester = ingester
        self._adapters = adapters
        self._clean = clean
        self._bodies = bodies
        self._listed: list[str] = []
        self._early: set[str] = set()
        self._waited: set[str] = set()

    def look_again(self) -> None:
        """Let the next call of `drain` try again what came before anything of its conversation was known."""
        self._early.clear()

    def looked_everywhere(self) -> None:
        """Note that all journals have been read by now: what is still early may never be placed."""
        self._waited = set(self._early)

    def drain(self, most: int = MOST) -> Drained:
        """Store the oldest deliveries and remove them; blocks for the database.

        Killed anywhere in between, the next call does again what was not removed: every fact has a key, so
        nothing is stored twice.

        Args:
            most: Deliveries in one transaction.

        Raises:
            DatabaseError: Nothing was removed that is not stored.
        """
        if not self._listed:
            # Listed once for many turns: of a full spool each listing takes longer than a turn.
            names = self._spool.names(_LISTED + len(self._early))
            self._listed = [name for name in reversed(names) if name not in self._early]
        turn = len(self._listed)
        try:
            read, unreadable = self._read(most)
            refused = self._store(read)
            early = sum(name in self._early for name, _ in read)
        except BaseException:
            self._listed = []
            raise
        latest = max((delivery.at for _, delivery in read), default=None)
        return Drained(len(read) - refused - early, unreadable + refused, turn > 0, latest)

    def _read(self, most: int) -> tuple[list[tuple[str, Delivery]], int]:
        """Read the next deliveries; return them, and how many could not be read and were put aside."""
        read: list[tuple[str, Delivery]] = []
        unreadable = weight = 0
        while self._listed and len(read) < most and weight <= _MOST_BYTES:
            name = self._listed.pop()
            try:
                delivery = self._spool.read(name)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in _EVERYBODYS:
                    raise
                if error.errno not in _NO_FILE:
                    self._leave(name, _words(error))
                    continue
                unreadable += self._bury(name, _words(error))
                continue
            except BadDeliveryError as error:
                unreadable += self._bury(name, str(error))
                continue
            if delivery.cut == 0:
                # From a full spool: nobody can say of which conversation it was.
                self._remove(name, self._spool.drop)
                continue
            read.append((name, delivery))
            weight += len(delivery.body)
        return read, unreadable

    def _store(self, read: Sequence[tuple[str, Delivery]]) -> int:
        """Store deliveries together, or singly if the database refuses one; return how many it refused."""
        drafts: dict[Key, Draft] = {}
        good: list[tuple[str, Delivery, Key]] = []
        buried = 0
        for name, delivery in read:
            try:
                native_id, found = self._facts(delivery)
                key = delivery.client, native_id
                if not canary.is_canary(native_id):
                    Folder(drafts.setdefault(key, Draft(*key)), self._clean, self._bodies).fold(found)
            except BadPayloadError as error:
                buried += self._bury(name, str(error))
                continue
            except Exception as error:  # one that we stumble over must not keep the others waiting
                logger.exception("delivery not understood", extra={"event": "spool.stumbled", "fields": {}})
                buried += self._bury(name, f"{type(error).__name__}: {error}")
                continue
            good.append((name, delivery, key))
        meant = [draft for draft in drafts.values() if draft]
        try:
            done = self._ingester.store(meant)
        except (RowRejectedError, DamagedValueError) as error:
            if len(good) > 1:
                return buried + sum(self._store([(name, one)]) for name, one, _ in good)
            if isinstance(error, DamagedValueError):
                self._leave(good[0][0], error.message, "delivery cannot be stored")
                return buried
            anew = self._stored_anew(meant)
            if anew is None:
                return buried + self._bury(good[0][0], str(error))
            done = anew
        return buried + self._finish(good, done)

    def _finish(self, good: Sequence[tuple[str, Delivery, Key]], done: Ingested) -> int:
        """Remove what is stored; what nobody can place yet waits, or is put aside. Return how many were."""
        buried = 0
        for name, delivery, key in good:
            if key not in done.unplaced:
                self._remove(name, self._spool.done)
            elif name not in self._waited or utc_now() - delivery.at < _EARLY_FOR:
                self._early.add(name)
            else:
                buried += self._bury(name, "nothing else was heard of its conversation")
        return buried

    def _stored_anew(self, drafts: Sequence[Draft]) -> Ingested | None:
        """Try once more what was refused: its project may have been merged into another one meanwhile."""
        self._ingester.forget()
        try:
            return self._ingester.store(drafts)
        except RowRejectedError:
            return None

    def _facts(self, delivery: Delivery) -> tuple[str, list[Fact]]:
        adapter = self._adapters.get(delivery.client)
        if adapter is None:
            raise BadPayloadError(f"there is no client {delivery.client!r}")
        native_id, found = adapter.delivered(delivery, bodies=self._bodies > 0)
        return native_id, list(found)

    def _leave(self, name: str, why: str, what: str = "delivery cannot be read") -> None:
        """Leave a delivery for the next look; the others do not wait for it."""
        logger.warning(what, extra={"event": "spool.unreadable", "fields": {"name": name, "error": why}})
        self._early.add(name)

    def _remove(self, name: str, remove: Callable[[str], None]) -> None:
        """Remove a delivery, or leave it where the disk does not allow that: told twice is stored once."""
        try:
            remove(name)
        except OSError as error:
            self._leave(name, _words(error), "delivery cannot be removed")

    def _bury(self, name: str, why: str) -> int:
        """Put a delivery aside, or leave it where the disk does not allow that; return how many were."""
        try:
            self._spool.bury(name)
        except OSError as error:
            self._leave(name, _words(error), "delivery cannot be put aside")
            return 0
        logger.warning(
            "delivery put aside",
            extra={"event": "spool.buried", "fields": {"name": name, "error": why}},
        )
        return 1


def _words(error: OSError) -> str:
    return error.strerror or str(error)
