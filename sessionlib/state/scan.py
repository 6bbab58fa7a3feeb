"""Finding projects: folders that hold a sessions root, under the folders somebody named.

A project, or the top level of a git repository, is a leaf: nothing beneath it is searched but the places that
`FinderOptions.sessions_dirs` names. Otherwise every source tree of every repository would be walked, and
watched. Only the watch root itself is searched whatever it is, because somebody pointed at it: below a
watch root that is a git top level, further sessions roots belong to that one project (a monorepo) unless they
lie in a repository of their own; below any other, each folder that holds one is a project.

Links are never followed. Names may hold lone surrogates (bytes that are not UTF-8, see ``os.fsdecode``).
"""
# Os calls with string paths: tens of thousands of folders may lie under a watch root.
# ruff: noqa: PTH100, PTH112, PTH118

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from sessionlib.errors import StateUnreadableError
from sessionlib.state.layout import DEFAULT_SESSIONS_DIR
from sessionlib.state.listing import Listing, list_sessions
from sessionlib.state.looks import ABSENT_ERRORS

__all__ = [
    "Discovery",
    "FinderOptions",
    "FoundRoot",
    "Listing",
    "chain_of",
    "find_roots",
    "is_pruned",
    "list_sessions",
    "session_place",
    "sessions_roots_of",
]

PRUNED = frozenset(
    {
        ".cache",
        ".git",
        ".venv",
        "__pycache__",
        "bower_components",
        "build",
        "dist",
        "env",
        "node_modules",
        "out",
        "site-packages",
        "target",
        "vendor",
        "venv",
    }
)
"""Folders that hold what tools made or fetched, never a project of ours."""

_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class FinderOptions:
    """Where to look for sessions roots.

    Attributes:
        depth: How many levels below a watch root a project may lie.
        sessions_dirs: Where a project may keep its sessions, relative to it; each part may be a pattern
            (``apps/*/agents/sessions``), which matches one level.
        prune: Names of folders that are never entered; other dot-folders are not either.
    """

    depth: int = 4
    sessions_dirs: tuple[str, ...] = (DEFAULT_SESSIONS_DIR,)
    prune: frozenset[str] = PRUNED


DEFAULT_OPTIONS = FinderOptions()


