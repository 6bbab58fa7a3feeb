"""Reading a session's inputs at one consistent moment, and writing a file whole or not at all.

What a session folder holds was made by others: a link, a FIFO, a device, a file of a hundred gigabytes. So
each part beneath the session folder is opened without following links, never blocks, and is capped; and so is
the way to the folder from wherever the caller says that links end.
"""

import contextlib
import errno
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sessionlib.errors import (
    StateError,
    StateInvalidError,
    StateNotFoundError,
    StateUnreadableError,
)
from sessionlib.state.beneath import LINK_ERRNOS, open_beneath
from sessionlib.state.layout import PLAN_FILE, RESEARCH_DIR, STATE_FILE
from sessionlib.state.lock import SessionLock, locked
from sessionlib.state.looks import (
    ABSENT_ERRORS,
    CLOSED_ERRNOS,
    MAX_RUNS,
    RESEARCH_INPUT,
    Look,
    Signature,
    look,
)
from sessionlib.state.writing import write_atomic

__all__ = [
    "MAX_BYTES",
    "Inputs",
    "Look",
    "SessionLock",
    "Signature",
    "locked",
    "look",
    "read_inputs",
    "write_atomic",
]

MAX_BYTES = 2 * 1024 * 1024
"""Most that is read of one session, in bytes: honest ones hold a hundredth. Text with characters of four
bytes takes twenty times its size in memory on its way into a database."""

RACY_NS = 50_000_000
"""Longest tick of a file system's clock we allow for, in nanoseconds, with room to spare."""

