"""Verbs beside a running daemon: how fresh they say the mirror is, and what they let the daemon do."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy.engine import make_url

from sessionlib.cli import live
from sessionlib.db.engine import Database
from sessionlib.errors import ConfigError, StateNotFoundError
from tests.controls import House, PlayedDaemon, change, counts, house
from tests.ctl import Ctl, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures
from tests.stubs import says, stub


class Beside(NamedTuple):
    """`sessionctl`, two mirrored projects, and a daemon on the same database."""

    ctl: Ctl
    home: House

    @property
    def daemon(self) -> PlayedDaemon:
        """The daemon."""
        return self.home.daemon


@pytest.fixture
def beside(mirrored: Ctl, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beside]:
    """A daemon that says it mirrors into our database."""
    database = Database(str(mirrored.environment["SESSIOND_DATABASE_URL"]))
    daemon = PlayedDaemon(database)
    daemon.database_name = database.name
    with house(daemon) as made:
        monkeypatch.setenv("SESSIOND_RUNTIME_DIR", str(made.socket.parent))
        yield Beside(mirrored, made)
    database.close()


READING = [
    ["sessions"],
    ["show", "wall"],
    ["query", "recent"],
    ["projects"],
    ["projects", "list"],
    ["projects", "show", "shop"],
]


def test_every_reading_verb_asks_the_daemon(beside: Beside) -> None:
    """Its word counts, not the heartbeat: fresh, or stale with the reasons."""
    for words in READING:
        beside.daemon.stale_for(7200.0, "a file waits", "for nothing")
        said = beside.ctl(*words, "--json")
        assert (said.code, said.object["stale"]) == (0, True), words
        last = beside.ctl(*words).err.splitlines()[-1]
        assert last == "stale: a file waits; for nothing (as of 2 h ago)", words
        beside.daemon.fresh = None
        assert beside.ctl(*words, "--json").object["stale"] is False, words


def test_every_reading_verb_takes_max_age(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror that is fresh enough answers at once, stale or not; one that is not ends with 1."""
    monkeypatch.setattr(live, "MOST_WAITING", 0.1)
    for words in READING:
        beside.daemon.stale_for(5, "a file waits")
        assert beside.ctl(*words, "--max-age", "1h", "--json").code == 0, words
        assert beside.ctl("--json", *words, "--max-age=2s").code == 1, words
        assert beside.ctl(*words, "--max-age", "soon").code == 2, words


def test_max_age_fails_in_one_sentence(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time to wait it says why, and prints no rows."""
    monkeypatch.setattr(live, "MOST_WAITING", 0.4)
    beside.daemon.stale_for(100, "the disk is slow")
    said = beside.ctl("sessions", "--max-age", "500ms")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "sessionctl: the mirror did not get as fresh as 0.5 s within 0.4 s: the disk is slow\n"
        "  hint: `sessionctl status` tells more\n"
    )


def test_max_age_waits_for_it(beside: Beside, wait_until: Any) -> None:
    """A mirror that becomes fresh while we wait is waited for, over more than one question."""
    beside.daemon.stale_for(0.0, "soon")
    real = beside.daemon.freshness
    asked = time.monotonic()

    def later() -> Any:
        fresh = real()
        return (
            fresh
            if time.monotonic() - asked < 1.5
            else fresh._replace(as_of=live_now(), stale=False, reasons=())
        )

    def live_now() -> Any:
        from sessionlib.models.base import utc_now  # noqa: PLC0415 - only here

        return utc_now()

    beside.daemon.freshness = later  # type: ignore[method-assign]
    said = beside.ctl("sessions", "--max-age", "0", "--json")
    assert (said.code, said.object["stale"]) == (0, False)
    assert time.monotonic() - asked >= 1.5


def test_without_a_daemon_the_heartbeat_decides(mirrored: Ctl) -> None:
    """A sync has just vouched; one second later that is too old for half a second."""
    assert mirrored("sessions", "--max-age", "1m").code == 0
    time.sleep(0.3)
    said = mirrored("sessions", "--max-age", "100ms")
    assert (said.code, said.out) == (1, "")
    assert "the mirror was last vouched for" in said.err
    assert "more than 0.1 s, and no daemon follows it now" in said.err
    database = Database(str(mirrored.environment["SESSIOND_DATABASE_URL"]))
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE hosts SET heartbeat_at = NULL")
    database.close()
    assert "nothing has vouched for the mirror yet" in mirrored("sessions", "--max-age", "1h").err


def test_a_daemon_on_another_database_has_no_say(beside: Beside) -> None:
    """Its freshness is not ours; rescan and add do without it."""
    beside.daemon.database_name = "sqlite:////another.db"
    beside.daemon.stale_for(1000, "not ours")
    assert beside.ctl("sessions", "--json").object["stale"] is False
    said = beside.ctl("rescan")
    assert (said.code, "no daemon mirrors into this database" in said.err) == (0, True)
    assert beside.daemon.targets == []


def test_a_hung_daemon_costs_a_second_and_is_told(mirrored: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows come all the same, marked stale; with --max-age nothing vouches for them."""
    monkeypatch.setattr(live, "PATIENCE", 0.3)
    with stub() as made:
        monkeypatch.setenv("SESSIOND_RUNTIME_DIR", str(made.path.parent))
        said = mirrored("sessions", "--json")
        assert (said.code, said.object["stale"], len(said.object["rows"])) == (0, True, 7)
        assert said.object["as_of"] is not None
        assert "stale: sessiond does not answer within 0.3 s" in mirrored("sessions").err
        said = mirrored("sessions", "--max-age", "1h")
        assert (said.code, "does not answer" in said.err) == (1, True)
        assert len(made.requests) == 3


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("sqlite:////a/b.db", "sqlite:////a/b.db", True),
        ("sqlite:////a/b.db", "sqlite:////a/x/../b.db", True),
        ("sqlite:////a/b.db", "sqlite:////a/c.db", False),
        ("sqlite:////a/b.db", "postgresql://h/b", False),
        ("postgresql+psycopg://u:p@h/d", "postgresql://v:***@h:5432/d?sslmode=require", True),
        ("postgresql://u@127.0.0.1/d", "postgresql://u@localhost/d", True),
        ("postgresql://u@/d?host=/run/pg", "postgresql+psycopg://u@/d?host=/run/pg", True),
        ("postgresql://u@h/d", "postgresql://u@h/e", False),
        ("postgresql://u@h:1/d", "postgresql://u@h:2/d", False),
        ("postgresql://u@h/d", "postgresql://u@g/d", False),
        ("postgresql://u@h/d", "None", False),
        ("postgresql://u@h/d", "", False),
    ],
)
def test_databases_are_compared_by_what_they_are(ours: str, theirs: str, same: bool) -> None:
    """Not by how their URLs are written: user, password, driver and options make no other database."""
    assert live.same_database(make_url(ours), theirs) is same


