"""Fuzzing of the control plane: ``python -m tests.hostile.requests --frames 100000 --seed N``.

The frames go to the Unix socket and the loopback port of a real server, by halves. Exit code 1 when anything
went wrong. One frame again: the same seed, ``--first NUMBER --frames 1 --listener unix``.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from sessionlib.config import load
from sessionlib.runtime import Runtime
from tests import builders
from tests.ctl import shop
from tests.hostile import siege
from tests.hostile.fuzz import emptied
from tests.hostile.siege import Report

_LISTENERS = ("unix", "tcp")


def _besiege(kind: str, listener: str, seed: int, numbers: range, ends: float) -> bool:
    began = time.monotonic()

    def tell(report: Report) -> None:
        rate = report.thrown / (time.monotonic() - began)
        sys.stderr.write(
            f"\r{kind}, {listener}: {report.thrown:,} frames, {rate:.0f}/s, {report.wrong} wrong "
        )
        sys.stderr.flush()

    with tempfile.TemporaryDirectory() as name, emptied(kind, Path(name)) as url:
        folder = Path(name)
        builders.make_project(folder / "garden", shop())
        overrides = {"database": {"url": url}, "daemon": {"state_dir": folder / "state"}}
        with Runtime.open(load(overrides=overrides, environ={})) as runtime:
            runtime.open_project(folder / "garden").wait(60)
            report = siege.run(
                runtime.database,
                seed,
                numbers,
                over_tcp=listener == "tcp",
                until=lambda: time.monotonic() > ends,
                tell=tell,
            )
    sys.stdout.write(f"\r{kind}, {listener}: {report.words()}; {time.monotonic() - began:.0f} s\n")
    if report.thrown < len(numbers):
        sys.stdout.write(f"{len(numbers) - report.thrown:,} were not thrown: the time was up\n")
    return not report.wrong and report.thrown == len(numbers)


def main(arguments: list[str] | None = None) -> int:
    """Run and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.requests", description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000, help="how many, on each database")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--listener", choices=(*_LISTENERS, "both"), default="both")
    parser.add_argument("--seed", type=int, default=None, help="the same seed draws the same frames")
    parser.add_argument("--first", type=int, default=0, help="the number of the first frame")
    parser.add_argument("--seconds", type=float, default=7200, help="stop after so many; that is a failure")
    options = parser.parse_args(arguments)
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    sys.stdout.write(f"seed {seed}\n")
    ends = time.monotonic() + options.seconds
    listeners = _LISTENERS if options.listener == "both" else (options.listener,)
    share = options.frames // len(listeners)
    clean = True
    for kind in ("sqlite", "postgres") if options.database == "both" else (options.database,):
        for place, listener in enumerate(listeners):
            first = options.first + place * share
            clean = _besiege(kind, listener, seed, range(first, first + share), ends) and clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
