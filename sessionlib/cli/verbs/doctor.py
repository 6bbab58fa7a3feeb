"""`sessionctl doctor`: whether everything that must work together does."""

import argparse
import os
from pathlib import Path
from typing import Any

from sessionlib.arguments import a_path
from sessionlib.cli.answer import Answer, Lines
from sessionlib.cli.context import Context
from sessionlib.errors import UsageError


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "doctor",
        parents=[common],
        allow_abbrev=False,
        help="whether daemon, database, watches, files and hooks work together",
        description=(
            "Look whether the daemon runs and hears of changes, the database answers, our files are "
            "ours alone and have room, and the hooks are registered and arrive. A file in the state folder "
            "must be heard of, and what is registered is run once, with an event about nobody; neither "
            "leaves a row. Every finding that is not ok says what to do next. "
            "Exit codes: 0 nothing is bad, 1 something is."
        ),
    )
    parser.add_argument(
        "folder", nargs="?", type=a_path, metavar="DIR", help="a project's folder; else this one"
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="first mend what is safe: rights of our own files, what a daemon that ended has left behind",
    )
    parser.set_defaults(run=run, parser=parser)


def run(context: Context) -> Answer:
    """Look at everything."""
    from sessionlib.cli.checks import (
        finding,
        fixing,
        hearing,
        mirror,
        quarantine,
        registration,
        rights,
        rivals,
        service,
        singing,
        space,
        watching,
    )
    from sessionlib.cli.checks.patient import Patient

    folder = Path(context.options.folder or ".").expanduser().absolute()
    if not os.path.isdir(folder):  # noqa: PTH112 - not Path.is_dir: a name that is too long is no surprise
        raise UsageError(f"there is no folder {folder}", hint="name the project's folder")
    patient = Patient(context, folder)
    checks = (
        *([fixing.fix] if context.options.fix else []),
        *(service.daemon, mirror.look, watching.look, service.database, quarantine.look),
        *(rights.look, space.look, rivals.look),
        *(registration.look, singing.look, hearing.look, service.spool),
    )
    found = [one for check in checks for one in check(patient)]
    bad = sum(one.level == finding.BAD for one in found)
    doubtful = sum(one.level == finding.WARN for one in found)
    said = f"{bad or 'nothing'} bad, {doubtful or 'nothing'} doubtful"
    return Answer(
        rows=[one.row for one in found],
        blocks=[*finding.blocks(found), Lines([said])],
        exit_code=finding.exit_code(found),
    )
