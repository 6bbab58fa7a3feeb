"""Clients that are slow, many, foreign or hostile: each is bounded, and the others are served."""

import http.client
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from sessiond.control import connection as protocol
from tests.conftest import Wait
from tests.controls import House, connected, house, read_all

GET = b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def home() -> Iterator[House]:
    """A control server that waits 0.4 s for a request."""
    with house(request_timeout=0.4) as made:
        yield made


def closed_after(made: socket.socket) -> tuple[float, bytes]:
    """Return after how many seconds the server closed a connection, and what it said before."""
    before = time.monotonic()
    said = read_all(made)
    return time.monotonic() - before, said


@pytest.mark.parametrize("begun", [b"", b"G", b"GET /status HTTP/1.1\r\nHost:"])
def test_a_request_that_does_not_come_is_not_waited_for(home: House, begun: bytes) -> None:
    """The connection is closed without a word."""
    with connected(home.socket) as made:
        made.sendall(begun)
        seconds, said = closed_after(made)
    assert said == b""
    assert 0.2 < seconds < 5


def test_a_head_in_drops_is_no_way_around_it(home: House) -> None:
    """The time counts from the first byte, not from the last."""
    before = time.monotonic()
    with connected(home.socket) as made, suppress(BrokenPipeError, ConnectionResetError):
        for byte in b"GET /status HTTP/1.1\r\n" + b"X-Slow: 1\r\n" * 100:
            made.sendall(bytes([byte]))
            time.sleep(0.02)
    assert time.monotonic() - before < 5


def test_a_second_request_has_its_own_time(home: House) -> None:
    """On a kept connection a request may be late, but not come slowly."""
    with connected(home.socket) as made:
        made.sendall(GET)
        made.recv(65536)
        time.sleep(0.8)
        made.sendall(GET)
        assert made.recv(65536).startswith(b"HTTP/1.1 200")
        made.sendall(b"GET /st")
        seconds, said = closed_after(made)
    assert (said, seconds < 5) == (b"", True)


