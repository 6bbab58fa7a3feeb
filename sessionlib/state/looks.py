"""What a session folder looks like from outside: signatures of its inputs, no file opened.

Nothing here follows a link beneath the session folder. Strings instead of ``Path`` and one tuple a stat keep
the look at ten thousand quiet sessions within a tenth of a second.
"""
# Os calls with string paths: pathlib costs more than the stat itself.

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, Self

from sessionlib.errors import StateUnreadableError
from sessionlib.state.layout import PLAN_FILE, RESEARCH_DIR, STATE_FILE

RESEARCH_INPUT = RESEARCH_DIR + "/"
"""The input name of the research folder itself: its own signature tells of new and gone runs."""

MAX_RUNS: Final = 1000
"""Most research runs of one session that are looked at, the first by name: no honest session has a tenth."""

ABSENT_ERRORS = (FileNotFoundError, NotADirectoryError)
CLOSED_ERRNOS: Final = frozenset({errno.EACCES, errno.EPERM})
"""Refusals that concern one file and will last; every other error may hide a file that is there."""

_STATE = "/" + STATE_FILE
_TOP = 1 << 63
_WRAP = 1 << 64


def signed64(number: int) -> int:
    """Return the number as a signed 64-bit one: inodes are unsigned, database integers are not."""
    return number if -_TOP <= number < _TOP else (number + _TOP) % _WRAP - _TOP


class Signature(NamedTuple):
    """Identity and age of one file; equal signatures mean unchanged content (but see `Inputs.racy`)."""

    dev: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, result: os.stat_result) -> Self:
        """Take the signature from a stat, each number wrapped to signed 64 bit."""
        numbers = (result.st_dev, result.st_ino, result.st_size, result.st_mtime_ns, result.st_ctime_ns)
        if max(numbers) < _TOP and min(numbers) >= -_TOP:
            return tuple.__new__(cls, numbers)
        return tuple.__new__(cls, map(signed64, numbers))


class Look(NamedTuple):
    """What a session folder's inputs look like at one moment.

    `extras` holds, sorted by name, the inputs beside state.json that are there: ``plan.json``, ``research/``,
    each ``research/<id>/`` and its ``research/<id>/state.json``.
    """

    state: Signature
    folder_mtime_ns: int
    extras: tuple[tuple[str, Signature], ...] = ()

    def same_inputs(self, other: "Look | None") -> bool:
        """Tell whether state and extras are equal; the folder's own time moves for temp files too."""
        return other is not None and self.state == other.state and self.extras == other.extras


def look(session_dir: Path, known: Look | None = None, *, follow: bool = False) -> Look | None:
    """Look at one session folder; None when it, or its state.json, is not there.

    Args:
        session_dir: The session folder.
        known: The look stored last time. While the folder's time and all known extras are unchanged, no
            folder is listed.
        follow: Whether the session folder may be a link to one; else a link is as good as nothing.

    Raises:
        StateUnreadableError: The operating system refused to tell.
    """
    try:
        folder = os.fspath(session_dir)
        return look_at(f"{folder}/." if follow else folder, known)
    except ABSENT_ERRORS:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # links that lead in a circle lead to no folder
            return None
        message = f"cannot look at the session: {error.strerror or error}"
        raise StateUnreadableError(message, session_dir=Path(session_dir)) from error


def look_at(folder: str, known: Look | None = None) -> Look | None:
    """Do the work of `look` with plain strings and plain errors, for listings.

    Returns:
        The look, or None when the folder is there without a state.json.

    Raises:
        FileNotFoundError: The folder is gone (NotADirectoryError: it is a link, or no folder any more).
        OSError: The operating system refused to tell.
    """
    # The folder comes first: what is added after this stat moves its time and is seen next time.
    own = os.lstat(folder)
    if stat.S_ISLNK(own.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    folder_mtime_ns = signed64(own.st_mtime_ns)
    try:
        state = Signature.of(os.lstat(folder + _STATE))
    except FileNotFoundError:
        return None
    if (
        known is not None
        and folder_mtime_ns == known.folder_mtime_ns
        # A folder swapped for another with the same time brings another state.json.
        and state.inode == known.state.inode
        and (not known.extras or _unchanged(folder, known.extras))
    ):
        return known if state == known.state else Look(state, folder_mtime_ns, known.extras)
    return Look(state, folder_mtime_ns, tuple(sorted(_extras(folder))))


def is_unchanged(folder: str, known: Look) -> bool:
    """Tell whether `look_at` would return `known` itself; False also for what only `look_at` can tell.

    Two calls of the operating system and little else: this is asked for every session at every reconcile.
    """
    try:
        own = os.lstat(folder)
        if own.st_mtime_ns != known.folder_mtime_ns or stat.S_ISLNK(own.st_mode):
            return False
        seen = os.lstat(folder + _STATE)
        numbers = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        return numbers == known.state and (not known.extras or _unchanged(folder, known.extras))
    except OSError:
        return False


def _unchanged(folder: str, extras: tuple[tuple[str, Signature], ...]) -> bool:
    return all(_signature(f"{folder}/{name.rstrip('/')}") == known for name, known in extras)


def _signature(path: str) -> Signature | None:
    try:
        return Signature.of(os.lstat(path))
    except ABSENT_ERRORS:
        return None


def _extras(folder: str) -> Iterable[tuple[str, Signature]]:
    plan = _signature(f"{folder}/{PLAN_FILE}")
    if plan is not None:
        yield PLAN_FILE, plan
    research = f"{folder}/{RESEARCH_DIR}"
    try:
        result = os.lstat(research)
    except ABSENT_ERRORS:
        return
    yield RESEARCH_INPUT, Signature.of(result)
    if stat.S_ISDIR(result.st_mode):
        yield from _runs(research)


def _runs(research: str) -> Iterable[tuple[str, Signature]]:
    try:
        with os.scandir(research) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            )
    except ABSENT_ERRORS:
        return
    except OSError as error:
        # A closed research folder must not fail the session; reading it names the problem.
        if error.errno in CLOSED_ERRNOS:
            return
        raise
    for name in names[: MAX_RUNS + 1]:  # one more, so that the reading can tell that there are more
        yield from _run(research, name)


def _run(research: str, name: str) -> Iterable[tuple[str, Signature]]:
    own = _signature(f"{research}/{name}")
    if own is None:
        return
    yield f"{RESEARCH_INPUT}{name}/", own
    try:
        state = _signature(f"{research}/{name}{_STATE}")
    except PermissionError:
        return
    if state is not None:
        yield f"{RESEARCH_INPUT}{name}{_STATE}", state
