"""`sessionctl query`: the named questions."""

import argparse
import re
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Answer, Column, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import amount, whole
from sessionlib.cli.questions import QUESTIONS, Asked, Question
from sessionlib.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_OPTIONS = ("project", "days", "text", "sha", "session", "limit")
_DEFAULT_DAYS = 7.0
_DEFAULT_LIMIT = 50
_SHA = re.compile(r"[0-9a-fA-F]{4,64}")

_CATALOGUE = (
    Column("query", lambda row: row["name"], style="bold"),
    Column("takes", lambda row: " ".join(f"--{name}" for name in row["parameters"])),
    Column("answers", lambda row: row["description"]),
)


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "query",
        parents=[common],
        allow_abbrev=False,
        help="ask a named question; without a name, list them",
        description="Ask a named question. Without a name, list the questions.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="which question")
    parser.add_argument(
        "argument", nargs="?", metavar="VALUE", help="the commit of `commit`, the text of `decisions`"
    )
    parser.add_argument("--project", metavar="P", help="only this project: its name, an alias or its id")
    parser.add_argument("--days", type=amount(0, 36500), metavar="N", help="for `stuck` (7)")
    parser.add_argument("--text", metavar="T", help="for `decisions`: a part of title or reason")
    parser.add_argument("--sha", metavar="S", help="for `commit`: a whole hash, or 4 digits or more of it")
    parser.add_argument("--session", metavar="S", help="for `time-per-phase`: only this session")
    parser.add_argument("--limit", type=whole(1), metavar="N", help="at most so many rows (50)")
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """Answer the question, or list them all."""
    if context.options.name is None:
        return _catalogue()
    question = find(context.options.name)
    given = _given(question, context.options)
    with context.reading() as connection:
        asked = _asked(connection, given)
        # One row more than wanted tells whether there are more.
        rows = question.ask(connection, asked._replace(limit=asked.limit + 1))
        freshness = context.freshness(connection)
    notes = []
    if "limit" in question.takes and len(rows) > asked.limit:
        rows = rows[: asked.limit]
        notes.append(f"the first {asked.limit}; there are more (--limit)")
    table = Table(question.columns, rows, empty="none")
    return Answer(rows=rows, blocks=[table], freshness=freshness, notes=notes)


def find(name: str) -> Question:
    """Return the question of this name.

    Raises:
        UsageError: There is none; the nearest are its hint.
    """
    for question in QUESTIONS:
        if question.name == name:
            return question
    from difflib import get_close_matches

    names = [question.name for question in QUESTIONS]
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean: {', '.join(close)}?" if close else "`sessionctl query` lists them all"
    raise UsageError(f"there is no query named {name!r}", hint=hint)


def _catalogue() -> Answer:
    rows = [
        {
            "name": question.name,
            "description": question.description,
            "parameters": list(question.takes),
            "needs": question.needs,
        }
        for question in QUESTIONS
    ]
    return Answer(rows=rows, blocks=[Table(_CATALOGUE, rows)])


def _given(question: Question, options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that were given, a bare argument among them.

    Raises:
        UsageError: One that the question does not take, or the one that it needs is not there.
    """
    given = {name: getattr(options, name) for name in _OPTIONS if getattr(options, name) is not None}
    if options.argument is not None:
        if question.bare is None or question.bare in given:
            raise UsageError(f"query {question.name} does not know what to do with {options.argument!r}")
        given[question.bare] = options.argument
    unwanted = [name for name in given if name not in question.takes]
    if unwanted:
        takes = ", ".join(f"--{name}" for name in question.takes) or "no options"
        raise UsageError(f"query {question.name} takes no --{unwanted[0]}", hint=f"it takes {takes}")
    if question.needs is not None and question.needs not in given:
        raise UsageError(
            f"query {question.name} needs --{question.needs}",
            hint=f"sessionctl query {question.name} VALUE",
        )
    sha = given.get("sha")
    if sha is not None and _SHA.fullmatch(sha) is None:
        raise UsageError(f"{sha!r} is no commit id", hint="give 4 to 64 hexadecimal digits")
    return given


def _asked(connection: "Connection", given: dict[str, Any]) -> Asked:
    from sessionlib.db.crud import projects, sessions

    project = given.get("project")
    if project is not None:
        project = projects.find(connection, project).slug
    session = given.get("session")
    if session is not None:
        session = sessions.find(connection, session, project=project).session_id
    return Asked(
        project=project,
        days=given.get("days", _DEFAULT_DAYS),
        text=given.get("text"),
        sha=given.get("sha"),
        session=session,
        limit=given.get("limit", _DEFAULT_LIMIT),
    )
