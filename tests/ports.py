"""Ports for servers that tests start."""

import contextlib
import secrets
import socket

_FIRST, _COUNT = 20_000, 12_000
"""Below those that systems give to whoever asks for any: else one could be gone by the time it is used."""


def free_port() -> int:
    """Return a port of this machine that nobody has."""
    while True:
        # Not by the seed of a test: others run with the same one.
        port = _FIRST + secrets.randbelow(_COUNT)
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
