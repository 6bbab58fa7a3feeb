"""The loopback listener: only clients with the token, and no page that was not invited."""

import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from sessiond.control import admission
from sessiond.control.server import ControlServer
from sessionlib.errors import ConfigError
from tests.conftest import Wait
from tests.controls import TOKEN, Answer, House, PlayedDaemon, exchanged, house

PAGE = "http://localhost:3000"
KNOWN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def home() -> Iterator[House]:
    """A control server that listens on a free loopback port, with one page invited."""
    with house(listen="127.0.0.1:0", token=TOKEN, origins=[PAGE]) as made:
        yield made


def is_open_to(answer: Answer, page: str) -> bool:
    """Tell whether a browser lets a page see an answer."""
    return answer.headers["Access-Control-Allow-Origin"] == page


def test_the_same_routes_with_the_token(home: House) -> None:
    """Who shows it is served as on the Unix socket; the scheme's case does not matter."""
    assert home.ask_tcp("GET", "/status", headers=KNOWN).json == home.get("/status")
    assert home.ask_tcp("POST", "/rescan", {"wait": False}, KNOWN).status == 202
    assert home.ask_tcp("GET", "/status", headers={"Authorization": f"bearer  {TOKEN} "}).status == 200


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xe9",
    ],
)
@pytest.mark.parametrize("target", ["/status", "/nowhere", "/sessions", "/events", "/metrics"])
def test_without_the_token_nothing_is_said(home: House, shown: str | None, target: str) -> None:
    """401 for every route, known or not, with the scheme that is wanted."""
    answer = home.ask_tcp("GET", target, headers={} if shown is None else {"Authorization": shown})
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="sessiond"'
    assert answer.json["kind"] == "ControlRefusedError"
    assert TOKEN.encode() not in answer.body


def test_who_guesses_is_turned_away_and_the_owner_is_not(
    home: House, caplog: pytest.LogCaptureFixture, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some wrong tokens the answer is 429, told once in the log; the right token is taken meanwhile."""
    monkeypatch.setattr(admission, "WRONG_EVERY", 3600.0)

    def guess() -> Answer:
        return home.ask_tcp("GET", "/status", headers={"Authorization": "Bearer guessed-guessed-guess"})

    found = [guess() for _ in range(admission.WRONG_MOST + 5)]
    assert [answer.status for answer in found] == [401] * admission.WRONG_MOST + [429] * 5
    assert found[-1].headers["Retry-After"] == "1"
    assert found[-1].headers["Connection"] == "close"
    assert found[-1].json["error"] == "too many wrong tokens have been shown"
    assert "control.token_file" in found[-1].json["hint"]
    assert home.ask_tcp("GET", "/status", headers=KNOWN).status == 200
    assert home.ask_tcp("GET", "/status").status == 401, "who shows none has guessed nothing"
    assert len([one for one in caplog.records if getattr(one, "event", "") == "control.refused"]) == 1
    monkeypatch.setattr(admission, "WRONG_EVERY", 0.01)
    wait_until(lambda: guess().status == 401, "the end of the punishment")


def test_writing_needs_the_token(home: House) -> None:
    """Nothing is asked of the daemon by somebody who is not known."""
    for target in ("/rescan", "/projects", "/reload"):
        assert home.ask_tcp("POST", target, {"path": "/p"}).status == 401
    assert (home.daemon.targets, home.daemon.added, home.daemon.reloads) == ([], [], [])


def test_health_is_public_without_details(home: House) -> None:
    """A monitor needs no token to hear yes or no; the reasons are for those who have it."""
    assert home.ask_tcp("GET", "/healthz").json == {"ok": True}
    home.daemon.stale_for(60, "the database is down")
    answer = home.ask_tcp("GET", "/healthz")
    assert (answer.status, answer.json) == (503, {"ok": False})
    assert home.ask_tcp("GET", "/healthz", headers=KNOWN).json["reasons"] == ["the database is down"]
    assert home.ask_tcp("GET", "/healthz", headers={"Authorization": "Bearer no"}).status == 401


def ask_as(home: House, host: str | None, *more: str) -> Answer:
    """Ask for the status with these Host headers and the token."""
    assert home.server.address is not None
    connection = http.client.HTTPConnection(*home.server.address, timeout=10)
    connection.putrequest("GET", "/status", skip_host=True)
    for name in [host, *more]:
        if name is not None:
            connection.putheader("Host", name)
    connection.putheader("Authorization", KNOWN["Authorization"])
    connection.endheaders()
    got = connection.getresponse()
    answer = Answer(got.status, got.msg, got.read())
    connection.close()
    return answer


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LocalHost"])
def test_our_own_names_are_answered(home: House, name: str) -> None:
    """With the port that listens."""
    assert home.server.address is not None
    port = home.server.address[1]
    assert ask_as(home, f"{name}:{port}").status == 200
    assert ask_as(home, name).status == 403
    assert ask_as(home, f"{name}:{port + 1}").status == 403


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "127.0.0.1.evil.example", "localhost@evil", "0.0.0.0"]
)
def test_a_rebound_name_is_refused(home: House, host: str | None) -> None:
    """A page whose name was made to mean this machine still sends its own."""
    assert home.server.address is not None
    port = home.server.address[1]
    for name in (host, f"{host}:{port}" if host else host):
        answer = ask_as(home, name)
        assert answer.status in {400, 403}
    assert ask_as(home, f"localhost:{port}", "evil.example").status in {400, 403}


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://localhost:3001",
        "https://localhost:3000",
        f"{PAGE}.evil",
        "*",
        "",
    ],
)
def test_a_page_that_was_not_invited_is_refused(home: House, origin: str) -> None:
    """403 even with the token, and no header that would let the page see the answer."""
    for method, headers in (("GET", KNOWN), ("OPTIONS", {"Access-Control-Request-Method": "GET"})):
        answer = home.ask_tcp(method, "/status", headers={**headers, "Origin": origin})
        assert answer.status == 403
        assert answer.headers["Access-Control-Allow-Origin"] is None
        assert answer.headers["Vary"] == "Origin"


def test_an_invited_page_may_ask_first(home: House) -> None:
    """The browser's question needs no token, and is told methods and headers."""
    answer = home.ask_tcp(
        "OPTIONS",
        "/rescan",
        headers={
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert (answer.status, answer.body) == (204, b"")
    assert is_open_to(answer, PAGE)
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/status", KNOWN, 200),
        ("/nowhere", KNOWN, 404),
        ("/status", {}, 401),
        ("/sessions", KNOWN, 503),
    ],
)
def test_an_invited_page_sees_every_answer(
    home: House, target: str, headers: dict[str, str], status: int
) -> None:
    """Errors too, so that a page can show them."""
    answer = home.ask_tcp("GET", target, headers={**headers, "Origin": PAGE})
    assert answer.status == status
    assert is_open_to(answer, PAGE)
    assert answer.headers["Vary"] == "Origin"


def test_an_invited_page_hears_the_changes(home: House) -> None:
    """The stream has the header as well."""
    assert home.server.address is not None
    connection = http.client.HTTPConnection(*home.server.address, timeout=10)
    connection.request("GET", "/events", headers={**KNOWN, "Origin": PAGE})
    answer = connection.getresponse()
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.readline() == b": sessiond 9.8.7\n"
    answer.close()
    connection.close()


def test_origins_mean_nothing_on_the_unix_socket(home: House) -> None:
    """The kernel has said who asks; no browser gets there."""
    answer = home.ask("GET", "/status", headers={"Origin": "http://evil.example", "Host": "anything"})
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] is None


