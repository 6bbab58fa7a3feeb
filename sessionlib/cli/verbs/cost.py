"""`sessionctl cost`: tokens and dollars, added up by whatever is asked for."""

import argparse
from typing import Any

from sessionlib.cli import listing, relay, work_columns
from sessionlib.cli.answer import Answer, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import day
from sessionlib.cli.text import words

_OPTIONS = ("by", "project", "session", "since", "until", "limit")
_BY = (
    *("project", "session", "phase", "checkpoint", "agent-type", "model", "day", "identity"),
    *("conversation", "total"),
)
_DESCRIPTION = """\
Add up tokens and cost, in US dollars: the dearest first (days: the last first), with what all of it comes to
in the last line. Responses without a known price are counted, and are in no sum. What only the client's own
ledger knows (compactions, side questions) stands in `beyond responses` and is in the cost. With --json the
rows are the groups; `--by total` gives the sum of all as a row.
"""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = listing.parser_of(commands, common, "cost", "add up tokens and cost", _DESCRIPTION)
    parser.add_argument("--by", choices=_BY, default="project", help="what to add up by (project)")
    parser.add_argument("--project", metavar="P", help="name, alias or id of a project")
    parser.add_argument("--session", metavar="S", help="only what was used for this session")
    parser.add_argument(
        "--since", type=day, metavar="DAY", help="from this day on, in UTC: 2026-02-16, or 7d for a week ago"
    )
    parser.add_argument("--until", type=day, metavar="DAY", help="up to and with this day")
    listing.limited(parser)
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """Add up what is wanted."""
    found = listing.ask(context, "costs", _OPTIONS)
    by = context.options.by
    total = found.more["total"]
    if isinstance(total, dict):
        total = relay.Row(total)
    shown = [*found.shown, *([total] if found.shown and by != "total" else [])]
    table = Table(work_columns.costs(by), shown, empty="nothing was used")
    notes = _notes(len(found.rows), found.more["groups"], total)
    return Answer(rows=found.rows, blocks=[table], freshness=found.freshness, notes=notes)


def _notes(shown: int, groups: int, total: Any) -> list[str]:
    notes = []
    if shown < groups:
        notes.append(f"the first {shown} of {groups}; the total is of all (--limit)")
    if total.unpriced:
        counted = f"{words(total.unpriced, 'response')} of {total.messages}"
        notes.append(f"{counted} without a known price: `sessionctl query unpriced` names the models")
    return notes
