"""Cold import through the real daemon, beside a bare script that loads the same rows, turn by turn.

The daemon's clock runs from its ready line (it watches, and nothing is imported yet) until the last row is
visible from outside; its start is told beside it. The files have just been written, so both read warm ones.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks import bare_import, corpus, daemon, restarts, usage
from benchmarks.cases import BenchmarkError, Options, Row

NAME = "imports"
GOAL = "≥ 60 % of the bare script's rate"

_SHARE = 0.60
_POLL = 0.1
_PATIENCE = 600.0


def run(options: Options) -> Iterator[Row]:
    """Measure on each database."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        folders = corpus.make_sessions(code / "project", options.sessions)
        for kind in options.databases:
            pairs = [(_bare(kind, folders), _ours(kind, code, len(folders))) for _ in range(options.repeats)]
            bare = statistics.median(loaded.seconds for loaded, _ in pairs)
            ours = statistics.median(imported.seconds for _, imported in pairs)
            share = bare / ours
            middle = min(
                (imported for _, imported in pairs), key=lambda imported: abs(imported.seconds - ours)
            )
            yield Row(
                f"cold import, {kind}, {len(folders):,} sessions",
                {
                    "share of the bare rate %": share * 100,
                    "ours /s": len(folders) / ours,
                    "bare /s": len(folders) / bare,
                    "first to last commit /s": middle.rate,
                    "from the start s": middle.from_start,
                    "daemon's CPU s": middle.cpu,
                    "bare script's CPU s": statistics.median(loaded.cpu for loaded, _ in pairs),
                    "peak MB": max(imported.peak for _, imported in pairs),
                },
                reached=None if options.quick else share >= _SHARE,
            )


class _Loaded(NamedTuple):
    """One run of the bare script, in this process: seconds, and those of processor time among them."""

    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class _Imported:
    """One import by the daemon: seconds from ready, rate between commits, seconds from its start, its use."""

    seconds: float
    rate: float
    from_start: float
    cpu: float
    peak: float


def _bare(kind: str, folders: list[Path]) -> _Loaded:
    with daemon.databases(kind) as (url, _):
        began = time.process_time()
        return _Loaded(bare_import.load(kind, url, folders), time.process_time() - began)


def _ours(kind: str, code: Path, count: int) -> _Imported:
    with tempfile.TemporaryDirectory() as home, daemon.databases(kind) as (url, ask):
        with daemon.running(code, url, Path(home) / "state") as process:
            restarts.ready(process)
            ready, cpu = time.monotonic(), usage.used(process.pid).cpu
            first, before = 0.0, 0
            while True:
                there = int(ask("SELECT count(*) FROM sessions"))
                now = time.monotonic()
                if there and not before:
                    first, before = now, there
                if there == count:
                    break
                if now - ready > _PATIENCE:
                    raise BenchmarkError(
                        f"{there} of {count} sessions were imported within {_PATIENCE:.0f} s"
                    )
                time.sleep(_POLL)
            seen = usage.used(process.pid)
            _check(process, ask, count)
        # The first look may have seen all of it.
        rate = (count - before) / (now - first) if before < count else count / (now - ready)
        return _Imported(now - ready, rate, now - process.began, seen.cpu - cpu, seen.peak)


def _check(process: daemon.Daemon, ask: daemon.Ask, count: int) -> None:
    """See to it that what was loaded so quickly is complete.

    Raises:
        BenchmarkError: It is not.
    """
    process.settled()
    parts = {"checkpoints": 8, "commits": 4, "decisions": 4, "session_files": 1, "session_versions": 1}
    for table, each in parts.items():
        if (there := ask(f"SELECT count(*) FROM {table}")) != count * each:
            raise BenchmarkError(f"{there:,} rows in {table} instead of {count * each:,}")
