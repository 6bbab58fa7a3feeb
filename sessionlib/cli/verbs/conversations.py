"""`sessionctl conversations`: list conversations with coding clients, filtered."""

import argparse
from typing import Any

from sessionlib.cli import listing, work_columns
from sessionlib.cli.answer import Answer
from sessionlib.cli.context import Context
from sessionlib.cli.options import moment, whole

_OPTIONS = ("project", "status", "client", "session", "since", "unlinked", "limit", "offset")
_DESCRIPTION = """\
List conversations with coding clients, the last active first, with their agents, the sessions they worked on,
and what they cost. Filters are combined with AND.
"""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = listing.parser_of(
        commands, common, "conversations", "list conversations with coding clients", _DESCRIPTION
    )
    parser.add_argument("--project", metavar="P", help="name, alias or id of a project")
    parser.add_argument("--status", help="active, ended, abandoned or phantom (begun and never used)")
    parser.add_argument("--client", help="the coding client: claude-code")
    parser.add_argument("--session", metavar="S", help="only those that worked on this session")
    parser.add_argument(
        "--since", type=moment, metavar="WHEN", help="active since then: 2026-02-16, 12h, 7d, an ISO moment"
    )
    parser.add_argument("--unlinked", action="store_true", help="only those that worked on no known session")
    listing.limited(parser)
    parser.add_argument("--offset", type=whole(0), default=0, metavar="N", help="skip so many first")
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """List the wanted conversations."""
    found = listing.ask(context, "conversations", _OPTIONS)
    notes = listing.cut(found, context.options)
    return listing.answer(found, work_columns.CONVERSATIONS, "no conversations", notes)
