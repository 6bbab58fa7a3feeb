"""`sessiond run --detach` and `sessiond stop`, from a shell: they tell the truth and leave nothing behind."""

import contextlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessiond.lock import holder
from tests import builders, postgres
from tests.acceptance.processes import Daemon, environment, sessionctl
from tests.managing import managing
from tests.proxies import proxied

pytestmark = pytest.mark.timeout(120)

Wait = Callable[..., None]
ROOT = "agents/sessions"
Done = subprocess.CompletedProcess[str]


class Shell:
    """Runs the command line of one daemon that lives in the background."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.daemon = Daemon([home / "code"], environment(url, home / "state"), home / "unused.log")
        self.mine: set[int] = set()

    def run(self, *arguments: str, umask: int = 0o022, **more: str) -> Done:
        """Run one command to its end, in a session of its own; nothing may keep its output open."""
        command = [*self.daemon.command[:3], *arguments]
        child = subprocess.Popen(
            command,
            env=self.daemon.environment | more,
            cwd=self.home,
            umask=umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.mine.add(child.pid)
        said, complained = child.communicate(timeout=60)
        if self.pid is not None:
            self.mine.add(self.pid)
        return Done(command, child.returncode, said, complained)

    def detach(self, *arguments: str, **more: str) -> Done:
        """Start the daemon in the background, with its root given as a shell would: relative."""
        return self.run("run", "--allow-root", "--detach", "code", *arguments, **more)

    @property
    def state_dir(self) -> Path:
        """Its state folder."""
        return self.daemon.state_dir

    @property
    def pid(self) -> int | None:
        """The process that holds the state folder."""
        if not self.state_dir.exists():
            return None
        found = holder(self.state_dir)
        return None if found is None else found.pid

    @property
    def log(self) -> str:
        """What the daemon has logged."""
        return (self.state_dir / "sessiond.log").read_text()

    def strays(self) -> list[int]:
        """Return the processes that live in a session or a group of those that this test started."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                _state, _parent, group, session = entry.read_text().rpartition(")")[2].split()[:4]
                if _state != "Z" and {int(group), int(session)} & self.mine:
                    found.append(int(entry.parent.name))
        return found


@pytest.fixture
def shell(tmp_path: Path, sqlite_url: str) -> Iterator[Shell]:
    """A shell in a folder with one project; what still runs at the end is ended."""
    builders.make_project(tmp_path / "code" / "shop", ["one"])
    made = Shell(tmp_path, sqlite_url)
    yield made
    pid = made.pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def test_from_the_first_start_to_the_last_stop(shell: Shell, wait_until: Wait) -> None:
    """Start says 0 and a sentence, a second is refused, sessions are mirrored, stop is 0 and then 3."""
    began = time.monotonic()
    started = shell.detach()
    assert time.monotonic() - began < 30
    assert (started.returncode, started.stderr) == (0, "")
    pid = shell.pid
    assert pid is not None
    assert (
        started.stdout == f"sessiond runs as process {pid}; it logs to {shell.state_dir / 'sessiond.log'}\n"
    )
    client = shell.daemon.client
    status = client.status()
    assert (status.state, status.pid) == ("ready", pid)
    wait_until(lambda: client.sessions()["total"] == 1, "the import")
    builders.make_session(shell.home / "code" / "shop" / ROOT, "two")
    wait_until(lambda: client.sessions()["total"] == 2, "a change")
    assert sessionctl(shell.daemon.environment, "status").returncode == 0

    second = shell.detach()
    assert second.returncode == 75
    assert str(pid) in second.stderr
    assert second.stdout == ""
    assert client.status().pid == pid

    stopped = shell.run("stop")
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert f"process {pid}" in stopped.stdout
    assert shell.pid is None
    again = shell.run("stop")
    assert again.returncode == 3
    assert "no sessiond runs" in again.stderr
    assert "hint" in again.stderr
    wait_until(lambda: not shell.strays(), "all processes to be gone")
    assert not (shell.state_dir / "run" / "control.sock").exists()
    assert "event=sessiond.stopped" in shell.log
    assert "Traceback" not in shell.log


