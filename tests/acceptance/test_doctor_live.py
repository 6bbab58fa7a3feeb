"""`doctor`, `status` and `/metrics` beside a real daemon: they agree, and a canary tells the truth."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sessionlib.errors import ControlRefusedError
from tests import builders
from tests.acceptance.processes import Daemon, direct, environment, sessionctl
from tests.load import busy

pytestmark = pytest.mark.timeout(120)

Wait = Callable[..., None]


def a_daemon(url: str, home: Path, config: str = "", *roots: Path) -> Daemon:
    """Return a daemon with one project and a home of its own; not started."""
    builders.make_project(home / "code" / "shop", {"wall": builders.v2(session_id="wall")})
    (home / ".claude").mkdir(exist_ok=True)
    path = home / "config.toml"
    path.touch(0o600)
    path.write_text(config)
    environ = environment(
        url,
        home / "state",
        HOME=str(home),
        CLAUDE_CONFIG_DIR=str(home / ".claude"),
        SESSIOND_CONFIG=str(path),
    )
    return Daemon([home / "code", *roots], environ, home / "daemon.log")


@pytest.fixture
def daemon(database_url: str, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon on each kind of database, which watches one project."""
    made = a_daemon(database_url, tmp_path).start()
    yield made
    made.stop(signal.SIGKILL)


def examined(daemon: Daemon, *words: str) -> dict[str, list[dict[str, Any]]]:
    """Return the findings by their check; every one that is not ok says what to do."""
    done = sessionctl(daemon.environment, "doctor", *words, "--json", cwd=daemon.log_path.parent)
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(done.stdout)["rows"]:
        assert row["level"] == "ok" or row["next"], row
        rows.setdefault(row["check"], []).append(row)
    assert done.returncode == int(any(row["level"] == "bad" for found in rows.values() for row in found)), (
        done
    )
    return rows


def asked(daemon: Daemon) -> dict[str, Any]:
    """Return what `sessionctl status --json` says."""
    tree: dict[str, Any] = json.loads(sessionctl(daemon.environment, "status", "--json").stdout)["rows"][0]
    return tree


