"""The hook events of Claude Code that are recorded, and since which version of the client each is known.

A client before 2.1.101 ignores its whole settings file for one event that it does not know, permissions too;
so no event is ever registered with a client that is too old for it, or of which nothing is known. The
versions were found by registering events one by one with real clients, else in its changelog.
"""

import re
from typing import NamedTuple

Version = tuple[int, int, int]

TOLERANT: Version = (2, 1, 101)
"""From here on an unknown event is skipped, not the file."""
WITH_ARGUMENTS: Version = (2, 1, 139)
"""From here on a handler may be a program and its arguments; before it is a line for a shell."""

_OLDEST: Version = (1, 0, 41)
_UNKNOWN: Version = (2, 0, 76)
"""What is taken for granted of a client that says nothing of its version."""


class Event(NamedTuple):
    """A hook event.

    Attributes:
        name: The client's.
        since: The first version that knows it.
        of_tools: Whether it is registered with a matcher, for all tools.
        timeout: Seconds that the client waits. At the end of a session all hooks together have a second and
            a half unless one says more.
    """

    name: str
    since: Version
    of_tools: bool = False
    timeout: int = 5


EVENTS = (
    Event("SessionStart", (1, 0, 62), timeout=10),
    Event("UserPromptSubmit", (1, 0, 54)),
    Event("PreToolUse", _OLDEST, of_tools=True),
    Event("PostToolUse", _OLDEST, of_tools=True),
    Event("PostToolUseFailure", (2, 0, 76), of_tools=True),
    Event("PostToolBatch", TOLERANT),
    Event("PermissionDenied", TOLERANT, of_tools=True),
    Event("SubagentStart", (2, 0, 43)),
    Event("SubagentStop", _OLDEST),
    Event("PreCompact", (1, 0, 62)),
    Event("PostCompact", (2, 1, 80)),
    Event("TaskCreated", TOLERANT),
    Event("TaskCompleted", (2, 1, 80)),
    Event("Stop", _OLDEST),
    Event("StopFailure", (2, 1, 80)),
    Event("Notification", _OLDEST),
    Event("PostModelSwitch", (2, 1, 251)),
    Event("SessionEnd", (1, 0, 85), timeout=10),
)

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


def parse_version(text: str) -> Version | None:
    """Return the version that a text begins with or names, as ``2.1.330 (Claude Code)`` does; else None."""
    found = _VERSION.search(text)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def known_to(version: Version | None) -> tuple[Event, ...]:
    """Return the events that a client of this version knows; of an unknown one, those of an old one."""
    taken = version or _UNKNOWN
    return tuple(event for event in EVENTS if event.since <= taken)
