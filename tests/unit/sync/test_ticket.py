"""Tickets: counted by many threads, waited for by others."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sessionlib.sync.ticket import Ticket


def test_an_empty_batch_is_done() -> None:
    """A ticket for nothing does not wait."""
    ticket = Ticket(0)
    assert ticket.wait(0)
    assert (ticket.total, ticket.left, ticket.counts) == (0, 0, {})


def test_a_deadline_is_kept() -> None:
    """Waiting ends in time and says that something is left."""
    ticket = Ticket(2)
    ticket.done("written")
    assert not ticket.wait(0.001)
    assert (ticket.left, ticket.counts) == (1, {"written": 1})


def test_counted_by_many_threads() -> None:
    """Each outcome counts once, whoever notes it, and waiters wake with the last one."""
    ticket = Ticket(400)
    woken = []
    waiter = threading.Thread(target=lambda: woken.append(ticket.wait(10)))
    waiter.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ticket.done("even" if n % 2 == 0 else "odd"), range(400)))
    waiter.join(10)
    assert woken == [True]
    assert ticket.counts == {"even": 200, "odd": 200}


def test_the_counts_are_a_copy() -> None:
    """Nobody changes a ticket by its counts."""
    ticket = Ticket(1)
    ticket.counts["forged"] = 1
    assert ticket.counts == {}


def test_a_listener_is_told_once_at_the_end() -> None:
    """It hears nothing before the last outcome, and one that comes later hears at once."""
    ticket, told = Ticket(2), []
    ticket.on_done(lambda: told.append("early"))
    ticket.done("written")
    assert told == []
    ticket.done("written")
    ticket.on_done(lambda: told.append("late"))
    assert told == ["early", "late"]


def test_a_listener_that_comes_late_is_called_once() -> None:
    """Who begins to listen while the others are being told is told by himself, not by them too."""
    ticket, told = Ticket(1), []
    ticket.on_done(lambda: ticket.on_done(lambda: told.append("late")))
    ticket.done("written")
    assert told == ["late"]
