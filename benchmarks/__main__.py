"""``python -m benchmarks``: run the cases and print one table."""

import argparse

from benchmarks import latency, submit, table


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000, help="sessions watched (default 10,000)")
    parser.add_argument("--saves", type=int, default=300, help="saves measured (default 300)")
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    options = parser.parse_args()
    kinds = ["sqlite", "postgres"] if options.database == "both" else [options.database]
    rows = [latency.save_to_row(kind, sessions=options.sessions, saves=options.saves) for kind in kinds]
    rows.append(submit.cost(submits=20_000))
    table.show(rows)


if __name__ == "__main__":
    main()
