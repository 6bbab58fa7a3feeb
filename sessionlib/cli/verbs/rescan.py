"""`sessionctl rescan`: let the running daemon compare files and mirror now, and see what came of it."""

import argparse
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Answer, Block, Column, Freshness, Lines, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import add_accept_missing, add_paths, amount
from sessionlib.cli.text import words
from sessionlib.cli.verbs import sync
from sessionlib.errors import ControlError, DaemonNotRunningError, UsageError

if TYPE_CHECKING:
    from sessionlib.control import ControlClient

_DIRECT = "no daemon mirrors into this database; compared directly, as `sessionctl sync` does"
_NUMBERS = ("sessions", "written", "unchanged", "absent", "tombstoned", "held", "unreadable")
_COUNTS = (
    Column("project", itemgetter("project"), style="bold"),
    *(Column(name, itemgetter(name), right=True) for name in _NUMBERS),
    Column("path", itemgetter("path")),
)
_NEEDED = {"project", "path", *_NUMBERS}


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "rescan",
        parents=[common],
        allow_abbrev=False,
        help="let the daemon compare files and mirror now; without one, as `sync`",
        description=(
            "Compare sessions folders with the mirror, by the daemon if one runs, and wait until all that "
            "differs is written. "
            "Exit codes: 0 all is mirrored, 1 files could not be read or written, or not in time."
        ),
    )
    add_paths(parser, "a project, or a folder above projects; all without")
    parser.add_argument("--project", metavar="P", help="name, alias or id of a project, instead of a path")
    add_accept_missing(parser)
    parser.add_argument("--no-wait", action="store_true", help="only ask for it")
    parser.add_argument(
        "--timeout", type=amount(0.1, 600), default=60.0, metavar="S", help="wait at most S seconds (60)"
    )
    parser.set_defaults(run=run, parser=parser)


def run(context: Context) -> Answer:
    """Compare, through the daemon or without it."""
    options = context.options
    if options.project is not None and options.paths:
        raise UsageError("a path and --project exclude each other", hint="give one of them, or neither")
    client = context.daemon()
    if client is not None:
        return _asked(client, options)
    if options.no_wait:
        raise DaemonNotRunningError(
            "no daemon mirrors into this database, and --no-wait needs one",
            hint="leave --no-wait out, or start sessiond",
        )
    return _direct(context)


def _asked(client: "ControlClient", options: argparse.Namespace) -> Answer:
    from sessionlib.models.base import utc_now

    targets: list[dict[str, Any]] = [{"path": path} for path in options.paths]
    if not targets:
        targets = [{} if options.project is None else {"project": options.project}]
    told = [
        client.rescan(
            **target,
            accept_missing=options.accept_missing,
            wait=not options.no_wait,
            timeout=options.timeout,
        )
        for target in targets
    ]
    if options.no_wait:
        return Answer(rows=[{"accepted": True}], blocks=[Lines(["asked for; the daemon compares now"])])
    found = {row["path"]: row for answer in told for row in _rows(answer)}
    return _answer(list(found.values()), Freshness.told(told[-1], utc_now()))


def _rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    rows = answer.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= _NEEDED for row in rows):
        raise ControlError("sessiond did not say what it found", hint="is it of another version? restart it")
    return rows


def _direct(context: Context) -> Answer:
    options = context.options
    options.confirm = False
    if options.project is not None:
        options.paths = _folders_of(context, options.project)
    answer = sync.run(context)
    rows = [_counts(row) for row in answer.rows]
    return _answer(rows, answer.freshness)._replace(
        notes=[_DIRECT, *answer.notes], exit_code=answer.exit_code
    )


def _folders_of(context: Context, name: str) -> list[Path]:
    from sessionlib.db.crud import projects, workspaces

    with context.current_database() as database, database.read() as connection:
        project = projects.find(connection, name)
        host_id = context.config.host_id()
        found = workspaces.of_project(connection, project.project_id)
        folders = [Path(workspace.path) for workspace in found if workspace.host_id == host_id]
    if not folders:
        raise UsageError(
            f"project {project.slug} lies on other machines only",
            hint="sessionctl query workspaces shows where",
        )
    return folders


def _counts(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `sync` as the daemon counts it."""
    plain = {name: value for name, value in row.items() if name not in {"total", "unreadable", "problems"}}
    bad = [[one["path"], one["error"]] for one in row["unreadable"]]
    found = [[str(Path(row["path"], name)), problem] for name, problem in row["problems"]]
    return plain | {"sessions": row["total"], "unreadable": len(bad), "problems": found + bad}


def _answer(rows: Sequence[dict[str, Any]], freshness: Freshness | None) -> Answer:
    written = sum(row["written"] for row in rows)
    total = sum(row["sessions"] for row in rows)
    title = f"{words(total, 'session')} in {words(len(rows), 'sessions folder')}, {written} written"
    troubles = [problem for row in rows for problem in row.get("problems", ())]
    blocks: list[Block] = [
        Table(_COUNTS, rows, title=title, empty="no sessions folders"),
        Table(sync.TROUBLES, troubles, title=words(len(troubles), "problem")),
    ]
    bad = troubles or any(row.get("left") or row["unreadable"] for row in rows)
    return Answer(
        rows=rows, blocks=blocks, freshness=freshness, notes=list(_notes(rows)), exit_code=1 if bad else 0
    )


def _notes(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    left = sum(row.get("left", 0) for row in rows)
    held = sum(row["held"] for row in rows)
    if left:
        yield f"{words(left, 'session')} could not be written; the daemon tries again"
    if held:
        yield f"most sessions of a folder are gone at once ({held} held back); --accept-missing believes it"
    for row in rows:
        if row.get("missing"):
            yield f"{row['path']} is not there; its sessions are kept"