def test_a_linked_file_is_the_same_database(tmp_path: Path) -> None:
    """A path through a link leads to the same rows."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert live.same_database(make_url(f"sqlite:///{tmp_path}/link/m.db"), f"sqlite:///{tmp_path}/real/m.db")


def answering(beside: Beside, *rows: Any) -> None:
    """Let every rescan find these roots."""

    def rescan(target: Any, *, keep: bool = False) -> "Future[Any]":
        future: Future[Any] = Future()
        beside.daemon.targets.append(target)
        future.set_result(list(rows))
        return future

    beside.daemon.rescan = rescan  # type: ignore[method-assign]


def test_rescan_goes_through_the_daemon(beside: Beside) -> None:
    """All, a path, several paths, a project; the counts are the daemon's."""
    answering(beside, counts())
    (row,) = beside.ctl.json("rescan")
    assert (row["project"], row["sessions"], row["written"], row["problems"]) == ("shop", 4, 1, [])
    said = beside.ctl("rescan", beside.ctl.code / "shop", beside.ctl.code / "garden", "--accept-missing")
    assert said.code == 0
    assert said.out.splitlines()[0] == "4 sessions in 1 sessions folder, 1 written"
    beside.ctl("rescan", "--project", "shop")
    assert [(target.path, target.project, target.accept_missing) for target in beside.daemon.targets] == [
        (None, None, False),
        (beside.ctl.code / "shop", None, True),
        (beside.ctl.code / "garden", None, True),
        (None, "shop", False),
    ]


def test_rescan_ends_with_1_when_not_all_is_mirrored(beside: Beside) -> None:
    """What could not be read, written or listed is told; what was held back or is missing is noted."""
    troubled = counts(unreadable=1, left=2, held=11, missing=True, problems=(("/p/x", "no JSON"),))
    answering(beside, troubled)
    said = beside.ctl("rescan")
    assert said.code == 1
    assert "/p/x  no JSON" in said.out
    for words in ("2 sessions could not be written", "11 held back", "is not there; its sessions are kept"):
        assert words in said.err


def test_rescan_says_what_the_daemon_refuses(beside: Beside) -> None:
    """Its sentence and hint; a comparison that takes too long goes on."""
    folder = Path("/elsewhere")
    beside.daemon.error = StateNotFoundError(
        "it lies outside", session_dir=folder, hint="add it: projects add"
    )
    said = beside.ctl("rescan", folder)
    assert (said.code, said.err) == (1, "sessionctl: it lies outside\n  hint: add it: projects add\n")
    beside.daemon.error = None
    said = beside.ctl("rescan", "--timeout", "0.2")
    assert (said.code, "is not done after 0.2 s" in said.err, "it goes on" in said.err) == (1, True, True)
    assert beside.ctl.json("rescan", "--no-wait") == [{"accepted": True}]


