"""The real processes: a daemon that is started and stopped, and `sessionctl` asked for JSON."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from sessionlib.control import ControlClient


@dataclass
class Daemon:
    """One ``sessiond run`` process, its environment and its log file."""

    roots: list[Path]
    environment: dict[str, str]
    log_path: Path
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 30.0, *, ready: bool = True) -> "Daemon":
        """Start the process; with `ready`, wait until it says that it watches, at most so many seconds."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stderr=log)
        if ready:
            self.wait_for_event("sessiond.ready", seconds=seconds)
        return self

    @property
    def command(self) -> list[str]:
        """The command that starts it."""
        roots = map(str, self.roots)
        return [sys.executable, "-m", "sessiond", "run", "--allow-root", *roots, *self.options]

    @property
    def state_dir(self) -> Path:
        """Its state folder."""
        return Path(self.environment["SESSIOND_STATE_DIR"])

    @property
    def client(self) -> ControlClient:
        """A client of its control socket."""
        return ControlClient(self.state_dir / "run" / "control.sock")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """What the daemon has logged so far, over all its starts."""
        return self.log_path.read_text(errors="replace")

    def wait_for_event(self, name: str, *, count: int = 1, seconds: float = 30.0) -> None:
        """Wait until an event stands in the log so many times."""
        deadline = time.monotonic() + seconds
        while self.log.count(f"event={name} ") < count:
            alive = self.process is not None and self.process.poll() is None
            if time.monotonic() > deadline or not alive:
                raise AssertionError(f"no {name} within {seconds} s:\n{self.log[-4000:]}")
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Send a signal, wait for the end and return the exit code; 0 if it does not run."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        code = self.process.wait(seconds)
        self.process = None
        return code


def environment(url: str, state_dir: Path, **more: str) -> dict[str, str]:
    """Return an environment in which every command uses this database and state folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SESSIOND_")}
    return kept | {
        "SESSIOND_DATABASE_URL": url,
        "SESSIOND_STATE_DIR": str(state_dir),
        "SESSIOND_CONFIG": "",
        "XDG_CONFIG_HOME": str(state_dir),
        **more,
    }


def sessionctl(
    environ: Mapping[str, str], *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command and return how it ended."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from sessionlib.cli.main import main; sys.exit(main())",
            *arguments,
        ],
        env=dict(environ),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def asked(environ: Mapping[str, str], *arguments: str) -> list[dict[str, Any]]:
    """Run a reading command with ``--json`` and return its rows."""
    done = sessionctl(environ, *arguments, "--json")
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows


def direct(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Ask the database without any of our code."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return connection.execute(statement).fetchall()
    with psycopg.connect(url) as connected:
        return connected.execute(statement).fetchall()  # type: ignore[call-overload]
