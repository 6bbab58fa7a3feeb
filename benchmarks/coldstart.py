"""How long `sessionctl` takes as a process, verb by verb: with a daemon that answers, and without one.

Beside it, turn by turn, the interpreter alone. What a verb does is little; its start is what people wait for.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import corpus, daemon
from benchmarks.cases import BenchmarkError, Figure, Options, Row

NAME = "coldstart"
GOAL = ""

_PROGRAM = "import sys; from sessionlib.cli.entry import main; sys.exit(main())"
_BARE = "pass"
_VERBS = {
    "status": ["status"],
    "sessions": ["sessions", "--phase", "build"],
    "sessions --json": ["sessions", "--json"],
    "show": ["show", corpus.name(7)],
    "query recent": ["query", "recent"],
    "query phases": ["query", "phases"],
    "projects": ["projects"],
    "--help": ["--help"],
}
_ANSWERS = {0, 1, 3}
"""Exit codes of an answer: `status` tells by 3 that no daemon runs."""


def run(options: Options) -> Iterator[Row]:
    """Measure on each database."""
    for kind in options.databases:
        with tempfile.TemporaryDirectory() as folder, daemon.databases(kind) as (url, _):
            home = Path(folder)
            corpus.make_sessions(home / "code" / "project", options.sessions)
            turns = 1 if options.quick else max(5, 2 * options.repeats)
            with daemon.running(home / "code", url, home / "state") as process:
                process.settled()
                environment = process.environment
                yield _row(f"{kind}, with a daemon", environment, turns, options)
            yield _row(f"{kind}, without one", environment, turns, options)


def _row(where: str, environment: Mapping[str, str], turns: int, options: Options) -> Row:
    """Run each verb so many times, and the interpreter alone before each."""
    verbs = dict(list(_VERBS.items())[:2]) if options.quick else _VERBS
    bare: list[float] = []
    took: dict[str, list[float]] = {verb: [] for verb in verbs}
    for _ in range(turns):
        for verb, words in verbs.items():
            bare.append(_milliseconds(_BARE, [], environment))
            took[verb].append(_milliseconds(_PROGRAM, words, environment))
    figures: dict[str, Figure] = {"the interpreter alone ms": statistics.median(bare)}
    for verb, times in took.items():
        figures[f"{verb} ms"] = statistics.median(times)
    return Row(f"`sessionctl` as a process, {where}, {options.sessions:,} sessions", figures)


def _milliseconds(program: str, words: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a program; return how long it took.

    Raises:
        BenchmarkError: It did not answer.
    """
    command = [sys.executable, "-c", program, *words]
    began = time.perf_counter()
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    took = (time.perf_counter() - began) * 1000
    if done.returncode not in _ANSWERS:
        raise BenchmarkError(f"sessionctl {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return took
