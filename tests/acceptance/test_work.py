"""The real daemon works in proportion to change: idle it writes nothing, one save is one session's work."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionlib.control.status import Status
from sessionlib.state.manager import StateManager
from tests import builders, opens, writes
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.processes import Daemon, asked, direct
from tests.watching import save

pytestmark = pytest.mark.timeout(180)

Wait = Callable[..., None]

COUNT = 20
BUSY = "[watch]\nreconcile_interval = 1.0\n"
"""Compare everything every second, so that a few seconds hold several comparisons."""


@pytest.fixture(name="garden")
def garden_fixture(tmp_path: Path) -> Path:
    """The sessions root of a project with some sessions."""
    sessions = {f"s{n:02}": builders.v2_building(topic=f"wall {n}") for n in range(COUNT)}
    return builders.make_project(tmp_path / "code" / "garden", sessions) / "agents/sessions"


def settled(daemon: Daemon, wait_until: Wait) -> Status:
    """Wait until everything is mirrored and announced; return the status then."""
    found: list[Status] = []

    def is_settled() -> bool:
        status = daemon.client.status()
        found.append(status)
        queue = status.queue
        is_quiet = queue.waiting + queue.running + queue.delayed == 0
        return not status.stale and is_quiet and status.changes >= COUNT

    wait_until(is_settled, "everything to be mirrored", 60)
    return found[-1]


def compared_at(daemon: Daemon) -> str:
    """Return when the one sessions root was last compared."""
    (workspace,) = daemon.client.status().workspaces
    return workspace.reconciled_at


def test_an_idle_daemon_writes_nothing_but_its_heartbeat(
    tmp_path: Path, database_url: str, garden: Path, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """Comparing again and again it opens no session file, writes no row and leaves its status file alone."""
    config = tmp_path / "config.toml"
    config.write_text(BUSY)
    daemon = start_daemon(database_url, garden.parents[2], options=("--config", str(config)))
    settled(daemon, wait_until)
    beats = "SELECT count(*) FROM hosts WHERE heartbeat_at IS NOT NULL"
    wait_until(lambda: direct(database_url, beats) == [(1,)], "the first heartbeat", 30)
    status_file = daemon.state_dir / "status.json"
    with writes.watched(database_url) as written, opens.watched(opens.below(garden)) as opened:
        seen: set[str] = set()
        synced, file_time = daemon.client.status().queue.synced, status_file.stat().st_mtime_ns
        while len(seen) < 4:
            wait_until(lambda: compared_at(daemon) not in seen, "another comparison", 60)
            seen.add(compared_at(daemon))
        assert opened.taken() == []
        assert written.taken() == 0
        # The next heartbeat is a minute away; on a machine that slow it is news for the status file, too.
        assert written.beats or status_file.stat().st_mtime_ns == file_time
        assert daemon.client.status().queue.synced == synced
        # What counts here does count.
        save(garden / "s07", (garden / "s07" / "state.json").read_text().replace("wall 7", "gate 7"))
        wait_until(lambda: written.taken() > 0, "the save to be written", 30)
        assert f"{garden}/s07/state.json" in opened.taken()


def test_one_save_syncs_one_session(
    database_url: str, garden: Path, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """A save is mirrored by writing its session once; no other session is synced, read or written."""
    daemon = start_daemon(database_url, garden.parents[2])
    before = settled(daemon, wait_until).queue
    others = "SELECT * FROM {} WHERE slug <> 's04' ORDER BY slug"
    rows = [direct(database_url, others.format(table)) for table in ("sessions", "session_files")]
    topic = "SELECT topic FROM sessions WHERE slug = 's04'"
    with opens.watched(path for path in garden.iterdir() if path.name != "s04") as opened:
        manager = StateManager(garden / "s04")
        manager.set_details(topic="gate 4")
        wait_until(lambda: direct(database_url, topic) == [("gate 4",)], "the save to be mirrored", 30)
        after = settled(daemon, wait_until).queue
        assert opened.taken() == []
    assert [direct(database_url, others.format(table)) for table in ("sessions", "session_files")] == rows
    assert after.written - before.written == 1
    assert 1 <= after.synced - before.synced <= 2  # the second look at a file that had just been written
    synced = re.findall(r"event=session\.synced .*?(s\d\d)\b", daemon.log)
    assert set(synced) == {"s04"}


def test_questions_wake_nobody(
    database_url: str, garden: Path, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """Asking for status, sessions and rescans makes the daemon sync nothing and announce nothing."""
    daemon = start_daemon(database_url, garden.parents[2])
    before = settled(daemon, wait_until)
    with writes.watched(database_url) as written, opens.watched(opens.below(garden)) as opened:
        for _ in range(3):
            daemon.client.status()
            daemon.client.metrics()
            daemon.client.sessions(phase="build")
            daemon.client.session("s03")
            daemon.client.rescan()
            daemon.client.rescan(path=garden)
        asked(daemon.environment, "sessions")
        asked(daemon.environment, "show", "s03")
        after = settled(daemon, wait_until)
        assert opened.taken() == []
        assert written.taken() == 0
    assert work_of(after) == work_of(before)


def work_of(status: Status) -> tuple[Any, ...]:
    """Return what a status counts of work done."""
    queue = status.queue
    return queue.synced, queue.written, queue.failed, queue.retried, status.changes, status.overflows
