"""One daemon for each state folder: a lock held for life. The pid in its file is only for people.

The lock belongs to the open file, so it passes through forks to whoever keeps the descriptor, and the kernel
frees it with the last one. Looking takes a shared lock for an instant. A starter that meets one is not
refused; it sees that nobody holds the file exclusively, and tries again: only a real holder refuses anybody.
"""

import contextlib
import fcntl
import os
import random
import re
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sessionlib.errors import ConfigError, InstanceLockedError
from sessionlib.locations import LOCK_NAME

_PROCESSES = Path("/proc")
_LONGEST_PAUSE = 0.01
"""Seconds that a starter waits at most before it tries again beside those who only look."""
_LONGEST_WAIT = 2.0
"""Seconds of such tries; whoever looks for that long means to hold it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a state folder; `pid` is None when it cannot be told which one it is."""

    pid: int | None


class InstanceLock:
    """The exclusive lock on a state folder; released by the kernel however the process ends.

    Args:
        state_dir: The state folder; made (0700) if it does not exist.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / LOCK_NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once or not at all.

        Raises:
            InstanceLockedError: Another process holds it; names that process.
            ConfigError: The state folder cannot be used.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_open_folder(self.path.parent)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigError(
                f"the state folder {self.path.parent} cannot be used: {error.strerror}",
                key="daemon.state_dir",
                hint="name another with --state-dir or SESSIOND_STATE_DIR",
            ) from error
        try:
            taken = _take(descriptor)
            other = None if taken else _process(descriptor) or _named(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise ConfigError(
                f"the state folder {self.path.parent} cannot be locked: {error.strerror}",
                key="daemon.state_dir",
                hint="name one on a local disk with --state-dir or SESSIOND_STATE_DIR",
            ) from error
        if not taken:
            os.close(descriptor)
            raise InstanceLockedError(
                f"another sessiond (process {other or 'unknown'}) holds {self.path.parent}",
                hint="stop that one, or run with another --state-dir",
            )
        self._descriptor = descriptor
        self.adopt()

    def adopt(self) -> None:
        """Write this process into the file: the one that took the lock, or that a fork passed it to.

        The text is never empty meanwhile; a disk that is full leaves it as it was, which harms nobody.
        """
        text = f"{os.getpid()}\n".encode()
        with contextlib.suppress(OSError):
            os.pwrite(self.fileno(), text, 0)
            os.ftruncate(self.fileno(), len(text))

    def fileno(self) -> int:
        """Return the descriptor that holds the lock, to be kept open through a fork.

        Raises:
            ValueError: The lock is not held.
        """
        if self._descriptor is None:
            message = "the lock is not held"
            raise ValueError(message)
        return self._descriptor

    def release(self) -> None:
        """Give the lock up, unless a process forked from this one still has it.

        Closing and not unlocking leaves it to that one. The file stays, since unlinking it would let two hold
        "the" lock.
        """
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _refuse_open_folder(state_dir: Path) -> None:
    """Refuse a folder in which everybody could put a lock, a database or a token of his own.

    Raises:
        ConfigError: Everybody may write there.
    """
    if state_dir.stat().st_mode & stat.S_IWOTH:
        raise ConfigError(
            f"the state folder {state_dir} can be changed by everybody",
            key="daemon.state_dir",
            hint="name a folder of its own, or close this one: chmod 700",
        )


def holder(state_dir: Path) -> Holder | None:
    """Return who holds a state folder at this moment; None when nobody does.

    Nobody who starts at the same moment is disturbed. On Linux the process is one that really has the lock,
    whatever its file says; elsewhere it is the one that the file names, if it lives.

    Raises:
        OSError: The lock's file cannot be read (another user's).
    """
    try:
        descriptor = os.open(state_dir / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        if _locked(descriptor, fcntl.LOCK_SH):
            return None
        return Holder(_process(descriptor))
    finally:
        os.close(descriptor)


def holds(pid: int, state_dir: Path) -> bool:
    """Tell whether a process has a state folder's lock; True also where the system cannot tell."""
    if not _PROCESSES.joinpath("self/fdinfo").is_dir():
        return True
    try:
        state = (state_dir / LOCK_NAME).stat()
    except OSError:
        return False
    return _has_lock(pid, (state.st_dev, state.st_ino))


def _take(descriptor: int) -> bool:
    """Take the lock; False when somebody holds it exclusively, never because somebody only looks."""
    deadline = time.monotonic() + _LONGEST_WAIT
    while not _locked(descriptor, fcntl.LOCK_EX):
        if not _locked(descriptor, fcntl.LOCK_SH) or time.monotonic() > deadline:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - two that look must not go on in step
    return True


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _named(descriptor: int) -> int | None:
    """Return the process id on the file's first line; None for anything else."""
    found = re.match(rb"([1-9][0-9]{0,9})\n", os.pread(descriptor, 32, 0))
    return int(found[1]) if found else None


def _process(descriptor: int) -> int | None:
    """Return the process that has the lock: the one its file names if that is true, else whoever it is."""
    named = _named(descriptor)
    if not _PROCESSES.joinpath("self/fdinfo").is_dir():
        return named if named is not None and _lives(named) else None
    state = os.fstat(descriptor)
    identity = (state.st_dev, state.st_ino)
    for pid in _candidates(named):
        if _has_lock(pid, identity):
            return pid
    return None


def _candidates(named: int | None) -> Iterable[int]:
    if named is not None:
        yield named
    for entry in _PROCESSES.iterdir():
        if entry.name.isdecimal():
            yield int(entry.name)


def _has_lock(pid: int, identity: tuple[int, int]) -> bool:
    """Tell whether a process has this file open and locked; False for one that may not be looked at."""
    folder = _PROCESSES / str(pid)
    try:
        for entry in (folder / "fd").iterdir():
            # The name first: looking at any other file may hang with its file system.
            if entry.readlink().name != LOCK_NAME:
                continue
            state = entry.stat()
            locks = (folder / "fdinfo" / entry.name).read_text()
            if (state.st_dev, state.st_ino) == identity and re.search("FLOCK +ADVISORY +WRITE", locks):
                return True
    except OSError:
        return False
    return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
