"""Who is at the other end of a connection, as the kernel says it."""

import os
import socket
import struct
import sys
from ipaddress import ip_address
from typing import NamedTuple

_LINUX = struct.Struct("3i")
_DARWIN = struct.Struct("=IIh")
_SOL_LOCAL = 0
_LOCAL_PEERCRED = 1
_XUCRED_SIZE = 76


class Peer(NamedTuple):
    """The process that connected: its user, and its id where the system tells it."""

    uid: int
    pid: int | None


def peer_of(connection: socket.socket) -> Peer | None:
    """Return who connected to a Unix socket, at the time they did; None when the system does not say."""
    try:
        if sys.platform == "darwin":
            seen = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_SIZE)
            return Peer(_DARWIN.unpack_from(seen)[1], None)
        pid, uid, _ = _LINUX.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _LINUX.size))
    except (OSError, struct.error):
        return None
    return Peer(uid, pid)


def is_ours(peer: Peer | None) -> bool:
    """Tell whether a peer may speak with us: our own user, or root.

    In a user namespace everybody else, root included, shows as the overflow uid. That one is never let in,
    so root is let in only where it can be told from others.
    """
    return peer is not None and peer.uid in {os.geteuid(), 0}


def is_loopback(address: object) -> bool:
    """Tell whether a TCP peer's address, as accept() gives it, is this machine's own."""
    if not isinstance(address, tuple) or not address:
        return False
    try:
        found = ip_address(str(address[0]).partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
