"""What changed in the database, found out and published: every change once, whoever committed it.

A sync's result, another host's word and a comparison are doorbells: they only say where to look. What is
published is what the stored rows and their version history say beyond what was published before, so it does
not matter who rings, how often, or in which order.
"""

import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from threading import Condition, Thread
from typing import NamedTuple
from uuid import UUID

from sessiond.feed import Change, Feed
from sessiond.logs import event
from sessiond.news import LONG_AGO, Known, News, is_rewritten, news_of
from sessiond.progress import Progress
from sessionlib.db.engine import Database
from sessionlib.db.queries import changes as queries
from sessionlib.db.queries import health
from sessionlib.db.queries.changes import MOST, Asked, Baseline, SessionNow, Written
from sessionlib.errors import DatabaseError
from sessionlib.models.base import iso_milliseconds, utc_now
from sessionlib.sync.places import Place, stored_name

_LOG = logging.getLogger("sessiond.changes")

GATHER = 0.05
"""Seconds that doorbells are gathered: a save that rings several times is looked at once."""

_FIRST_RETRY = 0.2
_LONGEST_RETRY = 5.0
_TOLD_MOST = 10_000
"""Announcements kept while the database is down; beyond them all sessions are looked through."""
_OVERLAP = timedelta(minutes=2)
"""How long a commit may take from its clock's reading, and how far the clocks of two hosts may be apart."""
_OUT_OF_TURN = timedelta(seconds=15)
"""How much older than the newest row one may be that is committed later on SQLite: there is one clock, read
while its only writer waits for its turn or has it."""

_APART = 4
"""Sessions roots that are looked through one by one; of more, all sessions are."""

_Scope = tuple[UUID, str]
"""A sessions root of a project, wherever its copies lie; None in its place are all sessions."""


class _Bell(NamedTuple):
    """Where a session lies, and the other host that told of it, if one did."""

    root: str
    slug: str
    host: str | None = None


