"""`sessionctl mcp`: the calls of tools of MCP servers, added up."""

import argparse
from typing import Any

from sessionlib.cli.verbs import tools

_DESCRIPTION = """\
Add up the calls of the tools of MCP servers, the most called first: how they ended, and how long they took.
The calls themselves are in the database's view `mcp_usage`.
"""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    tools.add_as(commands, common, "mcp", "add up the calls of MCP servers' tools", _DESCRIPTION)
