"""From what a rescan names to the sessions roots it means."""

# Not Path's questions: they raise when a folder on the way may not be entered.
# ruff: noqa: PTH110, PTH112

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sessionlib.db.crud import projects
from sessionlib.errors import StateNotFoundError, StateUnreadableError
from sessionlib.runtime import Runtime
from sessionlib.state.scan import find_roots, session_place, sessions_roots_of
from sessionlib.sync.places import Place


@dataclass(frozen=True, slots=True)
class Target:
    """What a rescan is asked for: a path, a project (name, alias or id), or everything when both are None."""

    path: Path | None = None
    project: str | None = None
    accept_missing: bool = False


def roots_of(runtime: Runtime, watched: Sequence[Path], target: Target) -> list[Path]:
    """Return the sessions roots of a target that names a path or a project; those that are new are included.

    Args:
        runtime: Open.
        watched: The folders below which projects are found; nothing outside them is looked into unless it is
            registered.
        target: With a path or a project.

    Raises:
        StateNotFoundError: The path holds no sessions, or lies outside; the hint is the way to add it.
        RecordNotFoundError: There is no such project.
        DatabaseError: The database does not answer.
    """
    if target.project is not None:
        return _of_project(runtime, target.project)
    path = target.path or Path()
    # Not Path.resolve: it raises for links that lead in circles.
    real = _real(path)
    known = runtime.registrar.places(near=real)
    folders = [_real(folder) for folder in (*watched, *runtime.registrar.registered_paths())]
    found = [place.path for place in known if _concerns(place, real)]
    if _is_below(real, folders):
        found += _found_at(runtime, real)
    else:
        for folder in folders:
            if folder.is_relative_to(real):
                found += _found_at(runtime, folder)
    if not found:
        found = [place.path for place in known if real.is_relative_to(place.workspace_path)]
    if found:
        # Resolved already, but for links that took the place of a root since: those are not followed.
        return list(dict.fromkeys(found))
    raise _not_found(path, folders, real)


def _of_project(runtime: Runtime, name: str) -> list[Path]:
    with runtime.database.read() as connection:
        project = projects.find(connection, name)
    places = runtime.registrar.places(project_id=project.project_id)
    roots = dict.fromkeys(place.path for place in places)
    for folder in dict.fromkeys(place.workspace_path for place in places):
        # One that was made a moment ago is not known yet; of what cannot be read the known ones are compared.
        with suppress(StateUnreadableError):
            roots |= dict.fromkeys(root.path for root in sessions_roots_of(folder, runtime.finder))
    if not roots:
        raise StateNotFoundError(
            f"project {project.slug} has no sessions folder on this machine",
            session_dir=Path(),
            hint="sessionctl projects show tells where it lies",
        )
    return list(roots)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _concerns(place: Place, path: Path) -> bool:
    """Tell whether a path holds a sessions root, or is one, or lies in one."""
    return place.path.is_relative_to(path) or path.is_relative_to(place.path)


def _is_below(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _found_at(runtime: Runtime, path: Path) -> list[Path]:
    """Look into a folder below the watched ones: it may be above projects, a project, or inside a session."""
    if not os.path.isdir(path):
        return []
    found = [root.path for root in sessions_roots_of(path, runtime.finder)]
    found = found or [root.path for root in find_roots(path, runtime.finder).roots]
    if not found:
        for inside, root in ((path / "_", path), (path, path.parent)):
            if os.path.isdir(root) and session_place(inside, runtime.finder) is not None:
                return [root]
    return found


def _not_found(path: Path, folders: Sequence[Path], real: Path) -> StateNotFoundError:
    if not os.path.exists(real):
        return StateNotFoundError(
            f"there is no folder {path}", session_dir=path, hint="name a project folder that exists"
        )
    if _is_below(real, folders):
        return StateNotFoundError(
            f"no sessions below {path} yet",
            session_dir=path,
            hint="it is mirrored by itself as soon as it holds a sessions folder",
        )
    return StateNotFoundError(
        f"{path} lies outside the watched folders and is not registered",
        session_dir=path,
        hint=f"add it: sessionctl projects add {path}, or POST /projects",
    )