class Changes:
    """The thread that publishes changes.

    What listeners know is kept only for sessions that changed since the start; of all others they know what
    was recorded until then.

    Args:
        database: Where the mirror is.
        feed: Where changes are published, from this object's thread.
        host_id: This host.
        started_at: What was recorded until then, by this host's clock, is not published.
        announce: Is handed the changes that this host found out itself, once they are published; must not
            block.
        gather: Seconds that doorbells are gathered.
    """

    def __init__(
        self,
        database: Database,
        feed: Feed,
        *,
        host_id: UUID,
        started_at: datetime,
        announce: Callable[[Sequence[Change]], None] | None = None,
        gather: float = GATHER,
    ) -> None:
        self._database = database
        self._feed = feed
        self._host = str(host_id)
        self._started_at = started_at
        self._announce = announce
        self._gather = gather
        self._changed = Condition()
        self._bells: dict[UUID, dict[UUID, _Bell]] = {}
        self._scopes: set[_Scope | None] = set()
        self._told: list[Change] = []
        self._held_since: float | None = None
        self._looking_since: float | None = None
        self._stopping = False
        self._retry: float | None = None
        self._progressed_at: float | None = None
        self.unreadable: int | None = None
        """Sessions with a file that could not be read at the last look; None before the first."""
        # Only the thread that looks touches what follows.
        self._known: dict[UUID, Known] = {}
        self._baseline: Baseline | None = None
        self._marks: dict[_Scope | None, datetime] = {}
        self._newest: dict[_Scope | None, datetime] = {}
        self._thread = Thread(target=self._run, name="changes", daemon=True)

    def start(self) -> None:
        """Note what is missing or unreadable now, and start; call it before anything is synced.

        Blocks for a query over all sessions. While the database is down the thread asks it later.
        """
        try:
            self._read_baseline()
            self._count_unreadable()
        except DatabaseError as error:
            event(_LOG, logging.DEBUG, "feed.postponed", "no database", error=error.message)
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Publish what is known to have changed and end, in at most so many seconds; safe to call twice."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    # --- doorbells: from any thread, microseconds, never blocking ------------------------------------

    def touched(self, place: Place, *slugs: str) -> None:
        """Note that session folders were synced, whatever came of it."""
        bells = {place.session_id(slug): _Bell(place.root, stored_name(slug)) for slug in slugs}
        with self._changed:
            self._bells.setdefault(place.project_id, {}).update(bells)
            self._wake()

    def reconciled(self, place: Place) -> None:
        """Note that a sessions root was compared with the database.

        Looks for what that has changed, and for what others wrote there while nobody rang.
        """
        with self._changed:
            self._scopes.add((place.project_id, place.root))
            self._wake()

    def catch_up(self) -> None:
        """Look through all sessions for changes, because other hosts' announcements were lost."""
        with self._changed:
            self._scopes.add(None)
            self._wake()

    def relay(self, changes: Sequence[Change]) -> None:
        """Note what another host has announced; what of it is news is looked up and published."""
        with self._changed:
            self._told += changes
            if len(self._told) > _TOLD_MOST:
                self._told.clear()
                self._scopes.add(None)
            self._wake()

    def _wake(self) -> None:
        if self._held_since is None:
            self._held_since = time.monotonic()
            self._changed.notify()

    # --- facts ---------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Doorbells that have not been answered yet, those being answered left out."""
        with self._changed:
            return sum(map(len, self._bells.values())) + len(self._scopes) + len(self._told)

    def progress(self) -> Progress:
        """Return how the thread gets on; while the database is down it holds nothing."""
        with self._changed:
            is_waiting = self._retry is not None
            return Progress(
                name="feed",
                alive=self._thread.is_alive(),
                since=self._progressed_at,
                holding_since=None if is_waiting else self._looking_since or self._held_since,
                doing="waiting for the database" if is_waiting else None,
            )

    # --- the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        is_last = False
        while not is_last and self._wait():
            is_last = self._stopping
            try:
                self._look()
            except DatabaseError as error:
                event(_LOG, logging.DEBUG, "feed.postponed", "no database", error=error.message)
                self._retry = min((self._retry or _FIRST_RETRY / 2) * 2, _LONGEST_RETRY)
            except Exception:  # noqa: BLE001 - logged with its traceback; the thread must outlive it
                # Once until it works again: nothing is dropped, so the same may fail for long.
                level = logging.ERROR if self._retry is None else logging.DEBUG
                extra = {"event": "feed.failed", "fields": {}}
                _LOG.log(level, "changes cannot be found out", exc_info=True, extra=extra)
                self._retry = min((self._retry or _FIRST_RETRY / 2) * 2, _LONGEST_RETRY)
            else:
                self._retry = None

    def _wait(self) -> bool:
        """Wait for doorbells and gather those that follow, or for the next try; False at the end."""
        with self._changed:
            if self._retry is None:
                self._changed.wait_for(lambda: self._stopping or self._held_since is not None)
                self._changed.wait_for(lambda: self._stopping, self._gather)
            else:
                jitter = random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
                self._changed.wait_for(lambda: self._stopping, self._retry * jitter)
            return self._held_since is not None

    def _look(self) -> None:
        """Answer all doorbells; those that could not be answered ring again."""
        self._read_baseline()
        with self._changed:
            bells, self._bells = self._bells, {}
            scopes, self._scopes = self._scopes, set()
            told, self._told = self._told, []
            self._looking_since, self._held_since = self._held_since, None
        try:
            self._take_word(told, bells)
            # After the doorbells are taken: who rang has committed.
            self._count_unreadable()
            while scopes:
                # After a round over many roots one look at all sessions is cheaper than one at each.
                some = set(scopes) if len(scopes) > _APART else {next(iter(scopes))}
                for row in self._written(some):
                    bells.setdefault(row.project_id, {}).setdefault(row.session_id, _Bell(row.root, row.slug))
                scopes -= some
            self._answer(bells)
        finally:
            with self._changed:
                self._looking_since = None
                self._scopes |= scopes
                for project_id, left in bells.items():
                    self._bells[project_id] = left | self._bells.get(project_id, {})
                if bells or scopes:
                    self._wake()

    def _answer(self, bells: dict[UUID, dict[UUID, _Bell]]) -> None:
        """Publish what is news about these sessions, project by project; drop those that were answered."""
        while bells:
            project_id = next(iter(bells))
            left = bells[project_id]
            chunk = dict(islice(left.items(), MOST))
            changes = self._find_out(project_id, chunk)
            self._feed.publish(changes)
            for session_id in chunk:
                del left[session_id]
            if not left:
                del bells[project_id]
            own = [change for change in changes if change.host_id == self._host]
            if own and self._announce is not None:
                self._announce(own)
            self._progressed_at = time.monotonic()

    def _find_out(self, project_id: UUID, bells: dict[UUID, _Bell]) -> list[Change]:
        known = {session_id: self._known_of(session_id) for session_id in bells}
        asked = [Asked(session_id, old.seq, old.since) for session_id, old in known.items()]
        with self._database.read() as connection:
            found = queries.sessions_now(connection, project_id, asked)
            # A history that is shorter than it was has begun anew, with the database or the project.
            anew = [
                Asked(session_id, 0, known[session_id].at)
                for session_id, now in found.items()
                if now.seq < known[session_id].seq
            ]
            if anew:
                found |= queries.sessions_now(connection, project_id, anew)
        changes: list[Change] = []
        moment = utc_now()
        for session_id, bell in bells.items():
            now, old = found.get(session_id), known[session_id]
            news = list(news_of(old, now, moment))
            changes += self._as_changes(news, (project_id, session_id), bell, now)
            if now is None:
                self._known.pop(session_id, None)
            elif news or old.seen:
                old.take(now)
                self._known[session_id] = old
        return changes

    def _as_changes(
        self, news: Iterable[News], key: tuple[UUID, UUID], bell: _Bell, now: SessionNow | None
    ) -> Iterator[Change]:
        for one in news:
            yield Change(
                kind=one.kind,
                at=iso_milliseconds(one.at.astimezone(UTC)),
                project=now.project if now else None,
                project_id=str(key[0]),
                session_id=str(key[1]),
                root=bell.root,
                slug=bell.slug,
                seq=one.seq,
                phase=one.phase,
                status=one.status,
                error=one.error,
                host_id=bell.host or self._host,
            )

    # --- what listeners know -------------------------------------------------------------------------

    def _read_baseline(self) -> None:
        if self._baseline is None:
            with self._database.read() as connection:
                self._baseline = queries.baseline(connection, self._started_at)

    def _count_unreadable(self) -> None:
        with self._database.read() as connection:
            self.unreadable = health.unreadable_sessions(connection)

    def _known_of(self, session_id: UUID) -> Known:
        known = self._known.get(session_id)
        if known is not None:
            return known
        start = self._started_at
        if self._baseline is None:
            raise AssertionError("the baseline is read before anything is looked at")
        is_missing = session_id in self._baseline.missing
        return Known(0, start, start, start, is_missing, self._baseline.errors.get(session_id))

    def _take_word(self, told: Iterable[Change], bells: dict[UUID, dict[UUID, _Bell]]) -> None:
        """Plan to look at what another host announced.

        Of a session that was quiet here its word says where the news begins: that host's clock has nothing to
        do with our start.
        """
        for change in told:
            project_id, session_id = UUID(change.project_id), UUID(change.session_id)
            if session_id not in self._known:
                known = self._known_of(session_id)
                known.since = LONG_AGO
                known.seq = change.seq - (change.kind in ("created", "changed"))
                if change.kind in ("removed", "restored"):
                    known.missing = change.kind == "restored"
                self._known[session_id] = known
            bell = _Bell(change.root, change.slug, change.host_id)
            bells.setdefault(project_id, {}).setdefault(session_id, bell)

    def _written(self, scopes: Collection[_Scope | None]) -> list[Written]:
        """Return the sessions of one scope, or of all, that are stored otherwise than listeners know."""
        now = utc_now()
        since = self._since(scopes, now)
        (only,) = scopes if len(scopes) == 1 else (None,)
        project_id, root = only or (None, None)
        with self._database.read() as connection:
            rows = queries.written_since(connection, since, project_id=project_id, root=root)
            if None in scopes:
                rows += queries.written(connection, self._wrong())
        self._marks.update(dict.fromkeys(scopes, now))
        newest = max((row.written_at for row in rows), default=self._started_at)
        for scope in scopes:
            self._newest[scope] = max(newest, self._newest.get(scope, newest))
        return [row for row in rows if self._differs(row)]

    def _since(self, scopes: Collection[_Scope | None], now: datetime) -> datetime:
        """Return from when on what was written in some scopes may not have been looked at yet."""
        mark = min(self._marks.get(scope, self._started_at) for scope in scopes)
        since = max(self._started_at, min(mark, now) - _OVERLAP)
        if self._database.is_postgres:
            return since
        newest = min(self._newest.get(scope, self._started_at) for scope in scopes)
        return max(since, min(newest, now) - _OUT_OF_TURN)

    def _wrong(self) -> list[UUID]:
        """Return the sessions that are missing or unreadable as far as listeners know."""
        found = {session_id for session_id, known in self._known.items() if known.missing or known.error}
        if self._baseline is not None:
            found |= (self._baseline.missing | self._baseline.errors.keys()) - self._known.keys()
        return sorted(found)

    def _differs(self, row: Written) -> bool:
        known = self._known_of(row.session_id)
        gone = row.missing_since
        was_gone = known.missing or (gone is not None and gone <= known.since)
        return (
            is_rewritten(known, row.written_at)
            or (known.seen and row.seq != known.seq)
            or (gone is not None) != was_gone
            or (gone is None and row.error != known.error)
        )
