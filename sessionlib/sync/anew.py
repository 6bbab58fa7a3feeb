"""What the rows of some sessions should be, whatever is stored, and where they are not: verify and rebuild.

Every copy on this host is read; copies on other hosts, and in workspaces that are not there, count as they
are committed. The rows are planned by the mirror's own `Task`, and not written here.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import comparing, damage, store
from sessionlib.db.comparing import Difference
from sessionlib.db.rows import FileRow
from sessionlib.db.store import Copy, Held
from sessionlib.sync import reading
from sessionlib.sync.copies import DamagedContentError
from sessionlib.sync.looks import load_look
from sessionlib.sync.places import Place, stored_name
from sessionlib.sync.reading import Reading
from sessionlib.sync.task import Task

_ENOUGH = 2_500_000
"""Bytes of input that are compared at once: more only take more memory."""


class Portion(NamedTuple):
    """Some sessions of one project.

    Attributes:
        places: Where their copies may lie on this host: sessions roots of one name that are there, at least
            one.
        slugs: The names of their folders, none twice.
    """

    places: tuple[Place, ...]
    slugs: tuple[str, ...]

    @property
    def project_id(self) -> UUID:
        """The project."""
        return self.places[0].project_id

    def session_ids(self) -> dict[str, UUID]:
        """Return the sessions' ids by their folders' names."""
        return {slug: self.places[0].session_id(slug) for slug in self.slugs}


Readings = dict[str, list[Reading]]
"""How the copies of each session were read, in the order of the portion's places."""


def is_gone(one: Difference) -> bool:
    """Tell whether a difference is a copy that is not there: whether it is gone takes more than one look."""
    return one.table == "session_files" and one.column is None and one.expected is None


@dataclass(slots=True)
class Examined:
    """Some sessions, what should be written of them, and how what is stored differs.

    Attributes:
        task: Would write it.
        found: The differences, by the session's folder name.
        shown: The workspace whose copy each session should show.
        rejected: (path, reason) of copies that the database has refused as they are now.
        lost: (path, reason) of sessions whose last good content is damaged, and in no file that is there.
    """

    task: Task
    found: dict[str, list[Difference]] = field(default_factory=dict)
    shown: dict[str, UUID] = field(default_factory=dict)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)


def read(portion: Portion, settled: Collection[str] = (), *, enough: int = _ENOUGH) -> Readings:
    """Read the copies of the first sessions of a portion, at least one, until it is enough for one look.

    Args:
        portion: Which.
        settled: Those whose file is not torn any more but broken.
        enough: How many bytes of input are enough.
    """
    readings: Readings = {}
    size = 0
    for slug in portion.slugs:
        copies = [reading.read(place, slug, give_up=slug in settled) for place in portion.places]
        readings[slug] = copies
        size += sum(copy.size for copy in copies)
        if size >= enough:
            break
    return readings


def stored(connection: Connection, portion: Portion, *, locked: bool) -> Held:
    """Return what is stored of sessions; a copy under its own name, although its row names another session.

    Args:
        connection: An open transaction; for writing, with `locked`.
        portion: Which.
        locked: Take the sessions' locks first.
    """
    ids = portion.session_ids()
    wanted = sorted(ids.values())
    if locked:
        held = store.hold_sessions(connection, portion.project_id, wanted, fetch=damage.fetch)
    else:
        held = store.stored_sessions(connection, portion.project_id, wanted)
    root = portion.places[0].root
    for slug, session_id in ids.items():
        mine = root, stored_name(slug)
        held.copies[session_id] = [
            copy for copy in held.copies[session_id] if (copy.row.root, copy.row.slug) == mine
        ]
    for place in portion.places:
        lost = {
            stored_name(slug): session_id
            for slug, session_id in ids.items()
            if all(copy.row.workspace_id != place.workspace_id for copy in held.copies[session_id])
        }
        for row in store.files_at(connection, place.project_id, place.workspace_id, place.root, list(lost)):
            held.copies[lost[row.slug]].append(Copy(row, workspace_missing=False))
    return held


def with_history(connection: Connection, project_id: UUID, held: Held) -> Held:
    """Return what is stored with what the history says was shown last, where the row says something else.

    The history decides whether a content is new: a row that somebody has changed must not make a version.
    """
    last = store.last_versions(connection, project_id, list(held.shown))
    shown = {
        session_id: known._replace(
            content_hash=last[session_id].content_hash,
            current_phase=last[session_id].phase,
            effective_status=last[session_id].status or known.effective_status,
        )
        if session_id in last
        else known
        for session_id, known in held.shown.items()
    }
    return Held(held.copies, shown)


