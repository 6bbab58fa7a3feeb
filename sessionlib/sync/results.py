"""What becomes of a session folder that is mirrored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """What became of one session folder.

    INVALID is a file that cannot be used, or whose rows the database refuses: its error is recorded.
    REJECTED is one of which not even the error can be recorded.
    """

    WRITTEN = "written"
    TOUCHED = "touched"
    UNCHANGED = "unchanged"
    INVALID = "invalid"
    ABSENT = "absent"
    TORN = "torn"
    UNREADABLE = "unreadable"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one session folder; `error` is for people, `racy` asks for another look soon."""

    slug: str
    outcome: Outcome
    error: str | None = None
    racy: bool = False


Work = Callable[[Sequence[Path], frozenset[Path]], list[Result]]
"""Sync these folders (of one root); the second are those whose file stayed torn. One result each."""

OnResults = Callable[[Sequence[tuple[Path, Result]], bool], None]
"""Is told what became of folders of one root that were synced together, and whether it was live work."""
