"""What a client waits for: `session-hook` as a process, beside the interpreter alone.

Each takes its turn, with a payload of the usual size on its standard input, and again with one of a megabyte;
then eight at once, as a client calls them for parallel calls of tools.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.cases import BenchmarkError, Figure, Options, Row
from benchmarks.table import percentile
from sessionlib.cli import hooking
from sessionlib.journal.spool import Spool

NAME = "hook"
GOAL = "p95 ≤ 50 ms as a whole process"

_LIMIT = 50.0
_AT_ONCE = 8
_SMALL, _LARGE = 3_000, 1_000_000


def run(options: Options) -> Iterator[Row]:
    """Measure one after another and at once."""
    turns = 3 if options.quick else 200
    yield _row("a payload of 3 KB", _SMALL, turns, quick=options.quick)
    yield _row("a payload of 1 MB", _LARGE, max(3, turns // 4), quick=options.quick)


def _row(what: str, size: int, turns: int, *, quick: bool) -> Row:
    payload = b'{"session_id": "x", "tool_response": "' + b"y" * size + b'"}'
    bare = [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.buffer.read()"]
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "spool")
        hook = [*hooking.command(spool.folder), "PostToolUse"]
        ours, alone, at_once = [], [], []
        for _ in range(turns):
            alone.append(_milliseconds([bare], payload))
            ours.append(_milliseconds([hook], payload))
            at_once.append(_milliseconds([hook] * _AT_ONCE, payload))
        if spool.waiting()[0] != turns * (1 + _AT_ONCE):
            raise BenchmarkError("deliveries are missing")
    p95 = percentile(ours, 95)
    figures: dict[str, Figure] = {
        "p50 ms": percentile(ours, 50),
        "p95 ms": p95,
        "the interpreter alone p50 ms": percentile(alone, 50),
        "p95 of it": percentile(alone, 95),
        f"{_AT_ONCE} at once p95 ms": percentile(at_once, 95),
    }
    return Row(f"session-hook, {what}", figures, reached=None if quick else p95 <= _LIMIT)


def _milliseconds(commands: Sequence[Sequence[str]], payload: bytes) -> float:
    """Return how long some processes take that are started at once, until the last has ended."""
    began = time.perf_counter()
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, env={}) for command in commands]
    # All are given theirs before one is waited for: a hook does not wait longer than a second for its input.
    for process in processes:
        if process.stdin is not None:
            with process.stdin:
                process.stdin.write(payload)
    for process in processes:
        process.wait()
    took = (time.perf_counter() - began) * 1000
    if any(process.returncode for process in processes):
        raise BenchmarkError("a process failed")
    return took
