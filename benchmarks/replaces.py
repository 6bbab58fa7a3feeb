"""A thousand atomic replaces of one session in one second, by a writer that knows nothing of the daemon.

What counts is the last content: how long after its rename the row shows it, and how many times the daemon has
looked at the folder for it, by its own count. The files lie in memory, where there is a file system for that.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import corpus, daemon, writers
from benchmarks.cases import BenchmarkError, Figure, Options, Row
from benchmarks.table import median

NAME = "replaces"
GOAL = "final content visible ≤ 200 ms after the last; at most 30 syncs"

_POLL = 0.001


def run(options: Options) -> Iterator[Row]:
    """Measure on each database; medians and maxima of some runs."""
    count = 50 if options.quick else 1000
    for kind in options.databases:
        with tempfile.TemporaryDirectory(dir=corpus.memory()) as folder, daemon.databases(kind) as (url, ask):
            home = Path(folder)
            folders = corpus.make_sessions(home / "code" / "project", 20)
            with daemon.running(home / "code", url, home / "state") as process:
                process.settled()
                runs = [_one(process, ask, folders[number], count) for number in range(options.repeats)]
        late, syncs, wrote = (list(figures) for figures in zip(*runs, strict=True))
        figures: dict[str, Figure] = {
            "visible after ms": median(late),
            "at most ms": max(late),
            "syncs": median(syncs),
            "at most": max(syncs),
            "written in s": median(wrote),
        }
        reached = None if options.quick else max(late) <= 200 and max(syncs) <= 30
        yield Row(f"{count:,} replaces of one session in 1 s, {kind}", figures, reached=reached)


def _one(process: daemon.Daemon, ask: daemon.Ask, folder: Path, count: int) -> tuple[float, int, float]:
    """Return milliseconds from the last rename to the row, looks at the folder, seconds of writing."""
    number = int(folder.name.rsplit("-", 1)[-1])
    last = corpus.document(number, step=count)["topic"]
    before = process.settled().queue.synced
    statement = "SELECT topic FROM sessions WHERE slug = ?"
    deadline = time.monotonic() + 30
    with writers.started("replaces", folder / "state.json", number, count, 1.0) as writer:
        while ask(statement, folder.name) != last:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the last of {count} contents is not mirrored within 30 s")
            time.sleep(_POLL)
        seen = time.monotonic()
        wrote = writer.wait(10)
    return max(0.0, seen - wrote.ended) * 1000, process.settled().queue.synced - before, wrote.seconds
