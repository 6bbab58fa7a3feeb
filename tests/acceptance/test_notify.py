"""The real daemon and a service manager: what it is told, when, and when it is told nothing."""

import itertools
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from sessionlib.control.status import Status
from sessionlib.state.manager import StateManager
from tests import builders, postgres
from tests.acceptance.processes import Daemon, environment, sessionctl
from tests.managing import Manager, managing
from tests.proxies import Proxy, proxied

pytestmark = pytest.mark.timeout(180)

Wait = Callable[..., None]
ROOT = "agents/sessions"
SESSIONS = 200


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the manager listens: a path, and a name without a file."""
    if request.param == "abstract":
        if sys.platform != "linux":
            pytest.skip("no abstract sockets here")
        yield f"@sessiond-test-{uuid.uuid4()}"
        return
    with tempfile.TemporaryDirectory() as folder:
        yield f"{folder}/notify"


@pytest.fixture
def manager() -> Iterator[Manager]:
    """A manager that listens at a path short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder, managing(f"{folder}/notify") as listening:
        yield listening


@pytest.fixture
def proxy(postgres_server: postgres.Server) -> Iterator[Proxy]:
    """What lies between the daemon and its PostgreSQL."""
    with proxied(postgres_server) as between:
        yield between


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Make a daemon under a manager, over one project; stopped whatever happens."""
    made: list[Daemon] = []

    def make(url: str, manager: Manager, config: str = "", **more: str) -> Daemon:
        (tmp_path / "config.toml").write_text(f'[watch]\nroots = ["{tmp_path / "code"}"]\n{config}')
        more |= {"SESSIOND_CONFIG": str(tmp_path / "config.toml"), "NOTIFY_SOCKET": manager.address}
        daemon = Daemon([], environment(url, tmp_path / "state", **more), tmp_path / "daemon.log")
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.stop()


def test_ready_comes_when_it_answers_and_watches(
    tmp_path: Path, sqlite_url: str, address: str, make_daemon: Callable[..., Daemon], wait_until: Wait
) -> None:
    """At READY the socket answers and all watches stand; a stop is told before the end."""
    names = [f"s{number}" for number in range(SESSIONS)]
    shop = builders.make_project(tmp_path / "code" / "shop", names)
    seen: list[Status] = []
    with managing(address) as manager:
        daemon = make_daemon(sqlite_url, manager, "reconcile_interval = 3600\npoll_interval = 3600\n")

        def look() -> None:
            builders.make_session(shop / ROOT, "s0", builders.v2(topic="just after ready"))
            seen.append(daemon.client.status())

        manager.on_ready = look
        daemon.start(ready=False)
        wait_until(lambda: seen, "READY", seconds=60)
        assert seen[0].state == "ready"
        assert [(root.mode, root.watches > SESSIONS) for root in seen[0].roots] == [("events", True)]
        wait_until(
            lambda: daemon.client.sessions(text="just after ready")["total"] == 1,
            "what was written at that moment",
            seconds=30,
        )
        wait_until(lambda: "STATUS" in manager.told[-1].values, "what it does, in words")
        assert manager.said("MAINPID") == [str(daemon.pid)]
        assert daemon.stop() == 0
        assert manager.states == ["READY", "STOPPING"]


def test_pings_come_while_everything_moves(
    tmp_path: Path, sqlite_url: str, manager: Manager, make_daemon: Callable[..., Daemon], wait_until: Wait
) -> None:
    """With two seconds allowed a ping comes about every second, and none before READY."""
    builders.make_project(tmp_path / "code" / "shop", ["one"])
    make_daemon(sqlite_url, manager, WATCHDOG_USEC="2000000").start()
    wait_until(lambda: len(manager.said("WATCHDOG")) >= 5, "pings", seconds=30)
    times = manager.times("WATCHDOG")
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 0.4 < median(gaps) < 2.0
    assert times[0] > manager.times("READY")[0]


@pytest.mark.postgres
def test_no_ping_while_a_part_is_stuck(
    tmp_path: Path,
    postgres_url: str,
    proxy: Proxy,
    manager: Manager,
    make_daemon: Callable[..., Daemon],
    wait_until: Wait,
) -> None:
    """While PostgreSQL hangs under a worker nothing is pinged and the words say why; then it goes on."""
    shop = builders.make_project(tmp_path / "code" / "shop", ["one"])
    config = "[daemon]\nstuck_after = 1.0\ndrain_deadline = 2.0\n"
    daemon = make_daemon(proxy.url(postgres_url), manager, config, WATCHDOG_USEC="1000000").start()
    client = daemon.client
    wait_until(lambda: not client.status().stale, "a fresh mirror", seconds=30)
    proxy.set("blackhole")
    StateManager(shop / ROOT / "one").transition_to_phase("plan")
    wait_until(lambda: any("no progress" in text for text in manager.said("STATUS")), "words", seconds=30)
    assert "queue" in {part.name for part in client.status().parts if part.stuck}
    before = len(manager.said("WATCHDOG"))
    silent_since = time.monotonic()
    # Six pings would have come meanwhile; how long it has been is the daemon's own word.
    wait_until(
        lambda: (
            max(part.idle_s or 0 for part in client.status().parts if part.stuck) > 4.0
            and time.monotonic() - silent_since > 3.0
        ),
        "time to pass",
        seconds=30,
    )
    assert len(manager.said("WATCHDOG")) == before
    assert sessionctl(daemon.environment, "status").returncode == 1
    proxy.set("pass")
    wait_until(lambda: len(manager.said("WATCHDOG")) > before + 1, "pings again", seconds=30)
    assert client.session("one")["rows"][0]["session"]["current_phase"] == "plan"


def test_a_reload_is_told_from_its_begin_to_its_end(
    tmp_path: Path, sqlite_url: str, manager: Manager, make_daemon: Callable[..., Daemon], wait_until: Wait
) -> None:
    """RELOADING with the manager's clock, then READY: for a good file, a bad one, and by the route."""
    builders.make_project(tmp_path / "code" / "shop", ["one"])
    daemon = make_daemon(sqlite_url, manager).start()
    for count, text in enumerate(("", "[log]\nlevel = 'debug'\n", "[log]\nlevle = 'debug'\n"), 1):
        (tmp_path / "config.toml").write_text(f'[watch]\nroots = ["{tmp_path / "code"}"]\n{text}')
        before = time.monotonic_ns() // 1000
        os.kill(daemon.pid, signal.SIGHUP)
        expected = ["READY", *["RELOADING", "READY"] * count]
        wait_until(lambda expected=expected: manager.states == expected, "the reload", seconds=30)
        assert before <= int(manager.said("MONOTONIC_USEC")[-1]) <= time.monotonic_ns() // 1000
    (tmp_path / "config.toml").write_text(f'[watch]\nroots = ["{tmp_path / "code"}"]\n')
    daemon.client.reload()
    wait_until(lambda: len(manager.states) >= 9, "the last reload")
    assert manager.states == ["READY", *["RELOADING", "READY"] * 4]


