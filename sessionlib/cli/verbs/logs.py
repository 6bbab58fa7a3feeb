"""`sessionctl logs`: what agents did for a session, event by event; or what the daemon's log events mean."""

import argparse
from typing import Any

from sessionlib.cli import listing, work_columns
from sessionlib.cli.answer import Answer, Column, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import moment
from sessionlib.errors import UsageError

_OPTIONS = ("session", "conversation", "project", "category", "since", "after", "before", "limit")
_DESCRIPTION = """\
Show the log of a session, or of one conversation, in the order of time: the last events, unless --after
begins somewhere. Each row of --json has a `cursor`: give the first one to --before for the page before, the
last one to --after for the page after. With --follow, events are printed as they come, until Ctrl-C; with
--json one object a line.

With --explain it says what events of the daemon's own log mean, and what to do about them.
"""
_EVENTS = (
    Column("event", lambda row: ", ".join(row["events"]), style="bold"),
    Column("level", lambda row: row["level"]),
    Column("what it means", lambda row: row["meaning"]),
    Column("what to do", lambda row: row["advice"]),
)


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = listing.parser_of(commands, common, "logs", "show what agents did, event by event", _DESCRIPTION)
    parser.add_argument(
        "session", nargs="?", type=str, metavar="SESSION", help="slug, a part of one, id or folder"
    )
    parser.add_argument(
        "--conversation",
        metavar="C",
        help="a conversation instead: its id, the client's or ours, or a beginning",
    )
    parser.add_argument("--project", metavar="P", help="name, alias or id of its project")
    parser.add_argument("--category", choices=("hook", "response", "phase"), help="only events from there")
    parser.add_argument(
        "--since", type=moment, metavar="WHEN", help="since then: 2026-02-16, 12h, 7d, an ISO moment"
    )
    page = parser.add_mutually_exclusive_group()
    page.add_argument("--after", metavar="CURSOR", help="the events after this one")
    page.add_argument("--before", metavar="CURSOR", help="the events before this one")
    page.add_argument("-f", "--follow", action="store_true", help="go on with those that come")
    parser.add_argument(
        "--explain",
        nargs="?",
        const="",
        metavar="EVENT",
        help="what an event of the daemon's log means, such as watch.limit, or all of them",
    )
    listing.limited(parser)
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """Show a page, or follow the log."""
    options = context.options
    if options.explain is not None:
        return _explained(options.explain)
    if (options.session is None) == (options.conversation is None):
        raise UsageError(
            "a log is that of a session or of a conversation",
            hint="name a session, or a conversation with --conversation",
        )
    if options.follow:
        from sessionlib.cli import following

        given = {name: getattr(options, name) for name in _OPTIONS}
        wanted = {name: value for name, value in given.items() if value is not None}
        return Answer(stream=following.lines(context, wanted))
    found = listing.ask(context, "logs", _OPTIONS)
    notes = []
    if found.more["more"]:
        where = "after" if options.after is not None else "before"
        notes.append(f"{len(found.rows)}; there are more {where} (--limit, --{where})")
    return listing.answer(found, work_columns.LOG, "no events", notes)


def _explained(event: str) -> Answer:
    from sessionlib.cli.explaining import explained

    rows = [row._asdict() for row in explained(event)]
    return Answer(rows=rows, blocks=[Table(_EVENTS, rows)])
