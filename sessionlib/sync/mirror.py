"""Mirror session folders into rows: lock, look again, write; whoever commits last has looked last.

One session and five hundred take the same path. A folder is read before the lock; under it only its
signature is looked at again, and it is read anew if that moved. Which copy a session's row shows is decided
from what is committed, under the session's lock, never from the order in which copies arrived.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import store
from sessionlib.db.engine import Database
from sessionlib.db.rows import FileRow, InputRow, VersionRow
from sessionlib.db.store import Batch, Copy, Shown
from sessionlib.errors import RowRejectedError, StateUnreadableError
from sessionlib.models.base import utc_now
from sessionlib.state.content import SessionContent
from sessionlib.state.document import interpret
from sessionlib.state.files import Look, Signature, look
from sessionlib.sync import mapping
from sessionlib.sync.copies import freshest, restore
from sessionlib.sync.looks import dump_extras, load_look
from sessionlib.sync.mapping import MAPPING_VERSION, Observed, Origin
from sessionlib.sync.places import Place, stored_name
from sessionlib.sync.reading import Reading, look_again, read
from sessionlib.sync.snapshot import Snapshot

_LOG = logging.getLogger("sessionlib.sync")
_RETRY_VERSION = 0
"""The mapping version of a row whose file could not be opened: every reconcile tries it again."""


class Outcome(StrEnum):
    """What became of one session folder.

    INVALID is a file that cannot be used, or whose rows the database refuses: its error is recorded.
    REJECTED is one of which not even the error can be recorded.
    """

    WRITTEN = "written"
    TOUCHED = "touched"
    UNCHANGED = "unchanged"
    INVALID = "invalid"
    ABSENT = "absent"
    TORN = "torn"
    UNREADABLE = "unreadable"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one session folder; `error` is for people, `racy` asks for another look soon."""

    slug: str
    outcome: Outcome
    error: str | None = None
    racy: bool = False


class Mirror:
    """Writes what session folders hold into the database; safe to use from any thread.

    Args:
        database: With the current schema.
        now: The clock for observed times.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = now

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
        try:
            return self._sync(place, slugs, settled)
        except RowRejectedError:
            if len(slugs) == 1:
                return [self._isolate(place, slugs[0], settled)]
            half = len(slugs) // 2
            return self.sync(place, slugs[:half], settled=settled) + self.sync(
                place, slugs[half:], settled=settled
            )

    def settle(self, project_id: UUID, session_ids: Sequence[UUID]) -> int:
        """Recompute which copy these sessions show, from what is committed; return how many were written."""
        with self._database.write() as connection:
            return self.settle_in(connection, project_id, session_ids)

    def settle_in(self, connection: Connection, project_id: UUID, session_ids: Sequence[UUID]) -> int:
        """Do what `settle` does inside a transaction that is open for writing."""
        task = _Task(connection, project_id, session_ids, self._now)
        for session_id in task.ids:
            task.settle(session_id, None)
        return task.finish()

    def _sync(self, place: Place, slugs: Sequence[str], settled: Collection[str]) -> list[Result]:
        readings = {slug: read(place.path / slug, give_up=slug in settled) for slug in slugs}
        with self._database.write() as connection:
            task = _Task(connection, place.project_id, [place.session_id(s) for s in slugs], self._now)
            results = [
                task.take(place, slug, look_again(place.path / slug, readings[slug], give_up=slug in settled))
                for slug in slugs
            ]
            task.finish()
        return results

    def _isolate(self, place: Place, slug: str, settled: Collection[str]) -> Result:
        """Try once more the one folder whose rows were rejected; record why if they are again.

        It is looked at before it is read again: what is mended later must not pass for what was rejected.
        """
        try:
            seen = look(place.path / slug)
        except StateUnreadableError as error:
            return Result(slug, Outcome.UNREADABLE, error.message)
        try:
            return self._sync(place, [slug], settled)[0]
        except RowRejectedError as error:
            message = error.message.replace("\0", "")
        fields = {"path": stored_name(str(place.path / slug)), "error": message}
        _LOG.warning("row rejected", extra={"event": "sync.rejected", "fields": fields})
        if seen is None:
            return Result(slug, Outcome.ABSENT)
        try:
            return self._quarantine(place, slug, Snapshot(look=seen, error=message))
        except RowRejectedError as error:
            return Result(slug, Outcome.REJECTED, error.message)

    def _quarantine(self, place: Place, slug: str, rejected: Snapshot) -> Result:
        """Record on the copy's row why its session cannot be stored, and keep what was stored before."""
        with self._database.write() as connection:
            task = _Task(connection, place.project_id, [place.session_id(slug)], self._now)
            result = task.take(place, slug, Reading(rejected))
            task.finish()
        return result


