"""From what a rescan names to the sessions roots it means."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sessionlib.db.crud import projects
from sessionlib.errors import StateNotFoundError
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
    known = runtime.registrar.places()
    real = path.resolve()
    found = [place.path for place in known if _concerns(place, real)]
    if _is_below(real, watched):
        found += _found_at(runtime, path)
    if not found:
        found = [place.path for place in known if real.is_relative_to(place.workspace_path)]
    if found:
        return list(dict.fromkeys(root.resolve() for root in found))
    raise _not_found(path, watched, real)


def _of_project(runtime: Runtime, name: str) -> list[Path]:
    with runtime.database.read() as connection:
        project = projects.find(connection, name)
    roots = [place.path for place in runtime.registrar.places() if place.project_id == project.project_id]
    if not roots:
        raise StateNotFoundError(
            f"project {project.slug} has no sessions folder on this machine",
            session_dir=Path(),
            hint="sessionctl projects show tells where it lies",
        )
    return roots


def _concerns(place: Place, path: Path) -> bool:
    """Tell whether a path holds a sessions root, or is one, or lies in one."""
    return place.path.is_relative_to(path) or path.is_relative_to(place.path)


def _is_below(path: Path, watched: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root.resolve()) for root in watched)


def _found_at(runtime: Runtime, path: Path) -> list[Path]:
    """Look into a folder below the watched ones: it may be above projects, a project, or inside a session."""
    if not path.is_dir():
        return []
    found = [root.path for root in sessions_roots_of(path, runtime.finder)]
    found = found or [root.path for root in find_roots(path, runtime.finder).roots]
    if not found:
        for inside, root in ((path / "_", path), (path, path.parent)):
            if root.is_dir() and session_place(inside, runtime.finder) is not None:
                return [root]
    return found


def _not_found(path: Path, watched: Sequence[Path], real: Path) -> StateNotFoundError:
    if not real.exists():
        return StateNotFoundError(
            f"there is no folder {path}", session_dir=path, hint="name a project folder that exists"
        )
    if _is_below(real, watched):
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
