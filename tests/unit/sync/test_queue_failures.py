"""Folders that fail in the queue: tried again, looked at again, or owed to the next reconcile."""

import logging
from typing import Any

import pytest

from sessionlib.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    RowRejectedError,
)
from sessionlib.sync.mirror import Outcome, Result
from tests.queues import Gate, Make, Work, make_fixture, path, quick_fixture, work_fixture  # noqa: F401 - fixtures


def test_retried_then_owed_then_healed(make: Make, work: Work, caplog: pytest.LogCaptureFixture) -> None:
    """A transient failure is tried three times, logged once, remembered, and forgotten when it heals."""
    caplog.set_level(logging.ERROR, "sessionlib.sync")
    one = make(workers=1)
    one.start()

    def busy(_: list[str]) -> None:
        raise DatabaseBusyError("deadlock")

    work.behave = busy
    ticket = one.submit_batch([path("a")])
    assert ticket.wait(5)
    assert ticket.counts == {"owed": 1}
    assert one.owed == {path("a"): "deadlock"}
    assert work.names() == ["a"] * 3
    assert [record.message for record in caplog.records] == ["sync given up; the next reconcile tries again"]
    assert one.submit_batch([path("a")]).wait(5)
    assert len(caplog.records) == 1
    work.behave = lambda _: None
    assert one.submit_batch([path("a")]).wait(5)
    assert one.owed == {}
    stats = one.stats()
    assert (stats.failed, stats.retried, stats.synced, stats.owed) == (2, 4, 1, 0)


@pytest.mark.parametrize("error", [RowRejectedError("no"), ValueError("oops"), AssertionError("never")])
def test_what_will_not_heal_is_owed_at_once(make: Make, work: Work, error: Exception) -> None:
    """An error that waiting cannot heal, or that nobody foresaw, is not tried again; the worker goes on."""
    one = make(workers=1)
    one.start()

    def failing(names: list[str]) -> None:
        if "bad" in names:
            raise error

    work.behave = failing
    ticket = one.submit_batch([path("bad")])
    assert ticket.wait(5)
    assert set(one.owed) == {path("bad")}
    assert one.submit_batch([path("good")]).wait(5)
    assert work.names() == ["bad", "good"]


def test_a_folder_of_which_nothing_could_be_recorded_is_owed(make: Make, work: Work) -> None:
    """A rejected outcome among others concerns that folder alone."""
    work.behave = lambda names: [
        Result(n, Outcome.REJECTED if n == "bad" else Outcome.WRITTEN, "why") for n in names
    ]
    one = make(workers=1)
    ticket = one.submit_batch(map(path, ["a", "bad", "c"]))
    one.start()
    assert ticket.wait(5)
    assert ticket.counts == {"written": 2, "owed": 1}
    assert one.owed == {path("bad"): "why"}


def test_a_wrong_number_of_results_loses_nobody(make: Make, work: Work) -> None:
    """A work function that forgets folders leaves those owed, and only those."""
    work.behave = lambda names: [Result(name, Outcome.WRITTEN) for name in names if name == "a"]
    one = make(workers=1)
    ticket = one.submit_batch(map(path, "abc"))
    one.start()
    assert ticket.wait(5)
    assert ticket.counts == {"written": 1, "owed": 2}
    assert set(one.owed) == {path("b"), path("c")}
    assert one.drain(5) == 0


def test_a_surprise_holds_up_no_neighbour(make: Make, work: Work, caplog: pytest.LogCaptureFixture) -> None:
    """A group in which one folder raises is tried folder by folder; the traceback is written once."""

    def behave(names: list[str]) -> None:
        if "b" in names:
            raise TypeError("a surprise")

    work.behave = behave
    one = make(workers=1)
    ticket = one.submit_batch(map(path, "abc"))
    one.start()
    assert ticket.wait(5)
    assert ticket.counts == {"written": 2, "owed": 1}
    assert one.owed == {path("b"): "unexpected error, see the log"}
    assert [record.exc_text for record in caplog.records if record.message == "sync worker failed"] != []
    assert work.calls == [["a", "b", "c"], ["a"], ["b"], ["c"]]


