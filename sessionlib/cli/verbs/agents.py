"""`sessionctl agents`: list runs of agents, filtered."""

import argparse
from typing import Any

from sessionlib.cli import listing, work_columns
from sessionlib.cli.answer import Answer
from sessionlib.cli.context import Context
from sessionlib.cli.options import moment, whole

_OPTIONS = (
    *("failed", "status", "phase", "project", "session", "type", "conversation", "since"),
    *("limit", "offset"),
)
_DESCRIPTION = """\
List runs of agents, the last begun first: the main one of each conversation, and those that others spawned.
Filters are combined with AND: `sessionctl agents --failed --phase build` are the agents that failed in
sessions that are in build.
"""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = listing.parser_of(commands, common, "agents", "list agents, those that failed say", _DESCRIPTION)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--failed", action="store_true", help="only those that failed")
    how.add_argument("--status", help="running, complete, failed or interrupted")
    parser.add_argument("--phase", help="only those whose session is in this phase now")
    parser.add_argument("--project", metavar="P", help="name, alias or id of a project")
    parser.add_argument("--session", metavar="S", help="only those that worked on this session")
    parser.add_argument("--type", metavar="T", help="a type of agent; main for main agents")
    parser.add_argument(
        "--conversation", metavar="C", help="a conversation's id, the client's or ours, or its beginning"
    )
    parser.add_argument(
        "--since", type=moment, metavar="WHEN", help="begun since then: 2026-02-16, 12h, 7d, an ISO moment"
    )
    listing.limited(parser)
    parser.add_argument("--offset", type=whole(0), default=0, metavar="N", help="skip so many first")
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """List the wanted agents."""
    found = listing.ask(context, "agents", _OPTIONS)
    return listing.answer(found, work_columns.AGENTS, "no agents", listing.cut(found, context.options))
