"""`sessionctl status`: whether the mirror is fresh, and how the daemon is. `entry` has a shorter way here."""

import argparse
from typing import Any

from sessionlib.cli import statusing
from sessionlib.cli.answer import Answer
from sessionlib.cli.context import Context
from sessionlib.cli.options import seconds


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "status",
        parents=[common],
        allow_abbrev=False,
        help="whether everything on disk is mirrored, and how the daemon is",
        description=(
            "Ask the daemon how fresh the mirror is; without one, show the last words it has left. "
            "Exit codes: 0 fresh, 1 stale or stuck or no answer, 3 no daemon."
        ),
    )
    parser.add_argument("--brief", action="store_true", help="one line")
    parser.add_argument(
        "--wait", type=seconds(86400), metavar="TIME", help="wait so long for a daemon that is fresh: 30s, 2m"
    )
    parser.set_defaults(run=run, parser=parser)


def run(context: Context) -> Answer:
    """Print the status."""
    # It prints by itself: that is what makes it fast where the parser is not needed.
    return Answer(stream=(), exit_code=statusing.run(context.options))
