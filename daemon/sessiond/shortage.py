"""`Shortage`: limits of the kernel's, hit by several parts of the process, and warned of once each."""

import errno
import logging
import threading
from pathlib import Path

LIMIT_ERRORS = frozenset({errno.ENOSPC, errno.ENOMEM, errno.EMFILE})
"""What inotify says when it gives no more."""

_MAX_USER_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
_SENSIBLE_LIMIT = 524288
"""What most distributions set for desktops; a watch costs about 1 KiB of kernel memory when it is used."""


def remedy(error: OSError, watches: int = 0) -> str:
    """Return the command that raises the limit which inotify has met.

    Args:
        error: What it said.
        watches: How many stand; the new limit leaves room for four times as many.
    """
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "sysctl fs.inotify.max_user_instances=1024"
    return f"sysctl fs.inotify.max_user_watches={_sensible_limit(watches)}"


def _sensible_limit(watches: int) -> int:
    """Return a limit that leaves room: at least four times what is there now, as a power of two."""
    try:
        current = int(_MAX_USER_WATCHES.read_text(encoding="ascii"))
    except (OSError, ValueError):
        current = 0
    wanted = max(_SENSIBLE_LIMIT, 2 * current, 4 * watches)
    return 1 << (wanted - 1).bit_length()


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
