"""What has to be watched, according to the finder: where sessions roots are, and where one may appear."""
# Paths are strings on this side, see `sessiond.watch.tree`.
# ruff: noqa: PTH119

import contextlib
import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sessionlib.errors import StateUnreadableError
from sessionlib.state.scan import FinderOptions, chain_of, find_roots, is_pruned, sessions_roots_of


@dataclass(slots=True)
class Survey:
    """What one look found, as ordered sets.

    Attributes:
        roots: Sessions roots.
        chain: Folders in which a new child may be, or lead to, a sessions root.
    """

    roots: dict[str, None] = field(default_factory=dict)
    chain: dict[str, None] = field(default_factory=dict)

    def add_project(self, project_dir: Path, options: FinderOptions) -> None:
        """Add the roots of one project folder, and the folders in which others would appear."""
        self._add_chain(chain_of(project_dir, options))
        # What cannot be read cannot be watched: its chain is, as far as it goes, and is asked again.
        with contextlib.suppress(StateUnreadableError):
            for found in sessions_roots_of(project_dir, options):
                self.roots[os.fspath(found.path)] = None

    def add_search(self, top: Path, options: FinderOptions) -> bool:
        """Add what the finder finds from `top` down; True when it found a sessions root."""
        discovery = find_roots(top, options)
        self._add_chain(discovery.candidates)
        for root in discovery.roots:
            self.roots[os.fspath(root.path)] = None
        # The finder leaves the ways inside a project to `chain_of`.
        for project_dir in {root.project_dir: None for root in discovery.roots}:
            self._add_chain(chain_of(project_dir, options))
        return bool(discovery.roots)

    def _add_chain(self, paths: Iterable[Path]) -> None:
        self.chain.update((os.fspath(path), None) for path in paths)


def survey_of(path: str, options: FinderOptions, *, under: bool) -> Survey:
    """Look at a whole entry: a watch root (`under`) or a project."""
    survey = Survey()
    if under:
        survey.add_search(Path(path), options)
    else:
        survey.add_project(Path(path), options)
    return survey


def survey_of_new(path: str, new_dirs: Iterable[str], options: FinderOptions, *, under: bool) -> Survey:
    """Look only at what new folders may have changed about an entry.

    A new folder can hold projects, and it can be the missing link between a project above it and its
    sessions.

    Args:
        path: The entry's folder; the new ones lie below it.
        new_dirs: The new folders, absolute.
        options: How projects are found.
        under: Whether the entry is a watch root.
    """
    if not under:
        return survey_of(path, options, under=False)
    survey = Survey()
    leaves = {path: False}  # the entry itself is searched whatever it is
    for new_dir in new_dirs:
        above = _above(path, new_dir, options)
        for folder in above:
            if folder not in leaves:
                leaves[folder] = _is_leaf(folder, options)
        if not any(leaves[folder] for folder in above):
            _search_new(survey, new_dir, _level(path, new_dir), options)
    for project in leaves:
        survey.add_project(Path(project), options)
    return survey


def _search_new(survey: Survey, folder: str, level: int, options: FinderOptions) -> None:
    """Search a folder as the finder would have, had it met it at this level."""
    if level > options.depth or is_pruned(os.path.basename(folder), options):
        return
    found = survey.add_search(Path(folder), dataclasses.replace(options, depth=0))
    if found or _is_repository(folder):
        return
    for name in _subfolders(folder):
        _search_new(survey, f"{folder}/{name}", level + 1, options)


def _above(path: str, new_dir: str, options: FinderOptions) -> list[str]:
    """Return the folders from the entry down to the parent of a new one that may be projects, top first."""
    above = [path]
    for name in _parts(path, new_dir)[:-1]:
        if len(above) > options.depth:
            break
        above.append(f"{above[-1].rstrip('/')}/{name}")
    return above


def _is_leaf(folder: str, options: FinderOptions) -> bool:
    """Return whether the finder searches no deeper: a project, or a repository."""
    if _is_repository(folder):
        return True
    try:
        return bool(sessions_roots_of(Path(folder), options))
    except StateUnreadableError:
        return True


def _is_repository(folder: str) -> bool:
    return os.path.lexists(f"{folder}/.git")


def _subfolders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _level(path: str, folder: str) -> int:
    return len(_parts(path, folder))


def _parts(path: str, folder: str) -> list[str]:
    return [part for part in folder[len(path) :].split("/") if part]
