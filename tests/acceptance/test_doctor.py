"""`sessionctl doctor` beside a real daemon: the canary goes all the way and leaves nothing behind."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import builders
from tests.acceptance.processes import Daemon, direct, environment, sessionctl

LEFT = ("conversations", "agents", "agent_logs", "findings")


@pytest.fixture
def daemon(database_url: str, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that watches one project, and a client with a home of its own."""
    builders.make_project(tmp_path / "code" / "shop", {"wall": builders.v2(session_id="wall")})
    (tmp_path / ".claude").mkdir()
    environ = environment(
        database_url, tmp_path / "state", HOME=str(tmp_path), CLAUDE_CONFIG_DIR=str(tmp_path / ".claude")
    )
    made = Daemon([tmp_path / "code"], environ, tmp_path / "daemon.log").start()
    yield made
    made.stop()


def examined(daemon: Daemon, folder: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code, and the findings by their check."""
    done = sessionctl(daemon.environment, "doctor", str(folder), "--json", cwd=folder)
    return done.returncode, {row["check"]: row for row in json.loads(done.stdout)["rows"]}


def test_a_canary_goes_all_the_way_and_leaves_nothing(
    daemon: Daemon, database_url: str, tmp_path: Path
) -> None:
    """The registered hook is run, the daemon takes what it left, and no row tells of it; all is well then."""
    client = ["--client-version=2.1.330"]
    assert sessionctl(daemon.environment, "hooks", "install", *client).returncode == 0
    folder = tmp_path / "code" / "shop"
    for count in (1, 2):
        code, found = examined(daemon, folder)
        assert (code, found["daemon"]["level"], found["database"]["level"]) == (0, "ok", "ok"), found
        assert found["canary"]["level"] == "ok"
        tracking = daemon.client.status().tracking
        assert tracking is not None
        assert (tracking.stored, tracking.buried, tracking.spooled) == (count, 0, 0)
    assert not any(direct(database_url, f"SELECT count(*) FROM {table}")[0][0] for table in LEFT)
    assert [row[0] for row in direct(database_url, "SELECT slug FROM projects")] == ["shop"]


def test_without_hooks_it_says_how_to_get_them(daemon: Daemon, tmp_path: Path) -> None:
    """Exit code 1, and the command; nothing is run."""
    code, found = examined(daemon, tmp_path)
    assert code == 1
    assert found["hooks"]["next"] == "sessionctl hooks install"
    assert "canary" not in found
