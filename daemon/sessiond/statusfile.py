"""The status file: what the daemon last said about itself, for whoever asks while it does not run."""

import contextlib
import json
import logging
import os
from pathlib import Path

from sessiond.logs import event
from sessionlib.control.status import Status

_LOG = logging.getLogger("sessiond")


class StatusFile:
    """Keeps the file; used by one thread.

    Args:
        path: Replaced as a whole, so that nobody ever reads half of it; 0600.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed = False

    def write(self, status: Status) -> None:
        """Write a snapshot. A file that cannot be written is logged once; the daemon goes on without."""
        drawn = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            descriptor = os.open(drawn, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(status.to_json(), file, ensure_ascii=True)
            drawn.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                drawn.unlink()
            if not self._failed:
                words = error.strerror or str(error)
                event(_LOG, logging.WARNING, "status.unwritten", "cannot write the status file", error=words)
            self._failed = True
        else:
            self._failed = False
