"""The second process of verify and rebuild, started before it is known whether there is so much to do.

It needs two thirds of a second until it is of use, most of it for imports. Who starts it before importing the
same has it ready when the work is there. Nothing is imported here that takes long.
"""

import contextlib
import subprocess
from multiprocessing.connection import Connection
from pathlib import Path

from sessionlib.sync import piping

_LAST_WORD = 2.0
"""Seconds to wait for its end before it is killed."""
_LARGE = 32 << 20
"""Bytes of a SQLite file in which there may be some thousand sessions."""


def may_be_many(database_url: str) -> bool:
    """Tell, before a database is opened, whether it may hold so many sessions that a second process helps."""
    path = database_url.removeprefix("sqlite:///")
    if path == database_url:
        return True
    try:
        return Path(path).stat().st_size >= _LARGE
    except (OSError, ValueError):
        return False


class SecondProcess:
    """The process of `sessionlib.sync.checking`; or nothing.

    There is none before it is started, on one core, and where the system refuses one. To be closed.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_used = False

    def start(self) -> None:
        """Start it, if that has not been done yet."""
        # No second process for this user: then the first one does it all.
        with contextlib.suppress(OSError):
            if self._process is None and piping.has_two_cores():
                self._process = piping.start("sessionlib.sync.checking")

    def connections(self) -> tuple[Connection, Connection] | None:
        """Return the connections that requests go to and answers come from; the caller closes them.

        None where there is no process, or they have been asked for before.
        """
        if self._process is None or self._is_used:
            return None
        self._is_used = True
        try:
            return piping.connections(self._process)
        except OSError:
            # No more descriptors for this process. The pipes are closed: the other one sees that, and ends.
            return None

    def close(self) -> None:
        """See to its end: soon where it has worked and its requests were closed, else at once."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(_LAST_WORD if self._is_used else 0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
