"""The ground a fault is done on: a folder of projects, a daemon, a database, and what holds afterwards."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sessionlib.control import ControlClient
from tests import builders, postgres
from tests.acceptance.processes import environment
from tests.faults import oracle
from tests.faults.nursery import Child, Nursery

SESSIONS = oracle.SESSIONS
RECOVERY = 10.0
"""Seconds within which a mirror must equal the files after a fault is over."""


class Figure(NamedTuple):
    """One line of the table that the long form prints.

    Attributes:
        fault: Which.
        done: What was done, in words.
        times: How often.
        lost: Sessions, saves or events that were lost: 0, or the fault has been found to do harm.
        recovered: The longest recovery in seconds; None where there is none to measure.
    """

    fault: str
    done: str
    times: int
    lost: int = 0
    recovered: float | None = None


class Tools(NamedTuple):
    """What faults need of the machine.

    Attributes:
        nursery: Starts daemons.
        new_database: Returns the URL of a fresh database of a kind, ``sqlite`` or ``postgres``.
        server: The PostgreSQL that all tests share.
        own_server: Starts one that may be stopped; whoever asked removes it.
    """

    nursery: Nursery
    new_database: Callable[[str], str]
    server: postgres.Server | None
    own_server: Callable[[], postgres.PostgresServer]


class Ground:
    """One folder with everything a fault needs.

    Args:
        home: An empty folder.
        tools: What the machine has.
        seed: Of every choice.
    """

    def __init__(self, home: Path, tools: Tools, seed: int) -> None:
        self.home = home
        self.tools = tools
        self.seed = seed
        self.chance = random.Random(seed)
        self.code = home / "code"
        self.code.mkdir()
        self._started: list[Keeper] = []

    def keeper(
        self, url: str, name: str = "state", config: str = "", environ: Mapping[str, str] | None = None
    ) -> "Keeper":
        """Return a daemon over the folder of projects that is not started yet; the ground ends it."""
        # Nobody's own journals are read: those of whoever runs this are not a part of any fault.
        more = {"CLAUDE_CONFIG_DIR": str(self.home / "client")} | dict(environ or {})
        if config:
            file = self.home / f"{name}.toml"
            file.write_text(config)
            more["SESSIOND_CONFIG"] = str(file)
        made = Keeper(self, environment(url, self.home / name, **more), self.home / f"{name}.log", url)
        self._started.append(made)
        return made

    def project(self, name: str = "shop", count: int = 0) -> Path:
        """Make a project with so many sessions and return its sessions root."""
        sessions = {f"s{number}": builders.v2_building(session_id=f"s{number}") for number in range(count)}
        return builders.make_project(self.code / name, sessions) / SESSIONS

    def close(self) -> None:
        """End every daemon."""
        for one in self._started:
            one.kill()


class Keeper:
    """A daemon of a ground: started, killed, stopped, and compared with the files.

    Args:
        ground: Whose folders it watches.
        environ: Its environment.
        log_path: Its log, over all its starts.
        url: Its database, asked directly by the oracle.
    """

    def __init__(self, ground: Ground, environ: dict[str, str], log_path: Path, url: str) -> None:
        self.ground = ground
        self.environ = environ
        self.log_path = log_path
        self.log_path.touch()
        self.url = url
        self.child: Child | subprocess.Popen[bytes] | None = None
        self.log_from = 0
        self.launched = 0.0

    def start(
        self,
        *,
        ready: bool = True,
        failpoint: tuple[str, str, int] | None = None,
        through: Sequence[str] = (),
    ) -> None:
        """Start it; with `ready`, wait until it says that it watches.

        Args:
            ready: Wait.
            failpoint: Where it kills itself.
            through: The command before its own; then it is no forked one, and takes longer to start.
        """
        self.log_from = len(self.log)
        self.launched = time.monotonic()
        argv = ["sessiond", "run", "--allow-root", str(self.ground.code)]
        if through:
            command = [*through, sys.executable, "-m", *argv]
            with self.log_path.open("ab") as log:
                self.child = subprocess.Popen(command, env=self.environ, stderr=log)
        else:
            self.child = self.ground.tools.nursery.start(argv, self.environ, self.log_path, failpoint)
        if ready:
            self.wait_for("event=sessiond.ready ")

    @property
    def log(self) -> str:
        """What it has logged so far, over all its starts."""
        return self.log_path.read_text(errors="replace")

    @property
    def said(self) -> str:
        """What it has logged since its last start."""
        return self.log[self.log_from :]

    @property
    def client(self) -> ControlClient:
        """A client of its control socket."""
        return ControlClient(Path(self.environ["SESSIOND_STATE_DIR"]) / "run" / "control.sock")

    def wait_for(self, text: str, seconds: float = 30.0, count: int = 1) -> None:
        """Wait until a text stands so often in the log of this start."""
        until(lambda: self.said.count(text) >= count, f"{text!r} in the log", seconds, self.tail)

    def tail(self) -> str:
        """Return the end of the log."""
        return self.log[-4000:]

    def kill(self) -> None:
        """Kill it with SIGKILL, if it runs."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Send a signal, wait for the end, and return the exit code; 0 if it does not run."""
        child, self.child = self.child, None
        if child is None:
            return 0
        child.send_signal(number)
        return child.wait(seconds)

    def drift(self) -> list[str]:
        """Return where the mirror is not as the files are."""
        return oracle.drift(self.url, self.ground.code, host=self.environ.get("SESSIOND_HOST_ID"))

    def recovered(self, since: float | None = None, within: float = RECOVERY) -> float:
        """Wait until the mirror equals the files; return the seconds since the last start, or a moment."""
        began = self.launched if since is None else since
        found = until(
            lambda: not self.drift(), "the mirror to equal the files", within, self._differences, began
        )
        return found - began

    def _differences(self) -> str:
        return "\n".join([f"seed {self.ground.seed}", *self.drift()[:10], self.tail()])

    def check_clean(self) -> None:
        """Stop it if it runs; another pass must then write no row, and no file of a project."""
        self.end()
        files = _tree(self.ground.code)
        self.ctl("sync", str(self.ground.code))
        before = oracle.Mirror(self.url).digest()
        said = json.loads(self.ctl("sync", str(self.ground.code), "--json"))
        assert [row["written"] for row in said["rows"]] == [0] * len(said["rows"]), said
        after = oracle.Mirror(self.url).digest()
        assert after == before, [name for name in after if after[name] != before[name]]
        assert not self.drift()
        assert _tree(self.ground.code) == files

    def ctl(self, *arguments: str, code: int = 0) -> str:
        """Run ``sessionctl`` in the daemon's environment and return what it printed."""
        answer = self.log_path.with_suffix(".ctl")
        answer.write_text("")
        child = self.ground.tools.nursery.start(["sessionctl", *arguments], self.environ, answer)
        ended = child.wait(120)
        assert ended == code, answer.read_text()
        return answer.read_text()


def _tree(folder: Path) -> list[tuple[str, int, int]]:
    """Return every path below a folder with its inode and when it was changed."""
    seen = [(str(path), path.lstat()) for path in sorted(folder.rglob("*"))]
    return [(path, stat.st_ino, stat.st_ctime_ns) for path, stat in seen]


def until(
    condition: Callable[[], object],
    what: str,
    seconds: float,
    told: Callable[[], str] = str,
    since: float | None = None,
) -> float:
    """Wait until a condition holds; return when it was asked for that it did, in monotonic seconds.

    An answer that takes long tells how it was when it was asked for. After so many seconds it fails with the
    condition's name, and what is told.
    """
    deadline = (time.monotonic() if since is None else since) + seconds
    while True:
        began = time.monotonic()
        if condition():
            return began
        asked = time.monotonic()
        assert asked < deadline, f"waited {seconds} s for {what}:\n{told()}"
        # Whoever looks at thousands of files must leave a core to those who are looked at.
        time.sleep(min(max(0.01, 2 * (asked - began)), deadline - asked))
