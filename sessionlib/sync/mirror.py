"""Mirror session folders into rows: lock, look again, write; whoever commits last has looked last.

One session and five hundred take the same path. A folder is read before the lock; under it only its
signature is looked at again, and it is read anew if that moved. Which copy a session's row shows is decided
from what is committed, under the session's lock, never from the order in which copies arrived.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime
from threading import Lock
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import store
from sessionlib.db.engine import Database
from sessionlib.db.store import Held
from sessionlib.errors import DamagedValueError, DatabaseError, RowRejectedError, StateUnreadableError
from sessionlib.models.base import utc_now
from sessionlib.state.files import look
from sessionlib.sync import anew
from sessionlib.sync.anew import Portion, Readings
from sessionlib.sync.places import Place, stored_name
from sessionlib.sync.reading import Reading, ReadPortion, look_again, portion, read
from sessionlib.sync.renewing import Renewed
from sessionlib.sync.results import Outcome, Result
from sessionlib.sync.snapshot import Snapshot
from sessionlib.sync.task import Task

__all__ = ["Mirror", "Outcome", "Result"]

_LOG = logging.getLogger("sessionlib.sync")

_FIRST_COUNT = 100
"""New sessions after which the database counts its tables for the first time, and again whenever it has been
four times as many: 10,000 took PostgreSQL 85 s instead of 17 with the plans it had made for empty tables."""

_WORTH_DRAFTING = 16
"""Folders from which on, if all are new, their rows are planned before the lock is taken."""

_RENEWED = 128
"""Sessions that are renewed in one transaction at most; on SQLite it takes about 60 ms, as an import's."""

_OF_ONE = (RowRejectedError, DamagedValueError)
"""Errors of one session, which its neighbours have nothing to do with."""
_ORPHANED = frozenset({"23503", "SQLITE_CONSTRAINT_FOREIGNKEY"})
"""What the databases say of a row whose project or workspace is not stored."""

_HEAVY = 500_000
"""Bytes of one session from which on workers write one after the other: on their way into a database they
take twenty times as much memory."""


