"""Asking the daemon to do something: rescans, new projects, a reload."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessiond.control.backend import Target
from sessionlib.errors import (
    ConfigError,
    DatabaseUnavailableError,
    RecordNotFoundError,
    StateNotFoundError,
    StoppingError,
)
from tests.conftest import Wait
from tests.controls import Asking, House, UnixConnection, counts, house


@pytest.fixture
def home() -> Iterator[House]:
    """A control server with a played daemon."""
    with house() as made:
        yield made


def test_the_answer_comes_after_the_commit_with_counts(home: House, wait_until: Wait) -> None:
    """Nothing is answered before the comparison has ended; then the rows of each root, and their sums."""
    rows = [
        counts("/p/a", written=1),
        counts("/p/b", sessions=2, written=2, missing=True, problems=[("x", "y")]),
    ]
    with Asking(home, "POST", "/rescan", {"path": "/p"}) as asked:
        wait_until(lambda: home.daemon.rescans)
        assert asked.answer is None
        home.daemon.rescans[0].set_result(rows)
    answer = asked.done
    assert answer.status == 200
    assert list(answer.json) == ["as_of", "stale", "rows", "totals"]
    assert [row["path"] for row in answer.json["rows"]] == ["/p/a", "/p/b"]
    assert answer.json["rows"][1]["problems"] == [["x", "y"]]
    assert answer.json["totals"] == {
        "roots": 2,
        "sessions": 6,
        "written": 3,
        "unchanged": 6,
        "absent": 0,
        "tombstoned": 0,
        "held": 0,
        "unreadable": 0,
        "left": 0,
        "missing": 1,
    }


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ({}, Target()),
        ({"path": None, "project": None}, Target()),
        ({"path": "/p/shop/"}, Target(path=Path("/p/shop"))),
        ({"path": "/p/x/../shop"}, Target(path=Path("/p/shop"))),
        ({"path": "/p/k\udce9"}, Target(path=Path("/p/k\udce9"))),
        ({"project": "shop", "accept_missing": True}, Target(project="shop", accept_missing=True)),
    ],
    ids=str,
)
def test_what_is_asked_for_reaches_the_daemon(home: House, body: Any, target: Target) -> None:
    """A path, a project, or everything."""
    answer = home.ask("POST", "/rescan", {**body, "wait": False})
    assert (answer.status, answer.json) == (202, {"accepted": True})
    assert home.daemon.targets == [target]
    home.daemon.rescans[0].set_result([])


def test_without_a_body_everything_is_compared(home: House, wait_until: Wait) -> None:
    """`curl -X POST …/rescan` is enough."""
    with Asking(home, "POST", "/rescan") as asked:
        wait_until(lambda: home.daemon.rescans)
        home.daemon.rescans[0].set_result([])
    assert asked.done.json["totals"]["roots"] == 0
    assert home.daemon.targets == [Target()]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"path": "shop"}, "path must be absolute, not 'shop'"),
        ({"path": "~/shop"}, "path must be absolute, not '~/shop'"),
        ({"path": ""}, "path must be absolute, not ''"),
        ({"path": "/p", "project": "shop"}, "path and project exclude each other"),
    ],
)
def test_targets_that_mean_nothing_are_refused(home: House, body: Any, message: str) -> None:
    """What a path means must not depend on the daemon's folder or home."""
    answer = home.ask("POST", "/rescan", body)
    assert (answer.status, answer.json["error"]) == (400, message)
    assert answer.json["hint"]
    assert home.daemon.targets == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StateNotFoundError("not known", session_dir=Path("/p"), hint="add it"), 404),
        (RecordNotFoundError("project", "shup", nearest=("shop",)), 404),
        (DatabaseUnavailableError("down", hint="start it"), 503),
        (StoppingError(), 503),
    ],
)
def test_failures_of_the_comparison_are_the_answer(
    home: House, wait_until: Wait, error: Any, status: int
) -> None:
    """Sentence and hint of what went wrong arrive, and when to ask again."""
    with Asking(home, "POST", "/rescan", {"path": "/p"}) as asked:
        wait_until(lambda: home.daemon.rescans)
        home.daemon.rescans[0].set_exception(error)
    answer = asked.done
    assert (answer.status, answer.json["error"], answer.json["hint"]) == (status, error.message, error.hint)
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_a_failure_known_at_once_is_told_without_waiting_too(home: House) -> None:
    """202 is not said when it is clear already that nothing will happen."""
    home.daemon.error = RecordNotFoundError("project", "shup", nearest=("shop",))
    answer = home.ask("POST", "/rescan", {"project": "shup", "wait": False})
    assert (answer.status, answer.json["hint"]) == (404, "did you mean: shop?")


def test_a_comparison_that_takes_too_long_goes_on(home: House) -> None:
    """504 says so; the daemon's work is not cancelled."""
    answer = home.ask("POST", "/rescan", {"timeout": 0.1})
    assert (answer.status, answer.json["error"]) == (504, "the comparison is not done after 0.1 s")
    assert "it goes on" in answer.json["hint"]
    (future,) = home.daemon.rescans
    assert not future.cancelled()
    future.set_result([])


