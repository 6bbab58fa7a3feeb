"""What one save, one comparison, memory and a start cost while an archive grows tenfold, and again.

One project, one database; the archive grows beside the daemon's database, so that each size begins with an
import of what is new. Small documents (about 1 KB): the largest archive would hold 1.7 GB of the usual ones.
100,000 sessions only with ``--full``.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import corpus, daemon, reconcile, restarts, usage
from benchmarks.cases import BenchmarkError, Figure, Options, Row
from benchmarks.table import percentile

NAME = "growth"
GOAL = "1,000 → 10,000 → 100,000 sessions: one save flat; comparison, memory, start-up linear"

_SAVES = 50
_PATIENCE = 30.0
_FLAT, _SLACK = 1.5, 0.002
"""A save may cost so many times what it cost before, and so many seconds."""
_LINEAR = 1.3
"""The rest may grow so many times as fast as the archive."""


@dataclass(frozen=True, slots=True)
class _Size:
    """What was measured at one size: seconds, megabytes; the figures of the comparison, and its verdict."""

    sessions: int
    save: float
    compared: float
    resident: float
    start: float
    comparison: dict[str, Figure]
    is_fast: bool


def run(options: Options) -> Iterator[Row]:
    """Measure each size on each database."""
    sizes = [options.sessions // 10, options.sessions]
    if options.full and not options.quick:
        sizes.append(options.sessions * 10)
    # Each size takes two starts on each database; that it still runs is seen on one.
    for kind in options.databases[:1] if options.quick else options.databases:
        with tempfile.TemporaryDirectory() as folder, daemon.databases(kind) as (url, ask):
            home, measured = Path(folder), []
            for count in sizes:
                size, figures = _measured(options, home, url, ask, count)
                measured.append(size)
                yield Row(f"growth, {kind}, {count:,} sessions", figures)
                if len(sizes) > 2 and count == sizes[-1]:
                    # The usual sizes have a case of their own.
                    yield Row(
                        f"reconcile, {kind}, {count:,} unchanged sessions, projects: 1",
                        size.comparison,
                        reconcile.GOAL,
                        reached=size.is_fast if count in reconcile.LIMITS else None,
                    )
            yield _compared(kind, measured, is_quick=options.quick)


def _measured(
    options: Options, home: Path, url: str, ask: daemon.Ask, count: int
) -> tuple[_Size, dict[str, Figure]]:
    """Let the archive grow to so many sessions, and measure."""
    code = home / "code"
    sessions = code / "project" / "agents" / "sessions"
    new = _grow(sessions, count)
    with daemon.running(code, url, home / "state") as process:
        restarts.ready(process)
        began = time.monotonic()
        process.settled()
        imported = time.monotonic() - began
        peak = usage.used(process.pid).peak
    # Another one: for some minutes after an import each comparison reads again what was imported.
    with daemon.running(code, url, home / "state") as process:
        process.settled()
        times = [_save(ask, sessions, count, step) for step in range(1, 4 if options.quick else _SAVES)]
        process.settled()
        turns = 2 if options.quick else 5
        figures, is_fast = reconcile.compared(process, url, code, count, turns)
    starts = restarts.restarts(options.repeats, code, url, home)
    size = _Size(
        sessions=count,
        save=percentile(times, 50),
        compared=float(figures["median s"]),
        resident=statistics.median(start.resident for start in starts),
        start=statistics.median(start.fresh for start in starts),
        comparison=figures,
        is_fast=is_fast,
    )
    told: dict[str, Figure] = {
        "one save p50 ms": size.save * 1000,
        "p99 ms": percentile(times, 99) * 1000,
        "one comparison s": size.compared,
        "bare comparison s": figures["bare s"],
        "import /s": new / imported,
        "peak of the import MB": peak,
    }
    return size, told | restarts.figures(starts)


def _grow(sessions: Path, count: int) -> int:
    """Make session folders until there are so many; return how many were made."""
    first = len(list(sessions.iterdir())) if sessions.exists() else 0
    for number in range(first, count):
        folder = sessions / corpus.name(number)
        folder.mkdir(parents=True)
        (folder / "state.json").write_bytes(corpus.encoded(_small(number)))
    return count - first


def _save(ask: daemon.Ask, sessions: Path, count: int, step: int) -> float:
    """Save some session; return the seconds until its row was seen."""
    time.sleep(random.uniform(0.05, 0.15))
    tree = _small(random.randrange(count)) | {"topic": f"step {step} of {count}"}
    content = corpus.encoded(tree)
    (key,) = ask.rows("SELECT project_id, session_id FROM sessions WHERE slug = ?", tree["session_id"])
    statement = "SELECT topic FROM sessions WHERE project_id = ? AND session_id = ?"
    began = time.perf_counter()
    corpus.replace(sessions / str(tree["session_id"]) / "state.json", content)
    while ask(statement, *key) != tree["topic"]:
        if time.perf_counter() - began > _PATIENCE:
            raise BenchmarkError(f"not mirrored within {_PATIENCE:.0f} s: {tree['session_id']}")
        time.sleep(0.0003)
    return time.perf_counter() - began


def _small(number: int) -> dict[str, object]:
    return corpus.document(number) | {"notes": [], "commits": [], "key_decisions": []}


def _compared(kind: str, sizes: list[_Size], *, is_quick: bool) -> Row:
    """Return the row that says how the costs grew from the smallest archive to the largest."""
    first, last = sizes[0], sizes[-1]
    factor = last.sessions / first.sessions
    is_flat = last.save <= _FLAT * first.save + _SLACK
    is_linear = all(
        getattr(last, name) <= _LINEAR * factor * getattr(first, name)
        for name in ("compared", "resident", "start")
    )
    return Row(
        f"growth, {kind}, {first.sessions:,} → {last.sessions:,} sessions",
        {
            "times the sessions": factor,
            "times the save": last.save / first.save,
            "times the comparison": last.compared / first.compared,
            "times the memory": last.resident / first.resident,
            "times the start": last.start / first.start,
        },
        reached=None if is_quick else is_flat and is_linear,
    )
