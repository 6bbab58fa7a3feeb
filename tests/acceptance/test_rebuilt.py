"""A mirror that somebody deletes under an idle daemon is made anew by itself."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests import builders
from tests.acceptance.conftest import StartDaemon

pytestmark = pytest.mark.timeout(120)

Wait = Callable[..., None]


def count(path: Path) -> int:
    """Return how many sessions the file holds; none while it is not there or not whole."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found: int = connection.execute("SELECT count(*) FROM sessions").fetchone()[0]
            return found
    except sqlite3.Error:
        return 0


def test_a_deleted_mirror_comes_back(
    tmp_path: Path, sqlite_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """Though no file changes and nobody asks, the daemon refills it with the same ids, and is fresh again."""
    for number in range(3):
        builders.make_project(tmp_path / "code" / f"p{number}", ["one", "two"])
    daemon = start_daemon(sqlite_url, tmp_path / "code")
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
    before = {row["session_id"] for row in daemon.client.sessions()["rows"]}
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        file.unlink(missing_ok=True)
    wait_until(lambda: count(path) == 6, "the rows", seconds=40)
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror", seconds=30)
    assert {row["session_id"] for row in daemon.client.sessions()["rows"]} == before
    assert "Traceback" not in daemon.log
