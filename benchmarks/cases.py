"""What a benchmark is: a module with a name, a goal and `run`; how the cases are found, run and told.

A case yields rows as they are measured, so that what was measured stands even if the rest of it fails.
"""

import importlib
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

CASES = (
    "latency",
    "replaces",
    "imports",
    "reconcile",
    "verify",
    "watching",
    "rings",
    "bursts",
    "wakes",
    "idle",
    "growth",
    "questions",
    "work",
    "coldstart",
    "submit",
    "control",
    "hook",
    "transcripts",
    "ingest",
)
"""The modules in `benchmarks` that are cases, in the order of the table."""


@dataclass(frozen=True)
class Options:
    """What all cases are told.

    Attributes:
        sessions: How many are watched where a goal speaks of 10,000.
        databases: The kinds to measure: sqlite, postgres.
        repeats: Runs of which the median counts, where a case can be repeated.
        quick: Sizes as small as they can be: this only proves that the case still runs.
        full: Also the sizes that take minutes.
    """

    sessions: int = 10_000
    databases: tuple[str, ...] = ("sqlite", "postgres")
    repeats: int = 3
    quick: bool = False
    full: bool = False


Figure = float | str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: What was measured, on which database.
        figures: Name with unit to value, in the order to show.
        goal: What was to be reached; the case's, where empty.
        reached: Whether it was; None where there is no goal, or the sizes were not those it speaks of.
        failed: Why there are no figures.
    """

    name: str
    figures: dict[str, Figure] = field(default_factory=dict)
    goal: str = ""
    reached: bool | None = None
    failed: str = ""


class BenchmarkError(Exception):
    """A case cannot be measured; the text says why."""


class Case(Protocol):
    """A module that measures something."""

    NAME: str
    """The word by which ``--only`` knows it."""
    GOAL: str
    """What is to be reached, in the words of the table; empty if nothing was promised."""

    def run(self, options: Options) -> Iterable[Row]:
        """Measure; yield or return the rows."""


def find(names: Sequence[str] = ()) -> list[Case]:
    """Return the cases of these names, or all of them.

    Raises:
        BenchmarkError: There is no case of a name.
    """
    unknown = sorted(set(names) - set(CASES))
    if unknown:
        raise BenchmarkError(f"no case is called {', '.join(unknown)}; there are {', '.join(CASES)}")
    return [cast("Case", importlib.import_module(f"benchmarks.{name}")) for name in names or CASES]


def measured(case: Case, options: Options) -> Iterator[Row]:
    """Run a case; a row that says what went wrong stands for what it could not measure."""
    try:
        for row in case.run(options):
            yield row if row.goal else Row(row.name, row.figures, case.GOAL, row.reached, row.failed)
    except Exception as error:  # noqa: BLE001 - the others go on
        traceback.print_exc()
        yield Row(case.NAME, goal=case.GOAL, failed=f"{type(error).__name__}: {error}")
