"""Storing drafts: in one transaction for each batch, under the locks of the projects it is about."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import execution
from sessionlib.db.crud import hosts
from sessionlib.db.engine import Database
from sessionlib.db.execution_rows import ConversationRow, CursorRow
from sessionlib.errors import DatabaseBusyError
from sessionlib.sync.ingest import rowing
from sessionlib.sync.ingest.batch import Batch, Key
from sessionlib.sync.ingest.belonging import Belonging, belonging
from sessionlib.sync.ingest.drafts import Draft
from sessionlib.sync.ingest.owners import Owners
from sessionlib.sync.ingest.spending import Price, Progress
from sessionlib.sync.ingest.standing import value
from sessionlib.sync.registrar import Host

StartedIn = Callable[[str, str | None, str | None], str | None]
"""Tells, for a client, from a transcript's path and a folder in which a conversation started."""

_KNOWN = 10_000
_TRIES = 5
"""Transactions in which a batch is tried whose projects are removed or merged while it waits for them."""
_LINKS_HOLD = 60.0
"""Seconds for which links hold that nothing was heard of: a session may have changed without a word."""


class CursorsMovedError(Exception):
    """The database holds other cursors than those a portion was read on from; nothing of it was stored."""


class _ProjectsMovedError(Exception):
    """While this transaction waited for its locks, conversations have come to projects it has not locked."""


class Ingested(NamedTuple):
    """What became of a batch: conversations that were stored, and those of which too little is known yet."""

    stored: int
    unplaced: frozenset[Key]


