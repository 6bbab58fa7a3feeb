"""The tables people see, by what their rows are."""

from typing import Any

from sessionlib.cli.answer import Column
from sessionlib.cli.text import NOTHING, duration

_PHASES = {"spec": "cyan", "plan": "blue", "build": "yellow", "docs": "magenta", "complete": "green"}
_STATUSES = {"active": "", "paused": "dim", "complete": "green", "failed": "red"}


def phase_style(text: str) -> str:
    """Return the style in which a phase is shown."""
    return _PHASES.get(text, "")


def _status_style(text: str) -> str:
    return _STATUSES.get(text, "")


def progress(completed: int, total: int | None) -> str:
    """Return how many of how many: ``2/4``; ``2/?`` without a believable total, a dash without either."""
    if not completed and not total:
        return NOTHING
    return f"{completed}/{total if total is not None else '?'}"


def _trouble(session: Any) -> str | None:
    if session.missing_since is not None:
        return "gone"
    if session.workspace_missing_since is not None:
        return "workspace missing"
    return "unreadable" if session.error else None


PHASE = Column("phase", lambda row: row.current_phase, style=phase_style)
STATUS = Column("status", lambda row: row.effective_status, style=_status_style)

SESSIONS = (
    Column("session", lambda row: row.slug, style="bold"),
    Column("project", lambda row: row.project_slug),
    PHASE,
    STATUS,
    Column("done", lambda row: progress(row.checkpoints_completed, row.checkpoints_total), right=True),
    Column("branch", lambda row: row.git_branch),
    Column("last active", lambda row: row.content_changed_at),
    Column("trouble", _trouble, style="red"),
    Column("topic", lambda row: row.topic),
)

PROJECTS = (
    Column("project", lambda row: row.slug, style="bold"),
    Column("workspaces", lambda row: row.workspaces, right=True),
    Column("sessions", lambda row: row.sessions, right=True),
    Column("active", lambda row: row.active, right=True),
    Column("in build", lambda row: row.in_build, right=True),
    Column("complete", lambda row: row.complete, right=True),
    # Two columns, no fraction: sessions without a believable total count in the first one only.
    Column("checkpoints done", lambda row: row.checkpoints_completed, right=True),
    Column("planned", lambda row: row.checkpoints_total, right=True),
    Column("last active", lambda row: row.last_activity_at),
    Column("name", lambda row: row.name),
)

WORKSPACES = (
    Column("project", lambda row: row.project_slug, style="bold"),
    Column("host", lambda row: row.host_name),
    Column("sessions", lambda row: row.session_files, right=True),
    Column("unreadable", lambda row: row.errors, right=True),
    Column("missing since", lambda row: row.missing_since, style="red"),
    Column("path", lambda row: row.path),
)

COMMITS = (
    Column("sha", lambda row: row.sha[:12], style="yellow"),
    Column("session", lambda row: row.session, style="bold"),
    Column("project", lambda row: row.project),
    Column("phase", lambda row: row.phase, style=phase_style),
    Column("checkpoint", lambda row: row.checkpoint, right=True),
    Column("at", lambda row: row.committed_at),
    Column("message", lambda row: row.message),
)

DECISIONS = (
    Column("session", lambda row: row.session, style="bold"),
    Column("project", lambda row: row.project),
    Column("at", lambda row: row.decided_at),
    Column("decision", lambda row: row.title),
    Column("because", lambda row: row.rationale),
)

PHASE_TIMES = (
    Column("project", lambda row: row.project, style="bold"),
    Column("phase", lambda row: row.phase, style=phase_style),
    Column("sessions", lambda row: row.sessions, right=True),
    Column("time", lambda row: duration(row.seconds), right=True),
)

PHASE_COUNTS = (
    Column("phase", lambda row: row.phase, style=phase_style),
    Column("sessions", lambda row: row.sessions, right=True),
    Column("active", lambda row: row.active, right=True),
)

UNREADABLE = (
    Column("project", lambda row: row.project, style="bold"),
    Column("since", lambda row: row.since),
    Column("path", lambda row: row.path),
    Column("error", lambda row: row.error, style="red"),
)

FINDINGS = (
    Column("kind", lambda row: row.kind, style="bold"),
    Column("subject", lambda row: row.subject),
    Column("message", lambda row: row.message),
)

MISMATCHES = (
    Column("project", lambda row: row.project, style="bold"),
    Column("folder", lambda row: row.session),
    Column("says it is", lambda row: row.declared_id),
)
