"""One watcher in a process of its own: how long it takes to arm, what that costs, and how soon it rings.

``python -m benchmarks.peers KIND FOLDER SESSION SAVES RATE`` prints one line of JSON. KIND is ours, watchdog
(its recursive observer) or watchfiles (its native watcher with its shortest step). After the set-up so many
saves of SESSION, which lies below FOLDER, are made at a rate, each timed from before its rename until the
watcher names it.
"""

import gc
import importlib.util
import json
import math
import os
import queue
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from typing_extensions import override

KINDS = ("ours", "watchdog", "watchfiles")

_PATIENCE = 10.0
"""Seconds until a save counts as not seen."""

Ring = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a watcher took to arm; and the seconds of each save until its ring, infinite if there was none."""

    seconds: float
    watches: int
    threads: int
    megabytes: float
    rings: list[float]


def measured(kind: str, folder: Path, session: Path, *, saves: int = 1, rate: float = 20.0) -> Figures | None:
    """Measure one watcher; None if it is not installed.

    Raises:
        subprocess.CalledProcessError: It failed; what it said is on standard error.
    """
    if kind != "ours" and importlib.util.find_spec(kind) is None:
        return None
    command = [sys.executable, "-m", "benchmarks.peers", kind, folder, session, saves, rate]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True, timeout=300)
    return Figures(**json.loads(done.stdout))


def _ours(folder: str, ring: Ring) -> Callable[[], None]:
    from sessiond.watch.watcher import Watcher  # noqa: PLC0415 - each process loads one
    from sessionlib.state.scan import FinderOptions  # noqa: PLC0415

    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # as the daemon runs

    def arm() -> None:
        watcher = Watcher(lambda _: ring(), options=FinderOptions())
        watcher.start()
        watcher.add_root(Path(folder))

    return arm


def _watchdog(folder: str, ring: Ring) -> Callable[[], None]:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler  # noqa: PLC0415
    from watchdog.observers import Observer  # noqa: PLC0415

    class Handler(FileSystemEventHandler):
        @override
        def on_any_event(self, event: FileSystemEvent) -> None:
            if str(event.dest_path).endswith("state.json"):
                ring()

    def arm() -> None:
        observer = Observer()
        observer.schedule(Handler(), folder, recursive=True)
        observer.start()

    return arm


def _watchfiles(folder: str, ring: Ring) -> Callable[[], None]:
    from watchfiles._rust_notify import RustNotify  # noqa: PLC0415

    def listen(watcher: RustNotify) -> None:
        while True:
            found = watcher.watch(50, 1, 1000, None)
            if not isinstance(found, str) and any(path.endswith("state.json") for _, path in found):
                ring()

    def arm() -> None:
        watcher = RustNotify([folder], False, False, 300, True, False)  # noqa: FBT003 - it takes no keywords
        threading.Thread(target=listen, args=[watcher], daemon=True).start()

    return arm


def main(kind: str, folder: str, session: Path, saves: int, rate: float) -> Figures:
    """Arm one watcher, then save."""
    rung: queue.SimpleQueue[float] = queue.SimpleQueue()
    arm = {"ours": _ours, "watchdog": _watchdog, "watchfiles": _watchfiles}[kind](
        folder, lambda: rung.put(time.perf_counter())
    )
    before = _megabytes()
    began = time.perf_counter()
    arm()
    seconds = time.perf_counter() - began
    grown = _megabytes() - before
    rings = [_ring(rung, session, rate) for _ in range(saves)]
    return Figures(seconds, _watches(), threading.active_count(), grown, rings)


def _ring(rung: "queue.SimpleQueue[float]", session: Path, rate: float) -> float:
    temporary = session / ".bench.tmp"
    temporary.write_bytes(b"{}")
    began = time.perf_counter()
    temporary.replace(session / "state.json")
    try:
        seconds = rung.get(timeout=_PATIENCE) - began
    except queue.Empty:
        seconds = math.inf
    time.sleep(1 / rate)
    while not rung.empty():  # some ring several times
        rung.get()
    return seconds


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1_000_000


def _watches() -> int:
    """Count the kernel's watches of all inotify instances of this process."""
    infos = []
    for path in Path("/proc/self/fdinfo").iterdir():
        try:
            infos.append(path.read_text())
        except OSError:  # the folder's own descriptor is gone by now
            continue
    return sum(line.startswith("inotify ") for info in infos for line in info.splitlines())


if __name__ == "__main__":
    given = cast("tuple[str, str, str, str, str]", tuple(sys.argv[1:]))
    figures = main(given[0], given[1], Path(given[2]), int(given[3]), float(given[4]))
    print(json.dumps(asdict(figures)), flush=True)
    os._exit(0)  # without waiting for anybody's threads
