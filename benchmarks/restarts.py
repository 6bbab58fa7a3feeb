"""How long a daemon takes from the start of its process until it watches, and until it knows everything."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import daemon, usage
from benchmarks.cases import BenchmarkError, Figure
from tests import writes

_PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Start:
    """One start.

    Attributes:
        ready: Seconds from the process's start until it said that it watches.
        fresh: Seconds until its first round over everything was over, and nothing was left to mirror.
        cpu: Seconds of processor time until then.
        resident: Megabytes then.
        peak: The most megabytes until then.
        written: What was written but the heartbeat; see `tests.writes`.
    """

    ready: float
    fresh: float
    cpu: float
    resident: float
    peak: float
    written: int


def ready(process: daemon.Daemon) -> float:
    """Wait until a daemon says that it watches; return the seconds since the start of its process.

    Raises:
        BenchmarkError: It has ended, or takes too long.
    """
    while not process.events("sessiond.ready"):
        if process.process.poll() is not None or time.monotonic() - process.began > _PATIENCE:
            raise BenchmarkError(f"not ready: {process.log_path.read_text(errors='replace')[-500:]}")
        time.sleep(0.005)
    return time.monotonic() - process.began


def restarts(count: int, code: Path, url: str, home: Path) -> list[Start]:
    """Start a daemon that has nothing to import so many times, one after the other."""
    return [_restart(code, url, home) for _ in range(count)]


def _restart(code: Path, url: str, home: Path) -> Start:
    with writes.watched(url) as written, daemon.running(code, url, home / "state") as process:
        until_ready = ready(process)
        while (status := process.status()) is None or status.stale:
            if time.monotonic() - process.began > _PATIENCE:
                raise BenchmarkError(f"not fresh within {_PATIENCE:.0f} s")
            time.sleep(0.01)
        fresh = time.monotonic() - process.began
        seen = usage.used(process.pid)
        return Start(until_ready, fresh, seen.cpu, seen.resident, seen.peak, written.taken())


def figures(starts: Sequence[Start]) -> dict[str, Figure]:
    """Return the medians for a row."""
    return {
        "ready s": statistics.median(start.ready for start in starts),
        "first round over s": statistics.median(start.fresh for start in starts),
        "CPU s": statistics.median(start.cpu for start in starts),
        "resident MB": statistics.median(start.resident for start in starts),
        "rows written": max(start.written for start in starts),
    }
