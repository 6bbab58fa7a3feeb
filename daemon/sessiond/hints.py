"""What the watcher says to the service: doorbells, never facts.

A hint only says "look again"; whoever receives it scans and compares. That is why a lost or doubled hint
costs time and never correctness.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SessionTouched:
    """Something about one session folder changed (or it went away)."""

    session_dir: Path


@dataclass(frozen=True, slots=True)
class RootTouched:
    """A sessions root must be reconciled as a whole: it appeared, vanished, moved, or events were lost.

    `reason` is a short stable word for the log: appeared, vanished, replaced, overflow, error, retry.
    """

    sessions_root: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ProjectsTouched:
    """Projects below a watched root may have come, gone or moved: find them again."""

    watch_root: Path
    reason: str


Hint = SessionTouched | RootTouched | ProjectsTouched
