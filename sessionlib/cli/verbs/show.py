"""`sessionctl show`: one session with all its parts, from the mirror."""

import argparse
from typing import Any

from sessionlib.cli import sheets
from sessionlib.cli.answer import Answer, Document
from sessionlib.cli.context import Context
from sessionlib.cli.options import reading_options


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "show",
        parents=[common, reading_options()],
        allow_abbrev=False,
        help="show one session with all its parts",
        description="Show one session: state, checkpoints, commits, decisions, links, versions, files.",
    )
    parser.add_argument("session", metavar="SESSION", help="slug, a part of one, declared id, id or folder")
    parser.add_argument("--project", metavar="P", help="name, alias or id of its project")
    parser.add_argument("--document", action="store_true", help="print the stored document instead")
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """Show the session."""
    from sessionlib.db.crud import projects, sessions

    options = context.options
    with context.reading() as connection:
        project = options.project
        if project is not None:
            project = projects.find(connection, project).slug
        session = sessions.find(connection, _name(options.session), project=project)
        detail = sessions.detail(connection, session)
        freshness = context.freshness(connection)
    if options.document:
        return Answer(rows=[detail.document], blocks=[Document(detail.document)], freshness=freshness)
    return Answer(rows=[detail], blocks=sheets.of_mirror(detail), freshness=freshness)


def _name(text: str) -> str:
    """Return the slug where a path was given; no slug holds a slash."""
    return text.rstrip("/").rsplit("/", 1)[-1] or text
