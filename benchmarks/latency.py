"""Save → row visible to another connection, with many sessions watched, one save at a time.

The whole path is measured: StateManager-like atomic replace in this process, inotify, the daemon's debounce,
read, parse, transaction and commit, and a poll of the database from here every 0.2 ms.
"""

import json
import random
import tempfile
import time
from pathlib import Path

from benchmarks import corpus, daemon
from benchmarks.table import Row, percentile


def replace(path: Path, text: str) -> None:
    """Replace a file as StateManager does, without its fsync: the path after the rename is measured."""
    temporary = path.with_name(".bench.tmp")
    temporary.write_text(text)
    temporary.replace(path)


def save_to_row(kind: str, *, sessions: int, saves: int) -> Row:
    """Measure on one kind of database."""
    with tempfile.TemporaryDirectory() as folder, daemon.databases(kind) as (url, ask):
        home = Path(folder)
        project = home / "code" / "project"
        folders = corpus.make_sessions(project, sessions)
        with daemon.running(home / "code", url, home / "state"):
            started = time.monotonic()
            daemon.wait_for(ask, "SELECT count(*) FROM sessions", sessions)
            imported = time.monotonic() - started
            time.sleep(1.0)
            times = [_one(ask, random.choice(folders), step) for step in range(saves)]
    return Row(
        f"save → row, {kind}, {sessions:,} watched",
        {
            "p50 ms": percentile(times, 50) * 1000,
            "p99 ms": percentile(times, 99) * 1000,
            "max ms": max(times) * 1000,
            "import s": imported,
        },
    )


def _one(ask: daemon.Ask, folder: Path, step: int) -> float:
    number = int(folder.name.rsplit("-", 1)[-1])
    document = corpus.document(number, step=step + 1)
    text = json.dumps(document, indent=2)
    time.sleep(random.uniform(0.03, 0.12))
    started = time.perf_counter()
    replace(folder / "state.json", text)
    statement = f"SELECT topic FROM sessions WHERE slug = '{folder.name}'"
    while ask(statement) != document["topic"]:
        if time.perf_counter() - started > 10:
            raise SystemExit(f"not mirrored within 10 s: {folder}")
        time.sleep(0.0002)
    return time.perf_counter() - started