class _Task:
    """One transaction: the locked sessions, what is stored of them, and the rows to write."""

    def __init__(
        self,
        connection: Connection,
        project_id: UUID,
        session_ids: Sequence[UUID],
        clock: Callable[[], datetime],
    ) -> None:
        self.ids = sorted(set(session_ids))
        self._connection = connection
        self._project_id = project_id
        self._batch = Batch()
        self._updates = 0
        held = store.hold_sessions(connection, project_id, self.ids)
        # Under the lock, so that observed times follow the order of the writes.
        self._now = clock()
        self._copies: dict[UUID, list[Copy]] = held.copies
        self._shown: dict[UUID, Shown] = held.shown

    def finish(self) -> int:
        """Write the rows; return how many sessions were written."""
        if self._batch:
            # In one order everywhere: two batches that bring the same new documents must not deadlock.
            self._batch.documents = dict(sorted(self._batch.documents.items()))
            store.write(self._connection, self._batch)
        return len(self._batch.sessions) + self._updates

    def take(self, place: Place, slug: str, reading: Reading) -> Result:
        """Plan the rows for one folder as it was read."""
        if reading.torn:
            return Result(slug, Outcome.TORN)
        session_id = place.session_id(slug)
        copies = self._copies[session_id]
        mine = next((copy.row for copy in copies if copy.row.workspace_id == place.workspace_id), None)
        if reading.snapshot is None and reading.unreadable is None:
            return Result(slug, Outcome.ABSENT)
        found = reading.snapshot
        row = self._file_row(place, slug, session_id, mine, reading)
        if mine is not None and _same(mine, row):
            outcome = Outcome.UNCHANGED
        else:
            outcome = _outcome(mine, row)
            self._batch.files.append(row)
            self._copies[session_id] = [
                copy for copy in copies if copy.row.workspace_id != place.workspace_id
            ] + [Copy(row, workspace_missing=False)]
            if found is not None and found.content is not None:
                self._add_inputs(row, mine, found)
        if outcome is not Outcome.UNCHANGED:
            self.settle(session_id, found)
        if reading.unreadable is not None:
            return Result(slug, Outcome.UNREADABLE, reading.unreadable)
        return Result(slug, outcome, row.error, racy=found is not None and found.racy)

    def _file_row(
        self, place: Place, slug: str, session_id: UUID, mine: FileRow | None, reading: Reading
    ) -> FileRow:
        found = reading.snapshot
        seen = found.look if found is not None else _stored_look(mine)
        good = found is not None and found.content is not None
        state = seen.state
        if good and found is not None and found.content is not None:
            hashes = found.state_hash, found.inputs_hash
            stamp = mapping.document_time(found.content.stamps, state.mtime_ns)
        else:
            hashes = (mine.content_hash, mine.inputs_hash) if mine else (None, None)
            stamp = mine.document_time if mine else None
        return FileRow(
            project_id=place.project_id,
            workspace_id=place.workspace_id,
            root=place.root,
            slug=stored_name(slug),
            session_id=session_id,
            path=stored_name(str(place.path / slug)),
            dev=state.dev,
            inode=state.inode,
            size=state.size,
            mtime_ns=state.mtime_ns,
            ctime_ns=state.ctime_ns,
            folder_mtime_ns=seen.folder_mtime_ns,
            extras=dump_extras(seen.extras),
            content_hash=hashes[0],
            inputs_hash=hashes[1],
            mapping_version=MAPPING_VERSION if found is not None else _RETRY_VERSION,
            document_time=stamp,
            error=reading.unreadable if found is None else found.error,
            absent_looks=0,
            absent_since=None,
            missing_since=None,
            observed_at=self._now,
        )

    def _add_inputs(self, row: FileRow, mine: FileRow | None, found: Snapshot) -> None:
        if mine is not None and mine.inputs_hash == row.inputs_hash:
            return
        batch = self._batch
        for document in (found.state, *found.extras):
            if document is not None and document.content_hash not in batch.documents:
                # Of the document alone, whatever part it plays: the same bytes may be a state and a plan.
                known = found.content if document is found.state else None
                stamps = (known or interpret(document.tree)).stamps
                batch.documents[document.content_hash] = mapping.document_row(
                    row.project_id, document.content_hash, document.size, document.tree, stamps, self._now
                )
        owner = row.project_id, row.workspace_id, row.root, row.slug
        if mine is not None and (mine.extras or mine.error is not None):
            batch.input_owners.append(owner)
        batch.inputs += [InputRow(*owner, extra.name, extra.content_hash, None) for extra in found.extras]
        batch.inputs += [InputRow(*owner, name, None, problem) for name, problem in found.problems]

    def settle(self, session_id: UUID, found: Snapshot | None) -> None:
        """Plan the row of a session from the copies that exist; `found` is one of them, just read."""
        best = freshest(self._copies[session_id])
        known = self._shown.get(session_id)
        if best is None:
            self._settle_gone(session_id, known)
            return
        if known is not None and _shows(known, best):
            if known.missing_since is not None or known.error != best.error:
                self._observe(session_id, None, best.error)
            return
        if found is not None and found.content is not None and found.inputs_hash == best.inputs_hash:
            content = found.content
        else:
            content = restore(self._connection, best)
        self._add_session(session_id, best, known, content)

    def _settle_gone(self, session_id: UUID, known: Shown | None) -> None:
        """Tombstone a session when all its files are gone; a missing workspace alone proves nothing."""
        rows = [copy.row for copy in self._copies[session_id]]
        gone = [row.missing_since for row in rows if row.missing_since is not None]
        if known is not None and len(gone) == len(rows) and known.missing_since is None:
            self._observe(session_id, max(gone, default=self._now), known.error)

    def _observe(self, session_id: UUID, missing_since: datetime | None, error: str | None) -> None:
        self._updates += 1
        store.set_shown(
            self._connection, self._project_id, session_id, missing_since=missing_since, error=error
        )

    def _add_session(
        self, session_id: UUID, best: FileRow, known: Shown | None, content: SessionContent
    ) -> None:
        if best.content_hash is None or best.inputs_hash is None:
            raise AssertionError("the freshest copy must have been read")
        content = mapping.storable(content)
        activity = mapping.activity_at(content.stamps, best.mtime_ns)
        if known is None:
            changed = min(activity, self._now)
        elif known.content_hash == best.content_hash:
            changed = known.content_changed_at
        else:
            changed = max(min(mapping.time_of(best.mtime_ns), self._now), known.content_changed_at)
        new_version = known is None or known.content_hash != best.content_hash
        seq = (known.version_seq if known else 0) + new_version
        origin = Origin(
            best.project_id,
            session_id,
            best.root,
            best.slug,
            best.workspace_id,
            best.content_hash,
            best.inputs_hash,
            best.mtime_ns,
        )
        first_seen = known.first_seen_at if known else self._now
        observed = Observed(first_seen, changed, self._now, None, best.error, seq)
        # Digests that another version of the mapping wrote say nothing about this one's rows.
        trusted = known is not None and known.mapping_version == MAPPING_VERSION
        stored_parts = None if known is None else known.parts if trusted else ""
        mapping.add_session(self._batch, origin, content, observed, stored_parts)
        if new_version:
            self._batch.versions.append(
                VersionRow(
                    best.project_id,
                    session_id,
                    seq,
                    best.content_hash,
                    content.current_phase,
                    content.effective_status,
                    changed,
                    self._now,
                )
            )


