"""`sessionctl query`: the named questions."""

import argparse
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Answer, Column, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import amount, reading_options, whole
from sessionlib.cli.questions import COLUMNS
from sessionlib.errors import UsageError

if TYPE_CHECKING:
    from sessionlib.db.questions import Question

_CATALOGUE = (
    Column("query", lambda row: row["name"], style="bold"),
    Column("takes", lambda row: " ".join(f"--{name}" for name in row["parameters"])),
    Column("answers", lambda row: row["description"]),
)


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "query",
        parents=[common, reading_options()],
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
    from sessionlib.db import questions

    name = context.options.name
    if name is None:
        rows = questions.catalogue()
        return Answer(rows=rows, blocks=[Table(_CATALOGUE, rows)])
    question = questions.lookup(name)
    if question is None:
        raise questions.unknown(name, "`sessionctl query`")
    given = _given(question, context.options)
    columns = COLUMNS[question.name]
    told = context.told(f"/queries/{question.name}", given)
    if told is not None:
        table = Table(columns, told.views(), empty="none")
        notes = _notes(given, more=bool(told.more["more"]))
        return Answer(rows=told.rows, blocks=[table], freshness=told.freshness, notes=notes)
    from sessionlib.db.queries import named

    with context.reading() as connection:
        found = named.answer(connection, question, given)
        freshness = context.freshness(connection)
    table = Table(columns, found.rows, empty="none")
    return Answer(rows=found.rows, blocks=[table], freshness=freshness, notes=_notes(given, more=found.more))


def _notes(given: dict[str, Any], *, more: bool) -> list[str]:
    from sessionlib.db.questions import limit_of

    return [f"the first {limit_of(given)}; there are more (--limit)"] if more else []


def _given(question: "Question", options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that were given, a bare argument among them.

    Raises:
        UsageError: One that the question does not take, or the one that it needs is not there.
    """
    from sessionlib.db import questions

    given = {name: getattr(options, name) for name in questions.OPTIONS if getattr(options, name) is not None}
    if options.argument is not None:
        if question.bare is None or question.bare in given:
            raise UsageError(
                f"query {question.name} does not know what to do with {options.argument!r}",
                hint="`sessionctl query` lists what each question takes",
            )
        given[question.bare] = options.argument
    questions.check(question, given, "--{}".format, f"sessionctl query {question.name} VALUE")
    return given
