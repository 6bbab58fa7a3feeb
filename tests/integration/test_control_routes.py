"""The routes that need no database: health, errors in words, and what every answer carries."""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionlib.control.status import Status
from sessionlib.errors import ConfigError, StateLockedError, StoppingError, UsageError
from tests.controls import Asking, House, PlayedDaemon, UnixConnection, house, status_of


@pytest.fixture
def home() -> Iterator[House]:
    """A control server with a played daemon."""
    with house() as made:
        yield made


def test_status_is_the_snapshot(home: House) -> None:
    """What the daemon says of itself arrives whole."""
    assert Status.from_json(home.get("/status")) == home.daemon.snapshot


def test_a_path_that_is_no_text_is_in_the_status_too(home: House) -> None:
    """A folder whose name is not UTF-8 must not make the daemon unobservable."""
    home.daemon.snapshot = status_of(socket="/run/\udce9/control.sock")
    assert home.get("/status")["socket"] == "/run/\udce9/control.sock"


def test_healthz_is_about_freshness(home: House) -> None:
    """200 while the mirror is fresh; 503 with the reasons once it is not."""
    assert home.get("/healthz")["ok"] is True
    home.daemon.stale_for(90, "the database is down", "2 folders are owed")
    answer = home.ask("GET", "/healthz")
    assert answer.status == 503
    assert answer.json["ok"] is False
    assert answer.json["reasons"] == ["the database is down", "2 folders are owed"]


def test_freshness_answers_at_once_without_a_wish(home: House) -> None:
    """How old the mirror is, whether it is stale, and which database it lies in."""
    home.daemon.stale_for(90, "why")
    told = home.get("/freshness")
    assert list(told) == ["as_of", "stale", "reasons", "database"]
    assert (told["stale"], told["reasons"], told["database"]) == (True, ["why"], "sqlite:////m.db")
    assert told["as_of"].endswith("Z")


def test_freshness_waits_until_the_mirror_is_fresh_enough(home: House) -> None:
    """The answer comes as soon as the daemon has caught up, not at the end of the wait."""
    home.daemon.stale_for(60)
    before = time.monotonic()
    with Asking(home, "GET", "/freshness?max_age=2&wait=30") as asked:
        time.sleep(0.2)
        assert asked.answer is None
        home.daemon.fresh = None
    assert asked.done.status == 200
    assert time.monotonic() - before < 10


def test_freshness_gives_up_after_the_wait(home: House) -> None:
    """504 says how old the mirror is, what was asked for, and why."""
    home.daemon.stale_for(60, "the database is down")
    answer = home.ask("GET", "/freshness?max_age=2&wait=0.1")
    assert answer.status == 504
    assert "60." in answer.json["error"]
    assert "not at most 2 s, after 0.1 s of waiting" in answer.json["error"]
    assert (answer.json["hint"], answer.json["kind"]) == ("the database is down", "MirrorStaleError")
    assert home.ask("GET", "/freshness?max_age=70&wait=0").status == 200


def test_metrics_are_text_for_prometheus(home: House) -> None:
    """The one route beside the events that is no JSON; the library is loaded by then only."""
    answer = home.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert b"sessiond_queue_waiting 5.0\n" in answer.body


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("GET", "/status", 200), ("GET", "/metrics", 200), ("GET", "/nowhere", 404), ("POST", "/status", 405)],
)
def test_every_answer_says_who_speaks_and_is_not_kept(
    home: House, method: str, target: str, status: int
) -> None:
    """No cache keeps it, no browser guesses its type, and the version is there."""
    answer = home.ask(method, target)
    assert answer.status == status
    assert answer.headers["Server"] == "sessiond/9.8.7"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("/statsu", "did you mean: /status"),
        ("/Queries", "did you mean: /queries"),
        ("/sezions/wall", "did you mean: /sessions"),
        ("/", "there are /status, "),
        ("/zzz", "/sessions/SESSION"),
    ],
)
def test_an_unknown_route_names_the_nearest(home: House, target: str, hint: str) -> None:
    """404 is a sentence and a hint, as JSON."""
    answer = home.ask("GET", target)
    assert answer.status == 404
    assert answer.json["error"] == f"there is nothing at '{target}'"
    assert hint in answer.json["hint"]


