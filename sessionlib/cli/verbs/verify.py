"""`sessionctl verify`: prove that the mirror says what the files say, or name each value that does not."""

import argparse
import shlex
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Answer, Block, Column, Lines, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import add_paths, whole
from sessionlib.cli.text import words

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sessionlib.db.engine import Database
    from sessionlib.sync.second import SecondProcess
    from sessionlib.sync.verify import Verified

_EXAMPLES = """\
examples:
  sessionctl verify                         everything that is mirrored from this host
  sessionctl verify ~/code/shop             one project
  sessionctl verify ~/code/shop --json      for programs: one row for each value that differs
"""
_SHOWN = 60
"""Characters of a value that people are shown."""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "verify",
        parents=[common],
        allow_abbrev=False,
        help="recompute the mirror from the files, and name each value that differs",
        description=(
            "Read every session's files, compute what the database should hold, and compare it field by "
            "field. Never writes; works beside a daemon and without one. "
            "Exit codes: 0 nothing differs, 1 something does or could not be listed, "
            "2 there is nothing to compare."
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(
        parser, "a project, a folder above projects, a sessions folder or one session; everything without"
    )
    parser.add_argument(
        "--limit", type=whole(1, 1_000_000), default=100, metavar="N", help="name at most N differences (100)"
    )
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """Compare, and tell what differs."""
    began = time.monotonic()
    with context.second_process() as second:
        return _compared(context, second, began)


def _compared(context: Context, second: "SecondProcess", began: float) -> Answer:
    with context.current_database() as database:
        with database.read() as connection:
            leftovers = [] if context.options.paths else list(_leftovers(connection, context))
        result = _verified(context, database, second, is_empty=not leftovers)
        with database.read() as connection:
            freshness = context.freshness(connection)
    blocks: list[Block] = [
        Lines(list(_told(result))),
        Table(_TROUBLES, result.problems, title="not looked at"),
        Table(_TROUBLES, result.unreadable, title=words(len(result.unreadable), "unreadable file")),
        Lines([_summary(result, time.monotonic() - began)]),
    ]
    return Answer(
        rows=[_row(drift) for drift in result.drifts],
        blocks=blocks,
        freshness=freshness,
        notes=[*_notes(result, as_json=context.options.json), *leftovers],
        exit_code=1 if result.count or result.problems or leftovers else 0,
        summary={
            "sessions": result.sessions,
            "stored": result.stored,
            "differences": result.count,
            "problems": [list(one) for one in result.problems],
            "unreadable": [list(one) for one in result.unreadable],
            "missing": [str(one) for one in result.missing],
            "leftovers": leftovers,
        },
    )


def _has_daemon(context: Context) -> bool:
    """Tell whether a daemon mirrors into the database; one that does not answer may do so all the same."""
    from sessionlib.errors import ControlError

    try:
        return context.daemon() is not None
    except ControlError:
        return True


def _verified(
    context: Context, database: "Database", second: "SecondProcess", *, is_empty: bool
) -> "Verified":
    from sessionlib.cli.progress import shown
    from sessionlib.errors import UsageError
    from sessionlib.state.scan import FinderOptions
    from sessionlib.sync.registrar import Host, Registrar
    from sessionlib.sync.surveying import survey
    from sessionlib.sync.verify import Verifier

    options, watch = context.options, context.config.watch
    registrar = Registrar(database, Host(context.config.host_id(), context.config.host_name()))
    is_live = _has_daemon(context)
    with shown("verifying", as_json=options.json) as watcher:
        known = registrar.places()
        found = survey(
            database,
            known,
            FinderOptions(depth=watch.depth, sessions_dirs=watch.sessions_dirs),
            paths=[path.expanduser().absolute() for path in options.paths],
            roots=() if options.paths else watch.roots,
        )
        if is_empty and not known and not found.unknown and not found.problems:
            raise UsageError(
                "there is nothing to verify: no project of this host is known, and none lies below the "
                "configured roots",
                hint="name a folder: sessionctl sync PATH; sessionctl quality judges what is stored",
            )
        verifier = Verifier(database, registrar.places, is_live=is_live, limit=options.limit)
        return verifier.run(found, watcher, second)


def _summary(result: "Verified", seconds: float) -> str:
    compared = words(result.sessions, "session")
    if result.sessions < result.stored:
        compared = f"{result.sessions} of {words(result.stored, 'session')} of this host"
    rate = f"{compared} compared in {seconds:.1f} s"
    if not result.count:
        return f"{rate}: nothing differs"
    return f"{rate}: {words(result.drifted, 'session')} with {words(result.count, 'difference')}"


def _leftovers(connection: "Connection", context: Context) -> Iterator[str]:
    """Return what is stored in places that nobody compares, in words."""
    from sessionlib.db.unbacked import ownerless, unregistered
    from sessionlib.sync.places import real_name

    for path, root, count in unregistered(connection, context.config.host_id()):
        folder = Path(real_name(path)) / real_name(root)
        yield (
            f"{words(count, 'session')} stored of {folder}, which is not registered, not compared; "
            f"run: sessionctl sync {shlex.quote(str(folder))}"
        )
    if count := ownerless(connection):
        yield f"{words(count, 'copy', 'copies')} stored of no workspace, not compared; see sessionctl quality"


def _notes(result: "Verified", *, as_json: bool) -> list[str]:
    notes = [f"{path} is not there; its sessions are taken as they are stored" for path in result.missing]
    if result.count > len(result.drifts):
        notes.append(f"{result.count - len(result.drifts)} more; --limit shows them")
    if result.problems:
        notes.append("not everything could be looked at")
    if result.unreadable and as_json:
        notes.append(f"{words(len(result.unreadable), 'file')} cannot be read; their last good rows stand")
    return notes


def _row(drift: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in drift._asdict().items()}


def _plain(value: Any) -> Any:
    """Return a value as JSON carries it."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else _text(value)


def _text(value: Any) -> str:
    from datetime import datetime

    from sessionlib.cli.text import iso

    return iso(value) if isinstance(value, datetime) else str(value)


def _told(result: "Verified") -> Iterator[str]:
    """Return the differences for people: each folder with the cause, the values and the command once."""
    if result.drifts:
        yield words(result.count, "difference")
    for (path, cause, advice), drifts in groupby(
        result.drifts, key=lambda drift: (drift.path, drift.cause, drift.advice)
    ):
        yield f"{path}: {cause}"
        for drift in drifts:
            column = f".{drift.column}" if drift.column else ""
            yield f"  {_where(drift)}{column}: {_short(drift.stored)} → {_short(drift.expected)}"
        yield f"  run: {advice}"


def _short(value: Any) -> str:
    """Return a value as people are shown it: a whole row in brackets, a long text cut."""
    if value is None:
        return "nothing"
    if isinstance(value, tuple):
        text = f"({', '.join(_short(one) for one in value)})"
    else:
        text = _text(value) or "(empty)"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _where(drift: Any) -> str:
    """Return the table, with what tells a row of a session from its others."""
    own = [str(value) for name, value in drift.key.items() if name not in _OWNERS]
    return f"{drift.table}[{', '.join(own)}]" if own else str(drift.table)


_OWNERS = frozenset({"project_id", "session_id", "workspace_id", "root", "slug", "path"})
_TROUBLES = (
    Column("file", lambda row: row[0], style="bold"),
    Column("problem", lambda row: row[1], style="red"),
)
