"""Where lines go: standard error, as a person or journald reads it, or a file that others may rotate."""

import errno
import os
import select
import stat
import sys
from pathlib import Path
from typing import Protocol

from sessionlib.errors import ConfigError

_PATIENCE_MS = 1000
"""How long a non-blocking standard error may be full before a line is given up."""

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

Identity = tuple[int, int]


class Output(Protocol):
    """Takes lines. The caller excludes others while one is put out."""

    def put(self, line: bytes, priority: int) -> None:
        """Put a line out whole, now.

        Raises:
            OSError, ValueError: It could not be put out, or not whole.
        """
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class _Pen:
    """Writes lines to a descriptor; after one that broke off, the next begins on a line of its own."""

    def __init__(self) -> None:
        self._is_torn = False

    def write(self, descriptor: int, line: bytes) -> None:
        data = b"\n" + line if self._is_torn else line
        written = 0
        try:
            while written < len(data):
                written += _write_some(descriptor, data[written:])
        finally:
            if written:
                self._is_torn = not data[:written].endswith(b"\n")


class StandardError:
    """Standard error. Under journald each line begins with its priority, ``<3>`` for an error.

    It is found anew for every line, so that one that is closed is noticed instead of writing into whatever
    got its number.
    """

    def __init__(self) -> None:
        self._pen = _Pen()
        self._is_journal = _is_journal()

    def put(self, line: bytes, priority: int) -> None:
        """Write a line; blocks as long as a pipe's reader lets it."""
        if sys.stderr is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        line = b"<%d>%b" % (priority, line) if self._is_journal else line
        try:
            descriptor = sys.stderr.fileno()
        except OSError:  # not a file of the operating system
            sys.stderr.write(line.decode())
            sys.stderr.flush()
        else:
            self._pen.write(descriptor, line)

    def close(self) -> None:
        """Do nothing: it belongs to the process."""


class LogFile:
    """A file that is appended to, made with mode 0600, and followed when it is rotated.

    Before each line the name is looked at, as `logging.handlers.WatchedFileHandler` does; when it leads to
    another file or none, that one is opened or made. So a rotation by rename, with or without a new file,
    loses nothing, provided that the old file is compressed later (logrotate: ``delaycompress``). A rotation
    by copy and truncation tears nothing, since each line is appended at the end by one call, but loses the
    lines written between its two steps. When the name cannot be opened, the old file is used as long as it
    has a name somewhere; a folder that is removed is not made again.

    A symbolic link as the last part of the name is refused: whoever may put one there would choose what we
    append to. So is anything but a regular file.

    Raises:
        ConfigError: It cannot be opened. Only when it is made; later errors are `OSError` from `put`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pen = _Pen()
        try:
            _make_folder(path.parent)
            self._descriptor, self._identity = _opened(path)
        except (OSError, ValueError) as error:
            raise _unusable(path, error) from error

    def put(self, line: bytes, priority: int) -> None:  # noqa: ARG002 - only journald shows it
        """Append a line to the file that has the name now."""
        self._follow()
        self._pen.write(self._descriptor, line)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _follow(self) -> None:
        if _identity_at(self._path) == self._identity:
            return
        try:
            descriptor, identity = _opened(self._path)
        except OSError:
            if self._descriptor >= 0 and os.fstat(self._descriptor).st_nlink:
                return
            raise
        self.close()
        self._descriptor, self._identity, self._pen = descriptor, identity, _Pen()


def _write_some(descriptor: int, data: bytes) -> int:
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        # Another program that shares our standard error made it non-blocking, and its reader is slow.
        waiting = select.poll()
        waiting.register(descriptor, select.POLLOUT)
        waiting.poll(_PATIENCE_MS)
        return os.write(descriptor, data)


def _is_journal() -> bool:
    """Tell whether standard error is the stream that systemd connected to journald, and says so."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, for us alone."""
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    for above in reversed(missing):
        above.mkdir(mode=0o700, exist_ok=True)


def _opened(path: Path) -> tuple[int, Identity]:
    descriptor = os.open(path, _FLAGS, 0o600)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor, (status.st_dev, status.st_ino)


def _identity_at(path: Path) -> Identity | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _unusable(path: Path, error: OSError | ValueError) -> ConfigError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        reason = "it is a symbolic link"
    return ConfigError(
        f"cannot write the log {path}: {reason}",
        key="log.file",
        hint="name a regular file in a folder that this user may write, or unset log.file for standard error",
    )