def test_a_client_that_goes_away_ends_only_its_own_wait(wait_until: Wait) -> None:
    """Its place is free again, the comparison goes on, and others who wait for it are answered."""
    with house(clients=2) as home:
        impatient = UnixConnection(home.socket)
        impatient.request("POST", "/rescan", b"{}")
        wait_until(lambda: len(home.daemon.rescans) == 1)
        with Asking(home, "POST", "/rescan", {}) as patient:
            wait_until(lambda: len(home.daemon.rescans) == 2)
            impatient.close()
            wait_until(lambda: home.ask("GET", "/status").status == 200, "a free place")
            first, second = home.daemon.rescans
            assert not first.cancelled()
            first.set_result([])
            second.set_result([counts()])
        assert patient.done.json["totals"]["written"] == 1


def test_many_wait_at_once(home: House, wait_until: Wait) -> None:
    """Waiting costs no thread: more clients wait than there are workers, and /status answers meanwhile."""
    asked = [Asking(home, "POST", "/rescan", {}) for _ in range(20)]
    for one in asked:
        one.__enter__()
    wait_until(lambda: len(home.daemon.rescans) == 20)
    assert home.get("/status")["version"] == "9.8.7"
    for future in home.daemon.rescans:
        future.set_result([counts()])
    assert [one.done.status for one in asked] == [200] * 20


def test_a_project_is_added(home: House) -> None:
    """201 with the project as the daemon describes it."""
    answer = home.ask("POST", "/projects", {"path": "/p/shop/"})
    assert (answer.status, answer.json) == (201, {"slug": "shop", "path": "/p/shop"})
    assert home.daemon.added == [Path("/p/shop")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "the path is not there"),
        ({"path": "shop"}, "path must be absolute, not 'shop'"),
        ({"folder": "/p"}, "there is no key 'folder' here"),
    ],
)
def test_a_project_without_a_path_is_refused(home: House, body: Any, message: str) -> None:
    """The hint says what to send."""
    answer = home.ask("POST", "/projects", body)
    assert (answer.status, answer.json["error"]) == (400, message)
    assert answer.json["hint"]
    assert home.daemon.added == []


def test_a_folder_that_is_not_there_cannot_be_added(home: House) -> None:
    """The daemon's sentence arrives as 404."""
    home.daemon.error = StateNotFoundError(
        "there is no folder /p/x", session_dir=Path("/p/x"), hint="make it"
    )
    answer = home.ask("POST", "/projects", {"path": "/p/x"})
    assert (answer.status, answer.json["error"]) == (404, "there is no folder /p/x")


def test_a_reload_says_what_was_applied(home: House, wait_until: Wait) -> None:
    """The answer comes once the new settings are in force."""
    with Asking(home, "POST", "/reload") as asked:
        wait_until(lambda: home.daemon.reloads)
        home.daemon.reloads[0].set_result({"applied": ["watch.roots"], "needs_restart": []})
    assert asked.done.status == 200
    assert asked.done.json == {"applied": ["watch.roots"], "needs_restart": []}


def test_a_configuration_that_cannot_be_used_is_told(home: House, wait_until: Wait) -> None:
    """422 with the sentence that names file and key."""
    with Asking(home, "POST", "/reload") as asked:
        wait_until(lambda: home.daemon.reloads)
        home.daemon.reloads[0].set_exception(ConfigError("c.toml: watch.dpth is unknown", hint="watch.depth"))
    assert (asked.done.status, asked.done.json["hint"]) == (422, "watch.depth")


def test_stopping_ends_waits_with_an_answer(wait_until: Wait) -> None:
    """A client whose comparison will not be told any more hears so, within the time to stop."""
    with house() as home:
        with Asking(home, "POST", "/rescan", {}) as asked:
            wait_until(lambda: home.daemon.rescans)
            home.server.stop(timeout=5)
        answer = asked.done
        assert (answer.status, answer.json["error"]) == (503, "the daemon is stopping")
        assert answer.headers["Connection"] == "close"
        assert not home.daemon.rescans[0].cancelled()


def test_a_future_that_the_daemon_cancels_is_a_stop(home: House, wait_until: Wait) -> None:
    """What the daemon drops when it stops is answered as such."""
    with Asking(home, "POST", "/rescan", {}) as asked:
        wait_until(lambda: home.daemon.rescans)
        home.daemon.rescans[0].cancel()
    assert asked.done.status == 503


def test_a_result_after_the_end_of_the_server_harms_nobody() -> None:
    """The comparison ends when it ends, in whatever thread."""
    with house() as home:
        home.ask("POST", "/rescan", {"timeout": 0})
        home.server.stop(timeout=5)
        ending = threading.Thread(target=home.daemon.rescans[0].set_result, args=([],))
        ending.start()
        ending.join()
