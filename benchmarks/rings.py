"""Save → ring of the watcher alone, beside watchdog's recursive observer and watchfiles; its idle rounds."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import corpus, peers, watching
from benchmarks.cases import Figure, Options, Row
from benchmarks.table import median, percentile
from sessiond.watch.rings import Rings
from sessiond.watch.watcher import Watcher
from sessionlib.state.scan import FinderOptions

NAME = "rings"
GOAL = ""

_PROJECTS = 200
_LOADS = ((10.0, 100), (100.0, 500), (1000.0, 2000))
"""Saves a second, and how many."""
_ROUNDS = 5


def run(options: Options) -> Iterator[Row]:
    """Measure with many projects watched."""
    projects = 4 if options.quick else _PROJECTS
    with tempfile.TemporaryDirectory(dir=corpus.memory()) as folder:
        top = Path(folder)
        session = watching.make(top, projects, options.sessions // projects)
        for rate, saves in _LOADS[-1:] if options.quick else _LOADS:
            figures: dict[str, Figure] = {}
            for kind in peers.KINDS:
                measured = peers.measured(kind, top, session, saves=20 if options.quick else saves, rate=rate)
                figures[kind] = "not installed" if measured is None else _shown(measured.rings)
            yield Row(f"save → ring of the watcher alone, {rate:,.0f}/s, p50 (p99)", figures)
        rounds: dict[str, Figure] = {"with events ms": _round(top), "polled ms": _round(top, polled=True)}
        yield Row(f"a round of the watcher over {options.sessions:,} sessions that are idle", rounds)


def _shown(seconds: list[float]) -> str:
    return f"{percentile(seconds, 50) * 1000:.2f} ({percentile(seconds, 99) * 1000:.2f}) ms"


def _round(top: Path, *, polled: bool = False) -> float:
    """Return the milliseconds of one round, the median of some."""
    watcher = Watcher(lambda _: None, options=FinderOptions(), force_polling=polled, poll_interval=3600)
    watcher.start()
    watcher.add_root(top)
    (upkeep,) = watcher._upkeeps()  # noqa: SLF001 - the work of one round, without its thread
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        upkeep.tick(Rings(), retry=False)
        times.append(time.perf_counter() - began)
    watcher.stop()
    return median(times) * 1000
