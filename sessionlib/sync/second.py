"""A second process for a long piece of work, started before it is known whether there is so much.

It needs two thirds of a second until it is of use, most of it for imports. Who starts it first of all, before
its own imports, has it ready when the work is there. Nothing is imported here that takes long.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

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
    """``python -P -m sessionlib.sync.checking``, with a pipe to it and one back; or nothing.

    There is none before it is started, on one core, and where the system refuses one. Given up by leaving it
    as a context: what was not handed any work by then is killed.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_used = False

    def start(self) -> None:
        """Start it, if that has not been done yet."""
        # No second process for this user: then the first one does it all.
        with contextlib.suppress(OSError):
            if self._process is None and _has_two_cores():
                # A session of its own: what a terminal sends is not for it. -P: not what lies in this folder.
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "sessionlib.sync.checking"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )

    def pipes(self) -> tuple[int, int] | None:
        """Return the descriptors that requests go to and answers come from; the caller closes them.

        None where there is no process, or they have been asked for before.
        """
        process = self._process
        if process is None or self._is_used or process.stdin is None or process.stdout is None:
            return None
        self._is_used = True
        with process.stdin, process.stdout:
            return os.dup(process.stdin.fileno()), os.dup(process.stdout.fileno())

    def end(self) -> None:
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


def _has_two_cores() -> bool:
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return len(mine) > 1