def test_an_idle_connection_is_not_kept_for_ever(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an answer a client has some seconds for its next request."""
    monkeypatch.setattr(protocol, "KEEP_ALIVE", 0.3)
    with connected(home.socket) as made:
        made.sendall(GET)
        made.recv(65536)
        assert closed_after(made)[0] < 5


def test_a_body_that_does_not_come_is_refused(home: House) -> None:
    """408, and the end of the connection."""
    said = home.raw(b"POST /rescan HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"the body did not come within 0.4 s" in said
    assert home.daemon.targets == []


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 65537\r\n\r\n", b"413"),
        (b"Content-Length: 9999999999999\r\n\r\n", b"413"),
        (
            b"Transfer-Encoding: chunked\r\n\r\n"
            b"8000\r\n" + b" " * 0x8000 + b"\r\n" + b"8001\r\n" + b" " * 0x8001 + b"\r\n0\r\n\r\n",
            b"413",
        ),
        (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", b"415"),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", b"400"),
        (b"Content-Length: -1\r\n\r\n", b"400"),
        (b"X-Long: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (b"X: y\r\n" * 200 + b"\r\n", b"400"),
        (b"Host: x\r\nX\x00: y\r\n\r\n", b"400"),
    ],
    ids=["length", "huge", "chunks", "gzip", "chunk", "lengths", "negative", "line", "fields", "nul"],
)
def test_requests_that_are_too_much_or_no_http(home: House, head: bytes, status: bytes) -> None:
    """Each gets its status as JSON, the connection ends, and the daemon is asked nothing."""
    said = home.raw(b"POST /rescan HTTP/1.1\r\nHost: x\r\n" + head)
    version, found, _ = said.split(b" ", 2)
    assert (version[:7], found) == (b"HTTP/1.", status)
    assert b"\r\nServer: sessiond/9.8.7\r\n" in said
    assert b"\r\nContent-Type: application/json" in said
    assert b'"error":' in said
    assert home.daemon.targets == []


def test_the_largest_body_is_read(home: House) -> None:
    """Just 64 KiB are accepted."""
    body = b'{"wait": false}'.ljust(65536)
    assert home.ask("POST", "/rescan", body).status == 202


def test_one_client_too_many_is_told(wait_until: Wait) -> None:
    """503 says how many there may be; a place is free again when somebody goes."""
    with house(clients=3) as home, ExitStack() as stack:
        made = [stack.enter_context(connected(home.socket)) for _ in range(3)]
        for one in made:
            one.sendall(GET)
            assert one.recv(65536).startswith(b"HTTP/1.1 200")
        answer = home.ask("GET", "/status")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json["error"] == "3 connections are open, and there may be no more"
        assert answer.headers["Server"] == "sessiond/9.8.7"
        made[0].close()
        wait_until(lambda: home.ask("GET", "/status").status == 200, "a free place")


def test_a_crowd_that_says_nothing_goes_away(wait_until: Wait) -> None:
    """Connections that never ask do not keep the others out for longer than a request may take."""
    with house(clients=4, request_timeout=0.3) as home, ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connected(home.socket))

        def is_served() -> bool:
            # In such a crowd not everybody is told why there is no place.
            with suppress(ConnectionError, http.client.HTTPException):
                return home.ask("GET", "/status").status == 200
            return False

        wait_until(is_served, "a free place")


def test_a_client_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch, wait_until: Wait) -> None:
    """An answer that nobody takes does not hold its place for ever."""
    monkeypatch.setattr(protocol, "READ_WITHIN", 0.3)
    with house(clients=1) as home:
        home.daemon.database_name = "x" * 5_000_000
        with connected(home.socket) as lazy:
            lazy.sendall(b"GET /freshness HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: home.ask("GET", "/status").status == 200, "a free place")


CLIENT = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(10)
client.connect(sys.argv[1])
try:
    client.sendall(b"GET /status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    print(client.recv(100))
except OSError:
    print(b"")
"""


def interpreter() -> str:
    """Return an interpreter that another user can run; ours may lie in a private folder."""
    for found in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        with suppress(OSError):
            subprocess.run([found, "-c", ""], user=65534, group=65534, extra_groups=[], check=True, cwd="/")
            return found
    pytest.skip("another user can run no interpreter")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_gets_nothing(home: House, caplog: pytest.LogCaptureFixture) -> None:
    """Even where folder and socket are open to all, the connection is closed at once, and the log says so."""
    for folder in (home.folder, home.socket.parent):
        folder.chmod(0o755)
    home.socket.chmod(0o777)
    command = [interpreter(), "-I", "-S", "-c", CLIENT, str(home.socket)]
    done = subprocess.run(
        command,
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        check=False,
        timeout=30,
        cwd="/",
    )
    assert done.stdout.strip() == b"b''", done.stderr
    (record,) = [record for record in caplog.records if getattr(record, "event", "") == "control.refused"]
    assert record.__dict__["fields"]["uid"] == 65534
    assert home.get("/status")["version"] == "9.8.7"


def test_the_loop_answers_the_watchdog(home: House, wait_until: Wait) -> None:
    """A ping tells how long the event loop took; one that hangs, or has ended, gives none."""
    found = home.server.ping()
    assert found is not None
    assert found >= 0
    assert home.server.is_alive
    hangs, goes_on = threading.Event(), threading.Event()
    home.daemon.status = lambda: (hangs.set(), goes_on.wait(20))  # type: ignore[method-assign,assignment,return-value]
    with connected(home.socket) as made:
        made.sendall(GET)
        wait_until(hangs.is_set, "the loop to hang")
        assert home.server.ping() is None
        goes_on.set()
    home.server.stop(timeout=5)
    assert home.server.ping() is None
    assert not home.server.is_alive


def test_stopping_takes_the_socket_along(home: House) -> None:
    """Connections are refused, the file is gone, and a second stop does nothing."""
    with connected(home.socket) as idle:
        before = time.monotonic()
        home.server.stop(timeout=20)
        assert time.monotonic() - before < 10
        assert read_all(idle) == b""
    assert not home.socket.exists()
    with pytest.raises(FileNotFoundError):
        connected(home.socket)
    home.server.stop(timeout=5)


def test_stopping_does_not_wait_for_work_that_hangs(home: House, wait_until: Wait) -> None:
    """The client is cut off or told; either way the server is gone within the time."""
    begun, held = threading.Event(), threading.Event()
    home.daemon.reading = lambda: (begun.set(), held.wait(20))  # type: ignore[method-assign,assignment,return-value]
    with connected(home.socket) as made:
        made.sendall(b"GET /sessions HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(begun.is_set, "the work to begin")
        before = time.monotonic()
        home.server.stop(timeout=2)
        assert time.monotonic() - before < 10
        assert b"the daemon is stopping" in read_all(made)
    held.set()


def test_the_next_server_takes_over(home: House) -> None:
    """A path is free as soon as the server before has stopped."""
    home.server.stop(timeout=5)
    again = House(home.daemon, home.folder)
    again.server.start()
    assert again.get("/status")["version"] == "9.8.7"
    again.server.stop(timeout=5)


def test_too_few_file_descriptors_are_waited_out(
    home: House, caplog: pytest.LogCaptureFixture, wait_until: Wait
) -> None:
    """While the system gives no sockets nobody is served, the loop does not spin, and one line says why."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connected(home.socket) as early, ExitStack() as stack:
        early.sendall(GET)
        early.recv(65536)
        late = stack.enter_context(socket.socket(socket.AF_UNIX))
        late.settimeout(10)
        resource.setrlimit(resource.RLIMIT_NOFILE, (late.fileno() + 1, before[1]))
        try:
            with suppress(OSError):
                while True:
                    stack.callback(os.close, os.open("/", os.O_RDONLY))
            late.connect(str(home.socket))
            late.sendall(GET)
            wait_until(
                lambda: "control.failed" in [getattr(record, "event", "") for record in caplog.records]
            )
            spent = time.process_time()
            time.sleep(0.5)
            assert time.process_time() - spent < 0.3
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert late.recv(65536).startswith(b"HTTP/1.1 200")
    failed = [record for record in caplog.records if getattr(record, "event", "") == "control.failed"]
    assert len(failed) == 1
