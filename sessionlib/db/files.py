"""SQLite's file: how it comes to be."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sessionlib.errors import DatabaseBusyError, DatabaseUnavailableError

_PATIENCE = 5.0
"""Seconds for which another process may be making the file."""


def create(path: Path) -> None:
    """Create the file if need be: it holds people's work, so 0600 in a 0700 folder from its first byte.

    What a file that somebody took away has left beside it goes first. SQLite would take the old index of its
    log for the new one's, and cut it off under connections that still have it mapped: that ends a process.

    Raises:
        DatabaseUnavailableError: It cannot be made.
        DatabaseBusyError: Somebody holds a lock on its folder.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            return
        # One at a time: whoever came second would take away what is the new file's by now.
        with _alone_in(path.parent):
            if not path.exists():
                for ending in ("-wal", "-shm"):
                    path.with_name(path.name + ending).unlink(missing_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise DatabaseUnavailableError(
            f"the database file {path} cannot be made: {error.strerror}",
            hint="mend the folder, or name another with database.url",
        ) from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep out all that do the same in a folder, of this process and of others."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise DatabaseBusyError(
                    "another process has locked the folder of the database file"
                ) from None
            time.sleep(0.01)
        except OSError:
            return  # some network's file systems lock no folders; it is a moment, once in the life of a file
        else:
            return