def test_a_slash_at_the_end_makes_no_difference(home: House) -> None:
    """People type it."""
    assert home.get("/status/")["version"] == "9.8.7"


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/status", "GET, HEAD"),
        ("DELETE", "/projects", "GET, POST, HEAD"),
        ("GET", "/rescan", "POST"),
        ("OPTIONS", "/reload", "POST"),
        ("HEAD", "/events", "GET"),
        ("PURGE", "/queries/recent", "GET, HEAD"),
    ],
)
def test_a_wrong_method_names_the_right_ones(home: House, method: str, target: str, allowed: str) -> None:
    """405 has the Allow header and says the same in words."""
    answer = home.ask(method, target)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    if method != "HEAD":
        assert f"takes {allowed}, not {method}" in answer.json["error"]
        assert answer.json["hint"] == f"send {' or '.join(allowed.removesuffix(', HEAD').split(', '))}"


def test_head_is_get_without_the_body(home: House) -> None:
    """What a monitor asks."""
    answer = home.ask("HEAD", "/healthz")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 10


@pytest.mark.parametrize(
    ("target", "message", "hint"),
    [
        ("/freshness?max_ago=2", "there is no parameter 'max_ago' here", "did you mean: max_age?"),
        ("/status?pretty=1", "there is no parameter 'pretty' here", "this takes none"),
        (
            "/freshness?max_age=2s",
            'max_age must be a number from 0 to 86400, not "2s"',
            "send another max_age, or leave it out",
        ),
        ("/freshness?max_age=1&max_age=2", "max_age is given more than once", "give it once"),
        (
            "/sessions?limit=0",
            'limit must be a whole number from 1 to 10000, not "0"',
            "send another limit, or leave it out",
        ),
        (
            "/sessions?missing=perhaps",
            'missing must be true or false, not "perhaps"',
            "send another missing, or leave it out",
        ),
        (
            "/sessions?text=a%00b",
            'text must be a text without NUL, not "a\\u0000b"',
            "send another text, or leave it out",
        ),
        ("/events?aftr=1", "there is no parameter 'aftr' here", "did you mean: after?"),
        ("/queries/recent?days=3", "query recent takes no days", "it takes project, limit"),
        ("/queries/commit", "query commit needs sha", "GET /queries/commit?sha=VALUE"),
        ("/queries/commit?sha=xyz", "'xyz' is no commit id", "give 4 to 64 hexadecimal digits"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(home: House, target: str, message: str, hint: str) -> None:
    """400 names the parameter, what it must be, and the nearest right one; before any database is asked."""
    answer = home.ask("GET", target)
    assert answer.status == 400
    assert answer.json == {"error": message, "hint": hint, "kind": "UsageError"}


def test_an_unknown_query_names_the_nearest(home: House) -> None:
    """It is a path that leads nowhere, hence 404."""
    answer = home.ask("GET", "/queries/commt")
    assert answer.status == 404
    assert "did you mean: commit" in answer.json["hint"]


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        (b"[1]", "the body is no JSON object", 'send an object, such as {"path": "/code"}'),
        (b'{"path": ', "the body is no JSON object", None),
        (b"\xff\xfe{\x00}\x00", "the body is no JSON object", None),
        (b'{"timeout": NaN}', "the body is no JSON object", None),
        (b"[" * 60_000, "the body is no JSON object", None),
        (b'{"pth": "/p"}', "there is no key 'pth' here", "did you mean: path?"),
        (b'{"wait": 1}', "wait must be true or false, not 1", None),
        (b'{"path": 5}', "path must be a path without NUL, not 5", None),
        (b'{"path": "/a\\u0000b"}', 'path must be a path without NUL, not "/a\\u0000b"', None),
        (b'{"path": "/\\ud800"}', 'path must be a path of whole characters, not "/\\ud800"', None),
        (b'{"project": "\\udcff"}', 'project must be a text of whole characters, not "\\udcff"', None),
        (b'{"path": "/a", "path": "/b"}', "path is given more than once", "give it once"),
        (b'{"timeout": -1}', "timeout must be a number from 0 to 3600, not -1", None),
    ],
)
def test_bodies_that_do_not_fit_are_refused(home: House, body: bytes, message: str, hint: str | None) -> None:
    """400 says what is wrong; nothing was asked of the daemon."""
    answer = home.ask("POST", "/rescan", body)
    assert answer.status == 400
    assert answer.json["error"] == message
    assert hint is None or answer.json["hint"] == hint
    assert home.daemon.targets == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("words", hint="do this"), 400),
        (ConfigError("words", hint="do this"), 422),
        (StateLockedError("words", session_dir=Path("/p"), hint="do this"), 409),
        (StoppingError(), 503),
    ],
)
def test_errors_of_the_daemon_are_sentences(home: House, error: Any, status: int) -> None:
    """Message, hint and kind of an error arrive, with its status."""
    home.daemon.error = error
    answer = home.ask("GET", "/status")
    assert answer.status == status
    assert answer.json == {"error": error.message, "hint": error.hint, "kind": type(error).__name__}