class Scraped:
    """What `/metrics` says."""

    def __init__(self, daemon: Daemon) -> None:
        families = text_string_to_metric_families(daemon.client.metrics())
        self._samples = [sample for family in families for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """Return the one value of a metric with these labels."""
        wanted = labels.items()
        (found,) = {
            sample.value
            for sample in self._samples
            if sample.name == f"sessiond_{name}" and wanted <= sample.labels.items()
        }
        return found


def agree(daemon: Daemon) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Ask all three and compare what they say; return the status and the findings."""
    status, found, scraped = asked(daemon), examined(daemon), Scraped(daemon)
    (queue,), (events,), (database,) = found["queue"], found["events"], found["daemon-database"]
    for name in ("waiting", "running", "delayed", "owed", "behind"):
        assert queue["facts"][name] == status["queue"][name] == scraped(f"queue_{name}"), name
    for name in ("failed", "retried"):
        # They only grow, and are asked for one after the other.
        assert status["queue"][name] <= queue["facts"][name] <= scraped(f"{name}_total"), name
    assert events["facts"]["overflows"] == status["overflows"] == scraped("overflows_total")
    assert events["facts"]["degraded"] == [root["path"] for root in status["roots"] if root["degraded"]]
    assert database["facts"]["up"] == status["database"]["up"] == scraped("database_up")
    assert database["facts"]["error"] == status["database"]["error"]
    down = [tree.get("down_s") or 0.0 for tree in (status["database"], database["facts"])]
    assert down[0] <= down[1] <= scraped("database_down_seconds") < down[0] + 30
    oldest = [status["oldest_unsynced_s"] or 0.0, found["unsynced"][0]["facts"]["oldest_unsynced_s"] or 0.0]
    assert oldest[0] <= oldest[1] <= scraped("oldest_unsynced_seconds") < oldest[0] + 30
    assert [root["facts"] for root in found["root"]] == status["roots"]
    for root in status["roots"]:
        assert scraped("root_watches", root=root["path"], mode=root["mode"]) == root["watches"]
        assert scraped("root_folders", root=root["path"]) == root["folders"]
        assert scraped("root_degraded", root=root["path"]) == root["degraded"]
    assert found["watches"][0]["facts"]["watches"] == status["watches"] == scraped("watches")
    compared = {place["path"]: place for place in found["compared"][0]["facts"]}
    assert compared.keys() == {place["path"] for place in status["workspaces"]}
    for place in status["workspaces"]:
        assert compared[place["path"]]["reconciled_at"] == place["reconciled_at"]
        ages = (place["age_s"], compared[place["path"]]["age_s"])
        assert ages[0] <= ages[1] <= scraped("workspace_reconcile_age_seconds", path=place["path"])
    # With the database away nobody asks it again; what was known last is told.
    assert status["unreadable"] == scraped("unreadable_sessions")
    assert [row["count"] for row in found.get("quarantine", ())] in ([], [status["unreadable"]])
    dead = sum(row["count"] for row in found.get("spool-buried", ()))
    assert status["tracking"]["dead"] == scraped("spool_dead") == dead
    assert found["daemon"][0]["facts"]["stale"] == status["stale"] == scraped("stale")
    return status, found


def test_all_three_agree_while_all_is_well(daemon: Daemon, wait_until: Wait) -> None:
    """The same numbers, and nothing is bad; the kernel holds as many watches as the daemon believes."""
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
    assert sessionctl(daemon.environment, "hooks", "install", "--client-version=2.1.330").returncode == 0
    status, found = agree(daemon)
    (watches,) = found["watches"]
    assert (watches["level"], watches["facts"]["kernel"]) == ("ok", status["watches"])
    (root,) = found["root"]
    assert root["facts"]["watches"] == root["facts"]["folders"] > 3
    assert root["facts"]["filesystem"]
    assert not [row for rows in found.values() for row in rows if row["level"] == "bad"]


def test_all_three_agree_while_the_database_is_down(
    sqlite_url: str, tmp_path: Path, wait_until: Wait
) -> None:
    """What waits, since when, and why; a file in the database's place is what keeps it from answering."""
    daemon = a_daemon(sqlite_url, tmp_path).start()
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
    (tmp_path / "code" / "shop" / "agents" / "sessions" / "wall" / "state.json").write_text("{")
    wait_until(lambda: daemon.client.status().unreadable == 1, "the file that cannot be read")
    try:
        for path in file.parent.glob(f"{file.name}*"):
            path.unlink()
        file.write_bytes(b"this is no database " * 400)
        builders.make_session(tmp_path / "code" / "shop" / "agents/sessions", "roof")
        daemon.wait_for_event("db.down")
        status, found = agree(daemon)
        assert (status["database"]["up"], status["unreadable"]) == (False, 1)
        assert "quarantine" not in found
        assert daemon.client.status().unreadable == 1
        assert median(taken(daemon) for _ in range(10)) < 0.1 * busy()
        assert [found[name][0]["level"] for name in ("daemon-database", "database", "daemon")] == ["bad"] * 3
        assert status["oldest_unsynced_s"] is not None
    finally:
        daemon.stop(signal.SIGKILL)


def taken(daemon: Daemon) -> float:
    """Return how many seconds an answer takes."""
    began = time.monotonic()
    daemon.client.status()
    return time.monotonic() - began


def test_all_three_agree_on_what_cannot_be_used(daemon: Daemon, tmp_path: Path, wait_until: Wait) -> None:
    """A session's file, and a delivery in the spool; with both mended nothing is counted any more."""
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
    state = tmp_path / "code" / "shop" / "agents" / "sessions" / "wall" / "state.json"
    good = state.read_text()
    state.write_text("{")
    (daemon.state_dir / "spool" / "new" / "00000000000000000001.1.a,S=5").write_text("scrap")
    wait_until(lambda: asked(daemon)["unreadable"] == asked(daemon)["tracking"]["dead"] == 1, "both")
    _, found = agree(daemon)
    assert [found[name][0]["level"] for name in ("quarantine", "spool-buried")] == ["warn", "warn"]
    sheet = sessionctl(daemon.environment, "status").stdout
    assert "unreadable 1 session, the last good rows are kept" in sheet
    state.write_text(good)
    shutil.rmtree(daemon.state_dir / "spool" / "dead")
    wait_until(lambda: asked(daemon)["unreadable"] == asked(daemon)["tracking"]["dead"] == 0, "neither")
    agree(daemon)


def test_all_three_agree_where_events_do_not_come(sqlite_url: str, tmp_path: Path, wait_until: Wait) -> None:
    """A root that is polled, and one that is not there; the canary is heard of by looking, which is said."""
    config = "[watch]\nforce_polling = true\npoll_interval = 0.2\n"
    daemon = a_daemon(sqlite_url, tmp_path, config, tmp_path / "later").start()
    try:
        wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
        status, found = agree(daemon)
        assert [(root["mode"], root["watches"]) for root in status["roots"]] == [("polling", 0)] * 2
        assert [row["level"] for row in found["root"]] == ["info", "warn"]
        (canary,) = found["watcher-canary"]
        assert (canary["level"], canary["facts"]["mode"]) == ("info", "polling")
    finally:
        daemon.stop(signal.SIGKILL)


def test_all_three_agree_after_events_were_lost(daemon: Daemon, tmp_path: Path, wait_until: Wait) -> None:
    """A daemon that is stopped while the kernel's queue runs over counts it, and so do the others."""
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
    folder = tmp_path / "code" / "shop" / "agents" / "sessions" / "wall"
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
    if most > 40_000:
        pytest.skip("the queue of this machine is too long to be filled here")
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        for number in range(most // 2 + 500):
            path = folder / f"note-{number % 2}"
            path.touch()
            path.unlink()
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    wait_until(lambda: daemon.client.status().overflows, "the loss")
    wait_until(lambda: not any(root.degraded for root in daemon.client.status().roots), "all made good", 60)
    status, found = agree(daemon)
    assert status["overflows"] >= 1
    assert (found["events"][0]["level"], found["events"][0]["count"]) == ("warn", status["overflows"])


def test_a_canary_leaves_no_row_and_no_file(daemon: Daemon, database_url: str, wait_until: Wait) -> None:
    """It is heard of by events within a moment, and nobody can tell afterwards that it ever sang."""
    wait_until(lambda: daemon.client.status().changes, "the first session on the feed")
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
    before = daemon.client.status()
    for _ in range(5):
        song = daemon.client.canary()
        assert (song["arrived"], song["mode"], song["reason"]) == (True, "events", None)
        assert song["after_s"] < 2.0
    assert daemon.client.rescan()["totals"]["sessions"] == 1
    after = daemon.client.status()
    assert [root.path for root in after.roots] == [root.path for root in before.roots]
    assert (after.watches, after.queue.owed, after.changes) == (before.watches, 0, before.changes)
    assert direct(database_url, "SELECT slug FROM sessions") == [("wall",)]
    assert len(direct(database_url, "SELECT path FROM workspaces")) == 1
    assert not (daemon.state_dir / ".canary").exists()
    assert ".canary" not in daemon.log


def test_a_canary_is_no_project_below_a_watched_state_folder(
    sqlite_url: str, tmp_path: Path, wait_until: Wait
) -> None:
    """Although the state folder lies where projects are looked for, none is found in it."""
    daemon = a_daemon(sqlite_url, tmp_path, "", tmp_path / "state").start()
    try:
        wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
        for _ in range(3):
            assert daemon.client.canary()["arrived"]
            daemon.client.rescan()
        assert direct(sqlite_url, "SELECT slug FROM sessions") == [("wall",)]
        assert len(direct(sqlite_url, "SELECT slug FROM projects")) == 1
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_canary_that_cannot_be_written_is_said(daemon: Daemon) -> None:
    """With a file where its folder belongs it does not arrive, and doctor says why and is not content."""
    (daemon.state_dir / ".canary").write_text("in the way")
    song = daemon.client.canary()
    assert song["arrived"] is False
    assert ".canary" in song["reason"]
    (found,) = examined(daemon)["watcher-canary"]
    assert (found["level"], ".canary" in found["says"]) == ("bad", True)
    (daemon.state_dir / ".canary").unlink()
    assert daemon.client.canary()["arrived"]


def test_one_canary_at_a_time(sqlite_url: str, tmp_path: Path, wait_until: Wait) -> None:
    """A second request meanwhile is refused with what to do, and disturbs the first one not at all."""
    daemon = a_daemon(sqlite_url, tmp_path, "[watch]\nforce_polling = true\npoll_interval = 2.0\n").start()
    songs: list[dict[str, Any]] = []
    refused: list[ControlRefusedError] = []

    def sing() -> None:
        try:
            songs.append(daemon.client.canary())
        except ControlRefusedError as error:
            refused.append(error)

    try:
        wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
        threads = [threading.Thread(target=sing) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [song["arrived"] for song in songs] == [True] * len(songs)
        assert [(error.status, error.hint) for error in refused] == [(409, "ask again in a moment")] * len(
            refused
        )
        assert (len(songs) >= 1, len(refused) >= 1) == (True, True)
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_quarantined_file_is_named_with_its_reason(
    daemon: Daemon, tmp_path: Path, wait_until: Wait
) -> None:
    """The path, why it cannot be read, and what to do; the row that was good is kept."""
    state = tmp_path / "code" / "shop" / "agents" / "sessions" / "wall" / "state.json"
    state.write_text('{"topic": ')
    wait_until(lambda: "event=session.unreadable" in daemon.log, "the reason")
    (found,) = examined(daemon)["quarantine"]
    assert (found["level"], found["count"]) == ("warn", 1)
    assert str(state.parent) in found["examples"][0]
    assert found["facts"][0]["error"]
    shutil.copy(state, state.with_name("kept"))
    state.write_text(json.dumps(builders.v2(session_id="wall")))
    wait_until(lambda: examined(daemon)["quarantine"][0]["level"] == "ok", "an end of it")


class Narrow(Daemon):
    """A daemon that the kernel gives few watches, in a user namespace of its own."""

    @property
    def command(self) -> list[str]:
        """The command that sets the limit and becomes the daemon."""
        script = 'echo 5 > /proc/sys/user/max_inotify_watches && exec "$@"'
        return ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", *super().command]


def test_all_three_agree_at_the_watch_limit(sqlite_url: str, tmp_path: Path, wait_until: Wait) -> None:
    """What has no watch is polled, and counted; the finding names the command that raises the limit."""
    able = ["unshare", "--user", "--map-root-user", "test", "-w", "/proc/sys/user/max_inotify_watches"]
    if shutil.which("unshare") is None or subprocess.run(able, check=False).returncode != 0:
        pytest.skip("needs a user namespace with inotify limits of its own")
    plain = a_daemon(sqlite_url, tmp_path)
    sessions = tmp_path / "code" / "shop" / "agents" / "sessions"
    for number in range(12):
        builders.make_session(sessions, f"stone-{number}")
    daemon = Narrow(plain.roots, plain.environment, plain.log_path).start()
    try:
        wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
        status, found = agree(daemon)
        ((root,), (row,)) = status["roots"], found["root"]
        assert (root["mode"], root["watches"] <= 5, root["folders"] > 12) == ("mixed", True, True)
        assert row["level"] == "warn"
        assert "sudo sysctl fs.inotify.max_user_watches=" in row["next"]
        assert "/etc/sysctl.d/" in row["next"]
        assert found["watches"][0]["level"] == "ok"
        assert found["watches"][0]["count"] == root["watches"]
        (canary,) = found["watcher-canary"]
        assert (canary["level"], canary["facts"]["arrived"]) == ("warn", True)
        assert "max_user_watches=" in canary["next"]
    finally:
        daemon.stop(signal.SIGKILL)
