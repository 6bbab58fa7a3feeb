"""What the daemon's log events mean and what to do about them, from the table that users read, too."""

import difflib
import re
from pathlib import Path
from typing import NamedTuple

from sessionlib.errors import UsageError

_TABLE = Path(__file__).with_name("log-events.md")
_NAME = re.compile(r"`([^`]+)`")


class Explained(NamedTuple):
    """One row of the table.

    Attributes:
        events: The names that it is about.
        level: At which they are logged.
        meaning: What has happened.
        advice: What to do.
    """

    events: tuple[str, ...]
    level: str
    meaning: str
    advice: str


def explained(wanted: str = "") -> list[Explained]:
    """Return what is known of an event, of all of a part (``watch``), or of all for an empty name.

    Raises:
        UsageError: No event is called so.
    """
    rows = [_row(line) for line in _TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    found = [row for row in rows if not wanted or any(_is_meant(name, wanted) for name in row.events)]
    if not found:
        names = [name for row in rows for name in row.events]
        near = difflib.get_close_matches(wanted, names, n=1)
        hint = f"perhaps {near[0]}" if near else "`sessionctl logs --explain` lists them all"
        raise UsageError(f"no event is called {wanted!r}", hint=hint)
    return found


def _is_meant(name: str, wanted: str) -> bool:
    return name == wanted or name.startswith(f"{wanted}.")


def _row(line: str) -> Explained:
    names, level, meaning, advice = (cell.strip() for cell in line.strip("|").split(" | "))
    return Explained(tuple(_NAME.findall(names)), level, meaning, advice.rstrip(" |"))
