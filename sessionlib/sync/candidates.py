"""Which folders a person may register as a project, and why others cannot be one."""

# Not Path's questions: they raise when a folder on the way may not be entered.
# ruff: noqa: PTH111, PTH112

import os
from pathlib import Path

from sessionlib.errors import StateNotFoundError, UsageError
from sessionlib.state.scan import FinderOptions, session_place, sessions_roots_of


def check(path: Path, finder: FinderOptions) -> None:
    """See that a folder can be one project.

    The root of all files and a home folder hold projects: as a project either would own every session below
    it. A home folder that holds sessions of its own is one all the same. Blocks for a few looks at the disk.

    Args:
        path: Absolute.
        finder: Where projects keep their sessions.

    Raises:
        StateNotFoundError: There is no such folder.
        UsageError: It cannot be one project; the hint is what to do instead.
        StateUnreadableError: It cannot be looked into.
    """
    if not os.path.isdir(path):
        raise StateNotFoundError(
            f"there is no folder {path}", session_dir=path, hint="name the folder of a project"
        )
    real = Path(os.path.realpath(path))
    if real == Path(real.anchor) or (_is_above_home(real) and not sessions_roots_of(real, finder)):
        raise UsageError(
            f"{path} holds projects, and is none itself",
            hint="name the folder of one project; to find all below a folder, add it to watch.roots, "
            "or start with `sessiond run ROOT`",
        )
    owner = session_place(real / "_", finder) or session_place(real, finder)
    if owner is not None and not sessions_roots_of(real, finder):
        project, root, _ = owner
        raise UsageError(
            f"{path} lies in {root}, the sessions folder of {project}", hint=f"name the project: {project}"
        )


def _is_above_home(real: Path) -> bool:
    """Tell whether a folder is this user's home, or lies above it."""
    home = os.path.expanduser("~")
    return os.path.isabs(home) and Path(os.path.realpath(home)).is_relative_to(real)  # noqa: PTH117