def test_a_defect_is_logged_once_and_not_shown(home: House, caplog: pytest.LogCaptureFixture) -> None:
    """The client reads a sentence, the log has the traceback, and the server goes on."""
    home.daemon.error = RuntimeError("the password is swordfish")
    answer = home.ask("GET", "/status")
    assert (answer.status, answer.json["kind"]) == (500, "UnexpectedError")
    assert b"swordfish" not in answer.body
    (record,) = [record for record in caplog.records if getattr(record, "event", "") == "control.failed"]
    assert record.exc_info is not None
    assert record.__dict__["fields"] == {"method": "GET", "route": "/status"}
    home.daemon.error = None
    assert home.get("/status")["version"] == "9.8.7"


def test_requests_are_logged_at_debug_only(home: House, caplog: pytest.LogCaptureFixture) -> None:
    """Method, route, status and duration; not what was asked about."""
    caplog.set_level(logging.INFO, "sessiond")
    home.get("/queries")
    assert not [record for record in caplog.records if getattr(record, "event", "") == "control.request"]
    caplog.set_level(logging.DEBUG, "sessiond")
    home.ask("GET", "/sessions/my-secret-plan")
    (record,) = [record for record in caplog.records if getattr(record, "event", "") == "control.request"]
    fields = record.__dict__["fields"]
    assert (fields["method"], fields["route"], fields["status"]) == ("GET", "/sessions/SESSION", 503)
    assert "secret" not in str(fields)


def test_one_connection_takes_many_requests(home: House) -> None:
    """A client may keep its connection; an error in words does not end it."""
    connection = UnixConnection(home.socket)
    for target in ("/status", "/nowhere", "/status"):
        connection.request("GET", target)
        answer = connection.getresponse()
        json.loads(answer.read())
        assert not answer.will_close
    connection.close()


def test_http_1_0_is_understood(home: House) -> None:
    """Old tools get their answer, and its end is the end of the connection."""
    said = home.raw(b"GET /status HTTP/1.0\r\n\r\n")
    assert said.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b'"version":"9.8.7"' in said


def test_a_client_may_ask_before_it_sends_the_body(home: House) -> None:
    """curl does, with bodies that are not small."""
    home.daemon.error = UsageError("asked")
    body = b'{"path": "/p"}'
    head = f"POST /rescan HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n"
    said = home.raw(head.encode() + b"Connection: close\r\n\r\n" + body)
    assert said.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\n")


def test_the_daemon_is_not_asked_for_more_than_the_route_needs() -> None:
    """A server without a database answers whatever needs none, and 503 otherwise, with the time to retry."""
    with house(PlayedDaemon()) as home:
        assert home.get("/queries")["rows"][0]["name"] == "recent"
        answer = home.ask("GET", "/sessions")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json["kind"] == "DatabaseUnavailableError"
