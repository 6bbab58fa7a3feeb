"""Telemetry that clients post: who may, what is kept of it, and what is sent back."""

import gzip
import json
import logging
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessiond.control import exports as control_exports
from sessiond.control import telemetry
from sessiond.control.exports import Exports
from sessionlib.journal import spool as journal_spool
from sessionlib.journal.adapters import ADAPTERS
from sessionlib.journal.spool import Spool
from tests.controls import TOKEN, Answer, House, PlayedDaemon, house

POSTS = Path(__file__).parents[1] / "fixtures" / "claude_code" / "otel" / "posts.jsonl"
JSON = {"Content-Type": "application/json"}
KNOWN = JSON | {"Authorization": f"Bearer {TOKEN}"}
PACKED = JSON | {"Content-Encoding": "gzip"}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Where posts are kept."""
    return Spool(tmp_path / "spool")


@pytest.fixture
def home(spool: Spool) -> Iterator[House]:
    """A control server that takes telemetry, on a loopback port too."""
    daemon = PlayedDaemon()
    daemon.exports = Exports(spool, ADAPTERS)
    with house(daemon, listen="127.0.0.1:0", token=TOKEN, origins=[], request_timeout=1.0) as made:
        yield made


def posts() -> list[tuple[str, bytes]]:
    """Return real posts with their paths."""
    told = [json.loads(line) for line in POSTS.read_text().splitlines()]
    return [(one["path"], json.dumps(one["body"]).encode()) for one in told]


REQUESTS = posts()[2][1]
"""A post that tells of requests: two of them."""


def kept(spool: Spool) -> list[dict[str, Any]]:
    """Return the bodies that were kept, in order."""
    found = [spool.read(name) for name in spool.names(1000)]
    assert {(one.client, one.event) for one in found} <= {("claude-code", "telemetry")}
    return [json.loads(one.body) for one in found]


def requests(spool: Spool) -> int:
    """Return how many requests were kept."""
    return sum(len(one["requests"]) for one in kept(spool))


def is_accepted(answer: Answer) -> bool:
    """Tell whether a client is content."""
    return (answer.status, answer.json) == (200, {})


# --- who may post, and what is kept ------------------------------------------------------------------


def test_real_posts_over_the_port(home: House, spool: Spool) -> None:
    """Each is accepted; of all of them eight requests are kept, and no word of a prompt."""
    for path, body in posts():
        assert is_accepted(home.ask_tcp("POST", path, body, KNOWN))
    assert requests(spool) == 8
    assert b"words that nobody may keep" not in b"".join(
        path.read_bytes() for path in spool.folder.rglob("*") if path.is_file()
    )


def test_real_posts_over_the_socket(home: House, spool: Spool) -> None:
    """Who may ask there may post there, without a token."""
    for path, body in posts():
        assert is_accepted(home.ask("POST", path, body, JSON))
    assert requests(spool) == 8


def test_of_metrics_and_traces_nothing_is_kept(home: House, spool: Spool) -> None:
    """A client that sends all to one place sees no errors; what is in them is not even looked at."""
    for path in ("/v1/metrics", "/v1/traces"):
        for body in (REQUESTS, b"{}", b"", b"no JSON"):
            assert is_accepted(home.ask("POST", path, body, JSON))
        assert is_accepted(home.ask("POST", path, gzip.compress(REQUESTS), PACKED))
    assert spool.names(10) == []


@pytest.mark.parametrize("shown", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer%20{TOKEN}"])
def test_without_the_token_nothing_is_kept(home: House, spool: Spool, shown: str | None) -> None:
    """401 as everywhere on the port."""
    for path in ("/v1/logs", "/v1/metrics", "/v1/traces"):
        headers = JSON | ({} if shown is None else {"Authorization": shown})
        assert home.ask_tcp("POST", path, REQUESTS, headers).status == 401
    assert spool.names(10) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
    ],
)
def test_no_page_posts_telemetry(home: House, spool: Spool, headers: dict[str, str]) -> None:
    """Not even with the token: 403, and nothing is kept."""
    assert home.ask_tcp("POST", "/v1/logs", REQUESTS, KNOWN | headers).status == 403
    assert spool.names(10) == []


def test_only_posts(home: House) -> None:
    """405 names the method."""
    for path in ("/v1/logs", "/v1/metrics", "/v1/traces"):
        answer = home.ask("GET", path)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert home.ask("POST", "/v1/lgos", REQUESTS, JSON).status == 404


def test_while_it_is_off_it_says_so(home: House, spool: Spool) -> None:
    """404 with the settings to change, for each kind."""
    home.daemon.exports = None
    for path in ("/v1/logs", "/v1/metrics", "/v1/traces"):
        answer = home.ask_tcp("POST", path, REQUESTS, KNOWN)
        assert answer.status == 404
        assert "tracking.telemetry or tracking.hooks is off" in answer.json["error"]
        assert "[tracking]" in answer.json["hint"]
    assert spool.names(10) == []


def test_a_post_about_other_things_is_accepted(home: House, spool: Spool) -> None:
    """Clients tell of much else."""
    assert is_accepted(home.ask("POST", "/v1/logs", posts()[0][1], JSON))
    assert is_accepted(home.ask("POST", "/v1/logs", b"{}", JSON))
    assert spool.names(10) == []


# --- kinds of bodies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_json(home: House, spool: Spool, kind: str) -> None:
    """In any case, and whatever is said behind it."""
    assert is_accepted(home.ask("POST", "/v1/logs", REQUESTS, {"Content-Type": kind}))
    assert requests(spool) == 2


@pytest.mark.parametrize(
    "kind", [None, "", "application/x-protobuf", "text/plain", "application/grpc", "/", "\xff"]
)
def test_other_kinds_are_refused_with_the_setting_to_change(
    home: House, spool: Spool, kind: str | None
) -> None:
    """415 names the variable that has the client send JSON."""
    headers = {} if kind is None else {"Content-Type": kind}
    for path in ("/v1/logs", "/v1/metrics"):
        answer = home.ask("POST", path, REQUESTS, headers)
        assert answer.status == 415
        assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/json" in answer.json["hint"]
    assert spool.names(10) == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"resourceMetrics": []}', b"\xff", b"\x0a\x02", b"[" * 100_000]
)
def test_what_is_no_export_is_refused(home: House, spool: Spool, body: bytes) -> None:
    """400 says what is wrong, so that the client does not send it again."""
    answer = home.ask("POST", "/v1/logs", body, JSON)
    assert answer.status == 400
    assert answer.json["error"].startswith("the body is no OTLP export of logs: it ")
    assert spool.names(10) == []


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " gzip "])
def test_a_packed_post(home: House, spool: Spool, encoding: str) -> None:
    """As small as clients can make it."""
    headers = JSON | {"Content-Encoding": encoding}
    assert is_accepted(home.ask("POST", "/v1/logs", gzip.compress(REQUESTS), headers))
    assert requests(spool) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no gzip",
        REQUESTS,
        gzip.compress(REQUESTS)[:-1],
        gzip.compress(REQUESTS)[:-9],
        gzip.compress(REQUESTS) + b"x",
        gzip.compress(REQUESTS)[:-8] + bytes(8),
        gzip.compress(b"{}") + gzip.compress(REQUESTS),
    ],
    ids=["empty", "words", "plain", "short", "cut", "more", "sum", "two"],
)
def test_what_is_not_one_whole_gzip_is_refused(home: House, spool: Spool, body: bytes) -> None:
    """400, and nothing of it is kept."""
    answer = home.ask("POST", "/v1/logs", body, PACKED)
    assert answer.status == 400
    assert "gzip" in answer.json["error"]
    assert spool.names(10) == []


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, gzip", "zstd", ""])
def test_other_ways_to_pack_are_refused(home: House, encoding: str) -> None:
    """415 names the one that is understood."""
    answer = home.ask("POST", "/v1/logs", REQUESTS, JSON | {"Content-Encoding": encoding})
    assert (answer.status, answer.json["hint"]) == (415, "send it as it is, or as gzip")


def padded(size: int) -> bytes:
    """Return the post at this length."""
    return REQUESTS.ljust(size)


def test_the_largest_post_is_taken(home: House, spool: Spool) -> None:
    """4 MiB, packed or not, at once or in chunks."""
    most = telemetry.BODY_MOST
    assert most == 4 * 1024 * 1024
    assert is_accepted(home.ask("POST", "/v1/logs", padded(most), JSON))
    assert is_accepted(home.ask("POST", "/v1/logs", gzip.compress(padded(most), 1), PACKED))
    size = b"%x" % most
    head = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    said = home.raw(
        head + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n" + padded(most) + b"\r\n0\r\n\r\n"
    )
    assert said.startswith(b"HTTP/1.1 200 ")
    assert requests(spool) == 6


def test_a_larger_post_is_refused(home: House, spool: Spool) -> None:
    """413 however it comes, with what to set in the client."""
    most = telemetry.BODY_MOST
    answers = [
        home.ask("POST", "/v1/logs", padded(most + 1), JSON),
        home.ask("POST", "/v1/logs", gzip.compress(padded(most + 1), 1), PACKED),
    ]
    for answer in answers:
        assert answer.status == 413
        assert answer.json["error"] == f"the body has more than {most} bytes"
        assert "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE" in answer.json["hint"]
    head = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    assert home.raw(head + b"Content-Length: 99999999999\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    chunks = b"Transfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + bytes(0x100000) + b"\r\n"
    chunks += (b"100000\r\n" + bytes(0x100000) + b"\r\n") * 4
    assert home.raw(head + chunks + b"0\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert spool.names(10) == []


def test_a_gzip_that_swells_is_not_unpacked(home: House, spool: Spool) -> None:
    """Megabytes in some kilobytes: of them no more than the limit is ever in memory."""
    bomb = gzip.compress(bytes(128 * 1024 * 1024), 9)
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        answer = home.ask("POST", "/v1/logs", bomb, PACKED)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status == 413
    assert peak < 4 * telemetry.BODY_MOST
    assert spool.names(10) == []


def test_other_routes_keep_their_limit(home: House) -> None:
    """What is read of telemetry is read nowhere else."""
    answer = home.ask("POST", "/rescan", b'{"wait": false}'.ljust(65537))
    assert (answer.status, answer.json["error"]) == (413, "the body has more than 65536 bytes")
    assert home.ask("POST", "/rescan", b"{}", {"Content-Encoding": "gzip"}).status == 415


def test_a_post_that_does_not_come_is_not_waited_for(home: House, spool: Spool) -> None:
    """408, as with every body."""
    head = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    assert home.raw(head + b"Content-Length: 50\r\n\r\n{").startswith(b"HTTP/1.1 408 ")
    assert spool.names(10) == []


# --- a spool that cannot take it ---------------------------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was told of posts that were sent back."""
    return [
        record.__dict__["fields"]["error"]
        for record in caplog.records
        if getattr(record, "event", "") == "spool.refused"
    ]


