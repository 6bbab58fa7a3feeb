"""The real daemon as a process, on either database, for measuring."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.cases import BenchmarkError
from sessionlib.control import ControlClient
from sessionlib.control.status import Status
from sessionlib.errors import ControlError
from tests import postgres


class Ask:
    """Asks a database from outside, on a connection of its own that is opened when first used.

    Statements have ``?`` for their parameters, on either database. Belongs to one thread.
    """

    def __init__(self, connect: Callable[[], Any], mark: str) -> None:
        self._connect = connect
        self._mark = mark
        self._connection: Any = None

    def __call__(self, statement: str, *parameters: object) -> Any:
        """Return the first value of the first row; None without a row."""
        row = self._execute(statement, parameters).fetchone()
        return row and row[0]

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return all rows."""
        rows: list[tuple[Any, ...]] = self._execute(statement, parameters).fetchall()
        return rows

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _execute(self, statement: str, parameters: Sequence[object]) -> Any:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection.execute(statement.replace("?", self._mark), parameters)


@contextlib.contextmanager
def databases(kind: str) -> Iterator[tuple[str, Ask]]:
    """Give a fresh database of a kind: its URL, and a way to ask it from outside. PostgreSQL is durable."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mirror.db"
            with contextlib.closing(Ask(lambda: sqlite3.connect(path, isolation_level=None), "?")) as ask:
                yield f"sqlite:///{path}", ask
        return
    binaries = postgres.find_binaries()
    if binaries is None:
        raise BenchmarkError("no PostgreSQL found")
    server = postgres.PostgresServer(binaries, durable=True)
    try:
        server.start()
        postgres.execute(server, "CREATE DATABASE bench")
        place = server.conninfo("bench")
        with contextlib.closing(Ask(lambda: psycopg.connect(place, autocommit=True), "%s")) as ask:
            yield server.url("bench"), ask
    finally:
        server.remove()


@dataclass
class Daemon:
    """A running daemon.

    Attributes:
        process: Its process.
        client: Asks it over its control socket.
        log_path: Where its log lines go.
        environment: In which `sessionctl` asks the same daemon.
        began: When it was started, in monotonic seconds.
    """

    process: subprocess.Popen[bytes]
    client: ControlClient
    log_path: Path
    environment: dict[str, str]
    began: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def status(self) -> Status | None:
        """Return what it says of itself; None while it does not answer.

        Raises:
            BenchmarkError: It has ended.
        """
        if self.process.poll() is not None:
            raise BenchmarkError(f"the daemon ended: {self.log_path.read_text(errors='replace')[-500:]}")
        with contextlib.suppress(ControlError):
            return self.client.status()
        return None

    def settled(self, seconds: float = 600.0) -> Status:
        """Wait until everything is mirrored and nothing waits; return the status then.

        Raises:
            BenchmarkError: It is not within so many seconds.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.status()
            if status is not None and not status.stale and _is_quiet(status):
                return status
            time.sleep(0.1)  # an answer costs milliseconds while thousands wait
        raise BenchmarkError(f"not everything was mirrored within {seconds:.0f} s")

    def events(self, name: str) -> int:
        """Return how often an event stands in the log."""
        return self.log_path.read_bytes().count(f" event={name} ".encode())


def _is_quiet(status: Status) -> bool:
    queue = status.queue
    return queue.waiting + queue.running + queue.delayed == 0 and status.oldest_unsynced_s is None


@contextlib.contextmanager
def running(root: Path, url: str, state_dir: Path) -> Iterator[Daemon]:
    """Run ``sessiond run`` on a root with the default configuration until the block ends.

    It is stopped with TERM, and killed if that takes more than half a minute.
    """
    runtime = Path(tempfile.mkdtemp(prefix="sessiond-"))  # short: a socket's path holds 107 bytes
    # Installed programs find their bytecode; without it each start compiles its modules anew.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SESSIOND_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    environment = kept | {
        "SESSIOND_CONFIG": "",
        "XDG_CONFIG_HOME": str(runtime),
        "SESSIOND_DATABASE_URL": url,
        "SESSIOND_STATE_DIR": str(state_dir),
        "SESSIOND_RUNTIME_DIR": str(runtime),
    }
    command = [sys.executable, "-m", "sessiond", "run", "--allow-root", str(root)]
    log_path = state_dir.parent / "daemon.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
    try:
        yield Daemon(process, ControlClient(runtime / "control.sock", timeout=60), log_path, environment)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        shutil.rmtree(runtime, ignore_errors=True)


def wait_for(ask: Ask, statement: str, wanted: object, seconds: float = 300.0) -> None:
    """Poll until a SELECT gives a value; errors count as not yet.

    Raises:
        BenchmarkError: It has not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.Error, psycopg.Error):
            if ask(statement) == wanted:
                return
        time.sleep(0.05)
    raise BenchmarkError(f"waited {seconds:.0f} s for {wanted!r} from: {statement}")