class FoundRoot(NamedTuple):
    """A sessions root: its project, its place in it (with ``/``), its absolute path."""

    project_dir: Path
    root: str
    path: Path


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one search has found.

    Attributes:
        roots: The sessions roots, in the order found, each once.
        candidates: Folders in which a new child can be, or lead to, a new project; to be watched, each by
            itself. Of what lies beneath a project or a git top level, only ways to a possible sessions root.
        complete: Whether all that should be seen was seen.
        problems: What could not be read, one sentence each.
    """

    roots: tuple[FoundRoot, ...]
    candidates: tuple[Path, ...]
    complete: bool
    problems: tuple[str, ...]


def is_pruned(name: str, options: FinderOptions = DEFAULT_OPTIONS) -> bool:
    """Tell whether a folder of this name is passed over."""
    return name.startswith(".") or name in options.prune


def find_roots(watch_root: Path, options: FinderOptions = DEFAULT_OPTIONS) -> Discovery:
    """Search a watch root for projects, nearest first; blocks for as long as the disk takes.

    Never raises for what it cannot read: that is in `Discovery.problems`, a missing watch root too.
    """
    search = _Search(os.path.abspath(watch_root), options)
    search.run()
    return Discovery(
        roots=tuple(search.roots.values()),
        candidates=tuple(map(Path, search.candidates)),
        complete=not search.problems,
        problems=tuple(search.problems),
    )


def sessions_roots_of(project_dir: Path, options: FinderOptions = DEFAULT_OPTIONS) -> tuple[FoundRoot, ...]:
    """Return the sessions roots a project has where `options` says.

    Raises:
        StateUnreadableError: A folder on the way cannot be read, so that the answer could be too short.
    """
    project = os.path.abspath(project_dir)
    try:
        return tuple(_roots_of(project, options))
    except OSError as error:
        message = f"cannot look for sessions in {error.filename}: {error.strerror}"
        raise StateUnreadableError(message, session_dir=Path(project)) from error


def chain_of(project_dir: Path, options: FinderOptions = DEFAULT_OPTIONS) -> tuple[Path, ...]:
    """Return the folders of a project in which a new child can be, or lead to, a new sessions root.

    That is the project folder and each existing folder on the way to a possible root, those a pattern matches
    and the one it is matched in included; the roots themselves are not. What cannot be read is left out.
    """
    project = os.path.abspath(project_dir)
    return tuple(map(Path, _chain(project, options))) if os.path.isdir(project) else ()


def session_place(
    session_dir: Path, options: FinderOptions = DEFAULT_OPTIONS
) -> tuple[Path, str, str] | None:
    """Split a session folder's path into (project folder, root, slug), or None when it is no such path.

    Looks at the path alone. Of several places that fit, the longest wins: ``apps/*/agents/sessions`` of a
    monorepo before ``agents/sessions`` of the app.
    """
    parts = Path(os.path.abspath(session_dir)).parts
    slug = parts[-1]
    if slug.startswith("."):
        return None
    for pattern in sorted(_patterns(options), key=len, reverse=True):
        root = parts[-len(pattern) - 1 : -1]
        if len(parts) > len(pattern) + 1 and all(map(fnmatchcase, root, pattern)):
            return Path(*parts[: -len(pattern) - 1]), "/".join(root), slug
    return None


class _Search:
    """One breadth-first walk; the watch root is level 0."""

    def __init__(self, start: str, options: FinderOptions) -> None:
        self._start = start
        self._options = options
        self._start_is_git = False
        self.roots: dict[str, FoundRoot] = {}
        self.candidates: dict[str, None] = {}
        self.problems: list[str] = []

    def run(self) -> None:
        queue = deque([(self._start, 0)])
        while queue:
            folder, level = queue.popleft()
            try:
                children = self._visit(folder, level)
            except ABSENT_ERRORS as error:
                if folder == self._start:
                    self._problem(folder, error)
            except OSError as error:
                self._problem(folder, error)
            else:
                queue.extend((child, level + 1) for child in children)

    def _visit(self, folder: str, level: int) -> list[str]:
        """Take in one folder and return the subfolders to search."""
        names, is_git = _listed(folder)
        is_start = folder == self._start
        if is_start:
            self._start_is_git = is_git
        found = list(_roots_of(folder, self._options))
        owner = folder if is_start or is_git or not self._start_is_git else self._start
        for root in found:
            self._add(owner, root)
        # A project's own ways are in chain_of; below a git top level only repositories of their own matter.
        if is_start or not (found or owner != folder):
            self.candidates.update(dict.fromkeys(_chain(folder, self._options)))
        if level >= self._options.depth or ((is_git or found) and not is_start):
            return []
        below = (os.path.join(folder, name) for name in names if not is_pruned(name, self._options))
        return [path for path in below if path not in self.roots]

    def _add(self, owner: str, root: FoundRoot) -> None:
        place = Path(os.path.relpath(root.path, owner)).as_posix()
        self.roots.setdefault(str(root.path), FoundRoot(Path(owner), place, root.path))

    def _problem(self, folder: str, error: OSError) -> None:
        self.problems.append(f"{error.filename or folder}: {error.strerror or error}")


def _listed(folder: str) -> tuple[list[str], bool]:
    """Return the names of a folder's real subfolders, and whether it is the top level of a repository."""
    names = []
    is_git = False
    with os.scandir(folder) as entries:
        for entry in entries:
            is_git = is_git or entry.name == ".git"
            if entry.is_dir(follow_symlinks=False):
                names.append(entry.name)
    return sorted(names), is_git


def _roots_of(project: str, options: FinderOptions) -> Iterator[FoundRoot]:
    seen = set()
    for pattern in _patterns(options):
        for folder, is_root in _walk(project, pattern, options):
            if is_root and folder not in seen:
                seen.add(folder)
                place = Path(os.path.relpath(folder, project)).as_posix()
                yield FoundRoot(Path(project), place, Path(folder))


def _chain(project: str, options: FinderOptions) -> list[str]:
    found: dict[str, None] = {}
    for pattern in _patterns(options):
        for folder, is_root in _walk(project, pattern, options, lenient=True):
            if not is_root:
                found[folder] = None
    return list(found)


def _walk(
    folder: str, pattern: tuple[str, ...], options: FinderOptions, *, lenient: bool = False
) -> Iterator[tuple[str, bool]]:
    """Yield each existing folder on the way a pattern describes, and whether it is the end of the way."""
    yield folder, not pattern
    if not pattern:
        return
    try:
        names = _matching(folder, pattern[0], options)
    except OSError:
        if not lenient:
            raise
        return
    for name in names:
        yield from _walk(os.path.join(folder, name), pattern[1:], options, lenient=lenient)


def _matching(folder: str, piece: str, options: FinderOptions) -> list[str]:
    try:
        if _WILD.isdisjoint(piece):
            return [piece] if stat.S_ISDIR(os.lstat(os.path.join(folder, piece)).st_mode) else []
        names, _ = _listed(folder)
    except ABSENT_ERRORS:
        return []
    return [name for name in names if fnmatchcase(name, piece) and not is_pruned(name, options)]


def _patterns(options: FinderOptions) -> list[tuple[str, ...]]:
    split = (
        tuple(part for part in text.split("/") if part not in {"", "."}) for text in options.sessions_dirs
    )
    return [pattern for pattern in split if pattern]
