"""Thousands of hostile frames: the server answers or closes, logs no defect, and is as quick as before."""

import os
import random
import secrets
import socket
import time
from collections.abc import Callable

import pytest

from tests.controls import connected, house

FRAMES = int(os.environ.get("SESSIOND_TEST_FUZZ_FRAMES", "2000"))
SEED = int(os.environ.get("SESSIOND_TEST_FUZZ_SEED", "0")) or secrets.randbits(32)

PATHS = (
    "/status",
    "/healthz",
    "/freshness?max_age=1&wait=0",
    "/sessions?text=x",
    "/sessions/wall",
    "/queries/commit?sha=abcd",
    "/queries/recent",
    "/rescan",
    "/projects",
    "/reload",
    "/",
    "//",
    "*",
    "http://evil.example/status",
    "/%00",
    "/%zz",
    "/é",
    "/status?%ff=%00",
    "/../../etc/passwd",
    "/sessions/" + "a" * 3000,
    "/events?after=%0d%0aX",
)
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "CONNECT", "TRACE", "get", "G\x00T", "", "X" * 300)
VERSIONS = ("HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1 ", "ICY", "")
FIELDS = (
    "Host: x",
    "Connection: close",
    "Connection: upgrade",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "Expect: nonsense",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Content-Length: 2",
    "Content-Length: 99999",
    "Content-Length: -1",
    "Content-Length: 1e3",
    "Content-Encoding: gzip",
    "Origin: null",
    "Last-Event-ID: x",
    "X: \x00",
    " folded: x",
    "No colon",
    ": empty",
    "X: " + "y" * 9000,
    "Cookie: \xff\xfe",
    "Sec-WebSocket-Key: x",
    "Range: bytes=0-1",
    "Authorization: Bearer x",
)
BODIES = (
    b"",
    b"{}",
    b"[]",
    b"{",
    b"null",
    b'{"path": "/p", "wait": false}',
    b"[" * 3000,
    b"\xff" * 500,
    b"2\r\n{}\r\n0\r\n\r\n",
    b"zz\r\n",
)


def request(dice: random.Random) -> bytes:
    """Return something like a request."""
    line = f"{dice.choice(METHODS)} {dice.choice(PATHS)} {dice.choice(VERSIONS)}"
    fields = [dice.choice(FIELDS) for _ in range(dice.randrange(6))]
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1") + dice.choice(BODIES)


def good(dice: random.Random) -> bytes:
    """Return a request that is in order."""
    return f"GET {dice.choice(PATHS[:7])} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1")


def noise(dice: random.Random) -> bytes:
    """Return bytes that are nothing."""
    return dice.randbytes(dice.choice((1, 10, 500, 20_000)))


def bent(dice: random.Random) -> bytes:
    """Return a good request with some bytes changed."""
    data = bytearray(good(dice))
    for _ in range(dice.randrange(1, 6)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


def cut(dice: random.Random) -> bytes:
    """Return the beginning of something like a request."""
    data = request(dice)
    return data[: dice.randrange(len(data))]


def piped(dice: random.Random) -> bytes:
    """Return several requests behind one another."""
    return b"".join(dice.choice((good, request))(dice) for _ in range(dice.randrange(2, 60)))


KINDS: tuple[Callable[[random.Random], bytes], ...] = (request, good, noise, bent, cut, piped)


def throw(made: socket.socket, dice: random.Random) -> bytes:
    """Send one frame, perhaps in pieces, and go away in one of several ways; return what came by then."""
    data = dice.choice(KINDS)(dice)
    said = b""
    try:
        for start in range(0, len(data), max(1, len(data) // dice.randrange(1, 4))):
            made.sendall(data[start : start + max(1, len(data) // 2)])
        if dice.random() < 0.3:
            made.shutdown(socket.SHUT_WR)
        if dice.random() < 0.6:
            made.settimeout(0.02)
            said = made.recv(65536)
    except OSError:
        # Closed by the server, or not answered yet: both are its right.
        pass
    return said


def test_hostile_frames_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """After all of them /status is answered within 100 ms; what was said meanwhile was HTTP."""
    print(f"seed {SEED}, frames {FRAMES}")  # noqa: T201 - pytest shows it when the test fails
    dice = random.Random(SEED)
    with house(request_timeout=0.5) as home:
        home.get("/status")
        for _ in range(FRAMES):
            try:
                with connected(home.socket, 5) as made:
                    said = throw(made, dice)
            except (ConnectionRefusedError, BlockingIOError):
                pytest.fail(f"the server does not listen any more; seed {SEED}")
            assert not said or said.startswith(b"HTTP/1."), (said[:200], SEED)
        for future in home.daemon.rescans:
            future.set_result([])
        for reload in home.daemon.reloads:
            reload.set_result({})
        seconds = []
        deadline = time.monotonic() + 10
        while len(seconds) < 5 and time.monotonic() < deadline:
            before = time.perf_counter()
            if home.ask("GET", "/status").status == 200:
                seconds.append(time.perf_counter() - before)
        assert min(seconds) <= 0.1, (seconds, SEED)
        assert home.server.ping() is not None
    defects = [record for record in caplog.records if getattr(record, "event", "") == "control.failed"]
    assert defects == [], SEED
    assert not [record for record in caplog.records if record.name.startswith(("asyncio", "aiohttp"))], SEED
