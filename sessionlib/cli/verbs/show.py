"""`sessionctl show`: one session with all its parts, from the mirror."""

import argparse
import re
from typing import Any

from sessionlib.cli import sheets
from sessionlib.cli.answer import Answer, Document, Freshness
from sessionlib.cli.context import Context
from sessionlib.cli.options import reading_options

_PLAIN = re.compile(r"\w[\w.-]*", re.ASCII)
"""Names that mean the same in a path of the daemon's."""


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
    options = context.options
    name = _name(options.session)
    if _PLAIN.fullmatch(name):
        told = context.told(f"/sessions/{name}", {"project": options.project})
        if told is not None:
            return _answer(options, told.rows[0]["document"], told.rows[0], told.views()[0], told.freshness)
    from sessionlib.db.crud import projects, sessions

    with context.reading() as connection:
        project = options.project
        if project is not None:
            project = projects.find(connection, project).slug
        session = sessions.find(connection, name, project=project)
        detail = sessions.detail(connection, session)
        freshness = context.freshness(connection)
    return _answer(options, detail.document, detail, detail, freshness)


def _answer(options: argparse.Namespace, document: Any, row: Any, shown: Any, freshness: Freshness) -> Answer:
    if options.document:
        return Answer(rows=[document], blocks=[Document(document)], freshness=freshness)
    return Answer(rows=[row], blocks=sheets.of_mirror(shown), freshness=freshness)


def _name(text: str) -> str:
    """Return the slug where a path was given; no slug holds a slash."""
    return text.rstrip("/").rsplit("/", 1)[-1] or text
