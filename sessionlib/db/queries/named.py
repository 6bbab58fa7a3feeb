"""The named questions: what each is called, what it takes, and how it is asked.

The command line and the control routes offer the same ones. How an option is spelt there, ``--days`` or
``days=``, is theirs to say.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import inventory
from sessionlib.db.crud import findings, projects, sessions
from sessionlib.db.crud.changes import nearest
from sessionlib.db.queries import health, history, parts, places, session_lists
from sessionlib.errors import UsageError
from sessionlib.models import SessionSummary

OPTIONS = ("project", "days", "text", "sha", "session", "limit")
"""Every option that some question takes."""

DEFAULT_DAYS = 7.0
DEFAULT_LIMIT = 50
MOST_DAYS = 36500.0

_ALL = 1_000_000
"""More rows than any mirror has; for questions whose function knows no project."""

_SHA = re.compile(r"[0-9a-fA-F]{4,64}")

Spelling = Callable[[str], str]
"""How a door spells an option."""


class Asked(NamedTuple):
    """What the caller gave; `project` is a slug and `session` an id, both found already."""

    project: str | None
    days: float
    text: str | None
    sha: str | None
    session: UUID | None
    limit: int


class Question(NamedTuple):
    """One named question.

    Attributes:
        name: As it is typed.
        description: One line for the list.
        takes: Names of the options it takes.
        ask: Runs it; returns at most ``limit`` rows where it takes one.
        needs: The option it cannot do without; on a command line it may be given as a bare argument.
    """

    name: str
    description: str
    takes: tuple[str, ...]
    ask: Callable[[Connection, Asked], Sequence[Any]]
    needs: str | None = None

    @property
    def bare(self) -> str | None:
        """The option that a bare argument after the name means."""
        return self.needs or next((name for name in ("text", "session") if name in self.takes), None)


class Given(NamedTuple):
    """The rows of an answer, and whether more than the limit were there."""

    rows: Sequence[Any]
    more: bool


def lookup(name: str) -> Question | None:
    """Return the question of this name, if there is one."""
    return next((question for question in QUESTIONS if question.name == name), None)


def unknown(name: str, listing: str) -> UsageError:
    """Return the error of a name that no question has; `listing` says where they are listed."""
    close = nearest(name, [question.name for question in QUESTIONS])
    hint = f"did you mean: {', '.join(close)}?" if close else f"{listing} lists them all"
    return UsageError(f"there is no query named {name!r}", hint=hint)


def catalogue() -> list[dict[str, Any]]:
    """Return what there is to ask, as JSON values."""
    return [
        {
            "name": question.name,
            "description": question.description,
            "parameters": list(question.takes),
            "needs": question.needs,
        }
        for question in QUESTIONS
    ]


def check(question: Question, given: Mapping[str, Any], spelt: Spelling, example: str) -> None:
    """Refuse options that a question does not take, and the want of one that it needs.

    Args:
        question: The question.
        given: The options that were given, by their names in `OPTIONS`.
        spelt: How the door spells an option.
        example: A call that would do, for the hint.

    Raises:
        UsageError: One does not belong, is not there, or is no commit id.
    """
    unwanted = [name for name in given if name not in question.takes]
    if unwanted:
        takes = ", ".join(map(spelt, question.takes)) or "no options"
        raise UsageError(f"query {question.name} takes no {spelt(unwanted[0])}", hint=f"it takes {takes}")
    if question.needs is not None and question.needs not in given:
        raise UsageError(f"query {question.name} needs {spelt(question.needs)}", hint=example)
    sha = given.get("sha")
    if sha is not None and _SHA.fullmatch(sha) is None:
        raise UsageError(f"{sha!r} is no commit id", hint="give 4 to 64 hexadecimal digits")


def answer(connection: Connection, question: Question, given: Mapping[str, Any]) -> Given:
    """Ask a question with options that `check` has passed.

    Raises:
        RecordNotFoundError: There is no such project or session; the nearest names are its hint.
        UsageError: Several sessions fit.
    """
    asked = _asked(connection, given)
    # One row more than wanted tells whether there are more.
    rows = question.ask(connection, asked._replace(limit=asked.limit + 1))
    if "limit" in question.takes and len(rows) > asked.limit:
        return Given(rows[: asked.limit], more=True)
    return Given(rows, more=False)


def limit_of(given: Mapping[str, Any]) -> int:
    """Return how many rows at most are wanted."""
    return int(given.get("limit", DEFAULT_LIMIT))


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


def _of_project(ask: Callable[[int], list[SessionSummary]], asked: Asked) -> list[SessionSummary]:
    if asked.project is None:
        return ask(asked.limit)
    return [row for row in ask(_ALL) if row.project_slug == asked.project][: asked.limit]


def _all_done(connection: Connection, asked: Asked) -> Sequence[Any]:
    return _of_project(lambda limit: session_lists.all_done_not_closed(connection, limit), asked)


def _stuck(connection: Connection, asked: Asked) -> Sequence[Any]:
    return _of_project(lambda limit: session_lists.stuck(connection, asked.days, limit), asked)


def _commit(connection: Connection, asked: Asked) -> Sequence[Any]:
    found = parts.commit(connection, asked.sha or "", asked.limit if asked.project is None else _ALL)
    return [row for row in found if asked.project in {None, row.project}][: asked.limit]


def _decisions(connection: Connection, asked: Asked) -> Sequence[Any]:
    return parts.decisions(connection, asked.text, asked.project, asked.limit)


def _time_per_phase(connection: Connection, asked: Asked) -> Sequence[Any]:
    return history.time_per_phase(connection, asked.project, asked.session)


def _projects(connection: Connection, _: Asked) -> Sequence[Any]:
    return places.projects(connection)


def _workspaces(connection: Connection, asked: Asked) -> Sequence[Any]:
    found = places.workspaces(connection)
    return [row for row in found if asked.project in {None, row.project_slug}]


def _unreadable(connection: Connection, asked: Asked) -> Sequence[Any]:
    found = health.unreadable(connection, asked.limit if asked.project is None else _ALL)
    return [row for row in found if asked.project in {None, row.project}][: asked.limit]


def _phases(connection: Connection, asked: Asked) -> Sequence[Any]:
    return session_lists.phases(connection, asked.project)


def _findings(connection: Connection, _: Asked) -> Sequence[Any]:
    return findings.listed(connection)


def _mismatched(connection: Connection, asked: Asked) -> Sequence[Any]:
    return inventory.mismatched_ids(connection, asked.project, asked.limit)


_LISTED = ("project", "limit")

QUESTIONS = (
    Question("recent", "where was I: sessions, the last active first", _LISTED, _recent),
    Question("in-build", "sessions in the build phase", _LISTED, _in_build),
    Question(
        "all-done-not-closed",
        "all checkpoints completed, yet neither complete nor failed",
        _LISTED,
        _all_done,
    ),
    Question("stuck", "open sessions that have not changed for so many days", ("days", *_LISTED), _stuck),
    Question("more-than-3-checkpoints", "sessions with four checkpoints or more", _LISTED, _many_checkpoints),
    Question(
        "commit",
        "which session, and checkpoint, a commit was made in",
        ("sha", *_LISTED),
        _commit,
        needs="sha",
    ),
    Question("decisions", "decisions that mention a text", ("text", *_LISTED), _decisions),
    Question(
        "time-per-phase", "how long sessions stood in each phase", ("project", "session"), _time_per_phase
    ),
    Question("phases", "how many sessions stand in each phase", ("project",), _phases),
    Question("projects", "all projects, with what their sessions add up to", (), _projects),
    Question("workspaces", "all checkouts, on all hosts", ("project",), _workspaces),
    Question("unreadable", "session files that cannot be read now, and why", _LISTED, _unreadable),
    Question("findings", "what an operator should know", (), _findings),
    Question(
        "mismatched-ids", "documents that name another session than their folder does", _LISTED, _mismatched
    ),
)
