"""One pass over sessions roots without a daemon: find them, compare, wait for what differs, tell."""

# Not Path's questions: they raise for a name that is too long.
# ruff: noqa: PTH110, PTH112

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sessionlib.db import pictures, queries
from sessionlib.db.pictures import RootKey
from sessionlib.errors import DatabaseUnavailableError, StateNotFoundError, UsageError
from sessionlib.runtime import Runtime
from sessionlib.state.scan import find_roots, session_place
from sessionlib.sync.places import Place, stored_name
from sessionlib.sync.reconcile import Report

_TICK = 0.1
_ALL = 1_000_000
_UNSETTLED = ("owed", "refused")

Watcher = Callable[[int, int], None]
"""Told how many folders of how many are synced."""


@dataclass(slots=True)
class Found:
    """The sessions roots to look at, and what stood in the way of finding them."""

    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, places: Iterable[Place]) -> None:
        """Add roots, each once."""
        for place in places:
            self.places.setdefault(place.path, place)


def find_below(runtime: Runtime, path: Path) -> Found:
    """Return the sessions roots below a folder, or around it; new ones are registered.

    Raises:
        StateNotFoundError: There are none.
        DatabaseError: The database does not answer.
    """
    found = Found()
    real = Path(os.path.realpath(path))  # not Path.resolve: it raises for links that lead in circles
    if os.path.isdir(path):
        discovery = find_roots(path, runtime.finder)
        found.problems += discovery.problems
        found.add(runtime.registrar.place_of(root.path) for root in discovery.roots)
    found.add(place for place in runtime.registrar.places() if place.path.is_relative_to(real))
    for inside, root in ((path / "_", path), (path, path.parent)):
        if not found.places and os.path.isdir(root) and session_place(inside, runtime.finder) is not None:
            found.add([runtime.registrar.place_of(root)])
    if not found.places:
        there = "no sessions below" if os.path.exists(path) else "there is no folder"
        raise StateNotFoundError(
            f"{there} {path}",
            session_dir=path,
            hint=f"a project keeps them in {' or '.join(runtime.finder.sessions_dirs)}",
        )
    return found


def find_all(runtime: Runtime) -> Found:
    """Return the sessions roots below the configured roots, and all that this host has registered."""
    found = Found()
    for root in runtime.config.watch.roots:
        discovery = find_roots(root, runtime.finder)
        found.problems += discovery.problems
        found.add(runtime.registrar.place_of(known.path) for known in discovery.roots)
    found.add(runtime.registrar.places())
    return found


def find(runtime: Runtime, paths: Sequence[Path], *, verb: str) -> Found:
    """Return the sessions roots that a verb is to work on: below the paths, or all there are.

    Raises:
        UsageError: There are none at all.
        StateNotFoundError: There are none below a path.
        DatabaseError: The database does not answer.
    """
    if not paths:
        found = find_all(runtime)
        if not found.places and not found.problems:
            raise UsageError(
                f"there is nothing to {verb}: no project is known and no roots are configured",
                hint=f"name a folder: sessionctl {verb} PATH",
            )
        return found
    found = Found()
    for path in paths:
        more = find_below(runtime, path.expanduser().absolute())
        found.add(more.places.values())
        found.problems += more.problems
    return found


class Pass:
    """One look at some places, its reports, and what came of them.

    Args:
        runtime: Open.
        accept_missing: Believe a mass disappearance.
        deadline: On the monotonic clock, when waiting ends.
        watcher: Told of the progress.
    """

    def __init__(self, runtime: Runtime, *, accept_missing: bool, deadline: float, watcher: Watcher) -> None:
        self._runtime = runtime
        self._accept_missing = accept_missing
        self._deadline = deadline
        self._watcher = watcher
        self.reports: dict[Path, list[Report]] = {}

    def look(self, places: Iterable[Place]) -> None:
        """Compare the places, and wait until all that differs is synced or the time is up.

        Raises:
            DatabaseUnavailableError: The database went down, and did not come back in time.
            DatabaseError: The database does not answer.
        """
        reports = []
        for place in places:
            report = self._runtime.reconcile(place.path, accept_missing=self._accept_missing)
            self.reports.setdefault(place.path, []).append(report)
            reports.append(report)
        self._wait(reports)

    def _wait(self, reports: Sequence[Report]) -> None:
        total = sum(report.ticket.total for report in reports)
        for report in reports:
            while not report.ticket.wait(_TICK):
                self._watcher(total - sum(other.ticket.left for other in reports), total)
                if time.monotonic() > self._deadline:
                    paused = self._runtime.queue.stats().paused
                    if paused is not None:
                        raise DatabaseUnavailableError(f"gave up waiting: {paused}")
                    return
        self._watcher(total, total)

    def unconfirmed(self) -> list[Place]:
        """Return the places with folders that one look has found absent, and another must confirm."""
        places = [reports[-1].place for reports in self.reports.values() if not reports[-1].missing]
        keys = [RootKey(place.project_id, place.workspace_id, place.root) for place in places]
        with self._runtime.database.read() as connection:
            absent = pictures.roots_with_absent(connection, keys)
        return [place for place, key in zip(places, keys, strict=True) if key in absent]

    def rows(self) -> list[dict[str, Any]]:
        """Return what came of each root, for people and programs."""
        runtime = self._runtime
        with runtime.database.read() as connection:
            names = {row.workspace_id: row.project_slug for row in queries.workspaces(connection)}
            bad = [(row.path, row.error) for row in queries.unreadable(connection, _ALL)]
        owed = {stored_name(str(path)): words for path, words in runtime.queue.owed.items()}
        return [
            _row(names.get(reports[-1].place.workspace_id, ""), reports, bad, owed)
            for reports in self.reports.values()
        ]


def _row(
    project: str, reports: Sequence[Report], bad: Sequence[tuple[str, str]], owed: dict[str, str]
) -> dict[str, Any]:
    last = reports[-1]
    inside = stored_name(str(last.place.path)) + "/"
    counts: dict[str, int] = {}
    for report in reports:
        for outcome, count in report.ticket.counts.items():
            counts[outcome] = counts.get(outcome, 0) + count
    late = sum(report.ticket.left for report in reports)
    unsettled = {path: words for path, words in owed.items() if path.startswith(inside)}
    unreadable = {path: error for path, error in bad if path.startswith(inside)} | unsettled
    written = counts.get("written", 0)
    not_done = late + sum(counts.get(outcome, 0) for outcome in _UNSETTLED)
    return {
        "project": project,
        "path": str(last.place.path),
        "total": last.total,
        "written": written,
        "unchanged": max(0, last.total - written - len(unreadable) - late),
        "absent": last.absent if len(reports) == 1 else 0,
        "tombstoned": sum(report.tombstoned for report in reports),
        "held": last.held,
        "missing": last.missing,
        "left": not_done,
        "problems": [list(problem) for problem in last.problems],
        "unreadable": [{"path": path, "error": error} for path, error in sorted(unreadable.items())],
    }


def covers_all(runtime: Runtime, looked_at: Iterable[Path]) -> bool:
    """Tell whether every sessions root that this host has registered was looked at."""
    return {place.path for place in runtime.registrar.places()} <= set(looked_at)


def close(runtime: Runtime, seconds: float) -> None:
    """Close a runtime, giving its queue so many seconds for a second look at the freshest files."""
    with suppress(KeyboardInterrupt):
        runtime.close(seconds)
