"""`sessionctl verify` and `sessionctl rebuild` as processes, over sessions that a mirror has just written.

Their time is that of the whole command, its start included. What a rebuild writes is counted from outside.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import corpus, daemon
from benchmarks.cases import BenchmarkError, Options, Row
from sessionlib.db.engine import Database, take_time
from tests import writes

NAME = "verify"
GOAL = "≥ 1,500 sessions a second, 0 differences, 0 rows written"
REBUILD_GOAL = "10,000 sessions in ≤ 10 s (SQLite) and ≤ 15 s (PostgreSQL); the second writes 0 rows"

_LEAST = 1_500
_MOST = {"sqlite": 10.0, "postgres": 15.0}
_JUDGED = 10_000
_DAMAGE = (
    "UPDATE sessions SET topic = 'edited' WHERE slug LIKE '%%7'",
    "DELETE FROM commits WHERE position = 2",
    "UPDATE checkpoints SET title = 'edited' WHERE number = 3",
)
_EMPTIED = ("sessions", "session_files", "documents", "workspaces", "project_aliases", "projects", "hosts")
"""Parents after their children, as far as those do not go with them."""


class Ran(NamedTuple):
    """One command: seconds, those of processor time among them, its exit code, and its rows."""

    seconds: float
    cpu: float
    code: int
    rows: list[Any]


def run(options: Options) -> Iterator[Row]:
    """Measure on each database."""
    for kind in options.databases:
        with tempfile.TemporaryDirectory() as folder, daemon.databases(kind) as (url, _):
            home = Path(folder)
            corpus.make_sessions(home / "code" / "project", options.sessions)
            command = _Command(url, home)
            command("sync", str(home / "code"))
            yield _verified(kind, url, command, options)
            yield _rebuilt(kind, url, command, options)
            _execute(url, *(f"DELETE FROM {name}" for name in _EMPTIED))
            done = command("rebuild", str(home / "code"))
            _require(done.rows[0]["written"] == options.sessions, "not everything came back")
            figures = {"s": done.seconds, "sessions /s": options.sessions / done.seconds, "CPU s": done.cpu}
            yield Row(
                f"rebuild of an emptied mirror, {kind}, {options.sessions:,} sessions", figures, "stated"
            )


def _verified(kind: str, url: str, command: "_Command", options: Options) -> Row:
    with writes.watched(url) as written:
        runs = [command("verify") for _ in range(options.repeats)]
        rows = written.taken()
    _require(all(one.code == 0 for one in runs), "what was just mirrored differs")
    best = min(runs, key=lambda one: one.seconds)
    rate = options.sessions / best.seconds
    is_judged = not options.quick and options.sessions == _JUDGED
    return Row(
        f"verify, {kind}, {options.sessions:,} sessions",
        {
            "sessions /s": rate,
            "s": best.seconds,
            "CPU s": best.cpu,
            "CPU ms a session": best.cpu / options.sessions * 1e3,
            "rows written": rows,
        },
        reached=rate >= _LEAST and not rows if is_judged else None,
    )


def _rebuilt(kind: str, url: str, command: "_Command", options: Options) -> Row:
    _execute(url, *_DAMAGE)
    first = command("rebuild")
    with writes.watched(url) as written:
        second = command("rebuild")
        rows = written.taken()
    _require(command("verify").code == 0, "what was rebuilt differs")
    is_judged = not options.quick and options.sessions == _JUDGED
    return Row(
        f"rebuild, {kind}, {options.sessions:,} sessions, rows of each damaged",
        {
            "s": first.seconds,
            "CPU s": first.cpu,
            "rows": first.rows[0]["rows"],
            "second s": second.seconds,
            "second's rows": rows,
        },
        REBUILD_GOAL,
        reached=max(first.seconds, second.seconds) <= _MOST[kind] and not rows if is_judged else None,
    )


class _Command:
    """`sessionctl` on one database, as a person runs it."""

    def __init__(self, url: str, home: Path) -> None:
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SESSIOND_")
        } | {
            "SESSIOND_DATABASE_URL": url,
            "SESSIOND_STATE_DIR": str(home / "state"),
            "SESSIOND_CONFIG": "",
            "XDG_CONFIG_HOME": str(home),
        }

    def __call__(self, *words: str) -> Ran:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [str(Path(sys.executable).parent / "sessionctl"), *words, "--json"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if not done.stdout:
            raise BenchmarkError(done.stderr)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Ran(seconds, cpu, done.returncode, json.loads(done.stdout)["rows"])


def _execute(url: str, *statements: str) -> None:
    database = Database(url)
    with database.write() as connection:
        take_time(connection)
        for statement in statements:
            connection.exec_driver_sql(statement)
    database.close()


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise BenchmarkError(otherwise)
