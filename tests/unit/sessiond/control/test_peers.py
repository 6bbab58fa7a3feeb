"""Who is at the other end of a connection."""

import os
import socket
import sys

import pytest

from sessiond.control.peers import Peer, is_loopback, is_ours, peer_of


def test_the_kernel_names_the_peer() -> None:
    """Both ends of a pair of sockets are this process."""
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        peer = peer_of(left)
    assert peer is not None
    assert peer.uid == os.geteuid()
    if sys.platform == "linux":
        assert peer.pid == os.getpid()


def test_a_socket_without_peer_has_none() -> None:
    """What the kernel cannot say is nobody we know."""
    with socket.socket(socket.AF_UNIX) as closed:
        pass
    assert peer_of(closed) is None


@pytest.mark.parametrize(
    ("own", "peer", "welcome"),
    [
        (1000, 1000, True),
        (1000, 0, True),
        (1000, 1001, False),
        (1000, 65534, False),
        (0, 65534, False),
        (0, 0, True),
    ],
)
def test_own_user_and_root_are_welcome(
    monkeypatch: pytest.MonkeyPatch, own: int, peer: int, welcome: bool
) -> None:
    """Nobody else is, and least of all the uid that stands for all others in a user namespace."""
    monkeypatch.setattr(os, "geteuid", lambda: own)
    assert is_ours(Peer(peer, 1)) is welcome
    assert is_ours(None) is False


@pytest.mark.parametrize(
    ("address", "welcome"),
    [
        (("127.0.0.1", 5), True),
        (("127.8.9.1", 5), True),
        (("::1", 5, 0, 0), True),
        (("::ffff:127.0.0.1", 5, 0, 0), True),
        (("192.168.1.5", 5), False),
        (("::ffff:10.0.0.1", 5, 0, 0), False),
        (("fe80::1%eth0", 5, 0, 2), False),
        (("", 5), False),
        ("", False),
        ((), False),
    ],
    ids=str,
)
def test_loopback_addresses_are_told_from_others(address: object, welcome: bool) -> None:
    """Every form of a loopback address counts, and nothing else."""
    assert is_loopback(address) is welcome
