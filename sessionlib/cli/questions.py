"""The named queries: a registry of questions, with what they take and how their answers look."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sessionlib.cli import columns
from sessionlib.cli.answer import Column
from sessionlib.cli.text import duration

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection

    from sessionlib.models import SessionSummary

_ALL = 1_000_000
"""More rows than any mirror has; for questions whose function knows no project."""


class Asked(NamedTuple):
    """What the caller gave; `project` is a slug and `session` an id, both found already."""

    project: str | None
    days: float
    text: str | None
    sha: str | None
    session: "UUID | None"
    limit: int


class Question(NamedTuple):
    """One named query.

    Attributes:
        name: As it is typed.
        description: One line for the list.
        takes: Names of the options it takes.
        ask: Runs it; returns at most ``limit`` rows where it takes one.
        columns: How its rows are shown.
        needs: The option it cannot do without; it may be given as a bare argument.
    """

    name: str
    description: str
    takes: tuple[str, ...]
    ask: "Callable[[Connection, Asked], Sequence[Any]]"
    columns: tuple[Column, ...]
    needs: str | None = None

    @property
    def bare(self) -> str | None:
        """The option that a bare argument after the name means."""
        return self.needs or next((name for name in ("text", "session") if name in self.takes), None)


def _filtered(connection: "Connection", asked: Asked, **wanted: Any) -> "list[SessionSummary]":
    from sessionlib.db import queries

    return queries.sessions(
        connection, queries.SessionFilter(project=asked.project, limit=asked.limit, **wanted)
    )


def _in_build(connection: "Connection", asked: Asked) -> Sequence[Any]:
    return _filtered(connection, asked, phase="build")


def _recent(connection: "Connection", asked: Asked) -> Sequence[Any]:
    return _filtered(connection, asked)


def _many_checkpoints(connection: "Connection", asked: Asked) -> Sequence[Any]:
    return _filtered(connection, asked, min_checkpoints=4)


def _of_project(ask: "Callable[[int], list[SessionSummary]]", asked: Asked) -> "list[SessionSummary]":
    if asked.project is None:
        return ask(asked.limit)
    return [row for row in ask(_ALL) if row.project_slug == asked.project][: asked.limit]


def _all_done(connection: "Connection", asked: Asked) -> Sequence[Any]:
    from sessionlib.db import queries

    return _of_project(lambda limit: queries.all_done_not_closed(connection, limit), asked)


def _stuck(connection: "Connection", asked: Asked) -> Sequence[Any]:
    from sessionlib.db import queries

    return _of_project(lambda limit: queries.stuck(connection, asked.days, limit), asked)


def _commit(connection: "Connection", asked: Asked) -> Sequence[Any]:
    from sessionlib.db import queries

    found = queries.commit(connection, asked.sha or "", asked.limit if asked.project is None else _ALL)
    return [row for row in found if asked.project in {None, row.project}][: asked.limit]


def _decisions(connection: "Connection", asked: Asked) -> Sequence[Any]:
    from sessionlib.db import queries

    return queries.decisions(connection, asked.text, asked.project, asked.limit)


def _time_per_phase(connection: "Connection", asked: Asked) -> Sequence[Any]:
    from sessionlib.db import queries

    return queries.time_per_phase(connection, asked.project, asked.session)


def _projects(connection: "Connection", _: Asked) -> Sequence[Any]:
    from sessionlib.db import queries

    return queries.projects(connection)


def _workspaces(connection: "Connection", asked: Asked) -> Sequence[Any]:
    from sessionlib.db import queries

    found = queries.workspaces(connection)
    return [row for row in found if asked.project in {None, row.project_slug}]


def _unreadable(connection: "Connection", asked: Asked) -> Sequence[Any]:
    from sessionlib.db import queries

    found = queries.unreadable(connection, asked.limit if asked.project is None else _ALL)
    return [row for row in found if asked.project in {None, row.project}][: asked.limit]


def _phases(connection: "Connection", asked: Asked) -> Sequence[Any]:
    from sessionlib.db import queries

    return queries.phases(connection, asked.project)


def _findings(connection: "Connection", _: Asked) -> Sequence[Any]:
    from sessionlib.db.crud import findings

    return findings.listed(connection)


def _mismatched(connection: "Connection", asked: Asked) -> Sequence[Any]:
    from sessionlib.db import inventory

    return inventory.mismatched_ids(connection, asked.project, asked.limit)


def _quiet_for(row: Any) -> str:
    from sessionlib.models.base import utc_now

    return duration((utc_now() - row.content_changed_at).total_seconds())


_SESSIONS = columns.SESSIONS
_STUCK = (_SESSIONS[0], Column("quiet for", _quiet_for, right=True), *_SESSIONS[1:])
_LISTED = ("project", "limit")

QUESTIONS = (
    Question("recent", "where was I: sessions, the last active first", _LISTED, _recent, _SESSIONS),
    Question("in-build", "sessions in the build phase", _LISTED, _in_build, _SESSIONS),
    Question(
        "all-done-not-closed",
        "all checkpoints completed, yet neither complete nor failed",
        _LISTED,
        _all_done,
        _SESSIONS,
    ),
    Question("stuck", "open sessions that have not changed for --days", ("days", *_LISTED), _stuck, _STUCK),
    Question(
        "more-than-3-checkpoints",
        "sessions with four checkpoints or more",
        _LISTED,
        _many_checkpoints,
        _SESSIONS,
    ),
    Question(
        "commit",
        "which session, and checkpoint, a commit was made in",
        ("sha", *_LISTED),
        _commit,
        columns.COMMITS,
        needs="sha",
    ),
    Question("decisions", "decisions that mention --text", ("text", *_LISTED), _decisions, columns.DECISIONS),
    Question(
        "time-per-phase",
        "how long sessions stood in each phase",
        ("project", "session"),
        _time_per_phase,
        columns.PHASE_TIMES,
    ),
    Question("phases", "how many sessions stand in each phase", ("project",), _phases, columns.PHASE_COUNTS),
    Question("projects", "all projects, with what their sessions add up to", (), _projects, columns.PROJECTS),
    Question("workspaces", "all checkouts, on all hosts", ("project",), _workspaces, columns.WORKSPACES),
    Question(
        "unreadable",
        "session files that cannot be read now, and why",
        _LISTED,
        _unreadable,
        columns.UNREADABLE,
    ),
    Question("findings", "what an operator should know", (), _findings, columns.FINDINGS),
    Question(
        "mismatched-ids",
        "documents that name another session than their folder does",
        _LISTED,
        _mismatched,
        columns.MISMATCHES,
    ),
)
