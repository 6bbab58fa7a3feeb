"""Which session folder is meant: a path, a name in the project around us, or the one we stand in."""

import os
import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from sessionlib.errors import RecordNotFoundError, StateNotFoundError, UsageError
from sessionlib.state.checkout import find_checkout
from sessionlib.state.layout import DEFAULT_SESSIONS_DIR, STATE_FILE
from sessionlib.state.scan import FinderOptions, FoundRoot, session_place, sessions_roots_of

SESSION_VARIABLE = "SESSIOND_SESSION"

_LONGEST_SLUG = 60
_MOST_SAME = 100
_SHOWN = 5


def session_named(name: str | None, cwd: Path, finder: FinderOptions) -> Path:
    """Return the folder of the session that is meant.

    Args:
        name: A path, or a folder's name or a part of one that no other has, in the project around `cwd`;
            None or empty takes $SESSIOND_SESSION, else the session folder that `cwd` lies in.
        cwd: Where we stand, absolute.
        finder: Where projects keep their sessions.

    Raises:
        UsageError: Nothing was named and nothing can be guessed, or the name fits several.
        RecordNotFoundError: No session has this name; the nearest are its hint.
        StateNotFoundError: A bare name outside any project, or a path to no session.
    """
    name = name or os.environ.get(SESSION_VARIABLE)
    if not name:
        return _around(cwd, finder)
    path = (cwd / Path(name).expanduser()).absolute()
    if path.name == STATE_FILE:
        path = path.parent
    if (path / STATE_FILE).exists():
        return path
    if os.sep in name:
        raise StateNotFoundError(f"there is no session at {path}", session_dir=path)
    return _by_name(name, cwd, finder)


def _around(cwd: Path, finder: FinderOptions) -> Path:
    for folder in (cwd, *cwd.parents):
        if (folder / STATE_FILE).exists() and session_place(folder, finder) is not None:
            return folder
    raise UsageError("no session is named", hint=f"name one, set {SESSION_VARIABLE}, or go to its folder")


def _by_name(name: str, cwd: Path, finder: FinderOptions) -> Path:
    roots = roots_around(cwd, finder)
    if not roots:
        raise StateNotFoundError(
            f"no project around {cwd}, to look for a session named {name!r}",
            session_dir=cwd,
            hint="name the session by its path, or go into its project",
        )
    known = list(_sessions_in(roots))
    found = [path for path in known if path.name == name] or [path for path in known if name in path.name]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found[:_SHOWN])
        raise UsageError(f"{name!r} means several sessions: {names}", hint="name more of it")
    from sessionlib.db.crud.changes import nearest

    raise RecordNotFoundError("session", name, nearest=nearest(name, [path.name for path in known]))


def _sessions_in(roots: tuple[FoundRoot, ...]) -> Iterator[Path]:
    for root in roots:
        for entry in sorted(root.path.iterdir()):
            if not entry.name.startswith(".") and (entry / STATE_FILE).exists():
                yield entry


def roots_around(cwd: Path, finder: FinderOptions) -> tuple[FoundRoot, ...]:
    """Return the sessions roots of the nearest folder, from `cwd` upwards, that has any."""
    for folder in (cwd, *cwd.parents):
        roots = sessions_roots_of(folder, finder)
        if roots:
            return roots
    return ()


def new_session(name: str | None, topic: str, today: date, cwd: Path, finder: FinderOptions) -> Path:
    """Return where a new session goes.

    Args:
        name: A path, or a folder's name in the project around `cwd`; None makes one of date and topic.
        topic: What it is about.
        today: The date it begins with.
        cwd: Where we stand, absolute.
        finder: Where projects keep their sessions.

    Raises:
        StateNotFoundError: There is no project around, and no path was given.
    """
    if name and (os.sep in name or name in {".", ".."}):
        return Path(os.path.abspath(cwd / Path(name).expanduser()))  # noqa: PTH100 - resolve() follows links
    root = _root_for_new(cwd, finder)
    return root / name if name else _free(root, f"{today.isoformat()}_{slug_of(topic)}")


def _root_for_new(cwd: Path, finder: FinderOptions) -> Path:
    roots = roots_around(cwd, finder)
    if roots:
        usual = (root.path for root in roots if root.root == DEFAULT_SESSIONS_DIR)
        return next(usual, roots[0].path)
    checkout = find_checkout(cwd)
    if checkout is not None:
        return checkout.path / DEFAULT_SESSIONS_DIR
    raise StateNotFoundError(
        f"no project around {cwd}",
        session_dir=cwd,
        hint=f"to begin one here, name a path: {DEFAULT_SESSIONS_DIR}/NAME",
    )


def _free(root: Path, name: str) -> Path:
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, _MOST_SAME))
    return next((root / free for free in names if not (root / free).exists()), root / name)


def slug_of(topic: str) -> str:
    """Return a topic as a folder's name: words in lower case, joined by dashes; letters of any script."""
    folded = unicodedata.normalize("NFKC", topic).casefold()
    slug = re.sub(r"[\W_]+", "-", folded).strip("-")
    return slug[:_LONGEST_SLUG].rstrip("-") or "session"
