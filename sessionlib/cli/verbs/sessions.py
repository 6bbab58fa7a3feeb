"""`sessionctl sessions`: list sessions, filtered."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sessionlib.cli import columns
from sessionlib.cli.answer import Answer, Freshness, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import reading_options, whole
from sessionlib.cli.text import words

if TYPE_CHECKING:
    from sessionlib.db.queries import SessionFilter


_FILTERS = (
    "phase",
    "status",
    "project",
    "type",
    "min_checkpoints",
    "min_completed",
    "text",
    "branch",
    "missing",
    "limit",
    "offset",
)


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "sessions",
        parents=[common, reading_options()],
        allow_abbrev=False,
        help="list sessions, the last active first",
        description="List sessions, the last active first. Filters are combined with AND.",
    )
    parser.add_argument("--phase", help="spec, plan, build, docs or complete, as the file says it")
    parser.add_argument("--status", help="active, paused, complete or failed")
    parser.add_argument("--project", help="name, alias or id of a project")
    parser.add_argument("--type", help="full, quick or research")
    parser.add_argument(
        "--min-checkpoints", type=whole(0), metavar="N", help="at least so many checkpoints in all"
    )
    parser.add_argument(
        "--min-completed", type=whole(0), metavar="N", help="at least so many checkpoints completed"
    )
    parser.add_argument("--text", help="a part of slug, topic or description")
    parser.add_argument("--branch", help="a git branch")
    parser.add_argument("--missing", action="store_true", help="those too whose files are gone")
    parser.add_argument("--limit", type=whole(1), default=50, metavar="N", help="at most so many (50)")
    parser.add_argument("--offset", type=whole(0), default=0, metavar="N", help="skip so many first")
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """List the wanted sessions, and how many there are when not all are shown."""
    options = context.options
    told = context.told("/sessions", {name: getattr(options, name) for name in _FILTERS})
    if told is not None:
        return _answer(options, told.rows, told.views(), told.more["total"], told.freshness)
    from sessionlib.db import queries

    with context.reading() as connection:
        rows, total = queries.page(connection, _filter(options))
        freshness = context.freshness(connection)
    return _answer(options, rows, rows, total, freshness)


def _answer(
    options: argparse.Namespace, rows: list[Any], shown: Sequence[Any], total: int, freshness: Freshness
) -> Answer:
    return Answer(
        rows=rows,
        blocks=[Table(columns.SESSIONS, shown, empty="no sessions")],
        freshness=freshness,
        notes=[*_footer(len(rows), total, options.offset), *_doubts(rows, options)],
    )


def _filter(options: argparse.Namespace) -> "SessionFilter":
    from sessionlib.db import queries

    return queries.SessionFilter(
        phase=options.phase,
        status=options.status,
        project=options.project,
        session_type=options.type,
        min_checkpoints=options.min_checkpoints,
        min_completed=options.min_completed,
        text=options.text,
        branch=options.branch,
        missing=options.missing,
        limit=options.limit,
        offset=options.offset,
    )


def _footer(shown: int, total: int, offset: int) -> list[str]:
    if shown == total:
        return []
    counted = f"{shown} of {words(total, 'session')}"
    after = offset + shown
    return [f"{counted}; go on with --offset {after}" if shown and after < total else counted]


def _doubts(rows: list[Any], options: argparse.Namespace) -> list[str]:
    """Say when nothing was found and a filter looks mistyped; files may hold any word, so none is refused."""
    given = {name: getattr(options, name) for name in ("phase", "status", "type")}
    if rows or not any(given.values()):
        return []
    from sessionlib.models.base import Phase, SessionType, Status

    known = {"phase": Phase, "status": Status, "type": SessionType}
    return [
        f"{value!r} is no usual {name}; those are {', '.join(known[name])}"
        for name, value in given.items()
        if value is not None and value not in set(known[name])
    ]
