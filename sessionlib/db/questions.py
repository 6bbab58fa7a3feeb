"""The named questions: what each is called and what it takes. `queries.named` asks them.

The command line and the control routes offer the same ones. How an option is spelt there, ``--days`` or
``days=``, is theirs to say. Few imports: whoever only checks a name need not wait for a database's tools.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sessionlib.errors import UsageError

OPTIONS = ("project", "days", "text", "sha", "session", "limit")
"""Every option that some question takes."""

DEFAULT_LIMIT = 50
MOST_DAYS = 36500.0

_SHA = re.compile(r"[0-9a-fA-F]{4,64}")

Spelling = Callable[[str], str]
"""How a door spells an option."""


class Question(NamedTuple):
    """One named question.

    Attributes:
        name: As it is typed.
        description: One line for the list.
        takes: Names of the options it takes.
        needs: The option it cannot do without; on a command line it may be given as a bare argument.
    """

    name: str
    description: str
    takes: tuple[str, ...]
    needs: str | None = None

    @property
    def bare(self) -> str | None:
        """The option that a bare argument after the name means."""
        return self.needs or next((name for name in ("text", "session") if name in self.takes), None)


_LISTED = ("project", "limit")

QUESTIONS = (
    Question("recent", "where was I: sessions, the last active first", _LISTED),
    Question("in-build", "sessions in the build phase", _LISTED),
    Question("all-done-not-closed", "all checkpoints completed, yet neither complete nor failed", _LISTED),
    Question("stuck", "open sessions that have not changed for so many days", ("days", *_LISTED)),
    Question("more-than-3-checkpoints", "sessions with four checkpoints or more", _LISTED),
    Question("commit", "which session, and checkpoint, a commit was made in", ("sha", *_LISTED), needs="sha"),
    Question("decisions", "decisions that mention a text", ("text", *_LISTED)),
    Question("time-per-phase", "how long sessions stood in each phase", ("project", "session")),
    Question("phases", "how many sessions stand in each phase", ("project",)),
    Question("projects", "all projects, with what their sessions add up to", ()),
    Question("workspaces", "all checkouts, on all hosts", ("project",)),
    Question("unreadable", "session files that cannot be read now, and why", _LISTED),
    Question("findings", "what an operator should know", ()),
    Question("failed-agents", "agents that failed, the last begun first", _LISTED),
    Question("failed-agents-in-build", "agents that failed in sessions that are in build", _LISTED),
    Question("running-agents", "agents that are at work", _LISTED),
    Question("cost-per-project", "tokens and cost of each project", ("limit",)),
    Question("cost-per-phase", "tokens and cost of each phase of sessions", ("project", "session")),
    Question("mcp-usage", "calls of the tools of MCP servers", ("project", "session", "limit")),
    Question("unlinked-conversations", "conversations that worked on no session that is known", _LISTED),
    Question("unpriced", "models of which responses have no known price", _LISTED),
    Question("mismatched-ids", "documents that name another session than their folder does", _LISTED),
)


def lookup(name: str) -> Question | None:
    """Return the question of this name, if there is one."""
    return next((question for question in QUESTIONS if question.name == name), None)


def unknown(name: str, listing: str) -> UsageError:
    """Return the error of a name that no question has; `listing` says where they are listed."""
    from sessionlib.db.crud.changes import nearest  # noqa: PLC0415 - see the module's docstring

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


def limit_of(given: Mapping[str, Any]) -> int:
    """Return how many rows at most are wanted."""
    return int(given.get("limit", DEFAULT_LIMIT))
