"""The hand-written exchange: what it understands, and what it calls no answer."""

import itertools
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionlib.control import protocol
from sessionlib.control.protocol import ABSENT, DENIED, GARBLED, SILENT, Exchange, Unanswered, fetch
from tests.stubs import sends, stub

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"
TO_THE_END = b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nhello"


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED, TO_THE_END], ids=["length", "chunks", "to the end"])
def test_a_body_is_read_however_it_is_framed(answer: bytes) -> None:
    """With a length, in chunks, or up to the end of the connection."""
    with stub(sends(answer)) as made:
        assert fetch(str(made.path), "GET", "/x", timeout=5) == (200, b"hello")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([LENGTH, CHUNKED, TO_THE_END]), st.lists(st.integers(1, 100), max_size=8))
def test_where_the_bytes_are_split_makes_no_difference(answer: bytes, cuts: list[int]) -> None:
    """The same answer comes out wherever the stream was cut."""
    edges = sorted({0, len(answer), *(cut % len(answer) for cut in cuts)})
    parts = [answer[start:end] for start, end in itertools.pairwise(edges)]
    left, right = socket.socketpair()
    with left:
        exchange = Exchange.__new__(Exchange)
        exchange._socket, exchange._left, exchange._silence = right, b"", None
        exchange._deadline = time.monotonic() + 5
        feeder = threading.Thread(target=lambda: [left.sendall(part) for part in parts] and left.close())
        feeder.start()
        status, headers = exchange._head()
        assert (status, exchange.body(headers)) == (200, b"hello")
        feeder.join()
        exchange.close()


def test_the_request_is_plain_http() -> None:
    """Method, target, host, length and body, one request a connection."""
    with stub(sends(LENGTH)) as made:
        fetch(str(made.path), "POST", "/rescan", body=b'{"a":1}', timeout=5)
    head, _, body = made.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /rescan HTTP/1.1"
    assert set(lines[1:]) == {
        "Host: sessiond",
        "Connection: close",
        "Content-Type: application/json",
        "Content-Length: 7",
    }
    assert body in {b"", b'{"a":1}'}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"X" * 200_000,
    ],
    ids=range(11),
)
def test_what_is_no_whole_answer_is_garbled(answer: bytes) -> None:
    """No HTTP, a bad or wrong length, a bad chunk, an early end, no end of the head."""
    with stub(sends(answer)) as made, pytest.raises(Unanswered) as caught:
        fetch(str(made.path), "GET", "/x", timeout=5)
    assert caught.value.why == GARBLED


def test_an_endless_answer_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body longer than the limit is refused, whatever length was announced."""
    monkeypatch.setattr(protocol, "MOST_BYTES", 1000)
    with (
        stub(sends(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)) as made,
        pytest.raises(Unanswered) as caught,
    ):
        fetch(str(made.path), "GET", "/x", timeout=5)
    assert (caught.value.why, "more than 1000 bytes" in caught.value.detail) == (GARBLED, True)


def test_the_time_counts_for_the_whole_answer() -> None:
    """A server that drips bytes does not win more time with each."""

    def drip(connection: socket.socket, _: bytes) -> None:
        for byte in LENGTH:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with stub(drip) as made:
        began = time.monotonic()
        with pytest.raises(Unanswered) as caught:
            fetch(str(made.path), "GET", "/x", timeout=0.3)
        took = time.monotonic() - began
    assert (caught.value.why, took < 1.5) == (SILENT, True)


def test_a_silent_server_is_left_in_time() -> None:
    """One that accepts, reads and says nothing."""
    with stub() as made:
        began = time.monotonic()
        with pytest.raises(Unanswered) as caught:
            fetch(str(made.path), "GET", "/x", timeout=0.2)
        assert (caught.value.why, time.monotonic() - began < 2) == (SILENT, True)


def test_a_server_that_accepts_nobody_is_silent() -> None:
    """A full queue of connections is a hung daemon, not an absent one."""
    folder = Path(tempfile.mkdtemp())
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(str(path))
        with pytest.raises(Unanswered) as caught:
            fetch(str(path), "GET", "/x", timeout=0.2)
        for each in waiting:
            each.close()
    path.unlink()
    folder.rmdir()
    assert caught.value.why == SILENT


def test_nothing_that_listens_is_absent(tmp_path: Path) -> None:
    """No file, no folder, a file that is no socket, a stale socket, a path no socket can have."""
    plain = tmp_path / "plain"
    plain.write_text("")
    folder = Path(tempfile.mkdtemp())
    stale = folder / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(stale))
    for path in (tmp_path / "none", plain / "below", plain, stale, tmp_path / ("x" * 200)):
        with pytest.raises(Unanswered) as caught:
            fetch(str(path), "GET", "/x", timeout=1)
        assert caught.value.why == ABSENT, path
    stale.unlink()
    folder.rmdir()


def test_what_may_not_be_connected_is_denied() -> None:
    """The system's refusal is told apart from absence; nobody refuses root, hence by its error."""
    refusal = protocol._unconnected(PermissionError(13, "Permission denied"))
    assert (refusal.why, refusal.detail) == (DENIED, "Permission denied")


def test_another_thread_can_end_a_wait() -> None:
    """After `abort` a reader gets the end, at once."""
    with stub(sends(b"HTTP/1.1 200 OK\r\n\r\n")) as made:
        made._answer = lambda connection, _: (
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"),
            made.ended.wait(20),
        )[0]
        exchange = Exchange(str(made.path), 20)
        _, headers = exchange.ask("GET", "/events")
        timer = threading.Timer(0.2, exchange.abort)
        timer.start()
        began = time.monotonic()
        assert list(exchange.parts(headers, silence=20)) == []
        assert time.monotonic() - began < 5
        timer.join()
        exchange.close()
        exchange.abort()