def examine(
    connection: Connection, portion: Portion, readings: Readings, held: Held, now: datetime
) -> Examined:
    """Plan the rows of the sessions that were read, and compare what is stored.

    Args:
        connection: An open transaction.
        portion: Of which the sessions are.
        readings: As they were read.
        held: What is stored of them.
        now: For observed times of what is new.

    Raises:
        RowRejectedError: A value that no database can hold.
    """
    ids = portion.session_ids()
    before = {row[:4]: row for copies in held.copies.values() for row, _ in copies}
    task = Task(connection, portion.project_id, held, now, anew=True)
    lost: dict[str, DamagedContentError] = {}
    for slug, copies in readings.items():
        try:
            task.renew(ids[slug], slug, list(zip(portion.places, copies, strict=True)))
        except DamagedContentError as error:
            lost[slug] = error
    batch = task.batch
    files = [before[row[:4]] for row in batch.files if row[:4] in before]
    slugs = {session_id: slug for slug, session_id in ids.items()}
    examined = Examined(task, shown={slugs[row.session_id]: row.workspace_id for row in batch.sessions})
    for one in (
        *comparing.differences(connection, batch, files),
        *_gone(portion, readings, before, ids),
        *_wrongly_observed(task, held),
    ):
        examined.found.setdefault(slugs[one.session_id], []).append(one)
    for slug, damaged in lost.items():
        examined.lost.append((damaged.path, f"{damaged.message}; {damaged.hint}"))
        examined.found.setdefault(slug, []).append(_lost(task, held, ids[slug]))
    for row in batch.files:
        was = before.get(row[:4])
        if was is not None and row.error is None and _is_refused(was, row):
            examined.rejected.append((row.path, str(was.error)))
            examined.found.pop(slugs[row.session_id], None)
    return examined


def _is_refused(stored_row: FileRow, row: FileRow) -> bool:
    """Tell whether the very file that is there was read before, and its rows refused by the database."""
    return (
        stored_row.error is not None
        and stored_row.inputs_hash != row.inputs_hash
        and load_look(stored_row).same_inputs(load_look(row))
    )


def _gone(
    portion: Portion,
    readings: Readings,
    stored_files: Mapping[tuple[UUID, UUID, str, str], FileRow],
    ids: Mapping[str, UUID],
) -> Iterable[Difference]:
    """Return the copies that are stored and not there, and not known to be gone."""
    for slug, copies in readings.items():
        for place, copy in zip(portion.places, copies, strict=True):
            if not copy.is_absent:
                continue
            key = place.project_id, place.workspace_id, place.root, stored_name(slug)
            row = stored_files.get(key)
            if row is not None and row.missing_since is None:
                named = tuple(zip(FileRow._fields[:4], key, strict=True))
                yield Difference(ids[slug], "session_files", named, None, row[4:], None)


def _wrongly_observed(task: Task, held: Held) -> Iterable[Difference]:
    """Return the sessions no copy of which is understood, and that stand otherwise than these copies do."""
    for session_id, missing_since, error in task.observed:
        key = (("project_id", task.project_id), ("session_id", session_id))
        known = held.shown[session_id]
        if (known.missing_since is None) is not (missing_since is None):
            yield Difference(
                session_id, "sessions", key, comparing.PRESENCE, known.missing_since, missing_since
            )
        if known.error != error:
            yield Difference(session_id, "sessions", key, "error", known.error, error)


def _lost(task: Task, held: Held, session_id: UUID) -> Difference:
    known = held.shown.get(session_id)
    copies = (copy.row.content_hash for copy in held.copies[session_id])
    named = known.content_hash if known is not None else next(filter(None, copies), "")
    key = (("project_id", task.project_id), ("content_hash", named))
    return Difference(session_id, "documents", key, "body", "(damaged)", None)


def is_lost(one: Difference) -> bool:
    """Tell whether a difference is a document that cannot be read, and that no file tells again."""
    return (one.table, one.column, one.expected) == ("documents", "body", None)


def look_again(portion: Portion, early: Readings, settled: Collection[str] = ()) -> Readings:
    """Return the readings, anew of the folders that have moved since."""
    return {
        slug: [
            reading.look_again(place, slug, copy, give_up=slug in settled)
            for place, copy in zip(portion.places, copies, strict=True)
        ]
        for slug, copies in early.items()
    }


def unread(portion: Portion, readings: Readings) -> list[tuple[str, str]]:
    """Return (path, reason) of the copies that could not be read or used."""
    return [
        (stored_name(str(place.path / slug)), problem)
        for slug, copies in readings.items()
        for place, copy in zip(portion.places, copies, strict=True)
        if (problem := copy.problem) is not None
    ]


def torn(readings: Readings) -> list[str]:
    """Return the sessions of which a copy looked like half of a write."""
    return [slug for slug, copies in readings.items() if any(copy.torn for copy in copies)]
