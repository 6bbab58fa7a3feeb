"""The real daemon's signals: reload, rescan, stacks; and a configuration that cannot be used."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionlib.errors import ControlRefusedError
from sessionlib.state.manager import StateManager
from tests import builders
from tests.acceptance.processes import Daemon, environment, sessionctl

pytestmark = pytest.mark.timeout(120)

Wait = Callable[..., None]
ROOT = "agents/sessions"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with a project each."""
    for name in ("left", "right"):
        builders.make_project(tmp_path / name / f"{name}-project", [f"{name}-session"])
    return tmp_path / "left", tmp_path / "right"


def write(path: Path, *roots: Path, more: str = "") -> None:
    """Write a configuration that watches these folders."""
    listed = ", ".join(f'"{root}"' for root in roots)
    path.write_text(f"[watch]\nroots = [{listed}]\n{more}")


@pytest.fixture
def daemon(tmp_path: Path, sqlite_url: str, folders: tuple[Path, Path]) -> Daemon:
    """A daemon with a configuration file that names the first folder; not started."""
    config = tmp_path / "config.toml"
    write(config, folders[0])
    environ = environment(sqlite_url, tmp_path / "state", SESSIOND_CONFIG=str(config))
    return Daemon([], environ, tmp_path / "daemon.log")


@pytest.fixture(autouse=True)
def stopped(daemon: Daemon) -> object:
    """Stop the daemon whatever happens."""
    yield
    daemon.stop()


def slugs(daemon: Daemon) -> set[str]:
    """Return the sessions in the mirror."""
    return {row["slug"] for row in daemon.client.sessions()["rows"]}


def test_hangup_takes_over_roots_level_and_workers(
    daemon: Daemon, tmp_path: Path, folders: tuple[Path, Path], wait_until: Wait
) -> None:
    """A reload watches the new folder, no longer the old one, and applies the log level."""
    left, right = folders
    daemon.start()
    wait_until(lambda: slugs(daemon) == {"left-session"}, "the first folder")
    more = '[log]\nlevel = "debug"\n[sync]\nattempts = 9\n'
    write(tmp_path / "config.toml", right, more=more)
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_event("config.reloaded")
    wait_until(lambda: "right-session" in slugs(daemon), "the second folder")
    assert "watch.roots,sync.attempts,log.level" in daemon.log
    StateManager(right / "right-project" / ROOT / "right-session").transition_to_phase("plan")
    wait_until(
        lambda: daemon.client.session("right-session")["rows"][0]["session"]["current_phase"] == "plan",
        "a change in the second folder",
    )
    assert [root.path for root in daemon.client.status().roots] == [str(right)]
    assert "level=debug" in daemon.log
    assert left.exists()


def test_a_bad_file_changes_nothing(
    daemon: Daemon, tmp_path: Path, folders: tuple[Path, Path], wait_until: Wait
) -> None:
    """The old settings stay in force, log and status say why, and the next good file is taken."""
    daemon.start()
    (tmp_path / "config.toml").write_text("[watch]\nrots = []\n")
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_event("config.rejected")
    status = daemon.client.status()
    assert "rots" in (status.config.reload_error or "")
    assert [root.path for root in status.roots] == [str(folders[0])]
    with pytest.raises(ControlRefusedError) as refusal:
        daemon.client.reload()
    assert refusal.value.status == 422
    assert sessionctl(daemon.environment, "status").returncode == 0
    write(tmp_path / "config.toml", *folders)
    assert daemon.client.reload() == {"applied": ["watch.roots"], "needs_restart": []}
    assert daemon.client.status().config.reload_error is None
    wait_until(lambda: slugs(daemon) == {"left-session", "right-session"}, "both folders")


def test_what_needs_a_restart_is_named(daemon: Daemon, tmp_path: Path, folders: tuple[Path, Path]) -> None:
    """A key that cannot be applied live is in the answer, the log and the status, and has no effect."""
    daemon.start()
    write(tmp_path / "config.toml", folders[0], more='[control]\nlisten = "127.0.0.1:7717"\n')
    assert daemon.client.reload() == {"applied": [], "needs_restart": ["control.listen"]}
    assert daemon.client.status().config.needs_restart == ("control.listen",)
    assert daemon.client.status().listen is None


def test_usr1_compares_everything(daemon: Daemon, wait_until: Wait) -> None:
    """The signal asks for a rescan, and the log says that it was done."""
    daemon.start()
    os.kill(daemon.pid, signal.SIGUSR1)
    wait_until(lambda: "event=rescan.done" in daemon.log, "the rescan")


def test_usr2_writes_the_stacks_of_all_threads(daemon: Daemon, wait_until: Wait) -> None:
    """The daemon goes on, and its log shows where every thread stands."""
    daemon.start()
    wait_until(lambda: _is_at_work(daemon, "rounds"), "every thread at its work")
    os.kill(daemon.pid, signal.SIGUSR2)
    wait_until(lambda: "event=signal.stacks" in daemon.log, "the stacks")
    assert daemon.log.count("\nthread ") >= 5
    assert "rounds.py" in daemon.log
    assert daemon.client.status().state == "ready"


def _is_at_work(daemon: Daemon, name: str) -> bool:
    """Tell whether a part has finished something."""
    return any(part.name == name and part.idle_s is not None for part in daemon.client.status().parts)


def test_a_storm_of_signals_does_no_harm(daemon: Daemon, wait_until: Wait) -> None:
    """Hundreds of reloads and rescans while sessions change, and the daemon still stops in time with 0."""
    daemon.start()
    for _ in range(200):
        os.kill(daemon.pid, signal.SIGHUP)
        os.kill(daemon.pid, signal.SIGUSR1)
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror")
    assert daemon.stop(seconds=25) == 0
    assert "Traceback" not in daemon.log
