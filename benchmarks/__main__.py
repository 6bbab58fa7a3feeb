"""``python -m benchmarks``: measure, and print one table."""

import argparse
import sys

from benchmarks import cases, machine, table
from benchmarks.cases import CASES, BenchmarkError, Options, Row

QUICK_SESSIONS = 60


def main() -> int:
    """Run what was asked for; 1 when a case failed."""
    given = _parser().parse_args()
    try:
        chosen = cases.find(given.only)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    if given.list:
        for case in chosen:
            print(f"{case.NAME:10} {case.GOAL or '(nothing promised)'}")
        return 0
    options = Options(
        sessions=given.sessions or (QUICK_SESSIONS if given.quick else Options.sessions),
        databases=tuple(given.database or Options.databases),
        repeats=given.repeats or (1 if given.quick else Options.repeats),
        quick=given.quick,
        full=given.full,
    )
    where = machine.described()
    print(f"{where}\n", flush=True)
    rows: list[Row] = []
    for case in chosen:
        for row in cases.measured(case, options):
            rows.append(row)
            print(table.line(row), flush=True)
    print(f"\n{where}\n")
    table.show(rows)
    return 1 if any(row.failed for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--list", action="store_true", help="say which cases there are, and measure nothing")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: proves that the cases still run")
    parser.add_argument("--full", action="store_true", help="also the sizes that take minutes")
    parser.add_argument("--database", choices=["sqlite", "postgres"], action="append", help="only this one")
    parser.add_argument("--sessions", type=int, help=f"watched, where a goal says {Options.sessions:,}")
    parser.add_argument("--repeats", type=int, help=f"runs of which the median counts ({Options.repeats})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