def test_it_lives_apart_and_keeps_its_files_private(shell: Shell, wait_until: Wait) -> None:
    """Another session, no terminal, folder / and an umask of its own; signals work as in the foreground."""
    assert shell.run("run", "--allow-root", "--detach", "code", umask=0).returncode == 0
    pid = shell.pid
    assert pid is not None
    assert os.getsid(pid) not in {os.getsid(0), *(shell.mine - {pid})}
    assert str(Path(f"/proc/{pid}/cwd").readlink()) == "/"
    assert "Umask:\t0077" in Path(f"/proc/{pid}/status").read_text()
    targets = {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (0, 1, 2)}
    assert targets == {"/dev/null", str(shell.state_dir / "sessiond.log")}
    for path in (shell.state_dir, *shell.state_dir.rglob("*")):
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path
    os.kill(pid, signal.SIGUSR1)
    wait_until(lambda: "event=rescan.done" in shell.log, "the rescan")
    os.kill(pid, signal.SIGUSR2)
    wait_until(lambda: "event=signal.stacks" in shell.log, "the stacks")
    stacks = shell.state_dir / "stacks.log"
    assert stat.S_IMODE(stacks.stat().st_mode) == 0o600
    assert "rounds.py" in stacks.read_text()
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: "event=config.reloaded" in shell.log, "the reload")
    assert shell.run("stop").returncode == 0
    wait_until(lambda: not shell.strays(), "all processes to be gone")


def test_a_service_manager_is_told_nothing(shell: Shell) -> None:
    """A detached process is no part of the unit it was started from."""
    with managing(f"@sessiond-test-{os.getpid()}") as manager:
        done = shell.detach(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000000")
        assert done.returncode == 0
        assert shell.run("stop", NOTIFY_SOCKET=manager.address).returncode == 0
        assert manager.told == []


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ("[watch]\nrots = []\n", "rots"),
        ("[database]\nurl = 'mysql://localhost/x'\n", "mysql"),
        ("[log]\nfile = '/dev/null/x'\n", "/dev/null/x"),
    ],
    ids=["unknown key", "database", "log"],
)
def test_what_is_wrong_is_said_in_the_foreground(shell: Shell, config: str, word: str) -> None:
    """A configuration that cannot be used ends the command with 78 and says why; nothing runs."""
    path = shell.home / "config.toml"
    path.write_text(config)
    shell.daemon.environment["SESSIOND_DATABASE_URL"] = ""
    done = shell.detach("--config", str(path))
    assert done.returncode == 78
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert shell.pid is None
    assert shell.strays() == []


@pytest.mark.postgres
def test_without_its_database_it_comes_up_and_says_so(
    shell: Shell, postgres_server: postgres.Server, postgres_url: str, wait_until: Wait
) -> None:
    """It runs, and both the command and the status say that it waits; then it goes on by itself."""
    with proxied(postgres_server) as proxy:
        proxy.set("refuse")
        shell.daemon.environment["SESSIOND_DATABASE_URL"] = proxy.url(postgres_url)
        done = shell.detach()
        assert done.returncode == 0
        assert "waiting for its database" in done.stdout
        assert shell.daemon.client.status().state == "starting"
        waiting = sessionctl(shell.daemon.environment, "status")
        assert waiting.returncode == 1
        assert "waiting for the database" in waiting.stdout
        proxy.set("pass")
        wait_until(lambda: shell.daemon.client.status().state == "ready", "the database", seconds=30)
        wait_until(lambda: shell.daemon.client.sessions()["total"] == 1, "the import")
        proxy.set("refuse")
        assert shell.run("stop").returncode == 0
        assert shell.detach().returncode == 0
        assert shell.run("stop").returncode == 0
    wait_until(lambda: not shell.strays(), "all processes to be gone")