def test_without_origins_there_is_no_cors() -> None:
    """Nothing is said about origins when no page is invited."""
    with house(listen="localhost:0", token=TOKEN) as home:
        answer = home.ask_tcp("GET", "/status", headers=KNOWN)
        assert (answer.status, answer.headers["Vary"]) == (200, None)
        assert home.ask_tcp("GET", "/status", headers={**KNOWN, "Origin": PAGE}).status == 403


def test_ipv6_loopback_works() -> None:
    """The other loopback address is as good."""
    try:
        with house(listen="[::1]:0", token=TOKEN) as home:
            assert home.server.address is not None
            port = home.server.address[1]
            connection = http.client.HTTPConnection("::1", port, timeout=10)
            assert exchanged(connection, "GET", "/status", headers=KNOWN).status == 200
    except ConfigError:
        pytest.skip("this machine has no IPv6 loopback")


@pytest.mark.parametrize(
    "listen",
    [
        "0.0.0.0:80",
        "example.com:80",
        "127.0.0.1",
        ":80",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "[::]:80",
        "127.0.0.1:²",
    ],
)
def test_only_loopback_can_be_listened_on(listen: str) -> None:
    """Anything else is refused before a socket is made."""
    with pytest.raises(ConfigError, match="is no loopback address with a port"):
        server(listen=listen, token=TOKEN)


def test_a_port_needs_a_token() -> None:
    """Without one every program and page of the machine could ask."""
    with pytest.raises(ConfigError, match="needs a token"):
        server(listen="127.0.0.1:7717")


def server(**settings: Any) -> ControlServer:
    """Make a server that is never started."""
    from pathlib import Path  # noqa: PLC0415 - beside its use

    return ControlServer(PlayedDaemon(), socket_path=Path("/nowhere/s"), version="1", **settings)


def test_a_port_that_is_taken_leaves_nothing_behind(home: House) -> None:
    """The start fails as a whole: its Unix socket is gone again, and the other server lives on."""
    assert home.server.address is not None
    folder = home.folder / "other"
    with pytest.raises(ConfigError, match="cannot be listened on"):
        House(home.daemon, folder, listen="{}:{}".format(*home.server.address), token=TOKEN).server.start()
    assert list((folder / "run").iterdir()) == []
    assert home.get("/status")["version"] == "9.8.7"
