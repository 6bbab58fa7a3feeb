"""POST /rescan, /projects, /reload, /canary: what a person or a UI asks the daemon to do."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from sessiond.control import asking
from sessiond.control.answers import RequestError, encode, json_answer, rows_answer
from sessiond.control.backend import RootCounts, Target
from sessiond.control.desk import Call

_DEFAULT_TIMEOUT = 60.0
_LONGEST_TIMEOUT = 3600.0
_RELOAD_TIMEOUT = 60.0
_SUMMED = (
    "sessions",
    "written",
    "unchanged",
    "absent",
    "tombstoned",
    "held",
    "unreadable",
    "left",
    "missing",
)

_RESCAN_KINDS: dict[str, asking.Kind] = {
    "path": asking.a_path,
    "project": asking.a_text,
    "accept_missing": asking.a_flag,
    "wait": asking.a_flag,
    "timeout": asking.a_number(0, _LONGEST_TIMEOUT),
}


async def rescan(call: Call) -> web.StreamResponse:
    """Ask for a comparison; answer with its counts after the commit, or at once when told not to wait."""
    asking.parameters(call.request, {})
    given = await asking.body(call.request, _RESCAN_KINDS, call.desk.request_timeout)
    waits = given.get("wait", True)
    future = call.desk.backend.rescan(_target(given), keep=not waits)
    if not waits and not future.done():
        return json_answer(encode({"accepted": True}), status=202)
    timeout = given.get("timeout", _DEFAULT_TIMEOUT)
    rows = await call.desk.ended(
        future,
        timeout,
        f"the comparison is not done after {timeout:g} s",
        "it goes on; GET /status tells how far",
    )
    return json_answer(rows_answer(call.desk.backend.freshness(), rows, totals=totals(rows)))


def totals(rows: Sequence[RootCounts]) -> dict[str, int]:
    """Return the sums over all roots, and how many roots there are (and, of them, are missing)."""
    return {"roots": len(rows)} | {name: sum(getattr(row, name) for row in rows) for name in _SUMMED}


def _target(given: dict[str, Any]) -> Target:
    path, project = given.get("path"), given.get("project")
    if path is not None and project is not None:
        raise RequestError(400, "path and project exclude each other", hint="give one of them, or neither")
    return Target(
        path=None if path is None else absolute(path),
        project=project,
        accept_missing=given.get("accept_missing", False),
    )


async def add_project(call: Call) -> web.StreamResponse:
    """Register the project at a folder."""
    asking.parameters(call.request, {})
    given = await asking.body(call.request, {"path": asking.a_path}, call.desk.request_timeout)
    if "path" not in given:
        raise RequestError(400, "the path is not there", hint='send {"path": "/folder/of/the/project"}')
    added = await call.desk.work(call.desk.backend.add_project, absolute(given["path"]))
    return json_answer(encode(added), status=201)


async def reload(call: Call) -> web.StreamResponse:
    """Read the configuration again; answer with what was applied."""
    asking.parameters(call.request, {})
    await asking.body(call.request, {}, call.desk.request_timeout)
    late = f"the configuration is not applied after {_RELOAD_TIMEOUT:g} s"
    applied = await call.desk.ended(
        call.desk.backend.reload(), _RELOAD_TIMEOUT, late, "it goes on; GET /status tells how it went"
    )
    return json_answer(encode(applied))


async def canary(call: Call) -> web.StreamResponse:
    """Have the watcher hear of a file of our own; answer whether it did, and how long that took."""
    asking.parameters(call.request, {})
    await asking.body(call.request, {}, call.desk.request_timeout)
    song = await call.desk.work(
        call.desk.backend.canary, late="the watcher has not been set up in {most:g} s"
    )
    if song is None:
        raise RequestError(409, "a canary is on its way for somebody else", hint="ask again in a moment")
    return json_answer(encode(song))


def absolute(path: str) -> Path:
    """Return the path of a request; it must not depend on where the daemon runs, or as whom.

    Raises:
        RequestError: It is relative, or begins with a tilde.
    """
    if not os.path.isabs(path):  # noqa: PTH117 - before it is a Path
        raise RequestError(
            400,
            f"path must be absolute, not {path[:200]!r}",
            hint="the daemon does not know your folder or home",
        )
    return Path(os.path.normpath(path))
