"""Retry as data: delays by table, without sleeping."""

from pathlib import Path
from threading import Event

import pytest

from sessionlib.errors import (
    DatabaseBusyError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    RowRejectedError,
    StateInvalidError,
    StateLockedError,
    StateUnreadableError,
)
from sessionlib.sync.retry import RetryPolicy, is_transient

HERE = Path("/p")
PLAIN = RetryPolicy(attempts=6, first=0.1, cap=1.0, jitter=0.0)
BUSY = DatabaseBusyError("busy")


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (BUSY, True),
        (DatabaseUnavailableError("x"), True),
        (DatabaseRefusedError("x"), True),
        (StateUnreadableError("x", session_dir=HERE), True),
        (StateLockedError("x", session_dir=HERE), True),
        (RowRejectedError("x"), False),
        (StateInvalidError("x", session_dir=HERE, torn=True), False),
        (ValueError("x"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_which_errors_waiting_can_heal(error: BaseException, transient: bool) -> None:
    """Only our own errors say that they may pass; everything else will not."""
    assert is_transient(error) is transient


def test_delays_double_up_to_the_cap_and_end() -> None:
    """Six tries mean five delays, doubling from the first to the cap; then it is over."""
    attempts = PLAIN.begin()
    delays = [attempts.next_delay(BUSY) for _ in range(7)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.0, None, None]
    assert attempts.count == 6


def test_one_try_is_one_try() -> None:
    """A policy of one attempt never waits."""
    assert RetryPolicy(attempts=1).begin().next_delay(BUSY) is None


def test_an_error_that_will_not_heal_ends_it_at_once() -> None:
    """No delay is given for what waiting cannot heal."""
    assert PLAIN.begin().next_delay(RowRejectedError("no")) is None


def test_jitter_is_bounded() -> None:
    """The random part stays between nothing and the jitter, and within the cap."""
    policy = RetryPolicy(attempts=200, first=0.1, cap=0.5, jitter=0.2)
    for _ in range(50):
        attempts = policy.begin()
        first, second = attempts.next_delay(BUSY), attempts.next_delay(BUSY)
        assert first is not None
        assert second is not None
        assert 0.1 <= first <= 0.3
        assert 0.2 <= second <= 0.4


def test_attempts_are_counted_each_on_their_own() -> None:
    """Two folders with one policy do not share their tries."""
    one, two = PLAIN.begin(), PLAIN.begin()
    one.next_delay(BUSY)
    assert (one.count, two.count) == (2, 1)


def test_a_blocking_loop_retries_what_is_transient() -> None:
    """The loop for threads that may block tries again, and raises the last error itself."""
    policy = RetryPolicy(attempts=3, first=0.0, cap=0.0, jitter=0.0)
    calls = []

    def failing() -> None:
        calls.append(None)
        raise BUSY

    with pytest.raises(DatabaseBusyError):
        policy.retrying(Event())(failing)
    assert len(calls) == 3


def test_a_blocking_loop_stops_when_told() -> None:
    """A set event ends the loop after the try that is under way."""
    stop = Event()
    stop.set()
    calls = []

    def failing() -> None:
        calls.append(None)
        raise BUSY

    with pytest.raises(DatabaseBusyError):
        RetryPolicy(attempts=50, first=30.0).retrying(stop)(failing)
    assert len(calls) == 1
