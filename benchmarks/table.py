"""Figures, and the one table they are printed in."""

import math
import statistics
from collections.abc import Sequence

from benchmarks.cases import Figure, Row

_HEAD = "| case | to reach | measured | reached |\n|---|---|---|---|"
_UNITS = frozenset({"s", "ms", "µs", "%", "MB", "/s"})
_WORDS = {True: "yes", False: "**no**", None: ""}


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def spread(seconds: Sequence[float]) -> dict[str, Figure]:
    """Return the usual figures of some latencies, in milliseconds."""
    return {
        "p50 ms": percentile(seconds, 50) * 1000,
        "p99 ms": percentile(seconds, 99) * 1000,
        "max ms": max(seconds) * 1000,
    }


def median(values: Sequence[float]) -> float:
    """Return the median; of nothing, not a number."""
    return statistics.median(values) if values else float("nan")


def line(row: Row) -> str:
    """Return a row of the table."""
    figures = " · ".join(_figure(name, value) for name, value in row.figures.items())
    said = f"**failed**: {_cell(row.failed)}" if row.failed else _cell(figures)
    return f"| {_cell(row.name)} | {_cell(row.goal)} | {said} | {_WORDS[row.reached]} |"


def show(rows: Sequence[Row]) -> None:
    """Print the rows as a Markdown table."""
    print(_HEAD)
    for row in rows:
        print(line(row), flush=True)


def _figure(name: str, value: Figure) -> str:
    if isinstance(value, str):
        return f"{name} {value}"
    words, _, unit = name.rpartition(" ")
    if unit not in _UNITS:
        words, unit = name, ""
    shown = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{words} {shown} {unit}".strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
