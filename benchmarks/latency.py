"""Save → row visible to another connection, with many sessions watched; beside a script that follows one.

The whole path: an atomic replace in this process, inotify, the daemon's debounce, read, parse, transaction
and commit, and a poll of the database from here. The load is open: each save has its time, whether or not
those before have arrived, and its latency counts from that time. So a daemon that stops for a while pays for
every save that was due meanwhile. Half-way between two saves the bare script's session is saved, so that both
are measured under the same noise.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import bare_follow, corpus, daemon, usage
from benchmarks.cases import BenchmarkError, Figure, Options, Row
from benchmarks.table import percentile, spread

NAME = "latency"
GOAL = "p50 ≤ 10 ms, p99 ≤ 50 ms"

_LOADS = ((1.0, 100), (50.0, 1500))
"""Saves a second, and how many."""
_POLL = 0.0003
_PATIENCE = 30.0


def run(options: Options) -> Iterator[Row]:
    """Measure each load on each database."""
    for kind in options.databases:
        with tempfile.TemporaryDirectory() as folder, daemon.databases(kind) as (url, ask):
            home = Path(folder)
            folders = corpus.make_sessions(home / "code" / "project", options.sessions)
            (alone,) = corpus.make_sessions(home / "bare", 1)
            with (
                daemon.running(home / "code", url, home / "state") as process,
                bare_follow.following(kind, url, ask, alone),
            ):
                process.settled()
                saver = Saver(ask, folders[0].parent, alone)
                for rate, count in ((20.0, 20),) if options.quick else _LOADS:
                    figures = _loaded(saver, process, rate, count)
                    name = f"save → row, {kind}, {options.sessions:,} watched, {rate:.0f}/s"
                    yield Row(name, figures, reached=None if options.quick else _is_fast(figures))


def _is_fast(figures: dict[str, Figure]) -> bool:
    return float(figures["p50 ms"]) <= 10 and float(figures["p99 ms"]) <= 50


def _loaded(saver: "Saver", process: daemon.Daemon, rate: float, count: int) -> dict[str, Figure]:
    """Save so many times at a rate; return the figures."""
    before, busy = process.settled(), usage.busy(process.pid)
    ours, bare = saver.measure(count, rate)
    busy = usage.busy(process.pid) - busy
    after = process.settled()
    figures: dict[str, Figure] = dict(spread(ours))
    figures["bare script"] = (
        f"p50 {percentile(bare, 50) * 1000:.3g} ms, p99 {percentile(bare, 99) * 1000:.3g} ms"
    )
    figures["daemon's CPU a save ms"] = busy / count * 1000
    figures["looks a save"] = (after.queue.synced - before.queue.synced) / count
    return figures


@dataclass(frozen=True, slots=True)
class _Save:
    """A save: its file, content and row, and when it is due. Steps only grow."""

    path: Path
    content: bytes
    row: tuple[object, ...]
    step: int
    due: float


class Saver:
    """Saves sessions at a fixed rate and watches their rows; one thread does both.

    Args:
        ask: The database's outside.
        folder: The sessions folder; each session in it has its row.
        alone: The session that the bare script follows.
    """

    def __init__(self, ask: daemon.Ask, folder: Path, alone: Path) -> None:
        self._ask = ask
        self._folder = folder
        self._alone = alone
        mine = "SELECT topic FROM sessions WHERE project_id = ? AND session_id = ?"
        rows = ask.rows("SELECT slug, project_id, session_id FROM sessions")
        self._rows: list[tuple[str, tuple[object, ...]]] = [(slug, (mine, *key)) for slug, *key in rows]
        self._step = 0

    def measure(self, count: int, rate: float) -> tuple[list[float], list[float]]:
        """Return the seconds of each save from its time until its row was seen: ours, and the bare script's.

        Raises:
            BenchmarkError: One was not seen within half a minute.
        """
        waiting: list[_Save] = []
        times: dict[bool, list[float]] = {False: [], True: []}
        start = time.perf_counter() + 0.1
        made = 0
        ready: _Save | None = self._next(start, is_bare=False)
        while waiting or ready is not None:
            now = time.perf_counter()
            if ready is not None and now >= ready.due:
                corpus.replace(ready.path, ready.content)
                waiting.append(ready)
                made += 1
                due = start + made / 2 / rate
                ready = self._next(due, is_bare=made % 2 == 1) if made < 2 * count else None
            for save in [save for save in waiting if self._is_seen(save)]:
                waiting.remove(save)
                times[save.row[0] is bare_follow.TOPIC].append(time.perf_counter() - save.due)
            if waiting and now - waiting[0].due > _PATIENCE:
                raise BenchmarkError(f"not mirrored within {_PATIENCE:.0f} s: {waiting[0].path}")
            until = _POLL if ready is None else ready.due - time.perf_counter()
            time.sleep(max(0.0, min(_POLL if waiting else 1.0, until)))
        return times[False], times[True]

    def _next(self, due: float, *, is_bare: bool) -> _Save:
        """Prepare a save of any session, or of the bare script's."""
        row: tuple[object, ...] = (bare_follow.TOPIC, self._alone.name)
        slug, path = self._alone.name, self._alone / "state.json"
        if not is_bare:
            slug, row = random.choice(self._rows)
            path = self._folder / slug / "state.json"
        self._step += 1
        content = corpus.encoded(corpus.document(int(slug.rsplit("-", 1)[-1]), step=self._step))
        return _Save(path, content, row, self._step, due)

    def _is_seen(self, save: _Save) -> bool:
        """Tell whether the row shows this save, or a later one of the same session."""
        statement, *key = save.row
        topic: str = self._ask(str(statement), *key)
        return int(topic.rsplit(" ", 1)[-1]) >= save.step