_ATTEMPTS = 3
_FILE_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The bytes of all inputs of a session, read while none of them moved.

    Attributes:
        look: What the folder looked like; store it and hand it to the next `look`.
        state: Content of state.json.
        plan: Content of plan.json, or None.
        research: (research id, content of its state.json), sorted by id.
        problems: (input name, what is wrong) for extras that cannot be read; they never fail the session.
        racy: An input changed within 50 ms of the reading, so that a write of the same size in the same
            tick of the clock could hide behind an equal signature: look again, without `known`, later.
    """

    look: Look
    state: bytes
    plan: bytes | None
    research: tuple[tuple[str, bytes], ...]
    problems: tuple[tuple[str, str], ...]
    racy: bool


class _MovedError(Exception):
    """An input changed between the look and the reading."""


class _UnfitError(Exception):
    """An input is no file we would read; the message says what it is."""


def read_inputs(
    session_dir: Path, *, beneath: Path | None = None, seen: Look | None = None, max_bytes: int = MAX_BYTES
) -> Inputs:
    """Read all inputs of a session as they were at one moment.

    Args:
        session_dir: The session folder.
        beneath: A folder above it, below which nothing on the way may be a link: what lies behind a link is
            not there. None: the session folder itself may be reached through links.
        seen: What `look` returned a moment ago, to save the first look.
        max_bytes: The most that is taken, in bytes: of state.json, then plan.json, then the research runs.

    Raises:
        StateNotFoundError: The folder or its state.json is not there.
        StateInvalidError: state.json is no regular file, or too long; with `torn` set, the inputs kept
            changing while they were read.
        StateUnreadableError: The operating system refused the reading.
    """
    for _ in range(_ATTEMPTS):
        before, seen = seen or look(session_dir, follow=beneath is None), None
        if before is None:
            raise _not_found(session_dir)
        try:
            reading = _Reading(session_dir, beneath, before, max_bytes)
        except _MovedError:
            continue
        # An extra that came in the very tick of the folder's last change escapes this; then it is racy.
        after = look(session_dir, before, follow=beneath is None)
        if after is not None and after.same_inputs(before):
            return reading.inputs(after)
    raise StateInvalidError(
        f"{STATE_FILE} kept changing while it was read", session_dir=session_dir, torn=True
    )


def _not_found(session_dir: Path) -> StateNotFoundError:
    return StateNotFoundError(f"no {STATE_FILE} in {session_dir}", session_dir=session_dir)


class _Reading:
    """One attempt to read what a look has seen."""

    def __init__(self, session_dir: Path, beneath: Path | None, seen: Look, max_bytes: int) -> None:
        self._session_dir = session_dir
        self._seen = {STATE_FILE: seen.state, **dict(seen.extras)}
        self._problems: list[tuple[str, str]] = []
        self._research: list[tuple[str, bytes]] = []
        self._left = max_bytes
        with _Folder(self._opened(beneath)) as folder:
            self._state = self._read_state(folder, max_bytes)
            self._left -= len(self._state)
            self._plan = self._extra(folder, PLAN_FILE, PLAN_FILE, self._left)
            self._left -= len(self._plan or b"")
            if RESEARCH_INPUT in self._seen:
                self._read_research(folder)

    def inputs(self, after: Look) -> Inputs:
        now = time.time_ns()
        stamps = [after.state.mtime_ns, after.folder_mtime_ns, *(own.mtime_ns for _, own in after.extras)]
        return Inputs(
            look=after,
            state=self._state,
            plan=self._plan,
            research=tuple(self._research),
            problems=tuple(self._problems),
            racy=any(abs(now - stamp) < RACY_NS for stamp in stamps),
        )

    def _opened(self, beneath: Path | None) -> int:
        try:
            if beneath is None:
                return os.open(self._session_dir, _DIR_FLAGS)
            return open_beneath(os.fspath(beneath), os.fspath(self._session_dir))
        except FileNotFoundError as error:
            raise _MovedError from error
        except OSError as error:
            if error.errno in LINK_ERRNOS:
                raise _not_found(self._session_dir) from error
            raise self._unreadable("the session folder", error) from error

    def _read_state(self, folder: "_Folder", max_bytes: int) -> bytes:
        try:
            return folder.read(STATE_FILE, self._seen[STATE_FILE], max_bytes)
        except _UnfitError as error:
            raise StateInvalidError(f"{STATE_FILE} {error}", session_dir=self._session_dir) from error
        except OSError as error:
            raise self._unreadable(STATE_FILE, error) from error

    def _extra(self, folder: "_Folder", name: str, label: str, max_bytes: int) -> bytes | None:
        """Read an extra if the look has seen it; what is wrong with it becomes a problem."""
        seen = self._seen.get(label)
        if seen is None:
            return None
        try:
            return folder.read(name, seen, max_bytes)
        except _UnfitError as error:
            self._problems.append((label, str(error)))
        except OSError as error:
            self._closed(label, error)
        return None

    def _read_research(self, folder: "_Folder") -> None:
        research = self._enter(folder, RESEARCH_DIR, RESEARCH_INPUT)
        if research is None:
            return
        runs = [label for label in self._seen if label.startswith(RESEARCH_INPUT) and label.endswith("/")]
        runs.remove(RESEARCH_INPUT)
        if len(runs) > MAX_RUNS:
            self._problems.append((RESEARCH_INPUT, f"holds more than {MAX_RUNS:,} runs; no more are read"))
        with research:
            for label in runs[:MAX_RUNS]:
                self._read_run(research, label.removeprefix(RESEARCH_INPUT).removesuffix("/"), label)

    def _read_run(self, research: "_Folder", name: str, label: str) -> None:
        run = self._enter(research, name, label)
        if run is None:
            return
        with run:
            data = self._extra(run, STATE_FILE, label + STATE_FILE, self._left)
        if data is not None:
            self._left -= len(data)
            self._research.append((name, data))

    def _enter(self, folder: "_Folder", name: str, label: str) -> "_Folder | None":
        try:
            return folder.enter(name)
        except _UnfitError as error:
            self._problems.append((label, str(error)))
        except OSError as error:
            self._closed(label, error)
        return None

    def _closed(self, label: str, error: OSError) -> None:
        """Note an extra we may not read; any other refusal may pass, and must not look like absence."""
        if error.errno not in CLOSED_ERRNOS:
            raise self._unreadable(label, error) from error
        self._problems.append((label, f"cannot be read: {error.strerror}"))

    def _unreadable(self, what: str, error: OSError) -> StateError:
        message = f"cannot read {what}: {error.strerror or error}"
        return StateUnreadableError(message, session_dir=self._session_dir)


class _Folder:
    """An open folder; what is beneath it is reached through its descriptor, never through a link."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _close(self._fd)

    def enter(self, name: str) -> "_Folder":
        mode = self._stat(name).st_mode
        if not stat.S_ISDIR(mode):
            raise _UnfitError(f"is {_kind(mode)}, not a folder")
        return _Folder(self._open(name, _DIR_FLAGS | os.O_NOFOLLOW))

    def read(self, name: str, seen: Signature, max_bytes: int) -> bytes:
        """Read a file that has the signature seen; that it had it to the end is for the next look to say."""
        # Asked before opening: to open a device can already do something.
        mode = self._stat(name).st_mode
        if not stat.S_ISREG(mode):
            raise _UnfitError(f"is {_kind(mode)}, not a regular file")
        if seen.size > max_bytes:
            raise _UnfitError(f"holds {seen.size:,} bytes; at most {max_bytes:,} are read")
        fd = self._open(name, _FILE_FLAGS)
        try:
            if Signature.of(os.fstat(fd)) != seen:
                raise _MovedError
            data = _read_all(fd, seen.size)
            if len(data) != seen.size:
                raise _MovedError
        finally:
            _close(fd)
        return data

    def _stat(self, name: str) -> os.stat_result:
        try:
            return os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except ABSENT_ERRORS as error:
            raise _MovedError from error

    def _open(self, name: str, flags: int) -> int:
        try:
            return os.open(name, flags, dir_fd=self._fd)
        except OSError as error:
            # It was a fit file or folder a moment ago: gone, or swapped for a link, a socket, a folder.
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.ENXIO}:
                raise _MovedError from error
            raise


def _close(fd: int) -> None:
    # What was read from it is whole, whatever a network file system says when it is closed.
    with contextlib.suppress(OSError):
        os.close(fd)


def _read_all(fd: int, size: int) -> bytes:
    data = os.read(fd, size)
    while len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data


def _kind(mode: int) -> str:
    return next((words for test, words in _KINDS if test(mode)), "a special file")
