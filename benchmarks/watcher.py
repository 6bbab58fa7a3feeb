"""How long the watcher takes to arm and to ring: ``python benchmarks/watcher.py [FOLDER]``.

FOLDER is where the trees are made (default: the folder for temporary files). Prints one table.
"""

import queue
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sessiond.hints import Hint
from sessiond.watch.rings import Rings
from sessiond.watch.watcher import Watcher
from sessionlib.state.scan import FinderOptions

ROUNDS = 5


def make(top: Path, *, projects: int, sessions: int) -> Path:
    for project in range(projects):
        for session in range(sessions):
            folder = top / f"g{project // 20}" / f"p{project}" / "agents" / "sessions" / f"s{session}"
            folder.mkdir(parents=True)
            (folder / "state.json").write_text("{}")
    return top


def row(name: str, figure: str) -> None:
    print(f"{name:48} {figure}", flush=True)


def set_up(top: Path) -> str:
    times, watches = [], 0
    for _ in range(ROUNDS):
        watcher = Watcher(lambda _: None, options=FinderOptions())
        watcher.start()
        began = time.perf_counter()
        watcher.add_root(top)
        times.append(1e3 * (time.perf_counter() - began))
        watches = watcher.status()[0].watches
        watcher.stop()
    return f"{statistics.median(times):.0f} ms (max {max(times):.0f}), {watches} watches"


def latency(top: Path, *, rate: float, count: int) -> str:
    """From before the rename of an atomic save to the call of on_hint."""
    rung: queue.Queue[float] = queue.Queue()

    def listen(_: Hint) -> None:
        rung.put(time.perf_counter())

    watcher = Watcher(listen, options=FinderOptions())
    watcher.start()
    watcher.add_root(top)
    session = next(top.glob("*/*/agents/sessions/s0"))
    times = []
    for _ in range(count):
        temporary = session / ".state.json.tmp"
        temporary.write_text("{}" * 50)
        began = time.perf_counter()
        temporary.replace(session / "state.json")
        times.append(1e3 * (rung.get(timeout=5) - began))
        time.sleep(1 / rate)
    watcher.stop()
    times.sort()
    return f"p50 {times[count // 2]:.2f} ms, p99 {times[int(count * 0.99)]:.2f} ms, max {times[-1]:.1f} ms"


def rounds(top: Path, *, polled: bool) -> str:
    watcher = Watcher(lambda _: None, options=FinderOptions(), force_polling=polled, poll_interval=3600)
    watcher.start()
    watcher.add_root(top)
    (upkeep,) = watcher._upkeeps()  # noqa: SLF001 - the work of one round, without its thread
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        upkeep.tick(Rings(), retry=False)
        times.append(1e3 * (time.perf_counter() - began))
    watcher.stop()
    return f"{statistics.median(times):.1f} ms"


def main() -> None:
    top = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    try:
        one = make(top / "one", projects=1, sessions=10_000)
        many = make(top / "many", projects=200, sessions=50)
        row("set-up, 1 project of 10,000 sessions", set_up(one))
        row("set-up, 200 projects of 50 sessions", set_up(many))
        row("latency, 10 saves a second", latency(many, rate=10, count=100))
        row("latency, 100 saves a second", latency(many, rate=100, count=500))
        row("latency, 1,000 saves a second", latency(many, rate=1000, count=2000))
        row("an idle round with events, 200 projects", rounds(many, polled=False))
        row("a polled round, 10,000 sessions", rounds(one, polled=True))
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
