"""`sessionctl timeline`: what happened to a session and in it, in the order of time."""

import argparse
from typing import Any

from sessionlib.cli import listing, work_columns
from sessionlib.cli.answer import Answer
from sessionlib.cli.context import Context
from sessionlib.cli.options import moment

_OPTIONS = ("session", "project", "since", "limit")
_DESCRIPTION = """\
Show what happened to a session, and in it: phases, checkpoints, commits and decisions as its files date them,
conversations and agents with how they ended, and calls of tools that failed. A checkpoint stands at its last
commit, since nobody notes when it was completed.
"""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = listing.parser_of(commands, common, "timeline", "show what happened in a session", _DESCRIPTION)
    parser.add_argument("session", metavar="SESSION", help="slug, a part of one, declared id, id or folder")
    parser.add_argument("--project", metavar="P", help="name, alias or id of its project")
    parser.add_argument(
        "--since", type=moment, metavar="WHEN", help="since then: 2026-02-16, 12h, 7d, an ISO moment"
    )
    listing.limited(parser, 200)
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """Show the timeline."""
    found = listing.ask(context, "timeline", _OPTIONS)
    notes = [f"the last {len(found.rows)}; there are more (--limit)"] if found.more["more"] else []
    return listing.answer(found, work_columns.TIMELINE, "nothing has happened", notes)
