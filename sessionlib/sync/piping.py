"""A second process that serves its parent over standard input and output, one message after the other."""

# Whoever starts one may do so before its own imports: nothing is imported here that takes long.

import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection


def has_two_cores() -> bool:
    """Tell whether a second process has a core of its own."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return len(mine) > 1


def start(module: str) -> "subprocess.Popen[bytes]":
    """Start ``python -P -m module`` with pipes to its standard input and output.

    Raises:
        OSError: It cannot be started.
    """
    # A session of its own: what a terminal sends to its parent is not for it. -P: not what lies in the
    # working folder. No descriptors are inherited, above all not the one that holds the daemon's lock.
    return subprocess.Popen(  # noqa: S603 - our own interpreter, a module of ours
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def connections(process: "subprocess.Popen[bytes]") -> tuple[Connection, Connection]:
    """Return the connections on which requests go to a process and its answers come; to be called once."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both pipes were asked for")
    with process.stdin, process.stdout:
        requests = Connection(os.dup(process.stdin.fileno()), readable=False)
        answers = Connection(os.dup(process.stdout.fileno()), writable=False)
    return requests, answers


def serve(work: Callable[[Connection, Connection], None], collect_after: int) -> int:
    """Do a second process's work until it is done, or the other side is gone; return the exit code 0.

    Args:
        work: Takes the connections on which requests come and answers go.
        collect_after: New objects between two collections: a reading makes many, and few cycles.
    """
    gc.freeze()
    gc.set_threshold(collect_after, 20, 20)
    requests, answers = Connection(0, writable=False), Connection(1, readable=False)
    with contextlib.suppress(EOFError, OSError):
        work(requests, answers)
    return 0
