"""Sessions and their parts, as the mirror shows them.

The truth of a session is its files; `Session` and its parts are read from the mirror and never written by
hand. `SessionCreate` and `SessionUpdate` are what StateManager is asked to write into the files.
"""

from uuid import UUID

from pydantic import Field, JsonValue

from sessionlib.models.base import Model, Phase, SessionType, UtcDatetime


class SessionCreate(Model):
    """A new session folder, to be written by StateManager."""

    topic: str = Field(min_length=1)
    description: str | None = None
    session_type: SessionType = SessionType.FULL
    phase: Phase | None = None
    prior_session: str | None = None


class SessionUpdate(Model):
    """Details to change in the file; only the fields that were set are written."""

    topic: str = Field(default="", min_length=1)
    description: str | None = None
    prior_session: str | None = None


class SessionSummary(Model):
    """One line of a list of sessions.

    `missing_since` is when its files were found to be gone. `workspace_missing_since` is when the last
    workspace (or sessions folder) that still holds a copy went missing, so that nobody knows whether its
    files are gone; None while any copy lies where it can be looked at.
    """

    project_id: UUID
    session_id: UUID
    project_slug: str
    root: str
    slug: str
    topic: str | None
    session_type: str | None
    current_phase: str | None
    status: str | None
    effective_status: str
    build_finished: bool
    checkpoints_completed: int
    checkpoints_total: int | None
    current_checkpoint: int | None
    git_branch: str | None
    activity_at: UtcDatetime
    content_changed_at: UtcDatetime
    missing_since: UtcDatetime | None
    workspace_missing_since: UtcDatetime | None
    error: str | None


class Session(SessionSummary):
    """A whole session row; `phase_history` maps the eight phase times that are known to ISO strings."""

    workspace_id: UUID
    declared_id: str | None
    description: str | None
    generation: str
    phase_history: dict[str, str]
    checkpoints_total_source: str | None
    checkpoints_completed_ids: list[int]
    git_worktree: str | None
    git_base_branch: str | None
    prior_session_slug: str | None
    parent_session_slug: str | None
    warnings: list[list[str]]
    content_hash: str
    created_at: UtcDatetime | None
    updated_at: UtcDatetime | None
    first_seen_at: UtcDatetime
    synced_at: UtcDatetime


class Checkpoint(Model):
    """One checkpoint of a session; `title` comes from plan.json where that names it."""

    number: int
    title: str | None
    completed: bool
    is_current: bool


class Commit(Model):
    """One commit that a session recorded, in the order of its document."""

    position: int
    sha: str
    message: str | None
    checkpoint: int | None
    created_at: UtcDatetime | None


class Decision(Model):
    """One decision that a session recorded."""

    position: int
    title: str
    rationale: str | None
    source: str | None
    decided_at: UtcDatetime | None


class DocUpdate(Model):
    """One documentation update that a session recorded."""

    position: int
    kind: str | None
    path: str | None
    description: str | None
    created_at: UtcDatetime | None


class ResearchRun(Model):
    """One research run nested in a session folder."""

    research_id: str
    request: str | None
    status: str | None
    complexity_tier: str | None
    criteria_met: int | None
    criteria_total: int | None
    created_at: UtcDatetime | None
    completed_at: UtcDatetime | None


class SessionVersion(Model):
    """One accepted content of a session. `at` is the file's time, `observed_at` when it was mirrored."""

    seq: int
    content_hash: str
    phase: str | None
    status: str | None
    at: UtcDatetime
    observed_at: UtcDatetime


class SessionLink(Model):
    """A conversation (or one agent in it) that works on this session from `linked_at` on."""

    client: str
    native_id: str
    agent_native_id: str
    linked_at: UtcDatetime | None
    source: str | None


class SessionFile(Model):
    """One copy of a session's document in one workspace; `error` is why it cannot be read now."""

    workspace_path: str
    path: str
    content_hash: str | None
    size: int
    error: str | None
    missing_since: UtcDatetime | None
    observed_at: UtcDatetime


class SessionDetail(Model):
    """A session with all its parts, as ``sessionctl show`` prints it."""

    session: Session
    checkpoints: list[Checkpoint]
    commits: list[Commit]
    decisions: list[Decision]
    doc_updates: list[DocUpdate]
    research_runs: list[ResearchRun]
    links: list[SessionLink]
    versions: list[SessionVersion]
    files: list[SessionFile]
    document: dict[str, JsonValue]
