"""Rounds of mutants down the wired sync path: spoil, sync, compare every row, and heal in between."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tests.hostile import memory
from tests.hostile.garden import Garden
from tests.hostile.mutants import Mutant

MUTANTS_A_ROUND = 360
NEIGHBOURS = 40
"""Sessions of each round that get good files."""

ROUNDS_BETWEEN_HEALING = 8
MOST_GROWTH = 100 << 20
"""Bytes of memory that a campaign may take more than its first round."""


@dataclass
class Report:
    """What a campaign has found.

    Attributes:
        tried: Mutants.
        refused: Those whose session kept its last good row, with an error.
        failures: (mutant, what went wrong with it).
        others: What went wrong with no mutant in particular.
        growth: Bytes of memory the process took more at its peak than after the first round.
    """

    tried: int = 0
    refused: int = 0
    failures: list[tuple[Mutant, list[str]]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    growth: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong."""
        return not self.failures and not self.others and self.growth <= MOST_GROWTH

    def words(self, keep: Path) -> str:
        """Say what was found; failing mutants are written to `keep`."""
        counts = f"{self.tried:,} mutants: {self.refused:,} refused, {len(self.failures)} failed"
        lines = [f"{counts}; memory +{self.growth / 2**20:.0f} MiB"]
        lines += [f"{mutant.keep(keep, said)}: {said[0][:500]}" for mutant, said in self.failures]
        return "\n".join([*lines, *(other[:2_000] for other in self.others)])


def run(
    url: str,
    folder: Path,
    mutants: Iterable[Mutant],
    *,
    tell: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Try mutants against a database with an empty mirror.

    Args:
        url: Of the database.
        folder: Where the project is made; must be empty.
        mutants: Which.
        tell: Told how far it is after every round.
    """
    report = Report()
    with Garden(url, folder) as garden:
        slugs = [garden.slug(number) for number in range(MUTANTS_A_ROUND + NEIGHBOURS)]
        garden.heal(slugs)
        _judge(garden, slugs, {}, report)
        before = 0
        for number, spoilt in enumerate(_rounds(mutants, slugs), start=1):
            _spoil(garden, spoilt, slugs[MUTANTS_A_ROUND:], number)
            _judge(garden, slugs, spoilt, report)
            report.tried += len(spoilt)
            if number % ROUNDS_BETWEEN_HEALING == 0:
                _heal(garden, slugs, number, report)
            if not before:
                before = memory.rss()
                memory.reset_peak()
            report.growth = memory.peak() - before
            tell(report)
        _heal(garden, slugs, 0, report)
    return report


def _rounds(mutants: Iterable[Mutant], slugs: list[str]) -> Iterator[dict[str, Mutant]]:
    waiting = iter(mutants)
    while drawn := list(islice(waiting, MUTANTS_A_ROUND)):
        yield dict(zip(slugs, drawn, strict=False))


def _spoil(garden: Garden, spoilt: dict[str, Mutant], neighbours: list[str], turn: int) -> None:
    for slug, mutant in spoilt.items():
        mutant.write(garden.folder(slug))
    garden.heal(neighbours, turn)


def _judge(garden: Garden, slugs: list[str], spoilt: dict[str, Mutant], report: Report) -> None:
    """Sync, and note what went wrong, with the mutant that it went wrong with."""
    said: dict[str, list[str]] = {}
    for problem in garden.sync(slugs):
        blamed = [slug for slug in slugs if slug in problem] or [""]
        said.setdefault(blamed[0], []).append(problem)
    errors = garden.errors()
    report.refused += sum(errors.get(slug) is not None for slug in spoilt)
    for slug, problems in garden.check(slugs).items():
        said.setdefault(slug, []).extend(problems)
    for slug, problems in said.items():
        if slug in spoilt:
            report.failures.append((spoilt[slug], problems))
        else:
            report.others.append(f"{slug} {problems}, with {[m.name for m in islice(spoilt.values(), 1)]}")


def _heal(garden: Garden, slugs: list[str], turn: int, report: Report) -> None:
    garden.heal(slugs, turn)
    _judge(garden, slugs, {}, report)
    if left := {slug: error for slug, error in garden.errors().items() if error is not None}:
        report.others.append(f"not healed: {left}")
