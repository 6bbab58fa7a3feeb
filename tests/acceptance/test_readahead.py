"""A daemon and the second process of its large imports: neither's end is in the other's way."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import builders
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.processes import Daemon, direct
from tests.load import busy

pytestmark = pytest.mark.timeout(180)

Wait = Callable[..., None]


def reader_of(daemon: Daemon) -> int:
    """Return the process id of the second process that was started last."""
    daemon.wait_for_event("readahead.started")
    return int(re.findall(r"event=readahead.started .*pid=(\d+)", daemon.log)[-1])


def make_sessions(root: Path, count: int) -> None:
    document = builders.v2_building(40, range(1, 30), topic="x" * 8000)
    for number in range(count):
        builders.make_session(root, f"s{number:04}", document)


def test_a_killed_daemon_leaves_neither_a_lock_nor_a_process(
    tmp_path: Path, database_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """Though its second process hangs when it is killed, the next daemon starts, and imports the rest."""
    make_sessions(tmp_path / "code/garden/agents/sessions", 2500)
    daemon = start_daemon(database_url, tmp_path / "code")
    reader = reader_of(daemon)
    os.kill(reader, signal.SIGSTOP)
    daemon.stop(signal.SIGKILL)
    daemon.start()
    os.kill(reader, signal.SIGCONT)
    wait_until(lambda: not Path(f"/proc/{reader}").exists(), "the end of the first one's second process", 20)
    count = "SELECT count(*) FROM sessions"
    wait_until(lambda: direct(database_url, count) == [(2500,)], "all sessions", 120)
    assert "level=error" not in daemon.log


def test_a_stopped_daemon_takes_it_along(
    tmp_path: Path, sqlite_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """Asked to stop in the middle of an import, both are gone in time."""
    make_sessions(tmp_path / "code/garden/agents/sessions", 2500)
    daemon = start_daemon(sqlite_url, tmp_path / "code")
    reader = reader_of(daemon)
    began = time.monotonic()
    assert daemon.stop(seconds=60) == 0
    # The default deadline, within which as much is imported as can be, and a second.
    assert time.monotonic() - began < 21 + 0.7 * busy()
    wait_until(lambda: not Path(f"/proc/{reader}").exists(), "the end of its second process", 5)
    assert "readahead.failed" not in daemon.log
