"""`sessionctl reload`: let the running daemon read its configuration again."""

import argparse
from typing import Any

from sessionlib.cli.answer import Answer, Lines
from sessionlib.cli.context import Context


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "reload",
        parents=[common],
        allow_abbrev=False,
        help="let the daemon read its configuration again",
        description=(
            "Let the daemon read its configuration again, as SIGHUP does. One that cannot be used changes "
            "nothing: exit code 78 and the reason."
        ),
    )
    parser.set_defaults(run=run, parser=parser)


def run(context: Context) -> Answer:
    """Ask for it, and tell what it changed."""
    told = context.client().reload()
    applied, later = (_names(told.get(key)) for key in ("applied", "needs_restart"))
    said = f"applied: {', '.join(applied)}" if applied else "nothing changed that could be applied"
    notes = [f"in force after a restart: {', '.join(later)}"] if later else []
    return Answer(rows=[{"applied": applied, "needs_restart": later}], blocks=[Lines([said])], notes=notes)


def _names(value: object) -> list[str]:
    return list(map(str, value)) if isinstance(value, list) else []
