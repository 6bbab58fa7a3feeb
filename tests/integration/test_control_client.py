"""The client against the real control server, with a daemon that is played, and against worse."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from sessionlib.control import ControlClient
from sessionlib.control.events import Event
from sessionlib.db.engine import Database
from sessionlib.errors import (
    ConfigError,
    ControlError,
    ControlRefusedError,
    DaemonNotRunningError,
    DatabaseUnavailableError,
    RecordNotFoundError,
)
from tests.controls import House, PlayedDaemon, change, counts, house, status_of
from tests.ctl import Ctl, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures
from tests.stubs import says, sends, stub


@pytest.fixture
def home() -> Iterator[House]:
    """A control server of its own."""
    with house() as made:
        yield made


@pytest.fixture
def client(home: House) -> ControlClient:
    """A client of it."""
    return ControlClient(home.socket)


def ended(rows: list[Any]) -> "Future[Any]":
    """Return a future that has ended."""
    future: Future[Any] = Future()
    future.set_result(rows)
    return future


def test_status_is_the_daemon_s_snapshot(client: ControlClient) -> None:
    """Every field arrives as it was sent."""
    assert client.status() == status_of()


def test_freshness_waits_and_refuses(home: House, client: ControlClient) -> None:
    """Without a wish it answers at once; with one it waits, and then says how old the mirror is."""
    told = client.freshness()
    assert (told["stale"], told["reasons"], told["database"]) == (False, [], "sqlite:////m.db")
    home.daemon.stale_for(100, "it rains")
    assert client.freshness()["reasons"] == ["it rains"]
    with pytest.raises(ControlRefusedError) as caught:
        client.freshness(max_age=1, wait=0.1)
    assert (caught.value.status, caught.value.exit_code) == (504, 1)
    assert "not at most 1 s" in caught.value.message


def test_a_rescan_returns_its_counts(home: House, client: ControlClient, tmp_path: Path) -> None:
    """The target arrives as it was meant, the rows come back after the end."""
    home.daemon.rescan = lambda target, keep=False: (  # type: ignore[method-assign]
        home.daemon.targets.append(target),
        ended([counts()]),
    )[1]
    answer = client.rescan(tmp_path / "x", accept_missing=True)
    assert (answer["rows"][0]["written"], answer["totals"]["sessions"]) == (1, 4)
    client.rescan(project="shop")
    client.rescan()
    first, second, third = home.daemon.targets
    assert (first.path, first.project, first.accept_missing) == (tmp_path / "x", None, True)
    assert (second.path, second.project, third.path, third.project) == (None, "shop", None, None)


def test_a_rescan_need_not_be_waited_for(home: House, client: ControlClient) -> None:
    """With wait False the answer comes at once; with a timeout the refusal says that it goes on."""
    assert client.rescan(wait=False) == {"accepted": True}
    with pytest.raises(ControlRefusedError, match=r"not done after 0\.2 s") as caught:
        client.rescan(timeout=0.2)
    assert caught.value.status == 504
    assert len(home.daemon.rescans) == 2


def test_a_relative_path_is_ours_not_the_daemon_s(
    home: House, client: ControlClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon stands elsewhere: the path is made absolute here."""
    monkeypatch.chdir(tmp_path)
    client.rescan("sub/../x", wait=False)
    client.add_project("y")
    assert (home.daemon.targets[0].path, home.daemon.added) == (tmp_path / "x", [tmp_path / "y"])


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (DatabaseUnavailableError("the database is down", hint="start it"), 69, 503),
        (RecordNotFoundError("project", "shup", nearest=("shop",)), 1, 404),
        (ConfigError("bad key"), 78, 422),
        (RuntimeError("inside"), 1, 500),
    ],
    ids=repr,
)
def test_the_daemon_s_errors_come_back(
    error: Exception, code: int, status: int, home: House, client: ControlClient
) -> None:
    """Sentence, hint and exit code are the daemon's; a defect's words stay inside."""
    home.daemon.error = error
    with pytest.raises(ControlRefusedError) as caught:
        client.rescan(project="x")
    assert (caught.value.exit_code, caught.value.status) == (code, status)
    assert caught.value.hint == (getattr(error, "hint", None) or caught.value.hint)
    assert caught.value.hint
    assert "inside" not in caught.value.message


