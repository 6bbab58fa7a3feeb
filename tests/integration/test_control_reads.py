"""The reading routes: the rows of `sessionctl --json`, on both databases, as fresh as was asked for."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sessionlib.db.engine import Database
from sessionlib.db.queries.named import QUESTIONS
from tests.conftest import Wait
from tests.controls import House, PlayedDaemon, house
from tests.ctl import Ctl, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures


@pytest.fixture
def home(mirrored: Ctl, mirror_database: Database) -> Iterator[House]:
    """A control server over the database that `mirrored` has filled."""
    assert mirrored.code.exists()
    with house(PlayedDaemon(mirror_database)) as made:
        yield made


SAME = (
    ("/sessions", ["sessions"]),
    ("/sessions?phase=build&project=SHOP", ["sessions", "--phase", "build", "--project", "SHOP"]),
    ("/sessions?min_checkpoints=5", ["sessions", "--min-checkpoints", "5"]),
    (
        "/sessions?min_completed=4&status=active",
        ["sessions", "--min-completed", "4", "--status", "active"],
    ),
    ("/sessions?text=by%20name", ["sessions", "--text", "by name"]),
    ("/sessions?text=%25", ["sessions", "--text", "%"]),
    (
        "/sessions?branch=wall&type=full&missing=yes",
        ["sessions", "--branch", "wall", "--type", "full", "--missing"],
    ),
    ("/sessions?limit=2&offset=1", ["sessions", "--limit", "2", "--offset", "1"]),
    ("/sessions?phase=&limit=3", ["sessions", "--limit", "3"]),
    ("/sessions/wall", ["show", "wall"]),
    ("/sessions/half?project=shop", ["show", "half", "--project", "shop"]),
    ("/sessions/agents%2Fsessions%2Fhalf-built/", ["show", "agents/sessions/half-built/"]),
    ("/projects", ["projects", "list"]),
    ("/queries", ["query"]),
    ("/queries/stuck?days=0.5&limit=2", ["query", "stuck", "--days", "0.5", "--limit", "2"]),
    ("/queries/decisions?text=brick%203", ["query", "decisions", "--text", "brick 3"]),
    ("/queries/commit?sha=0000002&project=garden", ["query", "commit", "0000002", "--project", "garden"]),
    ("/queries/time-per-phase?session=wall", ["query", "time-per-phase", "--session", "wall"]),
    *(
        (f"/queries/{question.name}", ["query", question.name])
        for question in QUESTIONS
        if not question.needs
    ),
)


def _timeless(rows: list[Any]) -> list[Any]:
    """Leave out what depends on when it was asked."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_rows_are_those_of_the_command_line(home: House, mirrored: Ctl) -> None:
    """Route and verb give the same fields with the same values in the same order."""
    for target, words in SAME:
        assert _timeless(home.get(target)["rows"]) == _timeless(mirrored.json(*words)), target


def test_an_answer_says_how_fresh_it_is_and_how_many_there_are(home: House) -> None:
    """`total` counts all that the filter holds; `more` tells that a question has more rows than its limit."""
    home.daemon.stale_for(60, "why")
    told = home.get("/sessions?limit=2")
    assert list(told) == ["as_of", "stale", "rows", "total"]
    assert (told["stale"], len(told["rows"]), told["total"]) == (True, 2, 7)
    assert told["as_of"].endswith("Z")
    assert home.get("/queries/recent?limit=7")["more"] is False
    assert home.get("/queries/recent?limit=6")["more"] is True


def test_a_read_waits_to_be_fresh_enough(home: House) -> None:
    """What the caller wrote before it asked is in the rows, or the answer is 504."""
    home.daemon.stale_for(30)
    answer = home.ask("GET", "/sessions?max_age=5&wait=0.05")
    assert (answer.status, answer.json["kind"]) == (504, "MirrorStaleError")
    timer = threading.Timer(0.2, lambda: setattr(home.daemon, "fresh", None))
    timer.start()
    assert home.get("/sessions?max_age=0&limit=1&wait=10")["stale"] is False
    timer.join()


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/sessions?project=gardn", 404, "did you mean: garden?"),
        ("/sessions/hlaf-built", 404, "did you mean: half-built"),
        ("/sessions/built", 400, "add --project NAME"),
        ("/sessions/%00", 400, "NUL"),
        ("/queries/in-build?project=gardn", 404, "did you mean: garden?"),
        ("/queries/time-per-phase?session=zzzz", 404, "no session named 'zzzz'"),
    ],
)
def test_what_is_not_there_names_the_nearest(home: House, target: str, status: int, words: str) -> None:
    """An error is the same sentence as on the command line."""
    answer = home.ask("GET", target)
    assert answer.status == status
    assert words in f"{answer.json['error']} {answer.json['hint']}"


@pytest.mark.parametrize("text", ["%F0%9F%A7%B1", "%ED%B3%A9", "%FF", "'%20OR%201=1", "%E2%80%AE"])
def test_any_text_can_be_looked_for(home: House, text: str) -> None:
    """Whatever a client sends is data, never an error of the database."""
    assert home.get(f"/sessions?text={text}")["rows"] == []


def test_reads_go_on_while_others_hang(home: House, wait_until: Wait) -> None:
    """A few slow questions do not keep the others, nor /status, from being answered."""
    held = threading.Event()
    begun = threading.Semaphore(0)
    reading = home.daemon.reading

    def slow() -> Any:
        begun.release()
        held.wait(20)
        return reading()

    home.daemon.reading = slow  # type: ignore[method-assign]
    waiting = [threading.Thread(target=home.get, args=("/sessions",)) for _ in range(3)]
    for thread in waiting:
        thread.start()
        assert begun.acquire(timeout=10)
    home.daemon.reading = reading  # type: ignore[method-assign]
    assert len(home.get("/sessions")["rows"]) == 7
    assert home.get("/status")["version"] == "9.8.7"
    held.set()
    for thread in waiting:
        thread.join()
