"""What the service manager is told (systemd's notification protocol); nothing at all without one.

Telling never raises and never blocks: a message that the manager cannot take now is owed and sent before the
next one, so that a READY is late at worst; what is told over and over (pings) is dropped.
"""

import errno
import os
import re
import socket
import time
from collections import deque
from collections.abc import MutableMapping
from threading import Lock
from typing import Self

_STATUS_EVERY = 1.0
"""Seconds between two status texts."""
_OWED_MOST = 16
_FOR_NOW = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
_STATUS_MOST = 1000
"""Characters of a status text; the whole datagram must fit."""


class Notifier:
    """The manager's socket. Every method may be called from any thread.

    Args:
        address: A path, or ``@name`` in the abstract namespace; None for nobody to tell.
        watchdog_interval: Seconds between two pings; None when the manager does not ask for them.
    """

    def __init__(self, address: str | None, *, watchdog_interval: float | None = None) -> None:
        self._address = address
        self.watchdog_interval = watchdog_interval
        self._owed: deque[bytes] = deque(maxlen=_OWED_MOST)
        self._status = self._told_status = ""
        self._told_at = float("-inf")
        self._lock = Lock()

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Self:
        """Read where the manager listens, and take that out of the environment: it is not for our children.

        Pings are asked for unless they are for another process; the interval is half of what is allowed.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        allowed_us = environ.pop("WATCHDOG_USEC", "")
        process = environ.pop("WATCHDOG_PID", "")
        interval = None
        if re.fullmatch("[0-9]{1,18}", allowed_us) and int(allowed_us) > 0:
            interval = int(allowed_us) / 2_000_000
        usable = address.startswith(("/", "@")) and len(address) > 1
        if not usable or process not in {"", str(os.getpid())}:
            interval = None
        return cls(address if usable else None, watchdog_interval=interval)

    @property
    def active(self) -> bool:
        """True when there is a manager to tell."""
        return self._address is not None

    def ready(self) -> None:
        """Say that the service is up, or that a reload is done."""
        self._tell(f"READY=1\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        # The manager compares this with its own clock, in microseconds.
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the service is on its way out."""
        self._tell("STOPPING=1")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for so many seconds from now for the start, reload or stop that is under way."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}", keep=False)

    def watchdog(self) -> None:
        """Say that the service makes progress; also sends what is owed."""
        self._tell("WATCHDOG=1", keep=False)

    def status(self, text: str) -> None:
        """Say in one line what the service does; sent when it changed, at most once a second.

        What came too soon goes out with a later call of any method.
        """
        self._status = " ".join(text.split())[:_STATUS_MOST]
        self._tell("", keep=False)

    def _tell(self, text: str, *, keep: bool = True) -> None:
        with self._lock:
            if text and keep:
                self._owed.append(text.encode())
            while self._owed:
                if not self._sent(self._owed[0]):
                    return
                self._owed.popleft()
            if text and not keep:
                self._sent(text.encode())
            self._tell_status()

    def _tell_status(self) -> None:
        now = time.monotonic()
        if self._status != self._told_status and now - self._told_at >= _STATUS_EVERY:
            # A text that was not taken is tried again a second later; no harm is done if it never is.
            self._told_at = now
            if self._sent(b"STATUS=" + self._status.encode("utf-8", "replace")):
                self._told_status = self._status

    def _sent(self, message: bytes) -> bool:
        """Send one datagram; False when the manager cannot take it now. What it never can is done with."""
        if self._address is None:
            return True
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0)
                sender.sendto(message, address)
        except OSError as error:
            return error.errno not in _FOR_NOW
        return True
