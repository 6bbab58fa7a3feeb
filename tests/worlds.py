"""Small worlds made of rows, for tests of the database side: no files, sensible defaults, exact times."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Connection

from sessionlib.db import bulk, store, tables
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
from sessionlib.models import derived_id
from sessionlib.sync.standing import of
from sessionlib.sync.standing import rows as phase_rows

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
ROOT = "agents/sessions"


def hours(count: float) -> datetime:
    """Return a time so many hours after `T0`."""
    return T0 + timedelta(hours=count)


class Place(NamedTuple):
    """A registered project with a workspace on a host."""

    project_id: UUID
    host_id: UUID
    workspace_id: UUID


def add_host(connection: Connection, name: str = "anvil", beat: datetime | None = None) -> UUID:
    """Register a host and return its id."""
    host_id = derived_id("host", name)
    bulk.insert_new(connection, tables.hosts, [(host_id, name, beat, T0)])
    return host_id


def add_project(connection: Connection, slug: str = "garden", name: str = "Garden") -> UUID:
    """Register a project and return its id."""
    project_id = derived_id("project", slug)
    row = (project_id, slug, name, "active", None, None, None, f"path:{slug}", T0, T0)
    bulk.insert_new(connection, tables.projects, [row])
    return project_id


def add_workspace(connection: Connection, project_id: UUID, host_id: UUID, path: str, **changed: Any) -> UUID:
    """Register a workspace and return its id."""
    workspace_id = derived_id("workspace", project_id, host_id, path)
    row = {
        "project_id": project_id,
        "workspace_id": workspace_id,
        "host_id": host_id,
        "path": path,
        "dev": 1,
        "inode": 2,
        "registered": False,
        "project_type": None,
        "overrides": None,
        "missing_since": None,
        "reconciled_at": None,
        "created_at": T0,
    } | changed
    bulk.insert_new(connection, tables.workspaces, [tuple(row.values())])
    return workspace_id


def add_place(connection: Connection, slug: str = "garden") -> Place:
    """Register a project with one workspace on the host ``anvil``."""
    project_id = add_project(connection, slug, slug.title())
    host_id = add_host(connection)
    return Place(project_id, host_id, add_workspace(connection, project_id, host_id, f"/home/ann/{slug}"))


def document(project_id: UUID, content_hash: str, body: Any = None, **changed: Any) -> DocumentRow:
    """Return a document's row."""
    text = orjson.dumps({} if body is None else body).decode()
    return DocumentRow(project_id, content_hash, text, len(text), T0, T0)._replace(**changed)


def session_id_of(project_id: UUID, slug: str) -> UUID:
    """Return the id that worlds give a session."""
    return derived_id("session", project_id, slug)


def session(place: Place, slug: str, **changed: Any) -> SessionRow:
    """Return a session's row: active, in build, nothing done."""
    if "activity_at" in changed:
        # What was worked on was seen to change then, unless a test tells them apart.
        changed.setdefault("content_changed_at", changed["activity_at"])
    return SessionRow(
        project_id=place.project_id,
        session_id=session_id_of(place.project_id, slug),
        root=ROOT,
        slug=slug,
        workspace_id=place.workspace_id,
        declared_id=slug,
        topic=None,
        description=None,
        session_type="full",
        generation="v2",
        current_phase="build",
        status="active",
        effective_status="active",
        build_finished=False,
        phase_history="{}",
        checkpoints_total=None,
        checkpoints_total_source=None,
        checkpoints_completed=0,
        checkpoints_completed_ids="[]",
        current_checkpoint=None,
        git_branch=None,
        git_worktree=None,
        git_base_branch=None,
        prior_session_slug=None,
        parent_session_slug=None,
        warnings="[]",
        content_hash=f"hash of {slug}",
        inputs_hash=f"inputs of {slug}",
        parts="",
        mapping_version=1,
        created_at=T0,
        updated_at=T0,
        activity_at=T0,
        first_seen_at=T0,
        content_changed_at=T0,
        synced_at=T0,
        missing_since=None,
        error=None,
        version_seq=1,
        phase_since_us=None,
        phase_stood_us=None,
    )._replace(**changed)


