"""Which session folder is meant: a path, a name in the project around us, or the one we stand in."""

import errno
import os
import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from sessionlib.errors import (
    RecordNotFoundError,
    SessionlibError,
    StateNotFoundError,
    StateUnreadableError,
    UsageError,
)
from sessionlib.state.checkout import find_checkout
from sessionlib.state.layout import DEFAULT_SESSIONS_DIR, STATE_FILE
from sessionlib.state.scan import FinderOptions, FoundRoot, session_place, sessions_roots_of

SESSION_VARIABLE = "SESSIOND_SESSION"

_LONGEST_SLUG = 60
_MOST_SAME = 100
_SHOWN = 5
_WILD = frozenset("*?[")
_NO_SUCH = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


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
        StateUnreadableError: A folder on the way may not be looked into.
    """
    if name:
        return _meant(name, cwd, finder)
    name = os.environ.get(SESSION_VARIABLE)
    if not name:
        return _around(cwd, finder)
    try:
        return _meant(name, cwd, finder)
    except SessionlibError as error:
        error.message = f"{error.message} (the name comes from {SESSION_VARIABLE})"
        error.args = (error.message,)
        raise


def _is_there(path: Path, session_dir: Path) -> bool:
    """Tell whether there is such a file or folder; `Path.exists` lets out what it may not look into.

    Raises:
        StateUnreadableError: Nobody can tell.
    """
    try:
        path.stat()
    except ValueError:  # a NUL, which no name holds
        return False
    except OSError as error:
        if error.errno in _NO_SUCH:
            return False
        raise _unreadable(session_dir, error) from error
    return True


def _unreadable(folder: Path, error: OSError) -> StateUnreadableError:
    return StateUnreadableError(
        f"cannot look into {folder}: {error.strerror or error}",
        session_dir=folder,
        hint="its owner must let you read and enter it",
    )


def _has_state(folder: Path) -> bool:
    return _is_there(folder / STATE_FILE, folder)


def _meant(name: str, cwd: Path, finder: FinderOptions) -> Path:
    path = (cwd / Path(name).expanduser()).absolute()
    if path.name == STATE_FILE:
        path = path.parent
    if _has_state(path):
        return path
    if os.sep in name:
        raise StateNotFoundError(f"there is no session at {path}", session_dir=path)
    return _by_name(name, cwd, finder)


def _around(cwd: Path, finder: FinderOptions) -> Path:
    for folder in (cwd, *cwd.parents):
        if session_place(folder, finder) is not None and _has_state(folder):
            return folder
    raise UsageError(
        f"SESSION was left out, and {cwd} lies in no session's folder",
        hint=f"name one, set {SESSION_VARIABLE}, or go to its folder",
    )


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
        _has_state(found[0])  # raises for a closed one, with its path
        return found[0]
    if found:
        names = ", ".join(path.name for path in found[:_SHOWN])
        raise UsageError(f"{name!r} means several sessions: {names}", hint="name more of it")
    from sessionlib.db.crud.changes import nearest

    raise RecordNotFoundError("session", name, nearest=nearest(name, [path.name for path in known]))


def _sessions_in(roots: tuple[FoundRoot, ...]) -> Iterator[Path]:
    for root in roots:
        yield from (entry for entry in _entries(root.path) if _may_be_session(entry))


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, hidden things left out; nothing when it is not there.

    Raises:
        StateUnreadableError: It cannot be listed.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        if error.errno in _NO_SUCH:
            return []
        raise _unreadable(folder, error) from error


def _may_be_session(folder: Path) -> bool:
    """Tell whether a folder holds a session; a closed one counts, so that its name is known."""
    try:
        return _has_state(folder)
    except StateUnreadableError:
        return True


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
        UsageError: The path is itself a folder of sessions, or lies where no sessions are looked for.
        StateUnreadableError: A folder on the way may not be looked into.
    """
    if name and (os.sep in name or name in {".", ".."}):
        path = Path(os.path.abspath(cwd / Path(name).expanduser()))  # noqa: PTH100 - resolve() follows links
    else:
        root = _root_for_new(cwd, finder)
        path = root / name if name else _free(root, f"{today.isoformat()}_{slug_of(topic)}")
    _refuse_misplaced(path, finder)
    return path


def _refuse_misplaced(path: Path, finder: FinderOptions) -> None:
    if session_place(path / "_", finder) is not None or _holds_sessions(path):
        raise UsageError(
            f"{path} is a folder of sessions, not one of them", hint=f"name a folder in it: {path}/NAME"
        )
    # What is wrong with a hidden name is said better where sessions are made.
    if session_place(path, finder) is None and not path.name.startswith("."):
        raise UsageError(
            f"no session can be made at {path}: nothing would look for it there",
            hint=f"name a path like <project>/{_usual_dir(finder)}/<slug>",
        )


def _holds_sessions(path: Path) -> bool:
    return not _has_state(path) and any(map(_holds_state, _entries(path)))


def _holds_state(folder: Path) -> bool:
    return os.path.lexists(folder / STATE_FILE)


def _usual_dir(finder: FinderOptions) -> str:
    """Return where a project's first session goes."""
    plain = [place for place in finder.sessions_dirs if _WILD.isdisjoint(place)]
    return DEFAULT_SESSIONS_DIR if DEFAULT_SESSIONS_DIR in plain or not plain else plain[0]


def _root_for_new(cwd: Path, finder: FinderOptions) -> Path:
    roots = roots_around(cwd, finder)
    if roots:
        usual = (root.path for root in roots if root.root == DEFAULT_SESSIONS_DIR)
        return next(usual, roots[0].path)
    checkout = find_checkout(cwd)
    if checkout is not None:
        return checkout.path / _usual_dir(finder)
    raise StateNotFoundError(
        f"no project around {cwd}",
        session_dir=cwd,
        hint=f"to begin one here, name a path: {_usual_dir(finder)}/NAME",
    )


def _free(root: Path, name: str) -> Path:
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, _MOST_SAME))
    return next((root / free for free in names if not _is_there(root / free, root)), root / name)


def slug_of(topic: str) -> str:
    """Return a topic as a folder's name: words in lower case, joined by dashes; letters of any script."""
    folded = unicodedata.normalize("NFKC", topic).casefold()
    slug = re.sub(r"[\W_]+", "-", folded).strip("-")
    return slug[:_LONGEST_SLUG].rstrip("-") or "session"