def test_an_outage_after_a_surprise_is_met_once(make: Make, work: Work) -> None:
    """The folders that are left go back, and are tried together when the database is there again."""

    def behave(names: list[str]) -> None:
        if len(work.calls) == 1:
            raise TypeError("a surprise")
        if len(work.calls) == 2:
            raise DatabaseUnavailableError("down")

    work.behave = behave
    one = make(workers=1)
    ticket = one.submit_batch(map(path, "abc"))
    one.start()
    assert ticket.wait(5)
    assert ticket.counts == {"written": 3}
    assert [len(call) for call in work.calls] == [3, 1, 3]


def test_an_unreadable_folder_is_tried_again(make: Make, work: Work) -> None:
    """What the operating system refuses is tried until it heals, apart from its neighbours."""
    outcomes = iter([Outcome.UNREADABLE, Outcome.UNREADABLE, Outcome.WRITTEN])
    work.behave = lambda names: [
        Result(name, next(outcomes) if name == "bad" else Outcome.WRITTEN, "no") for name in names
    ]
    one = make(workers=1)
    for name in ("bad", "good"):
        one.submit(path(name))
    one.start()
    assert one.drain(5) == 0
    assert sorted(work.names()) == ["bad", "bad", "bad", "good"]
    assert one.owed == {}


def test_a_reconcile_does_not_repeat_an_unreadable_folder(make: Make, work: Work) -> None:
    """It stays owed until the next reconcile, which is its retry; the mirror is not behind for it."""
    work.behave = lambda names: [Result(name, Outcome.UNREADABLE, "no") for name in names]
    one = make(workers=1)
    ticket = one.submit_batch([path("bad")])
    one.start()
    assert ticket.wait(5)
    assert (ticket.counts, work.names()) == ({"owed": 1}, ["bad"])
    assert (one.stats().owed, one.stats().behind) == (1, 0)


def test_a_torn_file_is_looked_at_three_times_more(make: Make, work: Work) -> None:
    """Found torn again and again, a folder is handed over as settled, and then taken as it is."""
    work.behave = lambda names: Outcome.TORN if len(work.calls) < 4 else Outcome.INVALID
    one = make(workers=1)
    ticket = one.submit_batch([path("a")])
    one.start()
    assert ticket.wait(5)
    assert ticket.counts == {"invalid": 1}
    assert [len(settled) for settled in work.settled] == [0, 0, 0, 1]


def test_a_racy_file_is_looked_at_once_more(make: Make, work: Work) -> None:
    """A folder changed within its clock's tick gets one second look, and no third."""
    work.behave = lambda names: [Result(name, Outcome.WRITTEN, racy=True) for name in names]
    one = make(workers=1)
    one.start()
    ticket = one.submit_batch([path("a")])
    assert ticket.wait(5)
    assert ticket.counts == {"written": 1}
    assert one.drain(5) == 0
    assert work.names() == ["a", "a"]


def test_a_racy_file_dirtied_while_it_ran_gets_a_recheck_of_its_own(make: Make, work: Work) -> None:
    """The sync that follows a change is a first look, which is followed by a second one again."""
    gate = Gate()
    one = make(workers=1)

    def behave(names: list[str]) -> list[Result]:
        if len(work.calls) == 1:
            gate(names)
        return [Result(name, Outcome.WRITTEN, racy=True) for name in names]

    work.behave = behave
    one.start()
    one.submit(path("a"))
    assert gate.reached.wait(5)
    one.submit(path("a"))
    gate.open.set()
    assert one.drain(5) == 0
    assert work.names() == ["a"] * 3


def test_listeners_that_raise_do_no_harm(make: Make, work: Work) -> None:
    """Whatever a listener raises, the folder is synced and the workers live."""

    def raising(*_: Any) -> None:
        raise RuntimeError

    one = make(workers=1)
    one.listen(on_recover=raising, on_results=raising)
    one.start()
    assert one.submit_batch([path("a")]).wait(5)
    calls = iter([DatabaseUnavailableError("down")])

    def down_once(_: list[str]) -> None:
        for error in calls:
            raise error

    work.behave = down_once
    assert one.submit_batch([path("b")]).wait(5)
    assert one.submit_batch([path("c")]).wait(5)
    assert [thread.is_alive() for thread in one._threads] == [True]
