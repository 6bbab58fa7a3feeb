"""The real daemon's control plane: a UI reads its own writes, and hears of every change once."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from sessionlib.config import load
from sessionlib.control import ControlClient, Event
from sessionlib.errors import ControlRefusedError, DaemonNotRunningError
from sessionlib.runtime import Runtime
from sessionlib.state.manager import StateManager
from tests import builders
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.processes import asked, sessionctl

pytestmark = pytest.mark.timeout(180)

Wait = Callable[..., None]
ROOT = "agents/sessions"


@contextmanager
def listening(client: ControlClient) -> Iterator[list[Event]]:
    """Collect the events of the feed until the end of the block."""
    heard: list[Event] = []

    def listen() -> None:
        # One by one, since the test looks at them while they come.
        for event in client.events():
            heard.append(event)  # noqa: PERF402

    before = client.status().subscribers
    thread = threading.Thread(target=listen)
    thread.start()
    while client.status().subscribers == before:
        pass
    yield heard
    client.close()
    thread.join(10)
    assert not thread.is_alive()


def test_a_ui_reads_its_own_writes(
    tmp_path: Path, database_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """After each write a rescan with wait returns counts, and the row it asks for next is the new one."""
    shop = builders.make_project(tmp_path / "code" / "shop", ["search"])
    daemon = start_daemon(database_url, tmp_path / "code")
    client = daemon.client
    wait_until(lambda: not client.status().stale, "a fresh mirror")
    for number in range(60):
        builders.make_session(shop / ROOT, "search", builders.v2(topic=f"topic {number}"))
        answer = client.rescan(path=shop)
        assert answer["totals"]["sessions"] == 1
        assert answer["rows"][0]["project"] == "shop"
        row = client.session("search")["rows"][0]["session"]
        assert row["topic"] == f"topic {number}"
        assert not answer["stale"]


def test_projects_come_by_rescan_and_by_registration(
    tmp_path: Path, sqlite_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """Below the roots a rescan registers; outside it refuses and names the way to add the project."""
    (tmp_path / "code").mkdir()
    daemon = start_daemon(sqlite_url, tmp_path / "code")
    client = daemon.client
    inside = builders.make_project(tmp_path / "code" / "inside", ["one"])
    assert client.rescan(path=inside)["totals"]["sessions"] == 1
    assert [row["slug"] for row in client.sessions(project="inside")["rows"]] == ["one"]

    outside = builders.make_project(tmp_path / "elsewhere" / "outside", ["two"])
    with pytest.raises(ControlRefusedError) as refusal:
        client.rescan(path=outside)
    assert refusal.value.status == 404
    assert "projects add" in (refusal.value.hint or "")
    client.add_project(outside)
    wait_until(lambda: client.sessions(project="outside")["rows"], "the project that was added")
    StateManager(outside / ROOT / "two").transition_to_phase("plan")
    wait_until(
        lambda: client.session("two")["rows"][0]["session"]["current_phase"] == "plan", "a change in it"
    )
    assert client.rescan(project="outside")["totals"]["sessions"] == 1
    for unknown in ({"project": "outsid"}, {"path": tmp_path / "nowhere"}):
        with pytest.raises(ControlRefusedError) as refusal:
            client.rescan(**unknown)  # type: ignore[arg-type]
        assert refusal.value.status == 404
        assert refusal.value.hint


def test_many_who_ask_the_same_share_a_comparison(
    tmp_path: Path, sqlite_url: str, start_daemon: StartDaemon
) -> None:
    """Sixty clients that rescan at once are all answered, by far fewer comparisons."""
    builders.make_project(tmp_path / "code" / "shop", [f"s{number}" for number in range(50)])
    daemon = start_daemon(sqlite_url, tmp_path / "code")
    daemon.client.rescan()
    before = daemon.log.count("event=rescan.done")
    answers: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(daemon.client.rescan(project="shop")["totals"]["sessions"])
        )
        for _ in range(60)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [50] * 60
    assert daemon.log.count("event=rescan.done") - before < 40


def test_every_change_is_heard_once_whoever_committed_it(
    tmp_path: Path, database_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """What the daemon mirrored and what a program with a queue of its own did are on the feed, once each."""
    shop = builders.make_project(tmp_path / "code" / "shop", ["mine", "theirs"])
    daemon = start_daemon(database_url, tmp_path / "code")
    client = daemon.client
    wait_until(lambda: client.status().changes == 2, "the import on the feed")
    overrides = {
        "database": {"url": database_url},
        "daemon": {"state_dir": tmp_path / "other-state"},
    }
    with listening(daemon.client) as heard, Runtime.open(load(overrides=overrides, environ={})) as runtime:
        theirs = runtime.manager(shop / ROOT / "theirs")
        mine = StateManager(shop / ROOT / "mine")
        for number in range(20):
            theirs.add_commit(f"{number:040x}", f"theirs {number}")
            mine.add_commit(f"{number:040x}", f"mine {number}")
        runtime.queue.drain(20)
        client.rescan()
        expected = sum(len(client.session(slug)["rows"][0]["versions"]) - 1 for slug in ("mine", "theirs"))
        wait_until(lambda: len(heard) >= expected, "all changes")
        client.rescan()
    keys = Counter((event.data["session_id"], event.data["seq"]) for event in heard if event.data)
    assert set(keys.values()) == {1}
    assert len(keys) == expected
    assert {event.kind for event in heard} == {"changed"}


def test_going_and_coming_back_is_heard(
    tmp_path: Path, sqlite_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """A new session, a broken file, a mended one, a deleted one: each is one event of its kind."""
    shop = builders.make_project(tmp_path / "code" / "shop", ["first"])
    daemon = start_daemon(sqlite_url, tmp_path / "code")
    wait_until(lambda: daemon.client.status().changes == 1, "the import")
    with listening(daemon.client) as heard:
        builders.make_session(shop / ROOT, "second", builders.v2())
        wait_until(lambda: [event.kind for event in heard] == ["created"], "created")
        (shop / ROOT / "second" / "state.json").write_text("{broken")
        wait_until(lambda: [event.kind for event in heard] == ["created", "unreadable"], "unreadable")
        assert heard[-1].data["error"]
        for path in (shop / ROOT / "first").iterdir():
            path.unlink()
        (shop / ROOT / "first").rmdir()
        wait_until(lambda: heard[-1].kind == "removed", "removed", seconds=20)
        assert heard[-1].data["slug"] == "first"


def test_metrics_and_health_agree_with_the_status(
    tmp_path: Path, sqlite_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """One snapshot, three forms: the counters are the same, and health says fresh when the status does."""
    builders.make_project(tmp_path / "code" / "shop", ["one", "two", "three"])
    daemon = start_daemon(sqlite_url, tmp_path / "code")
    client = daemon.client
    wait_until(lambda: not client.status().stale, "a fresh mirror")
    status, metrics = client.status(), client.metrics()
    assert f"sessiond_written_total {float(status.queue.written)}" in metrics
    assert "sessiond_stale 0.0" in metrics
    assert "sessiond_database_up 1.0" in metrics
    done = sessionctl(daemon.environment, "status")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("fresh")


@pytest.mark.postgres
def test_a_notification_asks_for_a_rescan(
    tmp_path: Path, postgres_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """NOTIFY sessiond_rescan compares a project, and commits are announced on sessiond_changes."""
    shop = builders.make_project(tmp_path / "code" / "shop", ["one"])
    daemon = start_daemon(postgres_url, tmp_path / "code", options=("--log-level", "debug"))
    wait_until(lambda: daemon.client.status().changes == 1, "the import")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        before = daemon.log.count("event=rescan.done")
        connection.execute("NOTIFY sessiond_rescan, 'shop'")
        wait_until(lambda: daemon.log.count("event=rescan.done") > before, "the rescan")
        connection.execute("LISTEN sessiond_changes")
        StateManager(shop / ROOT / "one").transition_to_phase("plan")
        told = next(connection.notifies(timeout=10))
        assert '"one"' in told.payload


def test_reading_waits_until_it_is_fresh_enough(
    tmp_path: Path, sqlite_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """With --max-age a read follows a write; without a daemon an old mirror is refused."""
    shop = builders.make_project(tmp_path / "code" / "shop", ["one"])
    daemon = start_daemon(sqlite_url, tmp_path / "code")
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
    builders.make_session(shop / ROOT, "one", builders.v2(topic="brand new"))
    rows = asked(daemon.environment, "sessions", "--max-age", "500ms")
    assert [row["topic"] for row in rows] == ["brand new"]
    daemon.stop()
    done = sessionctl(daemon.environment, "sessions", "--max-age", "1ms")
    assert done.returncode == 1
    assert "hint" in done.stderr
    with pytest.raises(DaemonNotRunningError):
        daemon.client.status()
    assert sessionctl(daemon.environment, "status").returncode == 3
