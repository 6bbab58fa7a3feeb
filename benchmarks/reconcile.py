"""A comparison of everything with the database when nothing has changed, and a start with nothing to import.

A comparison is asked for and answered over the control socket, so its time holds that, too. Beside it, in the
same run and turn by turn, a bare script loads the stored signatures, scans, stats and compares.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks import corpus, daemon, restarts, usage
from benchmarks.bare_compare import BareComparison, Compared
from benchmarks.cases import BenchmarkError, Figure, Options, Row
from tests import opens, writes

NAME = "reconcile"
GOAL = "≤ 0.2 s for 10,000 and ≤ 1.5 s for 100,000 unchanged sessions, 0 rows written, 0 files opened"
START_GOAL = "start-up ≤ 1.5 s at 10,000 unchanged sessions"

LIMITS = {10_000: 0.2, 100_000: 1.5}
"""Seconds that a comparison of so many sessions may take."""
START_LIMIT = 1.5

_TURNS = 9
_WATCHED = 5_000
"""So many folders at most are watched for openings: the daemon needs most of what the kernel grants."""


def run(options: Options) -> Iterator[Row]:
    """Measure on each database, all sessions in one project and spread over many."""
    spreads = (3,) if options.quick else (1, max(1, options.sessions // 50))
    for kind, projects in itertools.product(options.databases, spreads):
        with tempfile.TemporaryDirectory() as folder, daemon.databases(kind) as (url, _):
            home, each = Path(folder), options.sessions // projects
            code = home / "code"
            for number in range(projects):
                corpus.make_sessions(code / f"p{number:03d}", each, start=number * each)
            count, where = (
                each * projects,
                f"{kind}, {each * projects:,} unchanged sessions, projects: {projects}",
            )
            with daemon.running(code, url, home / "state") as process:
                process.settled()
            # Another one: for two minutes after an import each comparison reads again what was imported.
            with daemon.running(code, url, home / "state") as process:
                process.settled()
                figures, is_fast = compared(process, url, code, count, 2 if options.quick else _TURNS)
            is_measured = not options.quick and count in LIMITS
            yield Row(f"reconcile, {where}", figures, reached=is_fast if is_measured else None)
            starts = restarts.restarts(options.repeats, code, url, home)
            slowest = statistics.median(start.fresh for start in starts)
            yield Row(
                f"start-up, {where}",
                restarts.figures(starts),
                START_GOAL,
                reached=slowest <= START_LIMIT if is_measured else None,
            )


def compared(
    process: daemon.Daemon, url: str, code: Path, count: int, turns: int
) -> tuple[dict[str, Figure], bool]:
    """Let a settled daemon compare everything, and a bare script beside it, so many times each.

    Args:
        process: The daemon; nothing may change meanwhile.
        url: Its database.
        code: The folder it watches, with projects in it.
        count: How many sessions there are.
        turns: How often.

    Returns:
        The figures of a row, and whether they are within the limits for so many sessions.

    Raises:
        BenchmarkError: A comparison found something to mend.
    """
    roots = [str(root) for root in sorted(code.glob("*/agents/sessions"))]
    ours: list[float] = []
    bare: list[Compared] = []
    cpu = 0.0
    with opens.watched(_some(code)) as opened, writes.watched(url) as written:
        with closing(BareComparison(url, roots)) as comparison:
            for _ in range(turns):
                bare.append(comparison.run())
                before, began = usage.busy(process.pid), time.perf_counter()
                totals = process.client.rescan()["totals"]
                ours.append(time.perf_counter() - began)
                cpu += usage.busy(process.pid) - before
                if not totals["sessions"] == totals["unchanged"] == count:
                    raise BenchmarkError(f"{count:,} unchanged sessions, and a comparison found {totals}")
        files, rows = len(opened.taken()), written.taken()
    if any((one.same, one.differing) != (count, 0) for one in bare):
        raise BenchmarkError(f"the bare script does not compare what it should: {bare[0]}")
    took, least = statistics.median(ours), statistics.median(one.seconds for one in bare)
    limit = LIMITS.get(count, float("inf"))
    figures: dict[str, Figure] = {
        "median s": took,
        "least s": min(ours),
        "max s": max(ours),
        "bare s": least,
        "times the bare script": took / least,
        "CPU s": cpu / turns,
        "bare CPU s": statistics.median(one.cpu for one in bare),
        "rows written": rows,
        "files opened": files,
    }
    return figures, took <= limit and not rows and not files


def _some(code: Path) -> Sequence[Path]:
    """Return session folders from everywhere below a folder."""
    folders = sorted(code.glob("*/agents/sessions/*"))
    return folders[:: max(1, len(folders) // _WATCHED)]
