"""Rows as the bridge writes them: one NamedTuple a mirror table, its fields in the table's column order.

JSON columns take JSON text. A test compares each with its table.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class DocumentRow(NamedTuple):
    """One distinct content; `content_hash` is the SHA-256 of the file's bytes, in hex."""

    project_id: UUID
    content_hash: str
    body: str
    size: int
    document_time: datetime | None
    created_at: datetime


class FileRow(NamedTuple):
    """One copy of a session in one workspace; times ending in ``_ns`` are nanoseconds since 1970."""

    project_id: UUID
    workspace_id: UUID
    root: str
    slug: str
    session_id: UUID
    path: str
    dev: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    folder_mtime_ns: int
    extras: str
    content_hash: str | None
    inputs_hash: str | None
    mapping_version: int
    document_time: datetime | None
    error: str | None
    absent_looks: int
    absent_since: datetime | None
    missing_since: datetime | None
    observed_at: datetime


class InputRow(NamedTuple):
    """One further input of a copy: plan.json or a research run's state.json, or why it cannot be used."""

    project_id: UUID
    workspace_id: UUID
    root: str
    slug: str
    name: str
    content_hash: str | None
    problem: str | None


class SessionRow(NamedTuple):
    """The mirror of one session, a pure function of its freshest copy up to `activity_at`.

    `parts` is a digest of the rows in each table of parts, by which a save writes only what it changed.
    `phase_since_us` and `phase_stood_us` are `sync.standing`'s, in microseconds; None without a history.
    """

    project_id: UUID
    session_id: UUID
    root: str
    slug: str
    workspace_id: UUID
    declared_id: str | None
    topic: str | None
    description: str | None
    session_type: str | None
    generation: str
    current_phase: str | None
    status: str | None
    effective_status: str
    build_finished: bool
    phase_history: str
    checkpoints_total: int | None
    checkpoints_total_source: str | None
    checkpoints_completed: int
    checkpoints_completed_ids: str
    current_checkpoint: int | None
    git_branch: str | None
    git_worktree: str | None
    git_base_branch: str | None
    prior_session_slug: str | None
    parent_session_slug: str | None
    warnings: str
    content_hash: str
    inputs_hash: str
    parts: str
    mapping_version: int
    created_at: datetime | None
    updated_at: datetime | None
    activity_at: datetime
    first_seen_at: datetime
    content_changed_at: datetime
    synced_at: datetime
    missing_since: datetime | None
    error: str | None
    version_seq: int
    phase_since_us: int | None
    phase_stood_us: int | None


class CheckpointRow(NamedTuple):
    """One checkpoint of a session."""

    project_id: UUID
    session_id: UUID
    number: int
    title: str | None
    completed: bool
    is_current: bool


class CommitRow(NamedTuple):
    """One commit a session recorded."""

    project_id: UUID
    session_id: UUID
    position: int
    sha: str
    message: str | None
    checkpoint: int | None
    created_at: datetime | None


class DecisionRow(NamedTuple):
    """One decision a session recorded."""

    project_id: UUID
    session_id: UUID
    position: int
    title: str
    rationale: str | None
    source: str | None
    decided_at: datetime | None


class DocUpdateRow(NamedTuple):
    """One documentation update a session recorded."""

    project_id: UUID
    session_id: UUID
    position: int
    kind: str | None
    path: str | None
    description: str | None
    created_at: datetime | None


class ResearchRunRow(NamedTuple):
    """One research run nested in a session."""

    project_id: UUID
    session_id: UUID
    research_id: str
    request: str | None
    status: str | None
    complexity_tier: str | None
    criteria_met: int | None
    criteria_total: int | None
    created_at: datetime | None
    completed_at: datetime | None


class LinkRow(NamedTuple):
    """One link from a session to a conversation; `agent_native_id` is '' for the whole conversation."""

    project_id: UUID
    session_id: UUID
    client: str
    native_id: str
    agent_native_id: str
    linked_at: datetime | None
    source: str | None


class VersionRow(NamedTuple):
    """One accepted content of a session."""

    project_id: UUID
    session_id: UUID
    seq: int
    content_hash: str
    phase: str | None
    status: str | None
    at: datetime
    observed_at: datetime


class PhaseRow(NamedTuple):
    """How long, in microseconds, a session stood in a phase it is in no more."""

    project_id: UUID
    session_id: UUID
    phase: str
    stood_us: int
