"""What clients export by telemetry, on its way into the hook spool; where it ends the tracker takes over."""

import logging
import threading
import time
from collections.abc import Mapping

from sessiond.logs import event
from sessionlib.journal.adapter import Adapter
from sessionlib.journal.spool import Spool, SpoolFullError

_LOG = logging.getLogger("sessiond.control")

TELL_EVERY = 60.0
"""Seconds between two warnings that nothing can be kept."""


class UnkeptError(Exception):
    """A post could not be kept, or not all of it; whoever sends it again doubles nothing."""


class Exports:
    """Keeps what posts say of conversations; may be used by any thread, and blocks for the disk.

    Args:
        spool: Takes it.
        adapters: The clients, by name.
    """

    def __init__(self, spool: Spool, adapters: Mapping[str, Adapter]) -> None:
        self._spool = spool
        self._adapters = adapters
        self._lock = threading.Lock()
        self._told_at: float | None = None

    def keep(self, content: bytes) -> int:
        """Keep a post; return how many deliveries it made, none for one about other things.

        Raises:
            BadPayloadError: It is no post.
            UnkeptError: The spool is full, or cannot be written.
        """
        # All of it is read before any is written: of a bad post nothing is kept.
        found = [
            (adapter.name, name, body)
            for adapter in self._adapters.values()
            for name, body in adapter.exported(content)
        ]
        for client, name, body in found:
            try:
                self._spool.put(client, name, body)
            except (SpoolFullError, OSError) as error:
                full = isinstance(error, SpoolFullError)
                why = (
                    f"the spool is full: {error}" if full else f"the spool cannot be written: {_said(error)}"
                )
                self._complain(why)
                raise UnkeptError(why) from error
        event(_LOG, logging.DEBUG, "spool.exported", "telemetry kept", deliveries=len(found))
        return len(found)

    def _complain(self, why: str) -> None:
        now = time.monotonic()
        with self._lock:
            if self._told_at is not None and now - self._told_at < TELL_EVERY:
                return
            self._told_at = now
        event(_LOG, logging.WARNING, "spool.refused", "telemetry is sent back to its clients", error=why)


def _said(error: Exception) -> str:
    """Return what the system says, without the path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
