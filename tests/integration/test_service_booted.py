"""The hardened system unit, and a user's, under a systemd that was really booted: in a container. Opt-in.

SESSIOND_TEST_NSPAWN=1 runs it; it needs Linux, root and systemd-nspawn (the package systemd-container). The
container is this machine's own file system under an overlay in memory, so nothing of it stays.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import builders

PROGRAMS = Path(sys.executable).parent
UNIT = "sessiond.service"
_PLACES = {"SESSIOND_STATE_DIR": "/var/lib/sessiond", "SESSIOND_RUNTIME_DIR": "/run/sessiond"}
_PATH = f"{PROGRAMS}:/usr/bin:/bin:/usr/sbin:/sbin"


def _unfit() -> str | None:
    if os.environ.get("SESSIOND_TEST_NSPAWN") != "1":
        return "opt-in: set SESSIOND_TEST_NSPAWN=1"
    if shutil.which("systemd-nspawn") is None or shutil.which("nsenter") is None:
        return "systemd-nspawn and nsenter are needed: install systemd-container"
    if os.geteuid() != 0:
        return "needs root, to boot a container"
    return None


UNFIT = _unfit()
pytestmark = [
    pytest.mark.skipif(UNFIT is not None, reason=str(UNFIT)),
    pytest.mark.slow,
    pytest.mark.timeout(240),
]

Wait = Callable[..., None]


class Machine:
    """A booted container, and commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self._memory = folder / "memory"
        self._log = (folder / "boot.log").open("wb")
        for path in (self.root, self._memory):
            path.mkdir()
        _run("mount", "-t", "tmpfs", "-o", "size=2g,mode=0755", "tmpfs", self._memory)
        for name in ("upper", "work"):
            (self._memory / name).mkdir()
        layers = f"lowerdir=/,upperdir={self._memory}/upper,workdir={self._memory}/work"
        _run("mount", "-t", "overlay", "-o", layers, "overlay", self.root)
        # A service's user must be able to reach the program, wherever it was installed.
        for above in (Path(sys.executable), Path(sys.base_prefix)):
            for one in above.parents:
                place = self.root / one.relative_to("/")
                place.chmod(place.stat().st_mode | 0o055)
        (self.root / "etc/machine-id").write_text("")
        self.process = subprocess.Popen(
            [
                *("systemd-nspawn", "--register=no", "--keep-unit", "--link-journal=no", "--private-network"),
                *("-D", self.root, "--boot", "--console=pipe", "systemd.unit=basic.target"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def init(self) -> int | None:
        """The container's first process, as seen from here."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            found = path.read_text().split()
        except OSError:
            return None
        return int(found[0]) if found else None

    def run(self, *words: object, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container."""
        variables = {"PATH": _PATH, "LANG": "C.UTF-8"} | environ
        named = [f"{name}={value}" for name, value in variables.items()]
        inside = ["nsenter", "-t", str(self.init), "-m", "-p", "-u", "-i", "-C", "-n", "--", "env", "-i"]
        return subprocess.run(
            [*inside, *named, *map(str, words)], capture_output=True, text=True, check=False, timeout=120
        )

    def do(self, *words: object, code: int = 0, **environ: str) -> str:
        """Run a command that ends with this code; return what it said."""
        done = self.run(*words, **environ)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in the container."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def shown(self, name: str) -> str:
        """Return a property of the service."""
        return self.do("systemctl", "show", "--value", f"--property={name}", UNIT).strip()

    def inside(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a command as root where the service sees its files, without its other fetters."""
        return self.run("nsenter", "-t", self.shown("MainPID"), "-m", "--", *words)

    def status(self) -> dict[str, object]:
        """Return what the daemon says of itself."""
        done = self.run("sessionctl", "status", "--json", **_PLACES)
        (row,) = json.loads(done.stdout)["rows"]
        return dict(row)

    def ask(self, *words: object) -> list[dict[str, object]]:
        """Ask the daemon; return the rows."""
        return list(json.loads(self.do("sessionctl", *words, "--json", **_PLACES))["rows"])

    def end(self) -> None:
        """Stop the container and take its file system away."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
        for place in (self.root, self._memory):
            _run("umount", "-l", place)


def _run(*words: object) -> None:
    subprocess.run(list(map(str, words)), check=True, capture_output=True)


@pytest.fixture(scope="module", name="booted")
def booted_fixture() -> Iterator[Machine]:
    """A container with a user for the service, booted once for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="sessiond-test-", dir="/var/tmp"))
    machine = Machine(folder)
    try:
        deadline = time.monotonic() + 90
        while machine.init is None or machine.run("systemctl", "is-system-running").stdout.strip() not in {
            "running",
            "degraded",
        }:
            assert machine.process.poll() is None, (folder / "boot.log").read_text()
            assert time.monotonic() < deadline, (folder / "boot.log").read_text()
            time.sleep(0.3)
        login = ("--shell", "/usr/sbin/nologin", "sessiond")
        machine.do("useradd", "--system", "--user-group", "--home-dir", "/var/lib/sessiond", *login)
        machine.do("useradd", "--create-home", "--uid", "1777", "gardener")
        yield machine
    finally:
        machine.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(name="machine")
def machine_fixture(booted: Machine, wait_until: Wait) -> Iterator[Machine]:
    """The container with the system unit installed and running, and one project."""
    builders.make_project(booted.root / "srv/code/shop", ["first"])
    booted.do("chmod", "-R", "a+rX", "/srv/code")
    booted.put("/etc/sessiond/config.toml", '[watch]\nroots = ["/srv/code"]\n')
    booted.do("sessionctl", "service", "install", "--system")
    booted.do("sessionctl", "service", "start", "--system")
    wait_until(lambda: booted.status()["state"] == "ready", "a daemon that is ready")
    yield booted
    booted.run("systemctl", "stop", UNIT)
    booted.do("sessionctl", "service", "uninstall", "--system")
    booted.do("rm", "-rf", f"/etc/systemd/system/{UNIT}.d", "/srv/code", "/var/lib/sessiond", "/etc/sessiond")
    booted.do("systemctl", "daemon-reload")
    booted.run("systemctl", "reset-failed", UNIT)


def _drop_in(machine: Machine, text: str) -> None:
    machine.put(f"/etc/systemd/system/{UNIT}.d/test.conf", f"[Service]\n{text}\n")
    machine.do("systemctl", "daemon-reload")


def test_it_mirrors_as_its_own_user(machine: Machine, wait_until: Wait) -> None:
    """Ready by its own word, with rows; a change is mirrored; what it makes is its alone."""
    assert (machine.shown("ActiveState"), machine.shown("SubState")) == ("active", "running")
    assert [row["slug"] for row in machine.ask("sessions")] == ["first"]
    builders.make_session(machine.root / "srv/code/shop/agents/sessions", "second")
    machine.do("chmod", "-R", "a+rX", "/srv/code")
    machine.do("sessionctl", "rescan", "/srv/code/shop", **_PLACES)
    assert {row["slug"] for row in machine.ask("sessions")} == {"first", "second"}
    owners = machine.do(
        "stat", "-c", "%U %a", "/var/lib/sessiond", "/run/sessiond", "/run/sessiond/control.sock"
    )
    assert owners.split("\n")[:3] == ["sessiond 700", "sessiond 700", "sessiond 600"]
    modes = machine.do("find", "/var/lib/sessiond", "-type", "f", "-perm", "/077")
    assert modes == ""


@pytest.mark.parametrize(
    "place",
    [
        "/srv/code/shop/x",
        "/srv/code/shop/agents/sessions/first/x",
        "/etc/x",
        "/usr/x",
        "/home/gardener/x",
        "/root/x",
    ],
)
def test_its_files_are_read_only(machine: Machine, place: str) -> None:
    """Not even root could write where the service looks; only its two folders are open to it."""
    done = machine.inside("touch", place)
    assert "Read-only file system" in done.stderr
    assert machine.inside("touch", "/var/lib/sessiond/x", "/run/sessiond/x").returncode == 0


def test_it_has_no_privilege(machine: Machine) -> None:
    """No capability, none to be had, a filter of system calls, nothing of other processes."""
    pid = machine.shown("MainPID")
    status = dict(
        line.split(":\t", 1)
        for line in machine.do("cat", f"/proc/{pid}/status").splitlines()
        if ":\t" in line
    )
    assert {status[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert machine.do("stat", "-c", "%U", f"/proc/{pid}").strip() == "sessiond"


def test_the_second_process_runs_in_it(machine: Machine, wait_until: Wait) -> None:
    """A large import is read by a process beside the daemon, under the same fetters; all of it arrives."""
    root = machine.root / "srv/code/shop/agents/sessions"
    for number in range(400):
        builders.make_session(root, f"s{number}")
    machine.do("chmod", "-R", "a+rX", "/srv/code")
    machine.do("sessionctl", "rescan", "/srv/code/shop", **_PLACES)
    assert len(machine.ask("sessions", "--limit", "500")) == 401
    log = machine.do("journalctl", "-u", UNIT, "--no-pager", "-o", "cat")
    assert not [line for line in log.splitlines() if "level=error" in line or "not permitted" in line]


def test_what_is_killed_or_hangs_is_started_again(machine: Machine, wait_until: Wait) -> None:
    """After a kill, and after a missed watchdog, there is a new process that is ready."""
    _drop_in(machine, "WatchdogSec=3s\nRestartSec=100ms")
    machine.do("systemctl", "restart", UNIT)
    time.sleep(5)
    assert machine.shown("NRestarts") == "0"
    for restarts, name in enumerate(("KILL", "STOP"), 1):
        before = machine.shown("MainPID")
        machine.do("kill", f"-{name}", before)
        wait_until(
            lambda before=before: (
                machine.shown("ActiveState") == "active" and machine.shown("MainPID") not in {"0", before}
            ),
            "a new process",
            seconds=60,
        )
        assert machine.shown("NRestarts") == str(restarts)


def test_reload_and_stop(machine: Machine) -> None:
    """A good configuration is taken over, a bad one refused; a stop is quick and clean."""
    before = machine.shown("MainPID")
    machine.put("/etc/sessiond/config.toml", '[watch]\nroots = ["/srv/code"]\n[daemon]\nstale_after = 20\n')
    machine.do("systemctl", "reload", UNIT)
    machine.put("/etc/sessiond/config.toml", "[nonsense]\n")
    assert machine.run("systemctl", "reload", UNIT).returncode != 0
    assert (machine.shown("ActiveState"), machine.shown("MainPID")) == ("active", before)
    began = time.monotonic()
    machine.do("systemctl", "stop", UNIT)
    assert time.monotonic() - began < 10
    assert (machine.shown("ActiveState"), machine.shown("Result")) == ("inactive", "success")
    assert machine.run("systemctl", "start", UNIT).returncode != 0
    time.sleep(4)
    assert (machine.shown("ExecMainStatus"), machine.shown("NRestarts")) == ("78", "0")


def test_the_credential_names_the_database(machine: Machine, wait_until: Wait) -> None:
    """A URL in a file that only root may read; the service gets it, and nobody sees it."""
    machine.put("/etc/sessiond/dsn", "sqlite:////var/lib/sessiond/other.db\n", 0o600)
    _drop_in(machine, "LoadCredential=dsn:/etc/sessiond/dsn")
    machine.do("systemctl", "restart", UNIT)
    wait_until(lambda: machine.status()["state"] == "ready", "a daemon that is ready")
    assert machine.run("test", "-f", "/var/lib/sessiond/other.db").returncode == 0
    machine.do("rm", "/etc/sessiond/dsn")
    machine.do("systemctl", "stop", UNIT)
    assert machine.run("systemctl", "start", UNIT).returncode != 0
    wait_until(lambda: machine.shown("ExecMainStatus") == "243", "the missing credential")


def test_a_users_unit_is_bound_too(booted: Machine, wait_until: Wait) -> None:
    """It needs no rights of the machine: no new privilege, a filter, and with a drop-in read-only homes."""
    booted.do("systemctl", "start", "user@1777.service")
    environ = {"XDG_RUNTIME_DIR": "/run/user/1777", "HOME": "/home/gardener"}

    def mine(*words: object) -> subprocess.CompletedProcess[str]:
        return booted.run(
            "setpriv", "--reuid", "1777", "--regid", "1777", "--clear-groups", *words, **environ
        )

    def shown(name: str) -> str:
        return mine("systemctl", "--user", "show", "--value", f"--property={name}", "sessiond").stdout.strip()

    builders.make_project(booted.root / "home/gardener/code/shop", ["first"])
    booted.do("chown", "-R", "gardener:gardener", "/home/gardener")
    installed = mine("sessionctl", "service", "install", "--root", "/home/gardener/code")
    assert installed.returncode == 0, installed
    drop_in = "/home/gardener/.config/systemd/user/sessiond.service.d/homes.conf"
    page = (Path(__file__).parents[2] / "systemd/README.md").read_text()
    booted.put(drop_in, next(text for text in page.split("```ini\n") if "%h/.ssh" in text).split("```")[0])
    owner = ("-o", "gardener", "-g", "gardener", "-m", "0700")
    booted.do("install", "-d", *owner, "/home/gardener/.ssh")
    booted.do("touch", "/home/gardener/.ssh/secret")
    booted.do("install", "-d", *owner, "/home/gardener/.local/state/sessiond")
    mine("systemctl", "--user", "daemon-reload")
    started = mine("sessionctl", "service", "start")
    assert started.returncode == 0, started
    wait_until(lambda: mine("sessionctl", "status").returncode == 0, "a fresh mirror")
    pid = shown("MainPID")
    status = booted.do("cat", f"/proc/{pid}/status")
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    done = booted.run("nsenter", "-t", pid, "-m", "--", "touch", "/home/gardener/code/x")
    assert "Read-only file system" in done.stderr
    done = booted.run("nsenter", "-t", pid, "-m", "--", "cat", "/home/gardener/.ssh/secret")
    assert done.returncode != 0
    stopped = mine("sessionctl", "service", "stop")
    assert stopped.returncode == 0, stopped
    booted.do("systemctl", "stop", "user@1777.service")
