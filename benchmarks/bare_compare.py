"""A bare comparison of session files with what is stored: load the signatures, scan, stat, compare.

No reconcile can be cheaper, whatever it is careful about: this one looks at state.json alone, believes any
folder to be the right one, and would miss plans, research, renamed folders and whole roots that vanished.
"""

import contextlib
import os
import sqlite3
import time
from typing import Any, NamedTuple

import psycopg

_STATEMENT = (
    "SELECT path, dev, inode, size, mtime_ns, ctime_ns FROM session_files WHERE missing_since IS NULL"
)


class Compared(NamedTuple):
    """What a comparison took, and what it found; `cpu` is this process's, without the database's."""

    seconds: float
    cpu: float
    same: int
    differing: int


class BareComparison:
    """Compares again and again, on a connection that stays open.

    Args:
        url: A database with the schema.
        roots: The sessions roots to scan.
    """

    def __init__(self, url: str, roots: list[str]) -> None:
        self._roots = roots
        if url.startswith("sqlite"):
            path = url.removeprefix("sqlite:///")
            self._connection: Any = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        else:
            self._connection = psycopg.connect(url, autocommit=True)

    def run(self) -> Compared:
        """Compare everything once."""
        began, cpu = time.perf_counter(), time.process_time()
        stored = {row[0]: row[1:] for row in self._connection.execute(_STATEMENT).fetchall()}
        same = differing = 0
        for root in self._roots:
            with os.scandir(root) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        seen = os.stat(f"{entry.path}/state.json")  # noqa: PTH116 - as bare as can be
                        now = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
                        if stored.get(entry.path) == now:
                            same += 1
                        else:
                            differing += 1
        return Compared(time.perf_counter() - began, time.process_time() - cpu, same, differing)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
