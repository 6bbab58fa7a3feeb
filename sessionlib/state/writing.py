"""Writing a file whole or not at all: unique temp file, fsync, rename, fsync of the folder.

Without the fsync before the rename a power cut leaves an empty file under the right name; without the one
after it, an acknowledged save can be forgotten. A fixed temp name lets two writers publish half a file.
"""
# Descriptors and their flags are the matter here.
# ruff: noqa: PTH105, PTH108

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from pathlib import Path

from sessionlib.errors import StateWriteError
from sessionlib.state.layout import TEMP_NAME, TEMP_PREFIX

STRAY_AGE_NS = 3600 * 1_000_000_000
"""How old, in nanoseconds, a temp file of ours must be before it is known to be nobody's."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FSYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF})


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file's content; readers see the old bytes or the new, and the new survive a power cut.

    A new file gets the usual mode, a replaced one keeps its own. Temp files that a killed writer left in the
    folder more than an hour ago are removed on the way. Blocks for as long as the disk takes to sync.

    Raises:
        StateWriteError: The operating system refused. The old content is untouched and the temp file is
            gone, unless the message says that only the folder could not be synced.
    """
    path = Path(path)
    folder = path.parent
    temp = str(folder / f"{TEMP_PREFIX}{os.getpid()}-{secrets.token_hex(8)}.tmp")
    try:
        _write_temp(temp, data, _replaced(path))
        try:
            os.replace(temp, path)
        except BaseException:
            _discard(temp)
            raise
    except OSError as error:
        message = f"cannot write {path}: {error.strerror or error}"
        raise StateWriteError(message, session_dir=folder) from error
    try:
        sync_folder(folder)
    except OSError as error:
        message = f"{path} is written, but its folder could not be synced: {error.strerror or error}"
        raise StateWriteError(message, session_dir=folder, hint="save it once more") from error
    _sweep(folder)


def _replaced(path: Path) -> os.stat_result | None:
    try:
        old = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file, and would be lost")
    return old


def _write_temp(temp: str, data: bytes, old: os.stat_result | None) -> None:
    fd = os.open(temp, _FLAGS, 0o666 if old is None else 0o600)
    try:
        try:
            if old is not None:
                _take_after(fd, old)
            _write_all(fd, data)
            sync(fd)
        finally:
            os.close(fd)
    except BaseException:
        _discard(temp)
        raise


def _take_after(fd: int, old: os.stat_result) -> None:
    """Give the new file the old one's owner, where we may, and its mode."""
    own = os.fstat(fd)
    if (own.st_uid, own.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(fd, old.st_uid, old.st_gid)
    os.fchmod(fd, stat.S_IMODE(old.st_mode))


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def sync(fd: int) -> None:
    """Have the disk keep what was written; macOS needs its own word for it."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with contextlib.suppress(OSError):  # not every file system there knows it
            fcntl.fcntl(fd, full)
            return
    os.fsync(fd)


def sync_folder(folder: Path) -> None:
    """Have the disk keep the names in a folder, where the file system knows how.

    Raises:
        OSError: The folder cannot be opened, or the disk failed.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network and FUSE file systems have no fsync for folders; there is nothing better to ask for.
        if error.errno not in _NO_FSYNC:
            raise
    finally:
        # It is synced, or that has failed: closing it adds nothing.
        with contextlib.suppress(OSError):
            os.close(fd)


def _discard(temp: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(temp)


def _sweep(folder: Path) -> None:
    """Remove what killed writers left; a failure here is no failure of the save."""
    oldest = time.time_ns() - STRAY_AGE_NS
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if TEMP_NAME.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime_ns < oldest:
                _discard(entry.path)
