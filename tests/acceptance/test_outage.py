"""The database goes away and comes back under the running daemon; nothing is lost."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionlib.state.manager import StateManager
from tests import builders, postgres
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.processes import Daemon, asked, direct, environment
from tests.load import busy

pytestmark = [pytest.mark.timeout(180), pytest.mark.postgres]

ROOT = "agents/sessions"


@pytest.fixture
def own_server() -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL server that this test may stop."""
    binaries = postgres.find_binaries()
    if binaries is None:
        pytest.fail("no PostgreSQL server binaries")
    server = postgres.PostgresServer(binaries)
    server.start()
    postgres.execute(server, "CREATE DATABASE mirror")
    yield server
    server.remove()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_restart_of_postgresql_loses_nothing(
    tmp_path: Path,
    own_server: postgres.PostgresServer,
    start_daemon: StartDaemon,
    wait_until: Callable[..., None],
    how: signal.Signals,
) -> None:
    """Saves made while the server is down are there within ten seconds of its return."""
    code = tmp_path / "code"
    project = builders.make_project(code / "p", [f"s{number}" for number in range(20)])
    daemon = start_daemon(own_server.url("mirror"), code)
    wait_until(lambda: len(asked(daemon.environment, "sessions")) == 20, "the import")
    own_server.stop(how)
    for number in range(20):
        StateManager(project / ROOT / f"s{number}").set_details(topic="while it was down")
    builders.make_session(project / ROOT, "new")
    daemon.wait_for_event("db.down")
    own_server.start()
    daemon.wait_for_event("db.up", seconds=10)

    def saved() -> int:
        statement = "SELECT count(*) FROM sessions WHERE topic = 'while it was down'"
        return int(direct(own_server.url("mirror"), statement)[0][0])

    wait_until(lambda: saved() == 20, "the saves", 10)
    assert len(asked(daemon.environment, "sessions")) == 21
    assert daemon.log.count("event=db.down ") == 1
    assert daemon.stop() == 0


def test_a_daemon_waits_for_a_database_that_is_not_there_yet(
    tmp_path: Path,
    own_server: postgres.PostgresServer,
    start_daemon: StartDaemon,
    wait_until: Callable[..., None],
) -> None:
    """Started before its database, the daemon says so once and begins when it comes up."""
    code = builders.make_project(tmp_path / "code" / "p", ["s"]).parent
    url = own_server.url("mirror")
    own_server.stop()
    log = tmp_path / "daemon.log"

    def start_once_missed() -> None:
        wait_until(lambda: log.exists() and "event=db.down " in log.read_text(), "the first complaint", 30)
        own_server.start()

    starter = threading.Thread(target=start_once_missed)
    starter.start()
    daemon = start_daemon(url, code)
    starter.join()
    wait_until(lambda: len(asked(daemon.environment, "sessions")) == 1, "the import")
    assert daemon.log.count("event=db.down ") == 1


def test_term_ends_the_wait_for_a_database(tmp_path: Path) -> None:
    """A daemon that still waits for its database stops at once when asked, with exit code 0."""
    code = builders.make_project(tmp_path / "code" / "p", ["s"]).parent
    environ = environment("postgresql://nobody@127.0.0.1:1/none", tmp_path / "state")
    daemon = Daemon([code], environ, tmp_path / "daemon.log").start(ready=False)
    try:
        daemon.wait_for_event("db.down")
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 3 * busy()
    finally:
        daemon.stop(signal.SIGKILL)
    assert "event=sessiond.ready " not in daemon.log
    assert daemon.log.count("event=db.down ") == 1
    assert daemon.log.count("event=sessiond.stopped ") == 1
