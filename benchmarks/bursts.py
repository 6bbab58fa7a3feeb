"""More than anybody can follow: 200,000 saves over 2,000 sessions, and 20,000 new sessions at once.

Two writers write at full speed beside the daemon, which may lose events: then it must know, and mend it.
Each session is compared with its file in the end, by the hash of its content and by its topic. The files lie
in memory, where there is a file system for that: a disk is slower than the daemon.
"""

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from benchmarks import corpus, daemon, usage, writers
from benchmarks.cases import BenchmarkError, Figure, Options, Row
from sessionlib.control.status import Status

NAME = "bursts"
GOAL = "all right ≤ 5 s / ≤ 30 s after the end, losses noticed"

_PATIENCE = 180.0
_WRITERS = 2


def run(options: Options) -> Iterator[Row]:
    """Measure both bursts on each database."""
    for kind in options.databases:
        yield _saves(kind, *((40, 5) if options.quick else (2000, 100)), quick=options.quick)
        yield _new(kind, 60 if options.quick else 20_000, quick=options.quick)


def _saves(kind: str, count: int, rounds: int, *, quick: bool) -> Row:
    with tempfile.TemporaryDirectory(dir=corpus.memory()) as folder, daemon.databases(kind) as (url, ask):
        home = Path(folder)
        sessions = corpus.make_sessions(home / "code" / "project", count)[0].parent
        with daemon.running(home / "code", url, home / "state") as process:
            before, used = process.settled(), usage.busy(process.pid)
            share = count // _WRITERS
            programs = [("saves", sessions, start, share, rounds) for start in range(0, count, share)]
            with _Burst(programs) as burst:
                right = burst.until_right(ask, f"%, step {rounds}", count)
            figures = _figures(burst, right, process, before, count * rounds)
            figures["daemon's CPU s"] = usage.busy(process.pid) - used
        _compare(ask, sessions)
        reached = None if quick else right <= 5
        return Row(f"{count * rounds:,} saves over {count:,} sessions, {kind}", figures, "≤ 5 s", reached)


def _new(kind: str, count: int, *, quick: bool) -> Row:
    with tempfile.TemporaryDirectory(dir=corpus.memory()) as folder, daemon.databases(kind) as (url, ask):
        home = Path(folder)
        # One is there before, so that the project and its sessions folder are known.
        sessions = corpus.make_sessions(home / "code" / "project", 1, start=count)[0].parent
        with daemon.running(home / "code", url, home / "state") as process:
            before, used = process.settled(), usage.busy(process.pid)
            share = count // _WRITERS
            programs = [("sessions", sessions, start, share) for start in range(0, count, share)]
            with _Burst(programs) as burst:
                right = burst.until_right(ask, "%, step 1", count)
            figures = _figures(burst, right, process, before, count)
            figures["daemon's CPU s"] = usage.busy(process.pid) - used
        _compare(ask, sessions)
        reached = None if quick else right <= 30
        return Row(f"{count:,} new sessions at once, {kind}", figures, "≤ 30 s", reached)


class _Burst:
    """The writers of one burst, at work from the beginning of the block."""

    def __init__(self, programs: Sequence[tuple[object, ...]]) -> None:
        self._programs = programs
        self._running = contextlib.ExitStack()
        self._writers: list[writers.Writer] = []
        self.wrote = writers.Wrote(0.0, 0.0)

    def __enter__(self) -> Self:
        self._writers = [self._running.enter_context(writers.started(*program)) for program in self._programs]
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def until_right(self, ask: daemon.Ask, topic: str, count: int) -> float:
        """Return how many seconds after the last write all rows had their last topic.

        Raises:
            BenchmarkError: They have not within three minutes.
        """
        each = [writer.wait(_PATIENCE) for writer in self._writers]
        self.wrote = writers.Wrote(min(one.began for one in each), max(one.ended for one in each))
        right = 0
        while time.monotonic() - self.wrote.ended < _PATIENCE:
            right = ask("SELECT count(*) FROM sessions WHERE topic LIKE ?", topic)
            if right == count:
                return time.monotonic() - self.wrote.ended
            time.sleep(0.05)
        raise BenchmarkError(f"{right:,} of {count:,} rows are right {_PATIENCE:.0f} s after the end")


def _figures(
    burst: _Burst, right: float, process: daemon.Daemon, before: Status, writes: int
) -> dict[str, Figure]:
    """Return the figures; waits until the daemon itself says that all is well again."""
    after = process.settled()
    if any(root.degraded for root in after.roots):
        raise BenchmarkError("events were lost, and the daemon still says so")
    lost = after.overflows - before.overflows
    return {
        "all right after s": right,
        "the daemon says so after s": time.monotonic() - burst.wrote.ended,
        "written at /s": writes / burst.wrote.seconds,
        "looks": after.queue.synced - before.queue.synced,
        "losses told": "none" if not lost else f"{lost}, mended",
    }


def _compare(ask: daemon.Ask, sessions: Path) -> None:
    """Compare every row with its file.

    Raises:
        BenchmarkError: One is not what its file says.
    """
    rows = {
        slug: (digest, topic)
        for slug, digest, topic in ask.rows("SELECT slug, content_hash, topic FROM sessions")
    }
    for session in sessions.iterdir():
        content = (session / "state.json").read_bytes()
        digest, topic = rows.pop(session.name, (None, None))
        if digest != hashlib.sha256(content).hexdigest() or f'"{topic}"'.encode() not in content:
            raise BenchmarkError(f"the row of {session.name} is not what its file says")
    if rows:
        raise BenchmarkError(f"{len(rows)} rows have no file")
