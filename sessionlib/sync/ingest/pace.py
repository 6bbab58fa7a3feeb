"""How much is done in one transaction: as much as holds the only writer of SQLite for a moment."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

SHORT, LONG = 0.015, 0.030
"""Seconds: under the first the next transaction does twice as much, over the second half as much."""

_Item = TypeVar("_Item")


class Pace:
    """Sizes the groups of some work by how long the last one took; used by one thread at a time.

    Time spent waiting for other writers counts: while they are many, less is done at once.

    Args:
        first: Items of the first group.
        most: Items of the largest one.
        clock: Tells seconds.
    """

    def __init__(self, first: int, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = first
        self._most = most
        self._clock = clock

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Take the time of one transaction, and choose the next group's size by it; not if it fails."""
        began = self._clock()
        yield
        took = self._clock() - began
        if took < SHORT:
            self.size = min(2 * self.size, self._most)
        elif took > LONG:
            self.size = max(1, self.size // 2)

    def groups(self, items: Iterable[_Item]) -> Iterator[tuple[_Item, ...]]:
        """Yield the items in groups, each of the size that is right when it is asked for."""
        rest = iter(items)
        while group := tuple(islice(rest, self.size)):
            yield group
