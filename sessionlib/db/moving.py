"""Carry the rows of one project over to another: the SQL of a merge, `sessionlib.sync.merging` decides.

Rows are copied under the target's id and vanish with the source: a project's id is part of every key, and
keys that others point to cannot change in place.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, bindparam, delete, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from sessionlib.db import bulk, tables
from sessionlib.db.rows import FileRow, InputRow, PhaseRow, VersionRow
from sessionlib.db.types import Guid
from sessionlib.models.base import derived_id

_PARTS = (
    tables.checkpoints,
    tables.commits,
    tables.decisions,
    tables.doc_updates,
    tables.research_runs,
    tables.session_links,
    tables.session_phases,
    tables.session_versions,
)
_CHUNK = 500
"""Ids in one statement; both databases bound the number of its parameters."""

CARRIED = frozenset(
    table.name
    for table in (
        *_PARTS,
        tables.documents,
        tables.findings,
        tables.project_aliases,
        tables.session_files,
        tables.session_inputs,
        tables.sessions,
        tables.workspace_roots,
        tables.workspaces,
    )
)
"""Tables whose rows a merge keeps; a test compares them with all that belong to a project."""


def copy_chosen(connection: Connection, table: Table, names: Sequence[str], chosen: Any) -> None:
    """Insert the chosen rows, but those whose key is there."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).from_select(list(names), chosen).on_conflict_do_nothing())


def copy_documents(connection: Connection, source: UUID, target: UUID) -> None:
    """Give the target every document of the source."""
    table = tables.documents
    names = [column.name for column in table.columns]
    picked = [literal(target, Guid()) if name == "project_id" else table.c[name] for name in names]
    copy_chosen(connection, table, names, select(*picked).where(table.c.project_id == source))


def copy_workspaces(connection: Connection, source: UUID, target: UUID) -> dict[UUID, UUID]:
    """Give the target every workspace of the source; return each one's id there.

    A workspace keeps its id, unless the target has one for the same folder.
    """
    table = tables.workspaces
    theirs = {
        (row.host_id, row.path): row.workspace_id
        for row in connection.execute(select(table).where(table.c.project_id == target))
    }
    moved: dict[UUID, UUID] = {}
    for row in connection.execute(select(table).where(table.c.project_id == source)).mappings().all():
        place = row["host_id"], row["path"]
        moved[row["workspace_id"]] = theirs.get(place, row["workspace_id"])
        if place not in theirs:
            connection.execute(insert(table).values({**row, "project_id": target}))
    roots = tables.workspace_roots
    rows = connection.execute(select(roots).where(roots.c.project_id == source)).all()
    bulk.insert_new(connection, roots, [(target, moved[row[1]], *row[2:]) for row in rows])
    return moved


def files(connection: Connection, project_id: UUID) -> list[FileRow]:
    """Return all stored copies of a project's sessions."""
    table = tables.session_files
    return [
        FileRow(*row) for row in connection.execute(select(table).where(table.c.project_id == project_id))
    ]


def inputs(connection: Connection, project_id: UUID) -> list[InputRow]:
    """Return all further inputs of a project's sessions."""
    table = tables.session_inputs
    return [
        InputRow(*row) for row in connection.execute(select(table).where(table.c.project_id == project_id))
    ]


def put_copies(connection: Connection, copies: Sequence[FileRow], parts: Sequence[InputRow]) -> None:
    """Insert copies and their further inputs; those that are there stay as they are."""
    bulk.insert_new(connection, tables.session_files, copies)
    bulk.insert_new(connection, tables.session_inputs, parts)


def sessions(connection: Connection, project_id: UUID) -> dict[tuple[str, str], tuple[UUID, UUID, datetime]]:
    """Return a project's sessions by (root, slug): id, workspace, first_seen_at."""
    table = tables.sessions.c
    rows = connection.execute(
        select(table.root, table.slug, table.session_id, table.workspace_id, table.first_seen_at).where(
            table.project_id == project_id
        )
    )
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


