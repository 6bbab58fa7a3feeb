"""Mutation fuzzing end to end: ``python -m tests.hostile.fuzz --mutants 100000 --database both --seed N``.

Files that go wrong are kept, and tried again with ``--replay FILE``. Exit code 1 when anything went wrong.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import postgres
from tests.hostile import campaign
from tests.hostile.campaign import Report
from tests.hostile.mutants import Mutant


@contextmanager
def emptied(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database of a kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'mirror.db'}"
        return
    with postgres.running_server() as server:
        if server is None:
            raise SystemExit("no PostgreSQL: install one, or set SESSIOND_TEST_POSTGRES_URL")
        name = f"sessiond_fuzz_{random.randrange(1 << 32):08x}"
        postgres.execute(server, f"CREATE DATABASE {name}")
        try:
            yield server.url(name)
        finally:
            postgres.execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _try(kind: str, mutants: Iterable[Mutant], keep: Path) -> bool:
    began = time.monotonic()

    def tell(report: Report) -> None:
        rate = report.tried / (time.monotonic() - began)
        wrong = len(report.failures) + len(report.others)
        sys.stderr.write(f"\r{kind}: {report.tried:,} mutants, {rate:.0f}/s, {wrong} wrong ")
        sys.stderr.flush()

    with tempfile.TemporaryDirectory() as folder, emptied(kind, Path(folder)) as url:
        report = campaign.run(url, Path(folder), mutants, tell=tell)
    sys.stdout.write(f"\r{kind}: {report.words(keep)}\n")
    return report.is_clean


def main(arguments: list[str] | None = None) -> int:
    """Run and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz", description=__doc__)
    parser.add_argument("--mutants", type=int, default=100_000, help="how many, on each database")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--seed", type=int, default=None, help="the same seed draws the same mutants")
    parser.add_argument("--first", type=int, default=0, help="the number of the first mutant")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "sessiond-mutants")
    parser.add_argument("--replay", type=Path, nargs="+", help="files that were kept; no others are tried")
    options = parser.parse_args(arguments)
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    if not options.replay:
        sys.stdout.write(f"seed {seed}; what goes wrong is kept in {options.keep}\n")
    clean = True
    for kind in ("sqlite", "postgres") if options.database == "both" else (options.database,):
        if options.replay:
            mutants: Iterable[Mutant] = [Mutant.kept(path) for path in options.replay]
        else:
            numbers = range(options.first, options.first + options.mutants)
            mutants = (Mutant.drawn(seed, number) for number in numbers)
        clean = _try(kind, mutants, options.keep) and clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
