"""Groups of work grow while they are quick and shrink when they take long."""

from contextlib import suppress

from sessionlib.sync.ingest.pace import Pace


class Seconds:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _worked(pace: Pace, clock: Seconds, items: int, each: float) -> list[int]:
    """Work on items that take so many seconds each; return the sizes of the groups."""
    sizes = []
    for group in pace.groups(range(items)):
        with pace.measured():
            clock.now += each * len(group)
        clock.now += 1.0  # what is done in between does not count
        sizes.append(len(group))
    return sizes


def test_quick_work_is_done_in_larger_groups() -> None:
    """It doubles until a group takes half of what is wanted at most, and never beyond the largest."""
    clock = Seconds()
    assert _worked(Pace(2, 50, clock=clock), clock, 150, 0.0001) == [2, 4, 8, 16, 32, 50, 38]
    assert _worked(Pace(2, 50, clock=clock), clock, 40, 0.002) == [2, 4, 8, 8, 8, 8, 2]


def test_slow_work_is_done_in_smaller_groups() -> None:
    """It is halved down to single items, and each item comes once, in order."""
    clock = Seconds()
    pace = Pace(8, 50, clock=clock)
    assert _worked(pace, clock, 18, 0.1) == [8, 4, 2, 1, 1, 1, 1]
    assert [one for group in pace.groups(range(3)) for one in group] == [0, 1, 2]


def test_what_fails_says_nothing_about_the_time_it_takes() -> None:
    """An error leaves the size as it is."""
    clock = Seconds()
    pace = Pace(8, 50, clock=clock)
    with suppress(KeyError), pace.measured():
        clock.now += 9.0
        {}["nothing"]
    assert pace.size == 8