def test_reload_tells_what_changed(home: House, client: ControlClient) -> None:
    """What was applied, and what waits for a restart."""
    said = {"applied": ["watch.roots"], "needs_restart": ["control.listen"]}
    home.daemon.reload = lambda: ended(said)  # type: ignore[arg-type, method-assign]
    assert client.reload() == said


def test_reading_routes_answer_like_the_command_line(mirrored: Ctl) -> None:
    """Sessions with filters, one session, projects, questions: the rows that --json prints."""
    database = Database(str(mirrored.environment["SESSIOND_DATABASE_URL"]))
    with house(PlayedDaemon(database)) as made:
        client = ControlClient(made.socket)
        found = client.sessions(phase="build", missing=False, limit=2, max_age=60)
        assert (found["total"], len(found["rows"])) == (3, 2)
        assert client.sessions(text="nothing & all")["rows"] == []
        assert client.session("half-built", project="shop")["rows"] == mirrored.json("show", "half-built")
        assert client.projects()["rows"] == mirrored.json("projects")
        assert client.query("phases")["rows"] == mirrored.json("query", "phases")
        assert client.queries()["rows"] == mirrored.json("query")
        with pytest.raises(ControlRefusedError) as caught:
            client.session("../half built?")
        assert caught.value.status == 404
    database.close()


def test_metrics_are_text(client: ControlClient) -> None:
    """As Prometheus reads them."""
    assert "sessiond_stale 0" in client.metrics()


def test_no_daemon_is_3(tmp_path: Path) -> None:
    """Every call says so, with the way to start one."""
    client = ControlClient(tmp_path / "none.sock")
    for call in (client.status, client.rescan, client.metrics, lambda: next(client.events())):
        with pytest.raises(DaemonNotRunningError) as caught:
            call()
        assert (caught.value.exit_code, "sessiond run" in str(caught.value.hint)) == (3, True)


def test_a_hung_daemon_costs_the_timeout() -> None:
    """And no more; the sentence says how long was waited."""
    with stub() as made:
        client = ControlClient(made.path, timeout=0.2)
        began = time.monotonic()
        for call in (client.status, client.freshness, lambda: next(client.events())):
            with pytest.raises(ControlError, match=r"does not answer within 0\.2 s") as caught:
                call()
            assert caught.value.exit_code == 1
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "answer", [says(b"[]"), says(b"nothing"), says(b"{}"), sends(b"hello")], ids=range(4)
)
def test_another_program_is_no_daemon(answer: Any) -> None:
    """What is not understood is an error with a sentence."""
    with stub(answer) as made, pytest.raises(ControlError):
        ControlClient(made.path).status()


def test_the_daemon_is_found_by_its_folders(home: House, tmp_path: Path) -> None:
    """By the runtime folder, or by the status file in the state folder; a broken configuration is told."""
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "SESSIOND_RUNTIME_DIR": str(home.socket.parent)}
    assert ControlClient.find(environ=environ).status() == status_of()
    (tmp_path / "status.json").write_text(json.dumps({"socket": str(home.socket)}))
    with ControlClient.find(tmp_path, environ={"XDG_CONFIG_HOME": str(tmp_path)}) as client:
        assert client.status() == status_of()
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        ControlClient.find(config=tmp_path / "none.toml", environ={})


class Listening:
    """A client's feed, read by a thread of its own."""

    def __init__(self, client: ControlClient, **options: Any) -> None:
        self.events: list[Event] = []
        self.error: Exception | None = None
        self._feed = client.events(**options)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        try:
            for event in self._feed:
                self.events.append(event)
        except ControlError as error:
            self.error = error

    @property
    def slugs(self) -> list[str]:
        """What was heard, in order."""
        return [event.data.get("slug", event.kind) for event in self.events]


def test_the_feed_yields_every_change_once(home: House, client: ControlClient, wait_until: Any) -> None:
    """In order, with ids to resume after; close ends it from another thread, at once."""
    listening = Listening(client)
    wait_until(lambda: home.daemon.feed.listeners == 1)
    home.daemon.feed.publish([change("a"), change("b", "created")])
    wait_until(lambda: len(listening.events) == 2)
    first, second = listening.events
    assert (first.kind, first.data, second.kind) == ("changed", change("a").to_json(), "created")
    began = time.monotonic()
    client.close()
    listening.thread.join(5)
    assert (listening.thread.is_alive(), listening.error, time.monotonic() - began < 2) == (False, None, True)
    with ControlClient(home.socket) as later:
        again = Listening(later, after=first.id)
        wait_until(lambda: again.slugs == ["b"])
    again.thread.join(5)
    assert list(client.events()) == []


