"""How the answers to the named questions look: the columns of each, by its name."""

from datetime import UTC, datetime
from typing import Any

from sessionlib.cli import columns, work_columns
from sessionlib.cli.answer import Column
from sessionlib.cli.text import duration


def _quiet_for(row: Any) -> str:
    now = datetime.now(UTC)  # noqa: TID251 - utc_now() lies behind pydantic
    return duration((now - row.content_changed_at).total_seconds())


_SESSIONS = columns.SESSIONS
_STUCK = (_SESSIONS[0], Column("quiet for", _quiet_for, right=True), *_SESSIONS[1:])

COLUMNS: dict[str, tuple[Column, ...]] = {
    "recent": _SESSIONS,
    "in-build": _SESSIONS,
    "all-done-not-closed": _SESSIONS,
    "stuck": _STUCK,
    "more-than-3-checkpoints": _SESSIONS,
    "commit": columns.COMMITS,
    "decisions": columns.DECISIONS,
    "time-per-phase": columns.PHASE_TIMES,
    "phases": columns.PHASE_COUNTS,
    "projects": columns.PROJECTS,
    "workspaces": columns.WORKSPACES,
    "unreadable": columns.UNREADABLE,
    "findings": columns.FINDINGS,
    "failed-agents": work_columns.AGENTS,
    "failed-agents-in-build": work_columns.AGENTS,
    "running-agents": work_columns.AGENTS,
    "cost-per-project": work_columns.costs("project"),
    "cost-per-phase": work_columns.costs("phase"),
    "mcp-usage": work_columns.TOOLS,
    "unlinked-conversations": work_columns.CONVERSATIONS,
    "unpriced": work_columns.UNPRICED,
    "mismatched-ids": columns.MISMATCHES,
}
