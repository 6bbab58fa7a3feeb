"""`sessionctl sync`: bring the mirror up to date once, without a daemon or beside a running one."""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Answer, Column, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import add_accept_missing, add_paths, amount
from sessionlib.cli.text import words

if TYPE_CHECKING:
    from sessionlib.cli.syncing import Found, Pass
    from sessionlib.runtime import Runtime

_CONFIRM_AFTER = 5.2
"""Seconds between two looks, a little more than the reconcile asks for."""

_LAST_LOOK = 2.0
"""Seconds for the second look at files that changed within their clock's tick."""

_ROOTS = (
    Column("project", lambda row: row["project"], style="bold"),
    Column("total", lambda row: row["total"], right=True),
    Column("written", lambda row: row["written"], right=True),
    Column("unchanged", lambda row: row["unchanged"], right=True),
    Column("absent", lambda row: row["absent"], right=True),
    Column("tombstoned", lambda row: row["tombstoned"], right=True),
    Column("held", lambda row: row["held"], right=True),
    Column("unreadable", lambda row: len(row["unreadable"]), right=True),
    Column("path", lambda row: row["path"]),
)
TROUBLES = (
    Column("file", lambda row: row[0], style="bold"),
    Column("problem", lambda row: row[1], style="red"),
)
"""How what stood in the way is shown: pairs of a path and a reason."""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "sync",
        parents=[common],
        allow_abbrev=False,
        help="bring the mirror up to date once, without a daemon or beside one",
        description=(
            "Compare sessions folders with the mirror and write what differs. New projects are registered. "
            "Exit codes: 0 all is mirrored, 1 files could not be read or written."
        ),
    )
    add_paths(
        parser, "a project, or a folder above projects; all known ones and the configured roots without"
    )
    add_accept_missing(parser)
    parser.add_argument("--confirm", action="store_true", help="look again after 5 s at what is newly absent")
    parser.add_argument(
        "--timeout", type=amount(0.1, 86400), default=600.0, metavar="S", help="wait at most S seconds (600)"
    )
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """Look once, or twice with ``--confirm``, and tell what came of it."""
    from sessionlib.cli import progress, syncing
    from sessionlib.runtime import Runtime

    options = context.options
    runtime = Runtime.open(context.config)
    patience = 0.0
    try:
        found = syncing.find(runtime, options.paths, verb="sync")
        with progress.shown("syncing", as_json=options.json) as watcher:
            work = syncing.Pass(
                runtime,
                accept_missing=options.accept_missing,
                deadline=time.monotonic() + options.timeout,
                watcher=watcher,
            )
            work.look(found.places.values())
            again = work.unconfirmed()
            if options.confirm and again:
                time.sleep(_CONFIRM_AFTER)
                work.look(again)
                again = []
        patience = _LAST_LOOK
        return _answer(context, runtime, found, work, waiting=bool(again))
    finally:
        syncing.close(runtime, patience)


def _answer(context: Context, runtime: "Runtime", found: "Found", work: "Pass", *, waiting: bool) -> Answer:
    from sessionlib.cli import syncing

    rows = work.rows()
    left = sum(row["left"] for row in rows)
    unseen = found.problems or any(row["problems"] for row in rows)
    unreadable = any(row["unreadable"] for row in rows)
    notes = list(_notes(rows, waiting=waiting))
    if left or unseen:
        notes.append("the mirror is not vouched for: not everything was seen")
    elif not syncing.covers_all(runtime, found.places):
        notes.append("only a part of the mirror was looked at; the rest is as old as before")
    else:
        runtime.vouch()
    with runtime.database.read() as connection:
        freshness = context.freshness(connection)
    troubles = [(problem, "not searched") for problem in found.problems]
    for row in rows:
        troubles += [(str(Path(row["path"], name)), problem) for name, problem in row["problems"]]
        troubles += [(bad["path"], bad["error"]) for bad in row["unreadable"]]
    return Answer(
        rows=rows,
        blocks=[
            Table(_ROOTS, rows, title=_summary(rows)),
            Table(TROUBLES, troubles, title=words(len(troubles), "problem")),
        ],
        freshness=freshness,
        notes=notes,
        exit_code=1 if left or unseen or unreadable else 0,
    )


def _summary(rows: Sequence[dict[str, Any]]) -> str:
    total = sum(row["total"] for row in rows)
    written = sum(row["written"] for row in rows)
    return f"{words(total, 'session')} in {words(len(rows), 'sessions folder')}, {written} written"


def _notes(rows: Sequence[dict[str, Any]], *, waiting: bool) -> Iterator[str]:
    left = sum(row["left"] for row in rows)
    held = sum(row["held"] for row in rows)
    missing = [row["path"] for row in rows if row["missing"]]
    if left:
        yield f"{words(left, 'session')} could not be written; the next sync tries again"
    if waiting:
        yield (
            "some sessions are gone; a look 5 s or more from now confirms it: run it again, or with --confirm"
        )
    if held:
        yield (
            f"most sessions of a folder are gone at once ({held} held back); "
            "they stay until another look, or --accept-missing"
        )
    for path in missing:
        yield f"{path} is not there; its sessions are kept"