def file_of(row: SessionRow, **changed: Any) -> FileRow:
    """Return the row of the copy that a session shows."""
    return FileRow(
        project_id=row.project_id,
        workspace_id=row.workspace_id,
        root=row.root,
        slug=row.slug,
        session_id=row.session_id,
        path=f"/home/ann/garden/{row.root}/{row.slug}",
        dev=1,
        inode=3,
        size=2,
        mtime_ns=4,
        ctime_ns=5,
        folder_mtime_ns=6,
        extras="",
        content_hash=row.content_hash,
        inputs_hash=row.inputs_hash,
        mapping_version=1,
        document_time=row.activity_at,
        error=row.error,
        absent_looks=0,
        absent_since=None,
        missing_since=row.missing_since,
        observed_at=row.synced_at,
    )._replace(**changed)


def commit(row: SessionRow, position: int, sha: str, **changed: Any) -> CommitRow:
    """Return a commit of a session."""
    return CommitRow(row.project_id, row.session_id, position, sha, f"message {position}", None, T0)._replace(
        **changed
    )


def decision(row: SessionRow, position: int, title: str, **changed: Any) -> DecisionRow:
    """Return a decision of a session."""
    return DecisionRow(row.project_id, row.session_id, position, title, None, None, T0)._replace(**changed)


def version(row: SessionRow, seq: int, phase: str | None, at: datetime, **changed: Any) -> VersionRow:
    """Return one version of a session."""
    return VersionRow(
        row.project_id, row.session_id, seq, row.content_hash, phase, "active", at, at
    )._replace(**changed)


def stood(
    rows: Sequence[SessionRow], versions: Sequence[VersionRow]
) -> tuple[list[SessionRow], list[PhaseRow]]:
    """Return the sessions as they stand after their versions, and how long they stood in phases before."""
    histories: dict[UUID, list[VersionRow]] = {}
    for version in sorted(versions, key=lambda row: row.seq):
        histories.setdefault(version.session_id, []).append(version)
    standing, phases = [], []
    for row in rows:
        if history := histories.get(row.session_id):
            found = of(history)
            row = row._replace(phase_since_us=found.since_us, phase_stood_us=found.stood_us)  # noqa: PLW2901
            phases += phase_rows(history[-1], found.left)
        standing.append(row)
    return standing, phases


def write_sessions(
    connection: Connection, rows: Sequence[SessionRow], *, bodies: dict[str, Any] | None = None, **parts: Any
) -> None:
    """Write sessions with a document and a copy each, and these parts (by the batch's field names).

    How long they stand in their phases is told from their versions, as a sync does.
    """
    bodies = bodies or {}
    rows, phases = stood(rows, parts.get("versions", []))
    parts["phases"] = [*parts.get("phases", []), *phases]
    batch = store.Batch(
        documents={
            row.content_hash: document(row.project_id, row.content_hash, bodies.get(row.slug)) for row in rows
        },
        files=[file_of(row) for row in rows],
        sessions=list(rows),
    )
    for name, made in parts.items():
        getattr(batch, name).extend(made)
    store.write(connection, batch)


def write_one_of_everything(connection: Connection, place: Place, slug: str = "wall") -> SessionRow:
    """Write one session with a row in every table that belongs to a project, and return it."""
    row = session(place, slug)
    owner = row.project_id, row.session_id
    write_sessions(
        connection,
        [row],
        inputs=[InputRow(*file_of(row)[:4], "plan.json", row.content_hash, None)],
        checkpoints=[CheckpointRow(*owner, 1, "Lay bricks", completed=True, is_current=False)],
        commits=[commit(row, 0, "abc1234")],
        decisions=[decision(row, 0, "Use stone")],
        doc_updates=[DocUpdateRow(*owner, 0, "L3", "docs/wall.md", "how", T0)],
        research_runs=[ResearchRunRow(*owner, "soil", "which?", "complete", "simple", 1, 2, T0, T0)],
        links=[LinkRow(*owner, "claude", "conversation", "", T0, "hook")],
        phases=[PhaseRow(*owner, "plan", 5)],
        versions=[version(row, 1, "build", T0)],
    )
    root = (place.project_id, place.workspace_id, ROOT, 1, 2, None, None)
    bulk.insert_new(connection, tables.workspace_roots, [root])
    finding = (
        place.project_id,
        derived_id("f"),
        place.workspace_id,
        "kind",
        "subject",
        "words",
        T0,
        T0,
        None,
    )
    bulk.insert_new(connection, tables.findings, [finding])
    bulk.insert_new(connection, tables.project_aliases, [(f"path:{slug}", place.project_id, T0)])
    from tests import deeds  # noqa: PLC0415 - which are done in worlds

    deeds.write_one_of_everything(connection, place, row)
    return row
