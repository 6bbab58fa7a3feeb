"""`sessionctl tools` and the like: how often each tool was called, how that went, and how long it took."""

import argparse
from typing import Any

from sessionlib.cli import listing, work_columns
from sessionlib.cli.answer import Answer
from sessionlib.cli.context import Context

_OPTIONS = ("server", "project", "session", "failed", "limit")
_DESCRIPTION = """\
Add up the calls of each tool, the most called first: how they ended, and how long they took where that is
known. An open call has not ended, as far as anybody has said.
"""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    add_as(commands, common, "tools", "add up the calls of each tool", _DESCRIPTION)


def add_as(commands: Any, common: argparse.ArgumentParser, name: str, told: str, description: str) -> None:
    """Add a verb that adds up calls; one named ``mcp`` those of MCP servers alone."""
    parser = listing.parser_of(commands, common, name, told, description)
    parser.add_argument("--server", metavar="M", help="only the tools of this MCP server")
    parser.add_argument("--project", metavar="P", help="name, alias or id of a project")
    parser.add_argument("--session", metavar="S", help="only calls of agents that worked on this session")
    parser.add_argument(
        "--failed", action="store_true", help="only tools of which a call has failed, by how many"
    )
    listing.limited(parser)
    parser.set_defaults(run=run, mcp=name == "mcp")


def run(context: Context) -> Answer:
    """Add up the wanted calls."""
    found = listing.ask(context, "tools", _OPTIONS, mcp=context.options.mcp)
    return listing.answer(found, work_columns.TOOLS, "no calls", listing.cut(found, context.options))
