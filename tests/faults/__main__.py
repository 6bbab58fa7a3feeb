"""The faults in their long form: ``python -m tests.faults --long [--seed N] [--only NAME …]``.

Prints a Markdown table of figures, and ends with 1 if any fault did harm. Without ``--long`` the sizes are
those of the test run. As root and with strace it does all, else it says what it left out, and ends with 3.
Faults that mostly wait, or whose time nobody judges, are done beside the others, two at a time.
"""

# Its output is what it is for.
# ruff: noqa: T201

import argparse
import multiprocessing
import random
import sys
from concurrent.futures import ProcessPoolExecutor

from tests import postgres
from tests.faults.forms import Sizes, do, faults

BESIDE = (
    *("soak", "stopped", "hung", "journal-stopped", "journal-hung", "refused", "out-of-disk", "upgraded"),
    *("link", "any-order"),
)
"""How the names begin of faults that are done beside others, in this order."""
_AT_A_TIME = 2


def _place(name: str) -> int:
    """Return where a fault stands among those beside others; `len(BESIDE)` for the others."""
    return next((place for place, start in enumerate(BESIDE) if name.startswith(start)), len(BESIDE))


def main() -> int:
    """Do the faults that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the long form, which takes up to two hours")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="of every choice")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these faults alone")
    parser.add_argument("--list", action="store_true", help="print the names of the faults")
    options = parser.parse_args()
    with postgres.running_server() as server:
        if server is None:
            print("no PostgreSQL server: install one", file=sys.stderr)
            return 1
        names = [name for name, _ in faults(Sizes(), server)]
    unknown = sorted(set(options.only) - set(names))
    if options.list or unknown:
        print("\n".join([*(f"unknown: {name}" for name in unknown), *names]))
        return 2 if unknown else 0
    print(f"seed {options.seed}\n\n| fault | what was done | times | lost | recovered after, s | verdict |")
    print("|---|---|---:|---:|---:|---|", flush=True)
    wanted = [name for name in names if not options.only or name in options.only]
    aside = sorted((name for name in wanted if _place(name) < len(BESIDE)), key=_place)
    others = [name for name in wanted if name not in aside]
    held: dict[str, bool | None] = {}
    with ProcessPoolExecutor(_AT_A_TIME, multiprocessing.get_context("spawn")) as pool:
        beside = [pool.submit(do, [name], options.seed, is_long=options.long) for name in aside]
        held |= do(others, options.seed, is_long=options.long)
        for one in beside:
            held |= one.result()
    left_out = [name for name in names if name in held and held[name] is None]
    if left_out:
        print(f"\nnot done here: {', '.join(left_out)}")
    return 1 if False in held.values() else 3 if left_out else 0


if __name__ == "__main__":
    sys.exit(main())
