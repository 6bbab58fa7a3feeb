"""What becomes of a session folder that is mirrored."""

from dataclasses import dataclass
from enum import StrEnum


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
