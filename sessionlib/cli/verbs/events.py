"""`sessionctl events`: the daemon's change feed, a line each, as it happens."""

import argparse
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Answer
from sessionlib.cli.context import Context
from sessionlib.cli.options import whole

if TYPE_CHECKING:
    from sessionlib.control import ControlClient, Event

_PATIENCE = 60.0
"""Seconds that a daemon may be away before the feed ends: enough for a restart."""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "events",
        parents=[common],
        allow_abbrev=False,
        help="follow the changes of all sessions as they are mirrored",
        description=(
            "Print each change when it is committed, until Ctrl-C; with --json one object a line. "
            "`resync` means: changes were missed, look at everything anew. "
            "Exit code 3: no daemon, or it has been away for a minute."
        ),
    )
    parser.add_argument("--after", metavar="ID", help="begin after this one; its id stands first in a line")
    parser.add_argument("--limit", type=whole(1), metavar="N", help="end after so many")
    parser.set_defaults(run=run, parser=parser)


def run(context: Context) -> Answer:
    """Follow the feed."""
    return Answer(stream=_lines(context.client(), context.options))


def _lines(client: "ControlClient", options: argparse.Namespace) -> Iterator[tuple[Any, str]]:
    with client:
        for event in islice(client.events(options.after, patience=_PATIENCE), options.limit):
            yield {"id": event.id, "event": event.kind, "data": event.data}, _line(event)


def _line(event: "Event") -> str:
    data = event.data
    parts = [event.id or "-", str(data.get("at") or "-"), event.kind]
    if data.get("slug"):
        where = "/".join(str(data[key]) for key in ("root", "slug") if data.get(key))
        parts += [
            f"{data.get('project') or '?'}:{where}",
            f"phase={data.get('phase')}",
            f"status={data.get('status')}",
        ]
    for key in ("error", "reason"):
        if data.get(key):
            parts.append(f"{key}={data[key]}")
    return "  ".join(parts)
