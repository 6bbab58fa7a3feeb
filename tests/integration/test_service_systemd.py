"""The service in a real systemd: a user manager of its own, in a mount namespace of its own. Opt-in.

SESSIOND_TEST_SYSTEMD=1 runs it; it needs Linux, root and systemd installed (not running), as in a container.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import builders

SYSTEMD = next(
    (path for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd") if Path(path).exists()), ""
)
PROGRAMS = Path(sys.executable).parent

_BOOT = """\
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR"
chmod 0700 "$XDG_RUNTIME_DIR"
for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -e "$tree/cgroup.procs" ] || continue
    mkdir -p "$tree/$GROUP"
    echo $$ > "$tree/$GROUP/cgroup.procs"
done
exec "$SYSTEMD" --user --log-target=console
"""


def _unfit() -> str | None:
    if os.environ.get("SESSIOND_TEST_SYSTEMD") != "1":
        return "opt-in: set SESSIOND_TEST_SYSTEMD=1"
    if not SYSTEMD or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "systemd, unshare and nsenter are needed"
    if os.geteuid() != 0:
        return "needs root, to boot a user manager of its own"
    return None


UNFIT = _unfit()
pytestmark = [
    pytest.mark.skipif(UNFIT is not None, reason=str(UNFIT)),
    pytest.mark.slow,
    pytest.mark.timeout(240),
]


class Manager:
    """A user's systemd, and commands beside it."""

    def __init__(self, home: Path, log: Path) -> None:
        self.home = home
        self.runtime = Path("/run/user/sessiond-test")
        self.state = home / ".local/state/sessiond"
        self.config = home / ".config/sessiond/config.toml"
        self.group = f"sessiond-test-{os.getpid()}"
        kept = {name: os.environ[name] for name in ("LANG", "COVERAGE_PROCESS_START") if name in os.environ}
        self.environ = kept | {
            "PATH": f"{PROGRAMS}:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "SYSTEMD": SYSTEMD,
            "GROUP": self.group,
        }
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BOOT],
                env=self.environ,
                stdout=file,
                stderr=file,
            )

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a command where the manager is."""
        return subprocess.run(
            ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "--", *map(str, words)],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def ctl(self, *words: object, code: int = 0) -> str:
        """Run `sessionctl service`, which ends with this code; return what it said."""
        done = self.run("sessionctl", "service", *words)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    def install(self) -> None:
        """Install with a root from the configuration."""
        self.configure()
        self.ctl("install", "--allow-root")

    def configure(self, text: str = "") -> None:
        """Write the configuration."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(f'{text}\n[watch]\nroots = ["{self.home / "code"}"]\n')

    def shown(self, name: str) -> str:
        """Return a property of the service."""
        return self.run(
            "systemctl", "--user", "show", "--value", f"--property={name}", "sessiond"
        ).stdout.strip()

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return int(self.shown("MainPID"))

    def is_socket(self) -> bool:
        """Tell whether the control socket is there."""
        return self.run("test", "-S", self.runtime / "sessiond/control.sock").returncode == 0

    def end(self) -> None:
        """Stop everything in it."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for tree in ("systemd", "unified", ""):
            for folder in sorted(Path("/sys/fs/cgroup", tree, self.group).glob("**/"), reverse=True):
                folder.rmdir()


@pytest.fixture(name="manager")
def manager_fixture(wait_until: Callable[..., None]) -> Iterator[Manager]:
    """A user manager with a home of its own and one project."""
    home = Path(tempfile.mkdtemp(prefix="sessiond-test-"))
    builders.make_project(home / "code" / "shop", ["first"])
    manager = Manager(home, home / "manager.log")
    try:
        wait_until(
            lambda: manager.run("systemctl", "--user", "show", "--property=Version").returncode == 0,
            "the user manager",
        )
        yield manager
    finally:
        manager.end()
        sys.stderr.write((home / "manager.log").read_text())
        shutil.rmtree(home)


def test_a_life_of_the_service(manager: Manager, wait_until: Callable[..., None]) -> None:
    """Installed, started until ready, fresh, reloaded, restarted, stopped, uninstalled: each as it says."""
    manager.install()
    assert "already installed, unchanged" in manager.ctl("install", "--allow-root")
    assert "start it" in manager.ctl("status", code=3)
    manager.ctl("start")
    assert (manager.shown("ActiveState"), manager.is_socket()) == ("active", True)
    wait_until(lambda: manager.run("sessionctl", "service", "status").returncode == 0, "a fresh mirror")
    (row,) = json.loads(manager.ctl("status", "--json"))["rows"]
    assert (row["pid"], row["managed"], row["enabled"]) == (manager.pid, True, True)
    rows = json.loads(manager.run("sessionctl", "sessions", "--json").stdout)["rows"]
    assert [each["slug"] for each in rows] == ["first"]
    before = manager.pid
    assert manager.run("systemctl", "--user", "reload", "sessiond").returncode == 0
    assert manager.pid == before
    manager.ctl("restart")
    assert manager.pid != before
    began = time.monotonic()
    manager.ctl("stop")
    assert time.monotonic() - began < 10
    assert (manager.shown("ActiveState"), manager.shown("Result")) == ("inactive", "success")
    assert not manager.is_socket()
    manager.ctl("start")
    assert str(manager.state) in manager.ctl("uninstall")
    assert (manager.shown("LoadState"), (manager.state / "mirror.db").exists()) == ("not-found", True)


def test_a_bad_configuration_is_told_and_not_tried_again(manager: Manager) -> None:
    """A start with one ends with 78, once; a reload with one is refused and the daemon goes on."""
    manager.install()
    manager.configure("[nonsense]")
    assert "exit code 78" in manager.ctl("start", code=1)
    time.sleep(5)
    assert (manager.shown("ActiveState"), manager.shown("NRestarts")) == ("failed", "0")
    manager.configure()
    manager.ctl("start")
    before = manager.pid
    manager.configure("[nonsense]")
    assert manager.run("systemctl", "--user", "reload", "sessiond").returncode != 0
    assert (manager.shown("ActiveState"), manager.pid) == ("active", before)


def test_what_is_killed_or_hangs_is_started_again(manager: Manager, wait_until: Callable[..., None]) -> None:
    """After a kill, and after a missed watchdog, there is a new process that is ready."""
    manager.install()
    drop_in = manager.home / ".config/systemd/user/sessiond.service.d/fast.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nWatchdogSec=3s\nRestartSec=100ms\n")
    manager.run("systemctl", "--user", "daemon-reload")
    manager.ctl("start")
    time.sleep(5)
    assert manager.shown("NRestarts") == "0"
    for restarts, number in enumerate((signal.SIGKILL, signal.SIGSTOP), 1):
        before = manager.pid
        os.kill(before, number)
        wait_until(
            lambda before=before: manager.shown("ActiveState") == "active" and manager.pid not in {0, before},
            "a new process",
            seconds=60,
        )
        assert manager.shown("NRestarts") == str(restarts)


def test_a_daemon_started_by_hand_keeps_its_socket(manager: Manager, wait_until: Callable[..., None]) -> None:
    """The service that finds another daemon leaves with 75, once, and takes nothing from that one."""
    manager.install()
    other = subprocess.Popen(
        [
            "nsenter",
            f"--mount=/proc/{manager.process.pid}/ns/mnt",
            "--",
            "sessiond",
            "run",
            "--allow-root",
        ],
        env=manager.environ,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(manager.is_socket, "the daemon by hand")
        assert f"process {other.pid}" in manager.ctl("start", code=75)
        assert manager.run("systemctl", "--user", "start", "sessiond").returncode != 0
        time.sleep(4)
        assert (manager.shown("ExecMainStatus"), manager.shown("NRestarts")) == ("75", "0")
        assert manager.is_socket()
        assert f"process {other.pid} answers" in manager.run("sessionctl", "service", "status").stderr
    finally:
        other.terminate()
        assert other.wait(30) == 0
    manager.ctl("start")