def _shows(known: Shown, best: FileRow) -> bool:
    return (
        known.workspace_id == best.workspace_id
        and known.inputs_hash == best.inputs_hash
        and known.mapping_version == MAPPING_VERSION
        # A bad file's own time says nothing about the good content that is still shown.
        and (
            best.error is not None
            or known.activity_at == (best.document_time or mapping.time_of(best.mtime_ns))
        )
    )


_IGNORED = frozenset({"observed_at", "folder_mtime_ns"})
_COMPARED = tuple(index for index, name in enumerate(FileRow._fields) if name not in _IGNORED)


def _same(stored: FileRow, row: FileRow) -> bool:
    return all(stored[index] == row[index] for index in _COMPARED)


def _outcome(mine: FileRow | None, row: FileRow) -> Outcome:
    if row.error is not None:
        return Outcome.INVALID
    if (
        mine is None
        or mine.inputs_hash != row.inputs_hash
        or mine.mapping_version != row.mapping_version
        or mine.missing_since is not None
    ):
        return Outcome.WRITTEN
    return Outcome.TOUCHED


def _stored_look(mine: FileRow | None) -> Look:
    """Return a stand-in for the look at a folder that the operating system does not let us look at."""
    return Look(Signature(0, 0, 0, 0, 0), 0) if mine is None else load_look(mine)
