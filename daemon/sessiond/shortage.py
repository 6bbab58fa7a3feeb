"""`Shortage`: limits of the kernel's, hit by several parts of the process, and warned of once each."""

import errno
import logging
import threading

LIMIT_ERRORS = frozenset({errno.ENOSPC, errno.ENOMEM, errno.EMFILE})
"""What inotify says when it gives no more."""


class Shortage:
    """Tells who was the first to meet a limit; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: set[int | None] = set()

    def level(self, error: OSError) -> int:
        """Return at which level to say that nothing more is given: the first time it is a warning."""
        with self._lock:
            is_first = error.errno not in self._told
            self._told.add(error.errno)
        return logging.WARNING if is_first else logging.INFO