def test_a_lost_connection_loses_no_change(wait_until: Any) -> None:
    """After a restart of the server the feed goes on behind the last event."""
    daemon = PlayedDaemon()
    with house(daemon) as made:
        client = ControlClient(made.socket)
        listening = Listening(client)
        wait_until(lambda: daemon.feed.listeners == 1)
        daemon.feed.publish([change("a")])
        wait_until(lambda: listening.slugs == ["a"])
        made.server.stop(timeout=5)
        daemon.feed.publish([change("b")])
        again = type(made.server)(daemon, socket_path=made.socket, version="9.8.7")
        again.start()
        try:
            wait_until(lambda: listening.slugs == ["a", "b"])
            daemon.feed.publish([change("c")])
            wait_until(lambda: listening.slugs == ["a", "b", "c"])
        finally:
            client.close()
            listening.thread.join(5)
            again.stop(timeout=5)
    assert (listening.thread.is_alive(), listening.error) == (False, None)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def test_without_a_point_to_resume_from_it_asks_for_a_look_at_everything(wait_until: Any) -> None:
    """A server that never named an id may have had changes while nobody listened."""
    with stub(sends(HEAD + b"retry: 50\n\n")) as made:
        client = ControlClient(made.path)
        listening = Listening(client)
        wait_until(lambda: len(listening.events) >= 2)
        client.close()
        listening.thread.join(5)
    assert all(event == Event("resync") for event in listening.events)


def test_patience_with_a_daemon_that_has_gone_ends(wait_until: Any) -> None:
    """It is tried again for so many seconds, counted from the loss, and then the reason is raised."""
    with stub(sends(HEAD + b"retry: 50\n\nid: a-1\nevent: changed\ndata: {}\n\n")) as made:
        client = ControlClient(made.path)
        listening = Listening(client, patience=0.3)
        wait_until(lambda: len(listening.events) >= 2)
    listening.thread.join(10)
    assert isinstance(listening.error, DaemonNotRunningError)
    resumed = [request.split(b" ")[1] for request in made.requests]
    assert resumed[:2] == [b"/events", b"/events?after=a-1"]


def test_a_refused_feed_is_not_tried_again(wait_until: Any) -> None:
    """An error that waiting cannot mend is raised, also after a good start."""
    answers = [sends(HEAD + b"retry: 50\n\nid: 1\n\n"), says(b'{"error": "no"}', "403 Forbidden")]

    def answer(connection: socket.socket, request: bytes) -> None:
        answers.pop(0)(connection, request)

    with stub(answer) as made:
        listening = Listening(ControlClient(made.path))
        listening.thread.join(10)
    assert isinstance(listening.error, ControlRefusedError)
    assert (listening.error.status, listening.error.message) == (403, "no")


def test_hostile_ids_stay_in_the_query() -> None:
    """What a caller resumes after cannot add lines to the request."""
    with stub(says(b'{"error": "no"}', "400 Bad")) as made, pytest.raises(ControlRefusedError):
        next(ControlClient(made.path).events(after="1\r\nX: y&limit=2"))
    assert made.requests[0].startswith(b"GET /events?after=1%0D%0AX%3A%20y%26limit%3D2 HTTP/1.1\r\n")


def test_the_client_starts_without_the_rest_of_the_library() -> None:
    """Importing it takes the standard library alone."""
    import subprocess  # noqa: PLC0415 - only here
    import sys  # noqa: PLC0415

    code = "import sys; from sessionlib.control import ControlClient; print(*sys.modules)"
    path = f"import sys; sys.path[:0] = {sys.path[1:]!r}; "
    done = subprocess.run(
        [sys.executable, "-S", "-c", path + code], capture_output=True, text=True, check=True
    )
    tops = {name.partition(".")[0] for name in done.stdout.split()}
    assert tops - sys.stdlib_module_names - {"__main__"} == {"sessionlib"}
