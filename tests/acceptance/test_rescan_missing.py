"""A rescan that believes a mass disappearance, asked of the real daemon in every way there is."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import builders, postgres
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.processes import Daemon, direct, sessionctl
from tests.conftest import Wait
from tests.controls import UnixConnection
from tests.proxies import Proxy, proxied

pytestmark = pytest.mark.timeout(120)

SLUGS = [f"s{number:02}" for number in range(30)]
LEFT = 3
CONFIRMED = 30.0
"""Seconds in which two looks five seconds apart are over, with much to spare."""

Ask = Callable[[Daemon, Path], None]


def _without_waiting(daemon: Daemon, _: Path) -> None:
    assert daemon.client.rescan(accept_missing=True, wait=False) == {"accepted": True}


def _from_the_shell(daemon: Daemon, root: Path) -> None:
    done = sessionctl(daemon.environment, "rescan", "--accept-missing", "--no-wait", str(root))
    assert done.returncode == 0, done.stderr


def _waiting(daemon: Daemon, root: Path) -> None:
    assert daemon.client.rescan(root, accept_missing=True)["totals"]["held"] == 0


def _while_the_rounds_are_busy(daemon: Daemon, root: Path) -> None:
    for number in range(10):
        daemon.client.rescan(root / SLUGS[number % LEFT] / str(number), wait=False)
        daemon.client.rescan(wait=False)
    _without_waiting(daemon, root)
    daemon.client.rescan(root, wait=False)


def _and_away(daemon: Daemon, _: Path) -> None:
    """Ask as one who waits, and go away before the answer."""
    connection = UnixConnection(daemon.state_dir / "run" / "control.sock")
    connection.request("POST", "/rescan", json.dumps({"accept_missing": True}).encode())
    connection.close()


def _there(url: str) -> int:
    """Return how many sessions are not gone, by the database."""
    return int(direct(url, "SELECT count(*) FROM sessions WHERE missing_since IS NULL")[0][0])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sessions root with all the sessions."""
    return builders.make_project(tmp_path / "code/garden", SLUGS) / "agents/sessions"


@pytest.fixture
def proxy(postgres_server: postgres.Server) -> Iterator[Proxy]:
    """What lies between the daemon and its PostgreSQL."""
    with proxied(postgres_server) as between:
        yield between


@pytest.mark.parametrize(
    "ask", [_without_waiting, _from_the_shell, _waiting, _while_the_rounds_are_busy, _and_away]
)
def test_what_was_accepted_is_believed(
    root: Path, tmp_path: Path, sqlite_url: str, start_daemon: StartDaemon, wait_until: Wait, ask: Ask
) -> None:
    """Asked for in the moment they vanish, all are gone after the second look, and none is held back."""
    daemon = start_daemon(sqlite_url, tmp_path / "code")
    wait_until(lambda: _there(sqlite_url) == len(SLUGS), "the import")
    for slug in SLUGS[LEFT:]:
        shutil.rmtree(root / slug)
    ask(daemon, root)
    wait_until(lambda: _there(sqlite_url) == LEFT, "the tombstones", seconds=CONFIRMED)
    assert "event=reconcile.held" not in daemon.log


def test_without_it_they_are_held_back(
    root: Path, tmp_path: Path, sqlite_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """A plain rescan before and after changes nothing about that; then one that believes is enough."""
    daemon = start_daemon(sqlite_url, tmp_path / "code")
    wait_until(lambda: _there(sqlite_url) == len(SLUGS), "the import")
    for slug in SLUGS[LEFT:]:
        shutil.rmtree(root / slug)
    daemon.client.rescan()
    daemon.wait_for_event("reconcile.held")
    daemon.client.rescan()
    assert _there(sqlite_url) == len(SLUGS)
    _without_waiting(daemon, root)
    wait_until(lambda: _there(sqlite_url) == LEFT, "the tombstones")


@pytest.mark.postgres
def test_what_was_accepted_outlives_an_outage(
    root: Path, tmp_path: Path, postgres_url: str, proxy: Proxy, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """202 while the database is down holds when it is back: nothing of it has to be asked for again."""
    daemon = start_daemon(proxy.url(postgres_url), tmp_path / "code")
    wait_until(lambda: _there(postgres_url) == len(SLUGS), "the import")
    proxy.set("refuse")
    for slug in SLUGS[LEFT:]:
        shutil.rmtree(root / slug)
    daemon.wait_for_event("db.down")
    _without_waiting(daemon, root)
    wait_until(lambda: not daemon.client.status().database.up, "an outage that is known")
    proxy.set("pass")
    wait_until(lambda: _there(postgres_url) == LEFT, "the tombstones", seconds=CONFIRMED)
