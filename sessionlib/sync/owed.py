"""The folders whose tries are used up: owed until a run of a later reconcile succeeds."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class _Debt(NamedTuple):
    words: str
    since: float
    unreadable: bool
    failed: float


class Owed:
    """What is owed, and why. The caller holds the queue's lock around every method."""

    def __init__(self) -> None:
        self._debts: dict[Path, _Debt] = {}

    def __len__(self) -> int:
        return len(self._debts)

    def __iter__(self) -> Iterator[tuple[Path, str]]:
        """Go over the folders and their last errors."""
        return ((path, debt.words) for path, debt in self._debts.items())

    @property
    def behind(self) -> int:
        """How many can be read, so that the mirror does not equal the files."""
        return sum(not debt.unreadable for debt in self._debts.values())

    @property
    def oldest(self) -> float | None:
        """Since when the oldest of those has been owed, in monotonic seconds; None without any."""
        return min((debt.since for debt in self._debts.values() if not debt.unreadable), default=None)

    def add(self, path: Path, words: str, *, since: float, unreadable: bool) -> bool:
        """Owe a folder; return whether the error is news. What was owed already is owed since then."""
        known = self._debts.get(path)
        self._debts[path] = _Debt(words, known.since if known else since, unreadable, time.monotonic())
        return known is None or known.words != words

    def has_failed_since(self, path: Path, moment: float) -> bool:
        """Tell whether a folder is owed for a try that ended at that moment (monotonic seconds) or later."""
        debt = self._debts.get(path)
        return debt is not None and debt.failed >= moment

    def settle(self, path: Path) -> None:
        """Owe a folder no longer."""
        self._debts.pop(path, None)
