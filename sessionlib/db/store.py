"""What the files-to-database bridge reads and writes: locks, stored copies, shown sessions, batches."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import Column, Connection, Table, select, tuple_, update

from sessionlib.db import bulk, damage, tables
from sessionlib.db.bulk import Encoded
from sessionlib.db.rows import (
    CheckpointRow,
    CommitRow,
    DecisionRow,
    DocumentRow,
    DocUpdateRow,
    FileRow,
    InputRow,
    LinkRow,
    PhaseRow,
    ResearchRunRow,
    SessionRow,
    VersionRow,
)


class Copy(NamedTuple):
    """A stored copy, and whether the workspace or the sessions root it lies in cannot be found now."""

    row: FileRow
    workspace_missing: bool


class Shown(NamedTuple):
    """What a session row shows now: enough to tell whether it must be written again."""

    session_id: UUID
    workspace_id: UUID
    content_hash: str
    inputs_hash: str
    parts: str
    mapping_version: int
    activity_at: datetime
    first_seen_at: datetime
    content_changed_at: datetime
    synced_at: datetime
    missing_since: datetime | None
    error: str | None
    version_seq: int
    current_phase: str | None
    effective_status: str
    phase_since_us: int | None
    phase_stood_us: int | None


@dataclass(slots=True)
class Batch:
    """Rows to write in one transaction.

    `replaced` names, by table, the sessions that may have other rows there: those not in the batch go. In a
    `fresh` batch, which `encode_new` takes, are sessions of which nothing is stored: all of its rows are new
    but for documents, which sessions can share. With `anew` documents are written over, too: what is stored
    under their hash is not trusted.
    """

    fresh: bool = False
    anew: bool = False
    documents: dict[str, DocumentRow] = field(default_factory=dict)
    files: list[FileRow] = field(default_factory=list)
    inputs: list[InputRow] = field(default_factory=list)
    input_owners: list[tuple[Any, ...]] = field(default_factory=list)
    sessions: list[SessionRow] = field(default_factory=list)
    replaced: dict[str, list[tuple[UUID, UUID]]] = field(default_factory=dict)
    checkpoints: list[CheckpointRow] = field(default_factory=list)
    commits: list[CommitRow] = field(default_factory=list)
    decisions: list[DecisionRow] = field(default_factory=list)
    doc_updates: list[DocUpdateRow] = field(default_factory=list)
    research_runs: list[ResearchRunRow] = field(default_factory=list)
    links: list[LinkRow] = field(default_factory=list)
    phases: list[PhaseRow] = field(default_factory=list)
    versions: list[VersionRow] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.files or self.sessions)


def lock_sessions(connection: Connection, session_ids: Iterable[UUID]) -> None:
    """Take the sessions' locks until the end of the transaction, in sorted order so that none deadlock.

    On SQLite the transaction holds the only write lock already. On PostgreSQL these are advisory locks on
    the first 64 bits of the session's id: the lock is on the session, not on any copy's row.
    """
    bulk.lock_ids(connection, session_ids)


Fetch = Callable[[Connection, Any, Sequence[Column[Any]]], list[tuple[Any, ...]]]
"""Reads a cursor's rows, as `bulk.fetch` or `damage.fetch` does."""


class Held(NamedTuple):
    """What is stored of some sessions while their locks are held."""

    copies: dict[UUID, list[Copy]]
    shown: dict[UUID, Shown]

    @classmethod
    def nothing(cls, ids: Iterable[UUID]) -> Self:
        """Return what is stored of sessions that nobody has stored yet."""
        return cls({session_id: [] for session_id in ids}, {})

    @property
    def is_nothing(self) -> bool:
        """Whether nothing at all is stored of these sessions."""
        return not self.shown and not any(self.copies.values())


_COPY_COLUMNS = tuple(tables.session_files.columns)
_SHOWN_COLUMNS = tuple(tables.sessions.c[name] for name in Shown._fields)
_COPIES = (
    f"SELECT {', '.join(f'f.{column.name}' for column in _COPY_COLUMNS)}, "
    "w.missing_since IS NOT NULL OR r.missing_since IS NOT NULL "
    "FROM session_files f JOIN workspaces w "
    "ON w.project_id = f.project_id AND w.workspace_id = f.workspace_id "
    "LEFT JOIN workspace_roots r "
    "ON r.project_id = f.project_id AND r.workspace_id = f.workspace_id AND r.root = f.root "
    "WHERE f.project_id = {project} AND f.session_id {among}"
)
_SHOWN = (
    f"SELECT {', '.join(column.name for column in _SHOWN_COLUMNS)} FROM sessions "
    "WHERE project_id = {project} AND session_id {among}"
)


def hold_sessions(
    connection: Connection, project_id: UUID, ids: Collection[UUID], *, fetch: Fetch = bulk.fetch
) -> Held:
    """Take the sessions' locks and return all their copies, in every workspace, and what their rows show.

    With `damage.fetch` something stands in for values that cannot be read.
    """
    return _held(connection, project_id, ids, fetch, locked=True)


