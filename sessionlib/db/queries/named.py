"""The named questions, asked: for each name in `questions` the function that answers it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import inventory
from sessionlib.db.crud import findings, projects, sessions
from sessionlib.db.queries import cost_sums, health, history, parts, places, session_lists
from sessionlib.db.queries.agent_lists import AgentFilter, agents
from sessionlib.db.queries.conversation_lists import ConversationFilter, conversations
from sessionlib.db.queries.cost_sums import CostFilter
from sessionlib.db.queries.tool_sums import ToolFilter, tools
from sessionlib.db.questions import (
    MOST_DAYS,
    QUESTIONS,
    Question,
    catalogue,
    check,
    limit_of,
    lookup,
    unknown,
)
from sessionlib.models import SessionSummary

__all__ = [
    "MOST_DAYS",
    "QUESTIONS",
    "Asked",
    "Given",
    "Question",
    "answer",
    "catalogue",
    "check",
    "limit_of",
    "lookup",
    "unknown",
]

DEFAULT_DAYS = 7.0
_ALL = 1000
"""More phases than there are: files may name any, but few do."""


class Asked(NamedTuple):
    """What the caller gave; `project` is a slug and `session` an id, both found already."""

    project: str | None
    days: float
    text: str | None
    sha: str | None
    session: UUID | None
    limit: int


class Given(NamedTuple):
    """The rows of an answer, and whether more than the limit were there."""

    rows: Sequence[Any]
    more: bool


def answer(connection: Connection, question: Question, given: Mapping[str, Any]) -> Given:
    """Ask a question with options that `check` has passed.

    Raises:
        RecordNotFoundError: There is no such project or session; the nearest names are its hint.
        UsageError: Several sessions fit.
    """
    asked = _asked(connection, given)
    # One row more than wanted tells whether there are more.
    rows = _ASKED[question.name](connection, asked._replace(limit=asked.limit + 1))
    if "limit" in question.takes and len(rows) > asked.limit:
        return Given(rows[: asked.limit], more=True)
    return Given(rows, more=False)


def _asked(connection: Connection, given: Mapping[str, Any]) -> Asked:
    project = projects.slug_of(connection, given.get("project"))
    session = given.get("session")
    if session is not None:
        session = sessions.find(connection, session, project=project).session_id
    return Asked(
        project=project,
        days=given.get("days", DEFAULT_DAYS),
        text=given.get("text"),
        sha=given.get("sha"),
        session=session,
        limit=limit_of(given),
    )


def _filtered(connection: Connection, asked: Asked, **wanted: Any) -> list[SessionSummary]:
    chosen = session_lists.SessionFilter(project=asked.project, limit=asked.limit, **wanted)
    return session_lists.sessions(connection, chosen)


def _in_build(connection: Connection, asked: Asked) -> Sequence[Any]:
    return _filtered(connection, asked, phase="build")


def _recent(connection: Connection, asked: Asked) -> Sequence[Any]:
    return _filtered(connection, asked)


def _many_checkpoints(connection: Connection, asked: Asked) -> Sequence[Any]:
    return _filtered(connection, asked, min_checkpoints=4)


def _all_done(connection: Connection, asked: Asked) -> Sequence[Any]:
    return session_lists.all_done_not_closed(connection, asked.limit, asked.project)


def _stuck(connection: Connection, asked: Asked) -> Sequence[Any]:
    return session_lists.stuck(connection, asked.days, asked.limit, asked.project)


def _commit(connection: Connection, asked: Asked) -> Sequence[Any]:
    return parts.commit(connection, asked.sha or "", asked.limit, asked.project)


def _decisions(connection: Connection, asked: Asked) -> Sequence[Any]:
    return parts.decisions(connection, asked.text, asked.project, asked.limit)


def _time_per_phase(connection: Connection, asked: Asked) -> Sequence[Any]:
    return history.time_per_phase(connection, asked.project, asked.session)


def _projects(connection: Connection, _: Asked) -> Sequence[Any]:
    return places.projects(connection)


def _workspaces(connection: Connection, asked: Asked) -> Sequence[Any]:
    return places.workspaces(connection, asked.project)


def _unreadable(connection: Connection, asked: Asked) -> Sequence[Any]:
    return health.unreadable(connection, asked.limit, asked.project)


def _phases(connection: Connection, asked: Asked) -> Sequence[Any]:
    return session_lists.phases(connection, asked.project)


def _findings(connection: Connection, _: Asked) -> Sequence[Any]:
    return findings.listed(connection)


def _mismatched(connection: Connection, asked: Asked) -> Sequence[Any]:
    return inventory.mismatched_ids(connection, asked.project, asked.limit)


def _agents(connection: Connection, asked: Asked, **wanted: Any) -> Sequence[Any]:
    return agents(connection, AgentFilter(project=asked.project, limit=asked.limit, **wanted)).rows


def _failed(connection: Connection, asked: Asked) -> Sequence[Any]:
    return _agents(connection, asked, status="failed")


def _failed_in_build(connection: Connection, asked: Asked) -> Sequence[Any]:
    return _agents(connection, asked, status="failed", phase="build")


def _running(connection: Connection, asked: Asked) -> Sequence[Any]:
    return _agents(connection, asked, status="running")


def _cost_per_project(connection: Connection, asked: Asked) -> Sequence[Any]:
    return cost_sums.costs(connection, CostFilter(by="project", limit=asked.limit)).rows


def _cost_per_phase(connection: Connection, asked: Asked) -> Sequence[Any]:
    wanted = CostFilter(by="phase", project=asked.project, session=_text(asked.session), limit=_ALL)
    return cost_sums.costs(connection, wanted).rows


def _mcp_usage(connection: Connection, asked: Asked) -> Sequence[Any]:
    wanted = ToolFilter(mcp=True, project=asked.project, session=_text(asked.session), limit=asked.limit)
    return tools(connection, wanted).rows


def _text(session: UUID | None) -> str | None:
    return None if session is None else str(session)


def _unlinked(connection: Connection, asked: Asked) -> Sequence[Any]:
    wanted = ConversationFilter(unlinked=True, project=asked.project, limit=asked.limit)
    return conversations(connection, wanted).rows


def _unpriced(connection: Connection, asked: Asked) -> Sequence[Any]:
    return cost_sums.unpriced(connection, asked.project, asked.limit)


_ASKED: dict[str, Callable[[Connection, Asked], Sequence[Any]]] = {
    "recent": _recent,
    "in-build": _in_build,
    "all-done-not-closed": _all_done,
    "stuck": _stuck,
    "more-than-3-checkpoints": _many_checkpoints,
    "commit": _commit,
    "decisions": _decisions,
    "time-per-phase": _time_per_phase,
    "phases": _phases,
    "projects": _projects,
    "workspaces": _workspaces,
    "unreadable": _unreadable,
    "findings": _findings,
    "failed-agents": _failed,
    "failed-agents-in-build": _failed_in_build,
    "running-agents": _running,
    "cost-per-project": _cost_per_project,
    "cost-per-phase": _cost_per_phase,
    "mcp-usage": _mcp_usage,
    "unlinked-conversations": _unlinked,
    "unpriced": _unpriced,
    "mismatched-ids": _mismatched,
}
"""What answers each question; it returns at most ``limit`` rows where the question takes one."""
