"""One transaction of the mirror: what to write is planned under the locks of its sessions, then written."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import store
from sessionlib.db.rows import DocumentRow, FileRow, InputRow, VersionRow
from sessionlib.db.store import Batch, Copy, EncodedRows, Held, Shown
from sessionlib.state.content import SessionContent
from sessionlib.state.files import Look, Signature
from sessionlib.sync import mapping
from sessionlib.sync.copies import freshest, restore
from sessionlib.sync.histories import Histories
from sessionlib.sync.looks import dump_extras, load_look
from sessionlib.sync.mapping import MAPPING_VERSION, Observed, Origin
from sessionlib.sync.places import Place, stored_name
from sessionlib.sync.reading import Reading
from sessionlib.sync.results import Outcome, Result
from sessionlib.sync.snapshot import Snapshot

_RETRY_VERSION = 0
"""The mapping version of a row whose file could not be opened: every reconcile tries it again."""


class Task:
    """Some sessions, what is stored of them, and the rows to write.

    Sessions of which nothing is stored are kept apart: their rows are inserted without further questions.

    Attributes:
        project_id: The project of all of them.
        observed: (session, since when it is gone, error) of those whose rows need nothing else.

    Args:
        connection: Inside `Database.write`, to whose end the sessions' locks are held. None for a draft: then
            nothing may be stored of them.
        project_id: The project of all of them.
        held: What is stored of them.
        now: For observed times. Read under the locks they follow the order of the writes; a draft's do so,
            too, because nobody has written its sessions before.
        anew: Plan every row by `renew`, also those that seem to be as they should.
    """

    def __init__(
        self,
        connection: Connection | None,
        project_id: UUID,
        held: Held,
        now: datetime,
        *,
        anew: bool = False,
    ) -> None:
        self._connection = connection
        self.project_id = project_id
        self._anew = anew
        self._batch = Batch(anew=anew)
        self._fresh = Batch(fresh=True)
        self._encoded: EncodedRows | None = None
        self.observed: list[tuple[UUID, datetime | None, str | None]] = []
        self._now = now
        self._copies: dict[UUID, list[Copy]] = held.copies
        self._shown: dict[UUID, Shown] = held.shown
        self._histories = Histories(connection, project_id, held.shown)

    def encode(self, *, postgres: bool) -> None:
        """Turn a draft's rows into what the driver takes, so that writing them takes less time."""
        self._encoded = store.encode_new(self._fresh, postgres=postgres)

    def finish(self, connection: Connection) -> int:
        """Write the rows; return how many sessions were written."""
        if self._batch:
            store.write(connection, self._batch)
        if self._fresh:
            postgres = connection.dialect.name == "postgresql"
            store.write_new(connection, self._encoded or store.encode_new(self._fresh, postgres=postgres))
        for session_id, missing_since, error in self.observed:
            store.set_shown(connection, self.project_id, session_id, missing_since=missing_since, error=error)
        return len(self._batch.sessions) + len(self._fresh.sessions) + len(self.observed)

    @property
    def batch(self) -> Batch:
        """The rows that `renew` has planned."""
        return self._batch

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise AssertionError("a draft asks the database nothing")
        return self._connection

    @property
    def added(self) -> int:
        """How many sessions are new."""
        return len(self._fresh.sessions)

    def take(self, place: Place, slug: str, session_id: UUID, reading: Reading) -> Result:
        """Plan the rows for one folder as it was read."""
        if reading.torn:
            return Result(slug, Outcome.TORN)
        if reading.is_absent:
            return Result(slug, Outcome.ABSENT)
        copies = self._copies[session_id]
        mine = self._copy_in(session_id, place.workspace_id)
        found = reading.snapshot
        row = self._file_row(place, slug, session_id, mine, reading)
        if mine is not None and _same(mine, row):
            outcome = Outcome.UNCHANGED
        else:
            outcome = _outcome(mine, row)
            batch = self._batch if copies or session_id in self._shown else self._fresh
            batch.files.append(row)
            if found is not None and found.content is not None:
                self._add_inputs(batch, row, mine, found)
            self._put_copy(session_id, row)
            self._settle(batch, session_id, () if found is None else (found,))
        if reading.unreadable is not None:
            return Result(slug, Outcome.UNREADABLE, reading.unreadable)
        return Result(slug, outcome, row.error, racy=found is not None and found.racy)

    def renew(self, session_id: UUID, slug: str, copies: Sequence[tuple[Place, Reading]]) -> None:
        """Plan all rows of one session, whatever is stored of it; what was observed is kept.

        A copy that cannot be read now, or is not there, stays as it is committed.

        Args:
            session_id: The session.
            slug: The name of its folder.
            copies: Where it may lie on this host, and how it was read there.
        """
        found: list[Snapshot] = []
        for place, reading in copies:
            if reading.snapshot is None:
                continue
            mine = self._copy_in(session_id, place.workspace_id)
            row = self._file_row(place, slug, session_id, mine, reading)
            if mine is not None and _is_seen(mine, row):
                row = row._replace(observed_at=mine.observed_at, folder_mtime_ns=mine.folder_mtime_ns)
            self._batch.files.append(row)
            if reading.snapshot.content is not None:
                self._add_inputs(self._batch, row, mine, reading.snapshot)
            self._put_copy(session_id, row)
            found.append(reading.snapshot)
        self._settle(self._batch, session_id, found)

    def _copy_in(self, session_id: UUID, workspace_id: UUID) -> FileRow | None:
        rows = (copy.row for copy in self._copies[session_id])
        return next((row for row in rows if row.workspace_id == workspace_id), None)

    def _put_copy(self, session_id: UUID, row: FileRow) -> None:
        others = [copy for copy in self._copies[session_id] if copy.row.workspace_id != row.workspace_id]
        self._copies[session_id] = [*others, Copy(row, workspace_missing=False)]

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

    def _add_inputs(self, batch: Batch, row: FileRow, mine: FileRow | None, found: Snapshot) -> None:
        if not self._anew and mine is not None and mine.inputs_hash == row.inputs_hash:
            return
        for document in (found.state, *found.extras):
            if document is not None and document.content_hash not in batch.documents:
                batch.documents[document.content_hash] = DocumentRow(
                    row.project_id,
                    document.content_hash,
                    document.body,
                    document.size,
                    document.time,
                    self._now,
                )
        owner = row.project_id, row.workspace_id, row.root, row.slug
        if self._anew or (mine is not None and (mine.extras or mine.error is not None)):
            batch.input_owners.append(owner)
        batch.inputs += [InputRow(*owner, extra.name, extra.content_hash, None) for extra in found.extras]
        batch.inputs += [InputRow(*owner, name, None, problem) for name, problem in found.problems]

    def settle(self, session_id: UUID) -> None:
        """Plan the row of a session from the copies that are committed."""
        self._settle(self._batch, session_id, ())

    def _settle(self, batch: Batch, session_id: UUID, found: Sequence[Snapshot]) -> None:
        """Plan the row of a session from the copies that exist; `found` are those of them just read."""
        best = freshest(self._copies[session_id])
        known = self._shown.get(session_id)
        if best is None:
            self._settle_gone(session_id, known)
            return
        if not self._anew and known is not None and _shows(known, best):
            if known.missing_since is not None or known.error != best.error:
                self._observe(session_id, None, best.error)
            return
        read = (one.content for one in found if one.inputs_hash == best.inputs_hash)
        content = next((one for one in read if one is not None), None)
        self._add_session(batch, session_id, best, known, content or restore(self._open, best))

    def _settle_gone(self, session_id: UUID, known: Shown | None) -> None:
        """Tombstone a session when all its files are gone; a missing workspace alone proves nothing.

        A copy that was never understood shows nothing; but with it the session is there.
        """
        if known is None:
            return
        copies = self._copies[session_id]
        gone = [copy.row.missing_since for copy in copies if copy.row.missing_since is not None]
        there = [copy.row for copy in copies if copy.row.missing_since is None and not copy.workspace_missing]
        if len(gone) == len(copies):
            if known.missing_since is None:
                self._observe(session_id, max(gone, default=self._now), known.error)
        elif there:
            newest = max(there, key=lambda row: (row.mtime_ns, row.path))
            if known.missing_since is not None or known.error != newest.error:
                self._observe(session_id, None, newest.error)

    def _observe(self, session_id: UUID, missing_since: datetime | None, error: str | None) -> None:
        self.observed.append((session_id, missing_since, error))

    def _add_session(
        self, batch: Batch, session_id: UUID, best: FileRow, known: Shown | None, content: SessionContent
    ) -> None:
        if best.content_hash is None or best.inputs_hash is None:
            raise AssertionError("the freshest copy must have been read")
        content = mapping.storable(content)
        activity = _activity_at(best, known)
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
            activity,
        )
        version = VersionRow(
            best.project_id,
            session_id,
            seq,
            best.content_hash,
            content.current_phase,
            content.effective_status,
            changed,
            self._now,
        )
        stands = self._histories.add(batch, known, version)
        first_seen = known.first_seen_at if known else self._now
        synced = known.synced_at if known and self._anew and not new_version else self._now
        observed = Observed(first_seen, changed, synced, None, best.error, seq, *stands)
        # Digests that another version of the mapping wrote say nothing about this one's rows.
        trusted = known is not None and known.mapping_version == MAPPING_VERSION and not self._anew
        stored_parts = None if known is None else known.parts if trusted else ""
        mapping.add_session(batch, origin, content, observed, stored_parts)


