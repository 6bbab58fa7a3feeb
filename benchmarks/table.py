"""Figures, and the one table they are printed in."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured case: figure name to value."""

    name: str
    figures: dict[str, float]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def show(rows: Sequence[Row]) -> None:
    """Print the rows as a Markdown table, one line a case."""
    print("| case | figures |\n|---|---|")
    for row in rows:
        figures = " · ".join(f"{name} {value:,.2f}" for name, value in row.figures.items())
        print(f"| {row.name} | {figures} |")
