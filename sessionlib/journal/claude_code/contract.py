"""What Claude Code promises: the fields without which an event cannot be understood, since which version.

A client that renames one of them breaks nothing that anybody would notice: rows are only missing, or not
linked. So what an event lacks is told. Only fields of which it is known since when they are always there are
looked for, and only in clients that are known to be that new.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sessionlib.journal.claude_code.events import Version

_OLDEST: Version = (1, 0, 54)


class Field(NamedTuple):
    """A field that an event always has from some version on; ``a.b`` is one of each entry of the list a."""

    name: str
    since: Version


_EVERYWHERE = (Field("cwd", _OLDEST), Field("transcript_path", _OLDEST))
_CALL = Field("tool_use_id", (2, 0, 43))
_TOOL = (Field("tool_name", _OLDEST), Field("tool_input", _OLDEST))
_AGENT = (Field("agent_id", (2, 0, 43)), Field("agent_type", (2, 1, 69)))
_TASK = (Field("task_id", (2, 1, 84)), Field("task_subject", (2, 1, 84)))

_NEEDED: dict[str, tuple[Field, ...]] = {
    "SessionStart": (Field("source", (1, 0, 62)),),
    "SessionEnd": (Field("reason", (1, 0, 85)),),
    "UserPromptSubmit": (Field("prompt", _OLDEST),),
    "PreToolUse": (_CALL, *_TOOL),
    "PostToolUse": (_CALL, *_TOOL, Field("tool_response", _OLDEST)),
    "PostToolUseFailure": (_CALL, *_TOOL, Field("error", (2, 0, 76))),
    "PostToolBatch": (
        Field("tool_calls.tool_use_id", (2, 1, 101)),
        Field("tool_calls.tool_name", (2, 1, 101)),
        Field("tool_calls", (2, 1, 101)),
    ),
    "PermissionDenied": (_CALL, Field("tool_name", (2, 1, 89))),
    "SubagentStart": _AGENT,
    "SubagentStop": (*_AGENT, Field("agent_transcript_path", (2, 0, 42))),
    "PreCompact": (Field("trigger", (1, 0, 62)),),
    "PostCompact": (Field("trigger", (2, 1, 80)),),
    "TaskCreated": _TASK,
    "TaskCompleted": _TASK,
    "StopFailure": (Field("error", (2, 1, 80)),),
}
"""Of each event the ids first."""

_SIGNS: tuple[Field, ...] = (
    Field("seconds_since_last_response", (2, 1, 251)),
    Field("prompt_id", (2, 1, 196)),
    Field("session_crons", (2, 1, 145)),
    Field("background_tasks", (2, 1, 145)),
    Field("duration_ms", (2, 1, 119)),
    Field("agent_transcript_path", (2, 0, 42)),
)
"""Fields that show by themselves how new a client is at least, the newest first."""


def missing_fields(event: str, payload: dict[str, Any]) -> tuple[Field, ...]:
    """Return what a whole payload of this event lacks; nothing of events that are not known here."""
    needed = _NEEDED.get(event)
    if needed is None:
        return ()
    return tuple(field for field in (*needed, *_EVERYWHERE) if not _has(payload, field.name))


def at_least(payload: dict[str, Any]) -> Version | None:
    """Return the version that a payload shows its client to have at least; None if it shows nothing."""
    return next((field.since for field in _SIGNS if field.name in payload), None)


def _has(payload: dict[str, Any], name: str) -> bool:
    whole, dot, part = name.partition(".")
    if not dot:
        return _is_there(payload, whole)
    return all(_is_there(entry, part) for entry in _entries(payload.get(whole)))


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    entries: Iterable[Any] = value if isinstance(value, list) else ()
    return (entry for entry in entries if isinstance(entry, dict))


def _is_there(tree: dict[str, Any], name: str) -> bool:
    """Tell whether a field is there; of an id, that it can be one."""
    if name.endswith("_id"):
        value = tree.get(name)
        return isinstance(value, str) and bool(value)
    return name in tree
