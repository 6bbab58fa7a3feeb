"""The real daemon as a process, on either database, for measuring."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from tests import postgres

Ask = Callable[[str], object]
"""Runs a SELECT on a connection of its own and returns its first value."""


@contextlib.contextmanager
def databases(kind: str) -> Iterator[tuple[str, Ask]]:
    """Give a fresh database of a kind: its URL, and a way to ask it from outside."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mirror.db"
            connection: list[sqlite3.Connection] = []

            def ask(statement: str) -> object:
                if not connection:
                    connection.append(sqlite3.connect(path, isolation_level=None))
                row = connection[0].execute(statement).fetchone()
                return row and row[0]

            yield f"sqlite:///{path}", ask
        return
    binaries = postgres.find_binaries()
    if binaries is None:
        sys.exit("no PostgreSQL found")
    server = postgres.PostgresServer(binaries, durable=True)
    try:
        server.start()
        postgres.execute(server, "CREATE DATABASE bench")
        with psycopg.connect(server.conninfo("bench"), autocommit=True) as connected:

            def ask_postgres(statement: str) -> object:
                row = connected.execute(statement).fetchone()  # type: ignore[call-overload]
                return row and row[0]

            yield server.url("bench"), ask_postgres
    finally:
        server.remove()


@contextlib.contextmanager
def running(root: Path, url: str, state_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``sessiond run`` on a root until the block ends, then stop it with TERM."""
    log = (state_dir.parent / "daemon.log").open("wb")
    environment = os.environ | {"SESSIOND_DATABASE_URL": url, "SESSIOND_STATE_DIR": str(state_dir)}
    with log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sessiond", "run", "--allow-root", str(root)], env=environment, stderr=log
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_for(ask: Ask, statement: str, wanted: object, seconds: float = 300.0) -> None:
    """Poll until a SELECT gives a value; errors count as not yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.Error, psycopg.Error):
            if ask(statement) == wanted:
                return
        time.sleep(0.05)
    sys.exit(f"waited {seconds} s for {wanted!r} from: {statement}")
