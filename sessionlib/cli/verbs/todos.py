"""`sessionctl todos`: what agents have noted to do in their own lists, and not done."""

import argparse
from typing import Any

from sessionlib.cli import listing, work_columns
from sessionlib.cli.answer import Answer
from sessionlib.cli.context import Context

_OPTIONS = ("project", "conversation", "all", "limit")
_DESCRIPTION = "List what agents have noted to do and not done yet, the last changed first."


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = listing.parser_of(commands, common, "todos", "list what agents have left to do", _DESCRIPTION)
    parser.add_argument("--project", metavar="P", help="name, alias or id of a project")
    parser.add_argument(
        "--conversation", metavar="C", help="a conversation's id, the client's or ours, or its beginning"
    )
    parser.add_argument("--all", action="store_true", help="also what is done or was dropped")
    listing.limited(parser)
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """List the wanted items."""
    found = listing.ask(context, "todos", _OPTIONS)
    return listing.answer(
        found, work_columns.LISTED_ITEMS, "nothing to do", listing.cut(found, context.options)
    )
