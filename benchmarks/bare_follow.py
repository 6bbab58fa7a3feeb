"""A bare script that follows one session: an inotify watch, a read, orjson, one UPDATE, a durable commit.

``python -m benchmarks.bare_follow KIND PLACE FOLDER`` says ``ready`` once it watches, and ends with its
standard input. PLACE is an SQLite file of its own, or libpq's words for a PostgreSQL database, in which it
makes a schema of its own. It shows how fast machine and database are just now, whoever else works on them.
"""

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg

from benchmarks import daemon
from benchmarks.cases import BenchmarkError
from sessiond.watch.inotify import DONT_FOLLOW, SESSION_MASK, Inotify, events_in, padded

TOPIC = "SELECT topic FROM bare.followed WHERE slug = ?"
"""What the row shows; for an `Ask` that `following` has prepared."""


@contextlib.contextmanager
def following(kind: str, url: str, ask: daemon.Ask, folder: Path) -> Iterator[None]:
    """Follow a session folder until the block ends, in a process of its own, in a table beside our own.

    Raises:
        BenchmarkError: It did not start.
    """
    place = url
    if kind == "sqlite":
        place = f"{url.removeprefix('sqlite:///')}.bare"
    command = [sys.executable, "-m", "benchmarks.bare_follow", kind, place, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise BenchmarkError("the bare script did not start")
        if kind == "sqlite":
            ask.rows("ATTACH DATABASE ? AS bare", place)
        yield
    finally:
        process.communicate(timeout=10)


def main(kind: str, place: str, folder: str) -> None:
    """Follow."""
    update = _sqlite(place) if kind == "sqlite" else _postgres(place)
    file, slug = os.path.join(folder, "state.json"), os.path.basename(folder)  # noqa: PTH118, PTH119 - bare
    inotify = Inotify()
    inotify.watch(folder, SESSION_MASK | DONT_FOLLOW)
    threading.Thread(target=_end_with_input, daemon=True).start()
    update(slug, _read(file))
    print("ready", flush=True)
    bell = padded("state.json")
    while True:
        if any(name == bell for _, _, name in events_in(inotify.read())):
            update(slug, _read(file))


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def _read(file: str) -> dict[str, Any]:
    with open(file, "rb") as opened:  # noqa: PTH123 - bare
        tree: dict[str, Any] = orjson.loads(opened.read())
    return tree


def _sqlite(path: str) -> Callable[[str, dict[str, Any]], None]:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE followed (slug TEXT PRIMARY KEY, topic TEXT, body TEXT)")

    def update(slug: str, tree: dict[str, Any]) -> None:
        values = (slug, tree["topic"], orjson.dumps(tree).decode())
        connection.execute("INSERT OR REPLACE INTO followed VALUES (?, ?, ?)", values)

    return update


def _postgres(place: str) -> Callable[[str, dict[str, Any]], None]:
    connection = psycopg.connect(place, autocommit=True)
    connection.execute("CREATE SCHEMA bare")
    connection.execute("CREATE TABLE bare.followed (slug TEXT PRIMARY KEY, topic TEXT, body JSONB)")

    def update(slug: str, tree: dict[str, Any]) -> None:
        connection.execute(
            "INSERT INTO bare.followed VALUES (%s, %s, %s) ON CONFLICT (slug)"
            " DO UPDATE SET topic = EXCLUDED.topic, body = EXCLUDED.body",
            (slug, tree["topic"], orjson.dumps(tree).decode()),
        )

    return update


if __name__ == "__main__":
    main(*sys.argv[1:4])
