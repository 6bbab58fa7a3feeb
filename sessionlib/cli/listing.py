"""How the verbs about agents' work ask: the running daemon, else the database, with the same words."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sessionlib.cli.answer import Answer, Column, Freshness, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import reading_options, whole
from sessionlib.cli.text import iso


class Listed(NamedTuple):
    """What was answered.

    Attributes:
        rows: What ``--json`` prints.
        shown: The same rows as the tables for people read them.
        more: What was said beside them; of a daemon it is plain JSON.
        freshness: Of the mirror.
    """

    rows: Sequence[Any]
    shown: Sequence[Any]
    more: Mapping[str, Any]
    freshness: Freshness


def parser_of(
    commands: Any, common: argparse.ArgumentParser, name: str, told: str, description: str
) -> argparse.ArgumentParser:
    """Return the parser of a verb that reads the mirror, with no options of its own yet."""
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        parents=[common, reading_options()],
        allow_abbrev=False,
        help=told,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return made


def limited(parser: argparse.ArgumentParser, default: int = 50) -> None:
    """Add the option that says how many rows at most are wanted."""
    parser.add_argument(
        "--limit", type=whole(1), default=default, metavar="N", help=f"at most so many ({default})"
    )


def ask(context: Context, name: str, options: Sequence[str], **fixed: Any) -> Listed:
    """Ask one of the questions of `sessionlib.db.queries.asked`.

    Args:
        context: Of the call.
        name: Which question; its route has the same name.
        options: Names of the options that it takes, as they are in the parsed ones.
        fixed: More that it is given.
    """
    parsed = {option: getattr(context.options, option) for option in options} | fixed
    given = {option: value for option, value in parsed.items() if value is not None and value is not False}
    texts = {name: iso(value) if isinstance(value, datetime) else value for name, value in given.items()}
    told = context.told(f"/{name}", texts)
    if told is not None:
        return Listed(told.rows, told.views(), told.more, told.freshness)
    from sessionlib.db.queries import asked

    with context.reading() as connection:
        found = asked.answer(connection, name, given)
        freshness = context.freshness(connection)
    return Listed(found.rows, found.rows, found.more, freshness)


def answer(found: Listed, columns: Sequence[Column], empty: str, notes: Sequence[str] = ()) -> Answer:
    """Return an answer that is one table."""
    return Answer(
        rows=found.rows,
        blocks=[Table(columns, found.shown, empty=empty)],
        freshness=found.freshness,
        notes=notes,
    )


def cut(found: Listed, options: argparse.Namespace, how: str = "--limit") -> list[str]:
    """Return the note that tells when there are more rows."""
    if not found.more["more"]:
        return []
    offset = getattr(options, "offset", None)
    if offset is None:
        return [f"the first {len(found.rows)}; there are more ({how})"]
    return [f"{len(found.rows)}, and there are more; go on with --offset {offset + len(found.rows)}"]