def _activity_at(best: FileRow, known: Shown | None) -> datetime:
    """Return when a session was last worked on: its document's time, else its file's."""
    if best.document_time is not None:
        return best.document_time
    # A bad file's own time says nothing about the good content that is still shown.
    return known.activity_at if known and best.error is not None else mapping.time_of(best.mtime_ns)


def _shows(known: Shown, best: FileRow) -> bool:
    return (
        known.workspace_id == best.workspace_id
        and known.inputs_hash == best.inputs_hash
        and known.mapping_version == MAPPING_VERSION
        and (best.error is not None or known.activity_at == _activity_at(best, known))
    )


_IGNORED = frozenset({"observed_at", "folder_mtime_ns"})
_COMPARED = tuple(index for index, name in enumerate(FileRow._fields) if name not in _IGNORED)


def _same(stored: FileRow, row: FileRow) -> bool:
    return all(stored[index] == row[index] for index in _COMPARED)


def _is_seen(stored: FileRow, row: FileRow) -> bool:
    """Tell whether a copy is the one that was seen: it looks as it did, or holds what it held."""
    looks = stored.dev, stored.inode, stored.size, stored.mtime_ns, stored.ctime_ns
    return looks == (row.dev, row.inode, row.size, row.mtime_ns, row.ctime_ns) or (
        stored.content_hash == row.content_hash
    )


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
