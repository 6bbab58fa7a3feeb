"""An outage: told once, probed ever more slowly, over when work succeeds."""

import logging
from collections.abc import Callable
from threading import Event

import pytest

from sessionlib.errors import DatabaseUnavailableError
from sessionlib.sync import outage
from sessionlib.sync.outage import Outage

DOWN = DatabaseUnavailableError("down")


class Waits(Event):
    """An event that notes how long it was waited for, and is set after so many times."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return len(self.seconds) > self.most


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the jitter be none."""
    monkeypatch.setattr(outage.random, "uniform", lambda _low, _high: 1.0)


def failing() -> None:
    raise DOWN


def make(
    probe: Callable[[], None] = failing, most: int = 7, clock: Callable[[], float] = lambda: 0.0
) -> tuple[Outage, Waits]:
    stop = Waits(most)
    return Outage(probe, stop, clock=clock), stop


def test_probes_slow_down_to_five_seconds() -> None:
    """The waits double from 0.2 s to 5 s; `stop` ends them."""
    one, stop = make()
    one.begin(DOWN)
    assert not one.wait_for_answer()
    assert stop.seconds == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert (one.pausing, one.error) == (True, "down")


def test_an_answer_lets_work_be_tried_and_work_ends_the_outage() -> None:
    """After an answer the error stays until work has succeeded, which is news once."""
    one, _ = make(lambda: None)
    one.begin(DOWN)
    assert one.wait_for_answer()
    assert (one.pausing, one.error) == (False, "down")
    assert one.end()
    assert one.error is None
    assert not one.end()


def test_work_begun_before_the_outage_does_not_end_it() -> None:
    """While all pause, a success is one of before."""
    one, _ = make()
    one.begin(DOWN)
    assert not one.end()
    assert one.pausing


def test_a_failed_try_goes_on_where_the_waiting_was() -> None:
    """A database that answers and takes no work is probed as slowly as before; an ended outage is not."""
    one, stop = make(lambda: None, most=50)
    for _ in range(4):
        one.begin(DOWN)
        assert one.wait_for_answer()
    assert stop.seconds == [0.2, 0.4, 0.8, 1.6]
    one.end()
    one.begin(DOWN)
    one.wait_for_answer()
    assert stop.seconds[-1] == 0.2


def test_it_is_told_once_and_then_every_half_minute(caplog: pytest.LogCaptureFixture) -> None:
    """One error at first, a reminder every thirty seconds with the last words, one line at the end."""
    caplog.set_level(logging.INFO, "sessionlib.sync")
    seconds = iter(range(0, 1000, 10))
    now = 0.0

    def clock() -> float:
        return now

    def probe() -> None:
        nonlocal now
        now = float(next(seconds))
        if now < 70:
            raise DatabaseUnavailableError(f"down at {now:g}")

    one, _ = make(probe, most=50, clock=clock)
    one.begin(DOWN)
    one.begin(DOWN)
    assert one.wait_for_answer()
    assert one.end()
    told = [(record.event, record.fields) for record in caplog.records]  # type: ignore[attr-defined]
    assert told == [
        ("db.down", {"error": "down"}),
        ("db.still_down", {"for_s": 30, "error": "down at 30"}),
        ("db.still_down", {"for_s": 60, "error": "down at 60"}),
        ("db.up", {"for_s": 70.0}),
    ]


def test_whatever_the_probe_raises_is_no_answer() -> None:
    """A surprise counts as silence, with its words, or its name where it has none."""
    surprises = iter([ValueError("odd"), KeyError()])

    def probe() -> None:
        for error in surprises:
            raise error

    one, stop = make(probe, most=1)
    one.begin(DOWN)
    assert not one.wait_for_answer()
    assert one.error == "odd"
    stop.most = 3
    one.wait_for_answer()
    assert one.error == "KeyError"
