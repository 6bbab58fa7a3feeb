"""The queue's end: it keeps its deadline, settles every ticket, and tells what is left over."""

import threading
import time
from typing import Any

import pytest

from sessionlib.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
)
from sessionlib.sync import queue
from sessionlib.sync.mirror import Outcome, Result
from tests.queues import Gate, Make, Work, make_fixture, path, quick_fixture, work_fixture  # noqa: F401 - fixtures


def test_close_keeps_its_deadline_with_a_hanging_worker(make: Make, work: Work) -> None:
    """A worker that hangs holds nobody up: close returns in time, and says what was not synced."""
    gate = Gate("hangs")
    work.behave = gate
    one = make(workers=1)
    one.start()
    hanging = one.submit_batch([path("hangs")])
    assert gate.reached.wait(5)
    waiting = one.submit_batch([path("a"), path("b")])
    started = time.monotonic()
    assert one.drain(0.01) == 3
    assert one.close(0.05) == 3
    assert time.monotonic() - started < 2
    assert hanging.wait(0)
    assert waiting.wait(0)
    assert (hanging.counts, waiting.counts) == ({"refused": 1}, {"refused": 2})
    gate.open.set()
    one._threads[0].join(5)
    assert hanging.counts == {"refused": 1}
    assert one.close() == 0


@pytest.mark.parametrize(
    "outcome", [Outcome.TORN, Outcome.UNREADABLE, DatabaseBusyError("x"), DatabaseUnavailableError("x")]
)
def test_a_ticket_is_settled_whatever_its_worker_ends_with(make: Make, work: Work, outcome: Any) -> None:
    """A folder given back to the queue while that closes is refused, not forgotten."""
    gate = Gate()
    one = make(workers=1)

    def behave(names: list[str]) -> Any:
        gate(names)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    work.behave = behave
    one.start()
    ticket = one.submit_batch([path("a")])
    assert gate.reached.wait(5)
    again = one.submit_batch([path("a")])
    closing = threading.Thread(target=one.close)
    closing.start()
    assert one._stop.wait(5)
    gate.open.set()
    closing.join(5)
    assert ticket.wait(0)
    assert again.wait(0)
    assert set(ticket.counts) <= {"refused", "owed"}


def test_after_the_close_nothing_is_taken(make: Make, work: Work) -> None:
    """What is submitted too late is refused at once; closing twice is harmless."""
    one = make()
    one.start()
    assert one.close() == 0
    one.submit(path("a"))
    ticket = one.submit_batch([path("b"), path("b")])
    assert ticket.wait(0)
    assert ticket.counts == {"refused": 1}
    assert one.close() == 0
    assert work.calls == []


def test_a_second_look_that_is_due_is_no_loss(
    make: Make, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is synced, and only waits to be looked at once more, does not count as left over."""
    monkeypatch.setattr(queue, "_RACY_RECHECK", 60)
    work.behave = lambda names: [Result(name, Outcome.WRITTEN, racy=True) for name in names]
    one = make(workers=1)
    one.start()
    assert one.submit_batch([path("a")]).wait(5)
    assert one.close() == 0