@pytest.mark.postgres
def test_while_it_waits_for_its_database_the_start_is_prolonged(
    tmp_path: Path,
    postgres_url: str,
    proxy: Proxy,
    manager: Manager,
    make_daemon: Callable[..., Daemon],
    wait_until: Wait,
) -> None:
    """It asks for more time again and again, says why, answers on its socket, and is READY only then."""
    builders.make_project(tmp_path / "code" / "shop", ["one"])
    proxy.set("refuse")
    daemon = make_daemon(proxy.url(postgres_url), manager, WATCHDOG_USEC="2000000").start(ready=False)
    wait_until(lambda: len(manager.said("EXTEND_TIMEOUT_USEC")) >= 3, "more time", seconds=60)
    assert {int(text) for text in manager.said("EXTEND_TIMEOUT_USEC")} == {30_000_000}
    assert "waiting for the database" in manager.said("STATUS")[-1]
    status = daemon.client.status()
    assert (status.state, status.stale, status.database.up) == ("starting", True, False)
    assert daemon.client.metrics()
    done = sessionctl(daemon.environment, "status")
    assert done.returncode == 1
    assert "waiting for the database" in done.stdout
    assert manager.states == []
    proxy.set("pass")
    wait_until(lambda: manager.states == ["READY"], "READY", seconds=30)
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror", seconds=30)
    assert daemon.client.session("one")["rows"]


@pytest.mark.postgres
def test_a_reload_before_the_database_is_there_is_not_ready(
    tmp_path: Path,
    postgres_url: str,
    proxy: Proxy,
    manager: Manager,
    make_daemon: Callable[..., Daemon],
    wait_until: Wait,
) -> None:
    """A daemon that still waits for its database may be told to reload; that does not make it READY."""
    builders.make_project(tmp_path / "code" / "shop", ["one"])
    proxy.set("refuse")
    daemon = make_daemon(proxy.url(postgres_url), manager).start(ready=False)
    wait_until(lambda: manager.said("EXTEND_TIMEOUT_USEC"), "more time", seconds=60)
    daemon.client.reload()
    os.kill(daemon.pid, signal.SIGHUP)
    told = len(manager.said("EXTEND_TIMEOUT_USEC"))
    wait_until(lambda: len(manager.said("EXTEND_TIMEOUT_USEC")) > told + 1, "more time", seconds=60)
    assert "READY" not in manager.states
    proxy.set("pass")
    wait_until(lambda: "READY" in manager.states, "READY", seconds=30)


_SPY = """
import os, subprocess, sys, threading, time
def spy():
    while not os.path.exists({asked!r}):
        time.sleep(0.01)
    subprocess.run([sys.executable, "-S", "-c", "import os; print(*os.environ, sep=chr(10))"],
                   stdout=open({found!r} + ".new", "w"))
    os.rename({found!r} + ".new", {found!r})
if sys.argv[0] == "-m":
    threading.Thread(target=spy, daemon=True).start()
"""


def test_children_do_not_learn_of_the_manager(
    tmp_path: Path, sqlite_url: str, manager: Manager, make_daemon: Callable[..., Daemon], wait_until: Wait
) -> None:
    """A process that the daemon starts gets none of the variables that speak of its service."""
    builders.make_project(tmp_path / "code" / "shop", ["one"])
    asked, found = tmp_path / "asked", tmp_path / "found"
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy" / "sitecustomize.py").write_text(_SPY.format(asked=str(asked), found=str(found)))
    more = {"PYTHONPATH": str(tmp_path / "spy"), "WATCHDOG_USEC": "2000000"}
    daemon = make_daemon(sqlite_url, manager, **more)
    daemon.start()
    asked.touch()
    wait_until(found.exists, "a child of the daemon", seconds=30)
    names = set(found.read_text().split())
    assert "SESSIOND_CONFIG" in names
    assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
    assert daemon.stop() == 0
    assert manager.states == ["READY", "STOPPING"]
