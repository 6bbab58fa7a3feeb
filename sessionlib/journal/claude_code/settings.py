"""The recorder in Claude Code's settings: put in, taken out and looked for, beside what else stands there.

Nothing that is not ours is changed, and the order of what is there stays: the file is its user's, and the
client writes into it, too.
"""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sessionlib.journal.claude_code.events import WITH_ARGUMENTS, Event, Version

_FILE = "sessionlib/hooks/entry.py"
_PROGRAM = "session-hook"

Settings = dict[str, Any]


class BadSettingsError(ValueError):
    """Settings of a shape that the client does not take either."""


class Found(NamedTuple):
    """A handler of ours that is registered for an event."""

    event: str
    handler: dict[str, Any]


def installed(
    settings: Settings, events: Iterable[Event], command: Sequence[str], version: Version | None
) -> Settings:
    """Return the settings with our handler for these events and no others; what is not ours stays.

    Args:
        settings: As read; not changed.
        events: Those to be registered.
        command: The program and its arguments, before the event's name.
        version: The client's, which decides how the command is spelled; None for an unknown one.

    Raises:
        BadSettingsError: Its hooks are of no known shape.
    """
    wanted = {event.name: _group(event, command, version) for event in events}
    hooks: dict[str, Any] = {}
    for name, groups in _hooks(settings).items():
        kept, place = _without_ours(name, groups)
        if name in wanted:
            # Where ours stood it stands again: a file that says the same is not written.
            kept.insert(len(kept) if place is None else place, wanted.pop(name))
        if kept:
            hooks[name] = kept
    return _with_hooks(settings, hooks | {name: [group] for name, group in wanted.items()})


def uninstalled(settings: Settings) -> Settings:
    """Return the settings without any handler of ours.

    Raises:
        BadSettingsError: Its hooks are of no known shape.
    """
    hooks = {}
    for name, groups in _hooks(settings).items():
        kept, place = _without_ours(name, groups)
        if kept or place is None:
            hooks[name] = kept
    return _with_hooks(settings, hooks)


def found(settings: Settings) -> Iterator[Found]:
    """Yield our handlers, whatever version of ours has put them there.

    Raises:
        BadSettingsError: Its hooks are of no known shape.
    """
    for name, groups in _hooks(settings).items():
        for group in _groups(name, groups):
            yield from (Found(name, handler) for handler in _handlers(name, group) if is_ours(handler))


def handler_of(event: Event, command: Sequence[str], version: Version | None) -> dict[str, Any]:
    """Return our handler of an event, as a client of this version takes it."""
    handler: dict[str, Any] = {"type": "command"}
    if version is not None and version >= WITH_ARGUMENTS:
        handler |= {"command": command[0], "args": [*command[1:], event.name]}
    else:
        handler["command"] = shlex.join([*command, event.name])
    return handler | {"timeout": event.timeout}


def is_ours(handler: Any) -> bool:
    """Tell whether a handler calls our recorder, from whatever installation."""
    if not isinstance(handler, dict):
        return False
    command, arguments = handler.get("command"), handler.get("args")
    words = [command] if isinstance(command, str) else []
    if isinstance(arguments, list):
        words += [word for word in arguments if isinstance(word, str)]
    elif words:
        try:
            words = shlex.split(words[0])
        except ValueError:
            return False
    paths = [word.replace("\\", "/") for word in words]
    return any(path.endswith(_FILE) or path.rpartition("/")[2] == _PROGRAM for path in paths)


def silenced_by(settings: Settings) -> str | None:
    """Return the setting that keeps our hooks from running, if one does."""
    for name in ("disableAllHooks", "allowManagedHooksOnly"):
        if settings.get(name) is True:
            return name
    return None


def _group(event: Event, command: Sequence[str], version: Version | None) -> dict[str, Any]:
    handlers = {"hooks": [handler_of(event, command, version)]}
    return {"matcher": "*", **handlers} if event.of_tools else handlers


def _with_hooks(settings: Settings, hooks: dict[str, Any]) -> Settings:
    rest = dict(settings)
    if hooks or "hooks" in rest:
        rest["hooks"] = hooks
    if not hooks and settings.get("hooks"):
        del rest["hooks"]
    return rest


def _hooks(settings: Settings) -> dict[str, Any]:
    hooks = settings.get("hooks", {})
    if not isinstance(hooks, dict):
        raise BadSettingsError("its hooks are no object")
    return hooks


def _groups(name: str, groups: Any) -> list[dict[str, Any]]:
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise BadSettingsError(f"its hooks for {name} are no list of objects")
    return groups


def _handlers(name: str, group: dict[str, Any]) -> list[Any]:
    handlers = group.get("hooks", [])
    if not isinstance(handlers, list):
        raise BadSettingsError(f"its hooks for {name} are no list of objects")
    return handlers


def _without_ours(name: str, groups: Any) -> tuple[list[dict[str, Any]], int | None]:
    """Return the groups of an event without our handlers, and where the first group of ours alone stood."""
    kept: list[dict[str, Any]] = []
    place = None
    for group in _groups(name, groups):
        handlers = _handlers(name, group)
        others = [handler for handler in handlers if not is_ours(handler)]
        if len(others) == len(handlers):
            kept.append(group)
            continue
        if place is None:
            place = len(kept)
        if others:
            kept.append({**group, "hooks": others})
    return kept, place