def stored_sessions(connection: Connection, project_id: UUID, ids: Collection[UUID]) -> Held:
    """Return what `hold_sessions` does, whatever is stored, without a lock: it may be otherwise by now."""
    return _held(connection, project_id, ids, damage.fetch, locked=False)


def _held(
    connection: Connection, project_id: UUID, ids: Collection[UUID], fetch: Fetch, *, locked: bool
) -> Held:
    wanted = [_COPY_COLUMNS, _SHOWN_COLUMNS]
    with bulk.pipelined(connection):
        if locked:
            lock_sessions(connection, ids)
        cursors = [bulk.ask_among(connection, sql, project_id, ids) for sql in (_COPIES, _SHOWN)]
    copy_rows, shown_rows = (
        fetch(connection, cursor, columns) for cursor, columns in zip(cursors, wanted, strict=True)
    )
    found: dict[UUID, list[Copy]] = {session_id: [] for session_id in ids}
    for row in copy_rows:
        copy = FileRow(*row[:-1])
        found[copy.session_id].append(Copy(copy, bool(row[-1])))
    return Held(found, {row[0]: Shown(*row) for row in shown_rows})


def files_at(
    connection: Connection, project_id: UUID, workspace_id: UUID, root: str, slugs: Collection[str]
) -> list[FileRow]:
    """Return the copies that are stored of these folders of a sessions root, whichever session they name.

    Something stands in for values that cannot be read.
    """
    place = {"project_id": project_id, "workspace_id": workspace_id, "root": root}
    return [FileRow(*row) for row in damage.files_among(connection, place, slugs)]


def knows_any(connection: Connection, project_id: UUID, ids: Collection[UUID]) -> bool:
    """Tell whether a copy of any of these sessions is stored, without a lock: it may be otherwise by now."""
    sql = "SELECT 1 FROM session_files WHERE project_id = {project} AND session_id {among} LIMIT 1"
    return bool(bulk.fetch(connection, bulk.ask_among(connection, sql, project_id, ids), ()))


def bodies(connection: Connection, project_id: UUID, hashes: Collection[str]) -> dict[str, Any]:
    """Return the parsed documents with these hashes.

    Raises:
        DamagedValueError: One of them cannot be read.
    """
    table = tables.documents.c
    with damage.any_text(connection):
        rows = connection.execute(
            select(table.content_hash, table.body).where(
                table.project_id == project_id, table.content_hash.in_(list(hashes))
            )
        )
        return {row[0]: row[1] for row in rows}


def inputs_of(connection: Connection, file: FileRow) -> list[InputRow]:
    """Return the further inputs of one copy, by name."""
    table = tables.session_inputs
    statement = (
        select(table)
        .where(
            table.c.project_id == file.project_id,
            table.c.workspace_id == file.workspace_id,
            table.c.root == file.root,
            table.c.slug == file.slug,
        )
        .order_by(table.c.name)
    )
    with damage.any_text(connection):
        return [InputRow(*row) for row in connection.execute(statement)]


def phases_left(
    connection: Connection, project_id: UUID, ids: Collection[UUID]
) -> dict[UUID, dict[str, int]]:
    """Return how long, in microseconds, these sessions stood in each phase they are in no more."""
    sql = (
        "SELECT session_id, phase, stood_us FROM session_phases "
        "WHERE project_id = {project} AND session_id {among}"
    )
    columns = (tables.session_phases.c.session_id,)
    left: dict[UUID, dict[str, int]] = {session_id: {} for session_id in ids}
    for row in bulk.fetch(connection, bulk.ask_among(connection, sql, project_id, ids), columns):
        left[row[0]][row[1]] = row[2]
    return left


def versions(connection: Connection, project_id: UUID, session_id: UUID) -> list[VersionRow]:
    """Return a session's history in order."""
    table = tables.session_versions
    rows = connection.execute(
        select(table)
        .where(table.c.project_id == project_id, table.c.session_id == session_id)
        .order_by(table.c.seq)
    )
    return [VersionRow(*row) for row in rows]


def last_versions(connection: Connection, project_id: UUID, ids: Collection[UUID]) -> dict[UUID, VersionRow]:
    """Return the last version of these sessions, as their rows count them; none where it is not stored."""
    columns = tuple(tables.session_versions.columns)
    sql = (
        f"SELECT {', '.join(f'v.{column.name}' for column in columns)} FROM sessions s "
        "JOIN session_versions v ON v.project_id = s.project_id AND v.session_id = s.session_id "
        "AND v.seq = s.version_seq WHERE s.project_id = {project} AND s.session_id {among}"
    )
    rows = damage.fetch(connection, bulk.ask_among(connection, sql, project_id, ids), columns)
    return {row[1]: VersionRow(*row) for row in rows}


