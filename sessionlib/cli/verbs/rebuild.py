"""`sessionctl rebuild`: write every row of the mirror that is not as the files say, whatever is stored."""

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Answer, Block, Lines, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import add_accept_missing, add_paths
from sessionlib.cli.text import words
from sessionlib.cli.verbs import sync

if TYPE_CHECKING:
    from sessionlib.runtime import Runtime
    from sessionlib.sync.rebuild import Rebuilt
    from sessionlib.sync.second import SecondProcess

_EXAMPLES = """\
examples:
  sessionctl rebuild                        everything that is mirrored from this host
  sessionctl rebuild ~/code/shop            one project
  sessionctl rebuild && sessionctl verify   and see that nothing differs any more
"""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "rebuild",
        parents=[common],
        allow_abbrev=False,
        help="write the mirror anew from the files, wherever it is not as they say",
        description=(
            "Read every session's files and write all rows that differ, in place and whatever is stored, "
            "under the sessions' locks. Ids stay the same, what was observed is kept, and rows of other "
            "hosts are not touched. Safe beside a daemon. Where sessions are gone it looks twice, 5 s apart. "
            "Exit codes: 0 the mirror is as the files say, 1 files could not be read or written."
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(
        parser, "a project, a folder above projects, a sessions folder or one session; everything without"
    )
    add_accept_missing(parser)
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """Rebuild, and tell what came of it."""
    began = time.monotonic()
    with context.second_process() as second:
        return _rebuilt(context, second, began)


def _rebuilt(context: Context, second: "SecondProcess", began: float) -> Answer:
    from sessionlib.cli import progress, syncing
    from sessionlib.runtime import Runtime
    from sessionlib.sync.rebuild import Rebuilder
    from sessionlib.sync.surveying import survey

    options = context.options
    runtime = Runtime.open(context.config, start=False)
    try:
        found = syncing.find(runtime, options.paths, verb="rebuild")
        paths = [path.expanduser().absolute() for path in options.paths]
        there = survey(runtime.database, runtime.registrar.places(), runtime.finder, paths=paths)
        rebuilder = Rebuilder(runtime.database, runtime.mirror, accept_missing=options.accept_missing)
        with progress.shown("rebuilding", as_json=options.json) as watcher:
            result = rebuilder.run(there, watcher, second)
        result.problems += [(problem, "not searched") for problem in found.problems]
        return _answer(context, runtime, result, time.monotonic() - began)
    finally:
        syncing.close(runtime, 0.0)


def _answer(context: Context, runtime: "Runtime", result: "Rebuilt", seconds: float) -> Answer:
    is_whole = not context.options.paths and not result.problems and not result.rejected
    if is_whole:
        runtime.vouch()
    with runtime.database.read() as connection:
        freshness = context.freshness(connection)
    troubles = [*result.problems, *result.rejected, *result.unreadable]
    row = {name: getattr(result, name) for name in _COUNTS} | {
        "seconds": round(seconds, 1),
        "missing": result.missing,
        "problems": [list(pair) for pair in [*result.problems, *result.rejected]],
        "unreadable": [{"path": path, "error": error} for path, error in result.unreadable],
    }
    blocks: list[Block] = [
        Table(sync.TROUBLES, troubles, title=words(len(troubles), "problem")),
        Lines([_summary(result, seconds)]),
    ]
    return Answer(
        rows=[row],
        blocks=blocks,
        freshness=freshness,
        notes=list(_notes(result)),
        exit_code=1 if troubles else 0,
    )


_COUNTS = ("sessions", "written", "rows", "tombstoned", "settled", "held")


def _summary(result: "Rebuilt", seconds: float) -> str:
    said = f"{words(result.sessions, 'session')} compared in {seconds:.1f} s, {result.written} written"
    rows = f" ({words(result.rows, 'row')})" if result.rows else ""
    gone = result.tombstoned + result.settled
    return said + rows + (f", {gone} marked as gone" if gone else "")


def _notes(result: "Rebuilt") -> Iterator[str]:
    for path in result.missing:
        yield f"{path} is not there; its sessions are kept"
    if result.held:
        yield (
            f"most sessions of a folder are gone at once ({result.held} held back); "
            "they stay until another look, or --accept-missing"
        )
    if result.problems or result.rejected:
        yield "not everything could be looked at and written"
