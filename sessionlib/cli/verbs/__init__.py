"""The verbs, one family a module of its name. What a verb needs it imports when it runs."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

NAMES = (
    "status",
    "projects",
    "sessions",
    "show",
    "query",
    "conversations",
    "agents",
    "cost",
    "tools",
    "mcp",
    "logs",
    "timeline",
    "todos",
    "events",
    "sync",
    "rescan",
    "verify",
    "rebuild",
    "session",
    "hooks",
    "identity",
    "quality",
    "doctor",
    "db",
    "service",
    "reload",
)
"""In the order of the help."""


def adding(words: Sequence[str] = ()) -> list[Callable[[Any, Any], None]]:
    """Return functions that add a verb to the parser, given the subparsers and the parent of common options.

    Where the words of a call begin with a verb, the other verbs can say nothing to it, and are left out.
    """
    wanted = words[:1] if words and words[0] in NAMES else NAMES
    return [import_module(f"{__name__}.{name}").add for name in wanted]