def test_rescan_without_a_daemon_is_a_sync_that_says_so(mirrored: Ctl) -> None:
    """With the daemon's columns, so that a script need not care; --no-wait needs a daemon."""
    (mirrored.code / "shop/agents/sessions/fresh/state.json").write_text("[]")
    said = mirrored("rescan", "--json")
    assert (said.code, "compared directly, as `sessionctl sync` does" in said.err) == (1, True)
    rows = {row["project"]: row for row in said.object["rows"]}
    assert (rows["shop"]["sessions"], rows["shop"]["unreadable"], len(rows["shop"]["problems"])) == (6, 1, 1)
    assert {row["project"] for row in mirrored.json("rescan", "--project", "garden")} == {"garden"}
    assert mirrored("rescan", "--no-wait").code == 3
    assert mirrored("rescan", "--project", "garden", mirrored.code).code == 2
    said = mirrored("rescan", "--project", "gardn")
    assert (said.code, "did you mean: garden?" in said.err) == (1, True)


def test_a_daemon_of_another_version_is_no_crash(mirrored: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts that are not there are an error with a sentence."""
    name = make_url(str(mirrored.environment["SESSIOND_DATABASE_URL"])).render_as_string()
    with stub(says(json.dumps({"database": name, "rows": [{"path": "/x"}]}).encode())) as made:
        monkeypatch.setenv("SESSIOND_RUNTIME_DIR", str(made.path.parent))
        said = mirrored("rescan")
    assert (said.code, "did not say what it found" in said.err) == (1, True)


def test_adding_a_project_tells_the_daemon(beside: Beside) -> None:
    """So that it is watched at once."""
    folder = beside.ctl.project("new", {"a": None})
    said = beside.ctl("projects", "add", folder)
    assert (said.code, beside.daemon.added) == (0, [folder])
    assert "registered " in said.out
    assert "the daemon watches it from now on" in said.err


def test_reload_says_what_changed(beside: Beside) -> None:
    """What is in force, and what waits; a bad configuration is 78 with its sentence; no daemon is 3."""
    told: Future[Any] = Future()
    told.set_result({"applied": ["log.level", "watch.roots"], "needs_restart": ["control.listen"]})
    beside.daemon.reload = lambda: told  # type: ignore[method-assign]
    said = beside.ctl("reload")
    assert (said.code, said.out) == (0, "applied: log.level, watch.roots\n")
    assert said.err == "in force after a restart: control.listen\n"
    bad: Future[Any] = Future()
    bad.set_exception(ConfigError("c.toml: unknown key x", hint="did you mean y?"))
    beside.daemon.reload = lambda: bad  # type: ignore[method-assign]
    said = beside.ctl("reload")
    assert (said.code, said.err) == (78, "sessionctl: c.toml: unknown key x\n  hint: did you mean y?\n")
    nothing: Future[Any] = Future()
    nothing.set_result({"applied": [], "needs_restart": []})
    beside.daemon.reload = lambda: nothing  # type: ignore[method-assign]
    assert beside.ctl("reload").out == "nothing changed that could be applied\n"
    beside.ctl.monkeypatch.setenv("SESSIOND_RUNTIME_DIR", str(beside.ctl.home))
    assert beside.ctl("reload").code == 3


def test_events_are_a_line_each(beside: Beside) -> None:
    """For people a line, for programs an object a line; names cannot steer the terminal."""
    feed = beside.daemon.feed
    start = feed.last_id
    feed.publish([change("a"), change("evil\x1b[2J\nx", "unreadable")])
    said = beside.ctl("events", "--after", start, "--limit", "2")
    first, second = said.out.splitlines()
    assert first == (
        f"{start[:-1]}1  2026-01-05T09:00:00Z  changed  shop:agents/sessions/a  phase=build  status=active"
    )
    assert "evil\\x1b[2J\\nx" in second
    said = beside.ctl("events", "--after", start, "--limit", "2", "--json")
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [(row["event"], row["data"]["slug"]) for row in rows] == [
        ("changed", "a"),
        ("unreadable", "evil\x1b[2J\nx"),
    ]
    said = beside.ctl("events", "--after", "another-1", "--limit", "1", "--json")
    assert json.loads(said.out)["event"] == "resync"


def test_events_need_a_daemon(mirrored: Ctl) -> None:
    """Without one there is nothing to follow: 3."""
    said = mirrored("events")
    assert (said.code, said.out) == (3, "")
    assert "sessiond is not running" in said.err