def copy_sessions(
    connection: Connection,
    source: UUID,
    target: UUID,
    moves: Collection[tuple[UUID, UUID, UUID]],
) -> None:
    """Give the target these sessions of the source, with all their parts and their history.

    Args:
        connection: Inside `Database.write`.
        source: A project.
        target: Another, with the documents and workspaces of the source.
        moves: (old session id, new session id, workspace id there); no new id exists yet.
    """
    if not moves:
        return
    table = tables.sessions
    names = [column.name for column in table.columns]
    replaced = {
        "project_id": literal(target, Guid()),
        "session_id": bindparam("new_id", type_=Guid()),
        "workspace_id": bindparam("new_workspace", type_=Guid()),
    }
    picked = [replaced.get(name, table.c[name]) for name in names]
    chosen = select(*picked).where(table.c.project_id == source, table.c.session_id == bindparam("old_id"))
    connection.execute(
        insert(table).from_select(names, chosen),
        [{"old_id": old, "new_id": new, "new_workspace": workspace} for old, new, workspace in moves],
    )
    olds = [old for old, _, _ in moves]
    for start in range(0, len(olds), _CHUNK):
        for part in _PARTS:
            _copy_parts(connection, part, source, target, olds[start : start + _CHUNK])


def _copy_parts(
    connection: Connection, part: Table, source: UUID, target: UUID, olds: Collection[UUID]
) -> None:
    old, new = tables.sessions.alias("old"), tables.sessions.alias("new")
    names = [column.name for column in part.columns]
    keys: Mapping[str, Any] = {"project_id": new.c.project_id, "session_id": new.c.session_id}
    chosen = (
        select(*(keys.get(name, part.c[name]) for name in names))
        .select_from(part)
        .join(old, (old.c.project_id == part.c.project_id) & (old.c.session_id == part.c.session_id))
        .join(new, (new.c.root == old.c.root) & (new.c.slug == old.c.slug))
        .where(part.c.project_id == source, new.c.project_id == target, old.c.session_id.in_(olds))
    )
    copy_chosen(connection, part, names, chosen)


def see_first(connection: Connection, project_id: UUID, session_id: UUID, first_seen_at: datetime) -> None:
    """Write when a session was seen first."""
    table = tables.sessions
    connection.execute(
        update(table)
        .where(table.c.project_id == project_id, table.c.session_id == session_id)
        .values(first_seen_at=first_seen_at)
    )


def put_versions(
    connection: Connection,
    history: Sequence[VersionRow],
    phases: Sequence[PhaseRow],
    *,
    since_us: int,
    stood_us: int | None,
) -> None:
    """Replace the history of one session, which has one, by another that is not empty.

    Args:
        connection: Inside `Database.write`.
        history: In order.
        phases: How long the session stood in the phases it is in no more.
        since_us: From when its present phase counts.
        stood_us: How long it stood in that in the end; None for an open session.
    """
    project_id, session_id = history[0][:2]
    for table, rows in ((tables.session_versions, history), (tables.session_phases, phases)):
        connection.execute(
            delete(table).where(table.c.project_id == project_id, table.c.session_id == session_id)
        )
        bulk.insert_new(connection, table, rows)
    shown = tables.sessions
    connection.execute(
        update(shown)
        .where(shown.c.project_id == project_id, shown.c.session_id == session_id)
        .values(version_seq=history[-1].seq, phase_since_us=since_us, phase_stood_us=stood_us)
    )


def copy_findings(connection: Connection, source: UUID, target: UUID, moved: Mapping[UUID, UUID]) -> None:
    """Give the target the source's findings, under the ids they have there."""
    table = tables.findings
    rows = connection.execute(select(table).where(table.c.project_id == source)).all()
    carried = []
    for row in rows:
        workspace = moved[row.workspace_id] if row.workspace_id else None
        finding_id = derived_id("finding", target, workspace, row.kind, row.subject)
        carried.append((target, finding_id, workspace, *row[3:]))
    bulk.insert_new(connection, table, carried)