class Ingester:
    """Stores what journals say; used by one thread at a time.

    What follows from it for records that are stored already may take long. So `store` marks the conversations
    whose records are to be counted anew and ends with its commit; `uncounted` tells which they are, and who
    stores has them counted. The marks are in the database: what a kill leaves, the next start finds.

    Args:
        database: With the current schema.
        owners: Finds the projects of folders.
        host: The machine whose journals these are.
        price: Prices usage.
        started_in: Tells where conversations started.
    """

    def __init__(
        self,
        database: Database,
        owners: Owners,
        host: Host,
        *,
        price: Price,
        started_in: StartedIn,
    ) -> None:
        self._database = database
        self._owners = owners
        self._host = host
        self._price = price
        self._started_in = started_in
        self._placed: dict[Key, None] = {}
        self._looked: dict[Key, float] = {}
        self._looking: dict[Key, float] = {}
        self._uncounted: dict[UUID, UUID] = {}
        self._is_registered = self._is_warm = False

    def store(
        self,
        drafts: Iterable[Draft],
        cursors: Sequence[CursorRow] = (),
        *,
        before: Mapping[str, CursorRow | None] | None = None,
    ) -> Ingested:
        """Store drafts, no conversation twice, and how far their journals were read, in one transaction.

        A conversation of which nothing is stored and nothing with a time is said cannot be stored yet.

        Args:
            drafts: What was said.
            cursors: How far journals were read with it.
            before: What the database must hold of them until then, by path; None where it holds nothing.

        Raises:
            CursorsMovedError: It holds something else. Nothing was stored.
            DatabaseError: Nothing was stored.
        """
        wanted = {(draft.client, draft.native_id): draft for draft in drafts}
        self._warm_up(wanted.values())
        for _ in range(_TRIES):
            try:
                done = self._store(wanted, cursors, before or {})
            except _ProjectsMovedError:
                continue
            if done is not None:
                return done
            # Somebody has removed their project since.
            self.forget()
        raise DatabaseBusyError("the projects of these conversations are being removed or merged")

    def _store(
        self,
        wanted: Mapping[Key, Draft],
        cursors: Sequence[CursorRow],
        before: Mapping[str, CursorRow | None],
    ) -> Ingested | None:
        """Store drafts; None, and nothing stored, if conversations are gone that were there before."""
        homes = self._homes(wanted)
        self._looking.clear()
        with self._database.write() as connection:
            if not self._is_registered:
                hosts.ensure(connection, self._host.host_id, self._host.name)
            known = self._locked(connection, wanted, homes)
            self._compare(connection, before)
            unplaced = frozenset(key for key in wanted if key not in known and key not in homes)
            if any("first" in wanted[key].observed for key in unplaced):
                return None
            groups: dict[UUID, list[Draft]] = defaultdict(list)
            for key, draft in wanted.items():
                place = known.get(key) or homes.get(key)
                if place is not None:
                    groups[place.project_id].append(draft)
            unfinished: dict[UUID, UUID] = {}
            for project_id, group in groups.items():
                batch = self._batch(connection, project_id, known, homes)
                batch.store(group)
                unfinished |= dict.fromkeys(batch.unfinished, project_id)
            execution.put_cursors(connection, cursors)
        self._is_registered = True
        self._note_looked()
        self._keep(wanted.keys() - unplaced)
        self._uncounted |= unfinished
        return Ingested(len(wanted) - len(unplaced), unplaced)

    def _locked(
        self, connection: Connection, wanted: Collection[Key], homes: Mapping[Key, Belonging]
    ) -> dict[Key, ConversationRow]:
        """Lock the projects of conversations, and return those that are stored.

        Raises:
            _ProjectsMovedError: They belong to others by now. Locks are taken in one order, and only the end
                of the transaction gives them back, so the next one has to take them all.
        """
        known = execution.conversations(connection, wanted)
        locked = _projects(known, homes)
        execution.lock_projects(connection, locked)
        if not self._database.is_postgres:
            return known
        # Another daemon may have been first, or a merge, while this one waited for the locks.
        known = execution.conversations(connection, wanted)
        if not _projects(known, homes) <= locked:
            raise _ProjectsMovedError
        return known

    def _compare(self, connection: Connection, before: Mapping[str, CursorRow | None]) -> None:
        """Refuse what was read on from cursors that the database does not hold.

        Raises:
            CursorsMovedError: It was brought back from a copy, or somebody has deleted from it.
        """
        if not before:
            return
        stored = execution.cursors_at(connection, self._host.host_id, before.keys())
        if any(_place(stored.get(path)) != _place(row) for path, row in before.items()):
            raise CursorsMovedError

    def _warm_up(self, drafts: Iterable[Draft]) -> None:
        """Load the table of prices, which takes a third of a second, before the database is held for it."""
        if self._is_warm:
            return
        for draft in drafts:
            for message_id, used in draft.usage.items():
                self._price(rowing.sample(draft, message_id, used))
                self._is_warm = True
                return

    def use_prices(self, price: Price) -> None:
        """Price usage otherwise from now on; what has a price keeps it."""
        self._price = price

    def uncounted(self) -> dict[UUID, list[UUID]]:
        """Return the conversations that were marked, and not counted to their end since, by project."""
        found: dict[UUID, list[UUID]] = defaultdict(list)
        for conversation_id, project_id in self._uncounted.items():
            found[project_id].append(conversation_id)
        return found

    def leave_uncounted(self, conversation_id: UUID) -> None:
        """Leave a conversation that cannot be counted as it is marked, until something of it is stored."""
        self._uncounted.pop(conversation_id, None)

    def settle(self, project_id: UUID, conversation_ids: Collection[UUID], *, recount: bool = False) -> int:
        """Count the usage of conversations anew, after sessions they may have worked on have changed.

        As `counting` does it, to its end.
        """
        for _ in self.counting(project_id, conversation_ids, recount=recount):
            pass
        return len(conversation_ids)

    def counting(
        self, project_id: UUID, conversation_ids: Collection[UUID], *, recount: bool = False
    ) -> Iterator[None]:
        """Count the usage of conversations anew in as many transactions as it takes, each a short one.

        Yields after each; in between some records are counted as before, and left there it is marked.

        Args:
            project_id: Their project.
            conversation_ids: The conversations.
            recount: Whether to look at each record, even if none is counted otherwise: prices are new.

        Raises:
            DatabaseError: Some are counted anew, the rest is marked and is done by the next start.
        """
        left: dict[UUID, Progress | None] = dict.fromkeys(conversation_ids)
        while left:
            left = self._settle_some(project_id, left, recount=recount)
            recount = True
            yield

    def _settle_some(
        self, project_id: UUID, left: Mapping[UUID, Progress | None], *, recount: bool
    ) -> dict[UUID, Progress | None]:
        self._looking.clear()
        with self._database.write() as connection:
            execution.lock_projects(connection, [project_id])
            rows = execution.conversations_by_id(connection, project_id, list(left)).values()
            known = {(row.client, row.native_id): row for row in rows}
            batch = self._batch(connection, project_id, known, {})
            batch.is_settling = True
            if recount:
                batch.recounts.update((row.conversation_id, left[row.conversation_id]) for row in rows)
            batch.store([Draft(*key) for key in known])
        for conversation_id in left:
            self._uncounted.pop(conversation_id, None)
        self._uncounted |= dict.fromkeys(batch.unfinished, project_id)
        return batch.unfinished

    def _batch(
        self,
        connection: Connection,
        project_id: UUID,
        known: Mapping[Key, ConversationRow],
        homes: Mapping[Key, Belonging],
    ) -> Batch:
        return Batch(connection, project_id, self._host.host_id, known, homes, self._price, self._is_due)

    def _is_due(self, key: Key) -> bool:
        """Tell whether a conversation's links are to be found anew, whatever else is known."""
        now = time.monotonic()
        if now - self._looked.get(key, float("-inf")) < _LINKS_HOLD:
            return False
        self._looking[key] = now
        return True

    def _note_looked(self) -> None:
        """Note, after the commit, whose links were found."""
        self._looked |= self._looking
        while len(self._looked) > _KNOWN:
            del self._looked[next(iter(self._looked))]

    def _homes(self, wanted: Mapping[Key, Draft]) -> dict[Key, Belonging]:
        """Decide where the conversations belong that nobody has stored yet; in transactions of their own."""
        asked = [key for key in wanted if key not in self._placed]
        if not asked:
            return {}
        with self._database.read() as connection:
            known = execution.conversations(connection, asked)
        homes = {}
        for key in asked:
            observed = wanted[key].observed
            if key not in known and "first" in observed:
                started_in = self._started_in(key[0], value(observed, "transcript"), value(observed, "cwd"))
                homes[key] = belonging(self._database, self._owners, observed, started_in)
        return homes

    def _keep(self, placed: Collection[Key]) -> None:
        for key in placed:
            self._placed[key] = None
        while len(self._placed) > _KNOWN:
            del self._placed[next(iter(self._placed))]

    def forget(self) -> None:
        """Look up anew which conversations are stored: the database is another one, or lost some."""
        self._placed.clear()
        self._looked.clear()
        self._is_registered = False


def _projects(known: Mapping[Key, ConversationRow], homes: Mapping[Key, Belonging]) -> set[UUID]:
    return {row.project_id for row in known.values()} | {home.project_id for home in homes.values()}


def _place(row: CursorRow | None) -> tuple[object, ...] | None:
    return None if row is None else (row.dev, row.inode, row.position, row.check_hash, row.read_at)