def test_a_full_spool_sends_them_back(
    home: House, spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """503 with a time to wait, one warning, another a minute later; all is well once there is room."""
    monkeypatch.setattr(journal_spool, "MOST_FILES", 1)
    assert is_accepted(home.ask("POST", "/v1/logs", REQUESTS, JSON))
    for _ in range(3):
        answer = home.ask("POST", "/v1/logs", REQUESTS, JSON)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json["error"].startswith("the spool is full: 1 deliveries with ")
    assert len(warnings(caplog)) == 1
    monkeypatch.setattr(control_exports, "TELL_EVERY", 0.0)
    assert home.ask("POST", "/v1/logs", REQUESTS, JSON).status == 503
    assert len(warnings(caplog)) == 2
    assert is_accepted(home.ask("POST", "/v1/logs", b"{}", JSON)), "about other things"
    spool.done(spool.names(1)[0])
    assert is_accepted(home.ask("POST", "/v1/logs", REQUESTS, JSON))


def test_a_disk_that_cannot_be_written_sends_them_back(
    home: House, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    """503 too, in the system's words without our path."""
    spool.folder.write_text("in the way")
    answer = home.ask("POST", "/v1/logs", REQUESTS, JSON)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json["error"].startswith("the spool cannot be written: ")
    assert str(spool.folder) not in answer.body.decode()
    assert warnings(caplog) == [answer.json["error"]]


def test_what_is_kept_is_told_at_debug_level(home: House, caplog: pytest.LogCaptureFixture) -> None:
    """How many deliveries, and nothing of what they hold."""
    caplog.set_level(logging.DEBUG, "sessiond.control")
    assert is_accepted(home.ask("POST", "/v1/logs", REQUESTS, JSON))
    (record,) = [one for one in caplog.records if getattr(one, "event", "") == "spool.exported"]
    assert record.__dict__["fields"] == {"deliveries": 1}
    assert record.levelno == logging.DEBUG


def test_a_slow_disk_keeps_nobody_else_waiting(home: House, spool: Spool) -> None:
    """Posts are written one at a time beside the loop, so everything else is answered meanwhile."""
    assert home.daemon.exports is not None
    begun, goes_on = threading.Event(), threading.Event()
    running = []
    real = home.daemon.exports.keep

    def keep(content: bytes) -> int:
        running.append(1)
        begun.set()
        assert goes_on.wait(20)
        return real(content)

    home.daemon.exports.keep = keep  # type: ignore[method-assign]
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(home.ask("POST", "/v1/logs", REQUESTS, JSON)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    assert home.get("/status")["version"] == "9.8.7"
    assert home.ask("GET", "/metrics").status == 200, "which needs a worker"
    assert len(running) == 1
    goes_on.set()
    for thread in threads:
        thread.join(20)
    assert all(map(is_accepted, answers))
    assert requests(spool) == 12
