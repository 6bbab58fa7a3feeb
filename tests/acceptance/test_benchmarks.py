"""The benchmarks still run: each case with tiny sizes, and the command that runs them."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks import cases, table
from benchmarks.cases import BenchmarkError, Case, Options, Row
from tests import postgres

pytestmark = pytest.mark.timeout(300)

TINY = Options(sessions=60, databases=("sqlite",), repeats=1, quick=True)


def assert_measures(name: str, options: Options) -> None:
    """Assert that a case gives rows, all with figures that can be shown, and that none of them failed."""
    (case,) = cases.find([name])
    assert case.NAME == name  # noqa: SIM300 - no constant: what is looked at
    rows = list(cases.measured(case, options))
    assert rows
    for row in rows:
        assert not row.failed
        assert row.figures
        assert "nan" not in table.line(row)


@pytest.mark.parametrize("name", cases.CASES)
def test_a_case_measures_something(name: str) -> None:
    """Each case still runs."""
    assert_measures(name, TINY)


@pytest.mark.postgres
@pytest.mark.skipif(postgres.find_binaries() is None, reason="the benchmarks start a server of their own")
def test_a_case_measures_postgres() -> None:
    """The other database is measured as well, on a server of its own."""
    assert_measures("latency", dataclasses.replace(TINY, databases=("postgres",)))


class Failing:
    """A case that fails after its first row."""

    NAME = "failing"
    GOAL = "to fail"

    def run(self, options: Options) -> Iterator[Row]:
        yield Row("first", {"sessions": options.sessions})
        raise BenchmarkError("a | broken\nmeasure")


def test_a_case_that_fails_says_so_in_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    """What was measured before stands; the last row tells the goal that was not measured, and why."""
    case: Case = Failing()
    first, last = cases.measured(case, Options(sessions=60))
    assert table.line(first) == "| first | to fail | sessions 60 |  |"
    assert table.line(last) == "| failing | to fail | **failed**: BenchmarkError: a \\| broken measure |  |"
    assert "Traceback" in capsys.readouterr().err


def test_figures_are_shown_with_their_units() -> None:
    """A unit stands behind its number; a name of several words is no unit."""
    figures: dict[str, cases.Figure] = {"p50 ms": 1.2345, "looks a save": 2, "rows": 12345.6, "peer": "none"}
    row = Row("case", figures, goal="goal", reached=False)
    shown = "p50 1.23 ms · looks a save 2 · rows 12,346 · peer none"
    assert table.line(row) == f"| case | goal | {shown} | **no** |"


def test_a_percentile_is_the_nearest_rank() -> None:
    """The 99th of a hundred is not the greatest."""
    values = list(range(1, 101))
    assert [table.percentile(values, percent) for percent in (0, 50, 99, 100)] == [1, 50, 99, 100]


def command(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    program = [sys.executable, "-m", "benchmarks", *options]
    return subprocess.run(program, capture_output=True, text=True, timeout=50, check=False)


def test_the_command_lists_its_cases() -> None:
    """`--list` names every case and measures nothing."""
    done = command("--list")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(cases.CASES)


def test_the_command_prints_one_table() -> None:
    """A row is printed as it is done, and again in the table at the end, between lines on the machine."""
    done = command("--quick", "--only", "submit")
    assert done.returncode == 0, done.stderr
    machine, _, row, *rest = done.stdout.splitlines()
    assert "Python 3." in machine
    assert "SQLite 3." in machine
    assert "queue.submit" in row
    assert rest == ["", machine, "", "| case | to reach | measured | reached |", "|---|---|---|---|", row]


def test_the_command_knows_its_cases() -> None:
    """A word that is no case is refused, with those there are."""
    done = command("--only", "latency", "nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("no case is called nonsense; there are latency, ")
