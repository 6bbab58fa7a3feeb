"""A service manager's end of the notification protocol: it keeps what it is told, and when."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """One datagram.

    Attributes:
        at: When it came, in monotonic seconds.
        values: What it said, by name.
    """

    at: float
    values: dict[str, str]


class Manager:
    """Listens on its own thread.

    Attributes:
        told: Everything that was said.

    Args:
        address: A path, or ``@name`` in the abstract namespace.
        on_ready: Called at the first READY, before anything else is read.
    """

    def __init__(self, address: str, on_ready: Callable[[], object] = lambda: None) -> None:
        self.address = address
        self.told: list[Told] = []
        self.on_ready = on_ready
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while text := self._socket.recv(65536).decode():
            values = dict(line.partition("=")[::2] for line in text.splitlines())
            if values.get("READY") == "1" and not self.times("READY"):
                self.on_ready()
            self.told.append(Told(time.monotonic(), values))

    def close(self) -> None:
        """Stop listening."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", self._socket.getsockname())
        self._thread.join(10)
        self._socket.close()

    def said(self, name: str) -> list[str]:
        """Return the values that were given to a name, in order."""
        return [told.values[name] for told in list(self.told) if name in told.values]

    def times(self, name: str) -> list[float]:
        """Return when a name was said."""
        return [told.at for told in list(self.told) if name in told.values]

    @property
    def states(self) -> list[str]:
        """The states in their order: READY, RELOADING, STOPPING."""
        names = ("READY", "RELOADING", "STOPPING")
        return [name for told in list(self.told) for name in names if told.values.get(name) == "1"]


@contextmanager
def managing(address: str) -> Iterator[Manager]:
    """Give a manager that listens until the end of the block."""
    manager = Manager(address)
    try:
        yield manager
    finally:
        manager.close()
