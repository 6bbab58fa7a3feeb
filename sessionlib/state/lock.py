"""The lock of a session folder: ``flock`` on a sidecar file that is never unlinked.

The lock is not on state.json itself, because each save replaces that file, and with it the inode a lock
would sit on. Two descriptors of one process exclude each other too, so threads need nothing else.
"""

import contextlib
import errno
import fcntl
import os
import random
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from sessionlib.errors import StateLockedError, StateNotFoundError, StateWriteError
from sessionlib.state.layout import LOCK_FILE

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.025
_FLAGS = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class SessionLock:
    """Hold a session's lock for the length of a ``with`` block.

    Not re-entrant, and one object is for one thread at a time; make one per use.

    Args:
        session_dir: The session folder; it must exist.
        timeout: Seconds to wait at most; 0 tries once.

    Raises:
        StateLockedError: On entering, the lock was not free in time.
        StateNotFoundError: On entering, the folder is not there.
        StateWriteError: On entering, the lock file cannot be opened or locked.
    """

    def __init__(self, session_dir: Path, timeout: float = 10.0) -> None:
        self._session_dir = Path(session_dir)
        self._path = self._session_dir / LOCK_FILE
        self._timeout = timeout
        self._fd: int | None = None

    def __enter__(self) -> Self:
        """Wait for the lock, polling in small jittered pauses."""
        deadline = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE
        while not self._try():
            left = deadline - time.monotonic()
            if left <= 0:
                raise StateLockedError(
                    f"{self._path} is held by somebody else; waited {self._timeout:g} s",
                    session_dir=self._session_dir,
                    hint="try again; `fuser` or `lsof` on that file names who holds it",
                )
            time.sleep(min(left, pause * random.uniform(0.5, 1.5)))  # noqa: S311 - jitter, no secret
            pause = min(_LONGEST_PAUSE, pause * 2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the lock."""
        fd, self._fd = self._fd, None
        if fd is not None:
            # Unlocking, not only closing: a child forked meanwhile may still hold the descriptor. An error
            # here says nothing about what was done under the lock, and must not stand in its place.
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)
            with contextlib.suppress(OSError):
                os.close(fd)

    def _try(self) -> bool:
        """Take the lock if it is free now."""
        try:
            fd = self._open()
        except FileNotFoundError as error:
            raise StateNotFoundError(
                f"no session folder at {self._session_dir}", session_dir=self._session_dir
            ) from error
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._fd = fd if self._take(fd) else None
        except OSError as error:
            raise self._refused(error) from error
        finally:
            if self._fd is None:
                with contextlib.suppress(OSError):
                    os.close(fd)
        return self._fd is not None

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | _FLAGS, 0o666)
        except PermissionError as refused:
            # Another user's lock file: flock needs no right to write on a local file system.
            try:
                return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:
                if not self._session_dir.is_dir():
                    raise
                # There is none, and we may not make one; what refused that is what to tell.
                raise refused from None

    def _take(self, fd: int) -> bool:
        own = os.fstat(fd)
        if not stat.S_ISREG(own.st_mode):
            raise OSError(errno.EINVAL, "the lock is not a regular file")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # Somebody may have cleaned the folder while we waited: then this lock guards a file without a name.
        try:
            named = os.lstat(self._path)
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino)

    def _refused(self, error: OSError) -> StateWriteError:
        return StateWriteError(
            f"cannot lock {self._path}: {error.strerror or error}",
            session_dir=self._session_dir,
            hint="the session folder must be writable, on a file system that knows flock",
        )


def locked(session_dir: Path, timeout: float = 10.0) -> SessionLock:
    """Return the lock of a session folder, to be used in a ``with``; see `SessionLock`."""
    return SessionLock(session_dir, timeout)