_INSERT_ONLY_SESSION = frozenset({"first_seen_at"})
_INSERT_ONLY_DOCUMENT = frozenset({"created_at"})


EncodedRows = tuple[tuple[Table, Encoded], ...]
"""The rows of new sessions by table, parents before children."""


def encode_new(batch: Batch, *, postgres: bool) -> EncodedRows:
    """Turn a `fresh` batch into what the driver takes; needs no database.

    Raises:
        RowRejectedError: A value that neither database can hold.
    """
    rows: tuple[tuple[Table, Sequence[tuple[Any, ...]]], ...] = (
        (tables.documents, _in_order(batch)),
        (tables.session_files, batch.files),
        (tables.session_inputs, batch.inputs),
        (tables.sessions, batch.sessions),
        *_parts(batch),
        (tables.session_versions, batch.versions),
    )
    return tuple((table, bulk.encode(table, some, postgres=postgres)) for table, some in rows if some)


def write_new(connection: Connection, rows: EncodedRows) -> None:
    """Write the rows of sessions of which nothing is stored."""
    with bulk.pipelined(connection):
        for table, some in rows:
            shared = table is tables.documents or table is tables.session_versions
            (bulk.insert_new if shared else bulk.insert)(connection, table, some)


def write(connection: Connection, batch: Batch) -> None:
    """Write a batch, parents before children, and delete parts that are no longer in their document."""
    with bulk.pipelined(connection):
        _write(connection, batch)


def _in_order(batch: Batch) -> list[DocumentRow]:
    """Return documents in one order everywhere: two batches that bring the same ones must not deadlock."""
    return [batch.documents[found] for found in sorted(batch.documents)]


def _parts(batch: Batch) -> tuple[tuple[Table, Sequence[tuple[Any, ...]]], ...]:
    return (
        (tables.checkpoints, batch.checkpoints),
        (tables.commits, batch.commits),
        (tables.decisions, batch.decisions),
        (tables.doc_updates, batch.doc_updates),
        (tables.research_runs, batch.research_runs),
        (tables.session_links, batch.links),
        (tables.session_phases, batch.phases),
    )


def _write(connection: Connection, batch: Batch) -> None:
    if batch.anew:
        bulk.upsert(connection, tables.documents, _in_order(batch), keep=_INSERT_ONLY_DOCUMENT)
    else:
        bulk.insert_new(connection, tables.documents, _in_order(batch))
    bulk.upsert(connection, tables.session_files, batch.files)
    bulk.upsert(connection, tables.session_inputs, batch.inputs)
    bulk.prune(connection, tables.session_inputs, batch.input_owners, (row[:5] for row in batch.inputs))
    bulk.upsert(connection, tables.sessions, batch.sessions, keep=_INSERT_ONLY_SESSION)
    for table, rows in _parts(batch):
        bulk.upsert(connection, table, rows)
        if owners := batch.replaced.get(table.name):
            width = len(table.primary_key.columns)
            bulk.prune(connection, table, owners, (row[:width] for row in rows))
    bulk.upsert(connection, tables.session_versions, batch.versions)


def set_shown(
    connection: Connection,
    project_id: UUID,
    session_id: UUID,
    *,
    missing_since: datetime | None,
    error: str | None,
) -> None:
    """Write only the observed state of a session row: its tombstone and its error."""
    table = tables.sessions
    connection.execute(
        update(table)
        .where(table.c.project_id == project_id, table.c.session_id == session_id)
        .values(missing_since=missing_since, error=error)
    )


def set_absence(
    connection: Connection,
    keys: Collection[tuple[UUID, UUID, str, str]],
    *,
    looks: int,
    since: datetime | None,
    missing_since: datetime | None,
) -> None:
    """Write how often and since when these copies (project, workspace, root, slug) were not found."""
    table = tables.session_files
    connection.execute(
        update(table)
        .where(tuple_(table.c.project_id, table.c.workspace_id, table.c.root, table.c.slug).in_(list(keys)))
        .values(absent_looks=looks, absent_since=since, missing_since=missing_since)
    )


def session_ids_in(
    connection: Connection, project_id: UUID, workspace_id: UUID, root: str | None = None
) -> list[UUID]:
    """Return the sessions that have a copy in a workspace (or in one root of it)."""
    table = tables.session_files.c
    wanted = [table.project_id == project_id, table.workspace_id == workspace_id]
    if root is not None:
        wanted.append(table.root == root)
    return list(connection.scalars(select(table.session_id).where(*wanted).order_by(table.session_id)))


def look_again(connection: Connection, project_id: UUID, workspace_id: UUID) -> None:
    """Let the next reconcile write every copy of a workspace anew: its path has changed."""
    table = tables.session_files
    connection.execute(
        update(table)
        .where(table.c.project_id == project_id, table.c.workspace_id == workspace_id)
        .values(mapping_version=0)
    )