class Mirror:
    """Writes what session folders hold into the database; safe to use from any thread.

    Args:
        database: With the current schema.
        now: The clock for observed times.
        read_portion: Reads what is to be written next.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime] = utc_now,
        read_portion: ReadPortion = portion,
    ) -> None:
        self._database = database
        self._now = now
        self._read_portion = read_portion
        self._heavy = Lock()
        self._counting = Lock()
        self._added = 0
        self._next_count = _FIRST_COUNT

    def sync(self, place: Place, slugs: Sequence[str], *, settled: Collection[str] = ()) -> list[Result]:
        """Mirror these session folders of one place; one result each, in order.

        Args:
            place: Where they lie.
            slugs: Folder names, none twice.
            settled: Those whose file has stayed torn for longer than any write takes: recorded as invalid.

        Raises:
            DatabaseError: Transient or general ones; a row the database rejects is isolated by halving, and
                recorded as that session's error.
        """
        results: list[Result] = []
        while len(results) < len(slugs):
            readings = self._read_portion(place, slugs[len(results) :], settled)
            results += self._stored(place, readings, settled)
        return results

    def _stored(self, place: Place, readings: dict[str, Reading], settled: Collection[str]) -> list[Result]:
        is_heavy = any(reading.size >= _HEAVY for reading in readings.values())
        try:
            with self._heavy if is_heavy else nullcontext():
                return self._write(place, readings, settled)
        except _OF_ONE:
            slugs = list(readings)
        if len(slugs) == 1:
            return [self._isolate(place, slugs[0], settled)]
        half = len(slugs) // 2
        return self.sync(place, slugs[:half], settled=settled) + self.sync(
            place, slugs[half:], settled=settled
        )

    def renew(
        self, portion: Portion, *, settled: Collection[str] = (), early: Readings | None = None
    ) -> Renewed:
        """Write every row of these sessions that is not as their files say, whatever is stored.

        All their copies on this host are read. What was observed is kept, and whether a content is new is
        told by the history. A copy that is not there stays as it is: `Reconciler` tells what is gone.

        Args:
            portion: The sessions.
            settled: Those whose file has stayed torn for longer than any write takes.
            early: How all of them were read a moment ago, if they were.

        Raises:
            DatabaseError: Transient or general ones; a row the database rejects is isolated by halving, and
                recorded as that session's error.
        """
        done, left = Renewed(), portion
        while left.slugs:
            readings = early or anew.read(left, settled)
            some = tuple(readings)[:_RENEWED]
            part = left._replace(slugs=some)
            try:
                done += self._renewed(part, {slug: readings[slug] for slug in some}, settled)
            except _OF_ONE as error:
                done += self._halved(part, settled, error)
            left = left._replace(slugs=left.slugs[len(some) :])
            if early is not None:
                early = {slug: early[slug] for slug in left.slugs}
        return done

    def _renewed(self, portion: Portion, early: Readings, settled: Collection[str]) -> Renewed:
        with self._database.write() as connection:
            held = anew.stored(connection, portion, locked=True)
            held = anew.with_history(connection, portion.project_id, held)
            added = sum(session_id not in held.shown for session_id in portion.session_ids().values())
            now = self._now()
            readings = anew.look_again(portion, early, settled)
            examined = anew.examine(connection, portion, readings, held, now)
            done = Renewed.of(portion, readings, examined)
            if done.rows:
                examined.task.finish(connection)
        self._count(added)
        return done

    def _halved(self, portion: Portion, settled: Collection[str], error: DatabaseError) -> Renewed:
        """Isolate a session that the database rejects; its reason is recorded as by any other sync."""
        slugs = portion.slugs
        if len(slugs) > 1:
            half = len(slugs) // 2
            one, other = portion._replace(slugs=slugs[:half]), portion._replace(slugs=slugs[half:])
            return self.renew(one, settled=settled) + self.renew(other, settled=settled)
        for place in portion.places:
            self.sync(place, slugs, settled=settled)
        path = stored_name(str(portion.places[0].path / slugs[0]))
        return Renewed(rejected=[(path, error.message)])

    def settle(self, project_id: UUID, session_ids: Sequence[UUID]) -> int:
        """Recompute which copy these sessions show, from what is committed; return how many were written."""
        with self._database.write() as connection:
            return self.settle_in(connection, project_id, session_ids)

    def settle_in(self, connection: Connection, project_id: UUID, session_ids: Sequence[UUID]) -> int:
        """Do what `settle` does inside a transaction that is open for writing."""
        ids = sorted(set(session_ids))
        task = self._task(connection, project_id, ids)
        for session_id in ids:
            task.settle(session_id)
        return task.finish(connection)

    def _task(self, connection: Connection, project_id: UUID, ids: Iterable[UUID]) -> Task:
        """Lock sessions to the end of the transaction; the clock is read under the locks."""
        held = store.hold_sessions(connection, project_id, sorted(ids))
        return Task(connection, project_id, held, self._now())

    def _write(self, place: Place, readings: dict[str, Reading], settled: Collection[str]) -> list[Result]:
        ids = {slug: place.session_id(slug) for slug in readings}
        draft = self._draft(place, readings, ids)
        with self._database.write() as connection:
            held = store.hold_sessions(connection, place.project_id, sorted(ids.values()))
            now = self._now()
            latest = {
                slug: look_again(place, slug, early, give_up=slug in settled)
                for slug, early in readings.items()
            }
            if draft is not None and held.is_nothing and latest == readings:
                task, results = draft
            else:
                task = Task(connection, place.project_id, held, now)
                results = _taken(task, place, latest, ids)
            task.finish(connection)
        self._count(task.added)
        return results

    def _draft(
        self, place: Place, readings: dict[str, Reading], ids: dict[str, UUID]
    ) -> tuple[Task, list[Result]] | None:
        """Plan the rows of many new sessions before it is this thread's turn to write; None for others.

        Under the lock it is seen whether nothing has been stored of them meanwhile and no folder has changed.
        """
        if len(readings) < _WORTH_DRAFTING:
            return None
        with self._database.read() as connection:
            if store.knows_any(connection, place.project_id, list(ids.values())):
                return None
        task = Task(None, place.project_id, Held.nothing(ids.values()), self._now())
        results = _taken(task, place, readings, ids)
        task.encode(postgres=self._database.is_postgres)
        return task, results

    def _count(self, added: int) -> None:
        """Let the database count its tables anew when this mirror has added many sessions to them."""
        with self._counting:
            self._added += added
            if self._added < self._next_count:
                return
            self._next_count = 4 * self._added
        try:
            self._database.refresh_statistics()
        except DatabaseError as error:
            # What was to be written is committed; the next statement will say what the matter is.
            fields = {"error": error.message}
            _LOG.debug("tables not counted", extra={"event": "sync.uncounted", "fields": fields})

    def _isolate(self, place: Place, slug: str, settled: Collection[str]) -> Result:
        """Try once more the one folder whose rows were rejected; record why if they are again.

        It is looked at before it is read again: what is mended later must not pass for what was rejected.
        """
        try:
            seen = look(place.path / slug)
        except StateUnreadableError as error:
            return Result(slug, Outcome.UNREADABLE, error.message)
        try:
            return self._write(place, {slug: read(place, slug, give_up=slug in settled)}, settled)[0]
        except _OF_ONE as error:
            if error.sqlstate in _ORPHANED:
                # No fault of the file's: with the database, or the project, replaced it goes in as it is.
                return Result(slug, Outcome.REJECTED, error.message)
            message = error.message.replace("\0", "")
        fields = {"path": stored_name(str(place.path / slug)), "error": message}
        _LOG.warning("row rejected", extra={"event": "sync.rejected", "fields": fields})
        if seen is None:
            return Result(slug, Outcome.ABSENT)
        try:
            return self._quarantine(place, slug, Snapshot(look=seen, error=message))
        except _OF_ONE as error:
            return Result(slug, Outcome.REJECTED, error.message)

    def _quarantine(self, place: Place, slug: str, rejected: Snapshot) -> Result:
        """Record on the copy's row why its session cannot be stored, and keep what was stored before."""
        with self._database.write() as connection:
            session_id = place.session_id(slug)
            task = self._task(connection, place.project_id, [session_id])
            result = task.take(place, slug, session_id, Reading(rejected))
            task.finish(connection)
        return result


def _taken(task: Task, place: Place, readings: dict[str, Reading], ids: dict[str, UUID]) -> list[Result]:
    return [task.take(place, slug, ids[slug], reading) for slug, reading in readings.items()]
