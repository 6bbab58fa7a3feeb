"""The cost of ``queue.submit`` to whoever saves, while the workers are busy with other folders."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.cases import Figure, Options, Row
from benchmarks.table import percentile
from sessionlib.sync.mirror import Outcome, Result
from sessionlib.sync.queue import SyncQueue

NAME = "submit"
GOAL = "p99 ≤ 50 µs"


def run(options: Options) -> Iterator[Row]:
    """Measure with four workers that each take a millisecond a group."""
    times = _times(200 if options.quick else 20_000)
    p99 = percentile(times, 99) * 1e6
    figures: dict[str, Figure] = {"p50 µs": percentile(times, 50) * 1e6, "p99 µs": p99}
    yield Row("`queue.submit` beside 4 busy workers", figures, reached=p99 <= 50)


def _times(submits: int) -> list[float]:

    def work(paths: Sequence[Path], _settled: frozenset[Path]) -> list[Result]:
        time.sleep(0.001)
        return [Result(path.name, Outcome.WRITTEN) for path in paths]

    queue = SyncQueue(work, probe=lambda: None)
    queue.start()
    paths = [Path(f"/project/agents/sessions/session-{number}") for number in range(500)]
    times = []
    for number in range(submits):
        started = time.perf_counter()
        queue.submit(paths[number % len(paths)])
        times.append(time.perf_counter() - started)
        if number % 100 == 0:
            time.sleep(0.001)
    queue.drain(10)
    queue.close()
    return times
