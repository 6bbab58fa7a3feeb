"""A second process that serves its parent over standard input and output, one message after the other."""

import contextlib
import gc
from collections.abc import Callable
from multiprocessing.connection import Connection


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
