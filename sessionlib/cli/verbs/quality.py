"""`sessionctl quality`: what is wrong with what is stored."""

import argparse
from typing import Any

from sessionlib.cli.answer import Answer, Block, Lines
from sessionlib.cli.context import Context


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "quality",
        parents=[common],
        allow_abbrev=False,
        help="what is wrong with the stored rows, and what can be mended",
        description=(
            "Look for rows that cannot be right, and for what never became rows. It reads whole tables, so "
            "give it some time. Exit codes: 0 nothing is wrong, 1 something is."
        ),
    )
    parser.add_argument("--fix", action="store_true", help="mend what can be mended safely, then look again")
    parser.set_defaults(run=run, parser=parser)


def run(context: Context) -> Answer:
    """Look at everything, after mending if that is wanted."""
    from sessionlib.cli.checks import finding, mending, quality
    from sessionlib.db.engine import take_time
    from sessionlib.models.base import utc_now

    moment = quality.Moment(utc_now(), context.config)
    done: list[str] = []
    with context.current_database() as database:
        if context.options.fix:
            done = mending.mend(database, moment)
        with database.read() as connection:
            take_time(connection)
            found = list(quality.look(connection, moment))
    shown = [one for one in found if one.level != finding.OK]
    wrong = sum(one.level == finding.BAD for one in found)
    said = f"{len(found)} checks, {wrong or 'nothing'} wrong"
    blocks: list[Block] = [*(finding.blocks(shown) if shown else []), Lines([said])]
    if context.options.fix:
        blocks.insert(0, Lines(done or ["there was nothing to mend"]))
    return Answer(rows=[one.row for one in found], blocks=blocks, exit_code=finding.exit_code(found))
