"""What notifications say: a rescan's target, and the changes that a host announces."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sessiond.feed import Change
from sessiond.targets import Target
from sessionlib.db.channel import PAYLOAD_MOST

_NAME_MOST = 200
_ERROR_MOST = 500


def read_target(payload: str, hosts: Iterable[str]) -> Target | None:
    """Return what a rescan notification asks for; None when it is for another host.

    Args:
        payload: Empty or ``*`` for everything, an absolute path, a project's name, alias or id, or a JSON
            object with ``path`` or ``project`` and perhaps ``host``.
        hosts: The names of this host.

    Raises:
        ValueError: It is none of these.
    """
    text = payload.strip()
    if text in ("", "*"):
        return Target()
    if text.startswith("{"):
        return _read_object(text, hosts)
    return _absolute(text) if text.startswith("/") else _project(text)


def _read_object(text: str, hosts: Iterable[str]) -> Target | None:
    asked = _loads(text)
    host, path, project = (asked.get(name) for name in ("host", "path", "project"))
    if any(not (value is None or isinstance(value, str)) for value in (host, path, project)):
        raise ValueError("host, path and project are texts")
    if path is not None and project is not None:
        raise ValueError("path and project exclude each other")
    if path is None and project is None and host is None:
        raise ValueError("name a path, a project or a host")
    if host is not None and host not in hosts:
        return None
    if path is not None:
        return _absolute(path)
    return Target() if project is None else _project(project)


def _absolute(path: str) -> Target:
    if not path.startswith("/") or "\0" in path:
        raise ValueError("the path must be absolute")
    return Target(path=Path(path))


def _project(name: str) -> Target:
    if not name.isprintable() or not 0 < len(name) <= _NAME_MOST:
        raise ValueError("this is no project's name")
    return Target(project=name)


def _loads(text: str) -> dict[str, Any]:
    try:
        tree = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(tree, dict):
        raise ValueError("this is no JSON object")  # noqa: TRY004 - for the reader it is all one
    return tree


def opening(host: str) -> str:
    """Return what every payload of a host begins with, so that it is known unread."""
    return f'{{"host":{json.dumps(host)},'


def pack(host: str, changes: Iterable[Change], *, resync: bool = False) -> list[str]:
    """Return payloads that hold each change once, in order.

    `resync` tells listeners to look at everything, as does a change that fits into no payload.
    """
    head, tail = f'{opening(host)}"changes":[', "]}"
    room = PAYLOAD_MOST - len(head) - len(tail)
    groups: list[list[str]] = []
    used = room
    for change in changes:
        text = json.dumps(_shortened(change).to_json(), separators=(",", ":"))
        if len(text) > room:
            resync = True
            continue
        used += len(text) + 1
        if used > room + 1:
            groups.append([])
            used = len(text) + 1
        groups[-1].append(text)
    first = [f'{opening(host)}"resync":true,"changes":[]}}'] if resync else []
    return first + [head + ",".join(group) + tail for group in groups]


def _shortened(change: Change) -> Change:
    """Return a change whose texts of unknown length are short; the whole ones are in the database."""
    return replace(
        change,
        project=change.project and change.project[:_NAME_MOST],
        phase=change.phase and change.phase[:_NAME_MOST],
        status=change.status and change.status[:_NAME_MOST],
        error=change.error and change.error[:_ERROR_MOST],
    )


def unpack(payload: str) -> tuple[str, list[Change], bool]:
    """Return the host that sent a payload, its changes, and whether everything must be looked at.

    Raises:
        ValueError: `pack` did not make it.
    """
    tree = _loads(payload)
    host, changes = tree.get("host"), tree.get("changes", [])
    if not (isinstance(host, str) and isinstance(changes, list)):
        raise ValueError("this is no announcement")  # noqa: TRY004 - for the reader it is all one
    return host, [Change.from_json(change) for change in changes], tree.get("resync") is True
