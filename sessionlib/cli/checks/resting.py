"""The roots while no daemon tells of them: where they lie, and what would keep them from being watched."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sessionlib.cli.checks.finding import OK, WARN, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.control.status import RootState
from sessionlib.db.crud import workspaces
from sessionlib.errors import SessionlibError
from sessionlib.state.mounts import is_silent, read_mounts, type_at
from sessionlib.sync.places import real_name, stored_name

FORCED, GONE = "polling is configured", "is not there"
_BY_EVENTS, _POLLING = "events", "polling"


def roots(patient: Patient) -> list[RootState]:
    """Return the roots that a daemon would watch, or has watched last, each as far as it can be seen here.

    Those are what is configured, what the last daemon was told on its command line, and the projects that
    were registered elsewhere. How many folders each has is what the last daemon said; else 0.
    """
    entries = patient.daemon.tree.get("roots")
    trees = [tree for tree in entries if isinstance(tree, dict)] if isinstance(entries, list) else []
    last = {str(tree.get("path")): tree for tree in trees}
    paths = [*patient.config.watch.roots, *(Path(real_name(path)) for path in last)]
    paths += [path for path in _registered(patient) if not any(path.is_relative_to(root) for root in paths)]
    forced = patient.config.watch.force_polling
    return [
        _state(path, last.get(stored_name(str(path)), {}), forced=forced) for path in dict.fromkeys(paths)
    ]


def finding(root: RootState, level: str, step: str) -> Finding:
    """Return what is to be said of such a root: the advice is the one for a root that is watched."""
    says = f"{root.path} ({root.filesystem or 'unknown file system'}), not watched now"
    facts = asdict(root)
    if root.reason is None:
        return Finding("root", OK, f"{says}: a daemon would watch it by events", facts=facts)
    return Finding("root", level, f"{says}: {root.reason}", step, facts=facts)


def nothing() -> Finding:
    """Return that there is no root at all."""
    step = "sessiond run ROOT, watch.roots in the configuration, or sessionctl projects add PATH"
    return Finding("root", WARN, "no folder would be watched: none is configured, no project was added", step)


def filesystem_of(path: Path) -> str | None:
    """Return the type of the file system that holds a path; None where the system lists no mounts."""
    return type_at(os.path.realpath(path), read_mounts())


def _registered(patient: Patient) -> list[Path]:
    try:
        with patient.context.current_database() as database, database.read() as connection:
            found = workspaces.paths_registered(connection, patient.config.host_id())
    except SessionlibError:
        return []  # another check tells of it
    return [Path(real_name(path)) for path in found]


def _state(path: Path, last: Mapping[str, Any], *, forced: bool) -> RootState:
    kind = filesystem_of(path)
    reason = _reason(path, kind, forced=forced)
    if reason is None and last and kind == last.get("filesystem"):
        reason = _told(last)
    folders = last.get("folders")
    return RootState(
        path=stored_name(str(path)),
        mode=_BY_EVENTS if reason is None else _POLLING,
        reason=reason,
        watches=0,
        sessions_roots=0,
        degraded=False,
        folders=folders if isinstance(folders, int) else 0,
        filesystem=kind,
    )


def _told(last: Mapping[str, Any]) -> str | None:
    """Return why the last daemon had no events of a root, unless that can be seen to be otherwise now."""
    reason = str(last.get("reason") or "")
    if last.get("mode") == _BY_EVENTS or reason == FORCED or GONE in reason:
        return None
    return f"when it was watched last: {reason or 'not all of it had watches'}"


def _reason(path: Path, kind: str | None, *, forced: bool) -> str | None:
    if not os.path.isdir(path):  # noqa: PTH112 - not Path.is_dir: what cannot be asked about is no surprise
        return f"the folder {GONE}"
    if not os.access(path, os.R_OK | os.X_OK):
        return "permission denied"
    if is_silent(kind):
        return f"file system {kind} does not tell what others change"
    return FORCED if forced else None
