"""The tracker while it counts anew what was stored: it stops, it listens, and it reads what it can read."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from sessiond.tracking import patience
from sessionlib.db.engine import Database
from sessionlib.db.execution import PENDING
from sessionlib.errors import DatabaseBusyError, DatabaseError, RowRejectedError
from sessionlib.sync.ingest import spending
from sessionlib.sync.ingest.ingester import Ingester
from tests.conftest import Wait
from tests.desks import ONE, Desk, hour
from tests.talks import total
from tests.trackers import Trackers, start_fixture  # noqa: F401 - a fixture

RECORDS = 23
SLICES = 5
"""Of all records and one more."""


@pytest.fixture
def desk(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A conversation of many records that works on a session by now: its next record tells that."""
    monkeypatch.setattr(spending, "_AT_ONCE", 5)
    made = Desk(database, tmp_path)
    talk = made.talk(hour(10.5), ONE)
    for _ in range(RECORDS):
        talk.says(1)
    made.house.read()
    made.write("first", conversations=[made.link("first", ONE, hour(8))])
    made.world.reconcile(made.root)
    made.house.open()
    talk.says(1)
    return made


def before_each_slice(monkeypatch: pytest.MonkeyPatch, do: Callable[[int], None]) -> list[int]:
    """Do something before each slice of a count, told its number from 1 on; return those that were begun."""
    plain = Ingester._settle_some
    begun: list[int] = []

    def settle(self: Ingester, *args: Any, **more: Any) -> Any:
        begun.append(len(begun) + 1)
        do(begun[-1])
        return plain(self, *args, **more)

    monkeypatch.setattr(Ingester, "_settle_some", settle)
    return begun


def is_counted(desk: Desk) -> bool:
    """Tell whether all is counted to the session, and nothing is marked."""
    return desk.counted() == {("first", "build", 2): RECORDS + 1} and not is_marked(desk)


def is_marked(desk: Desk) -> bool:
    """Tell whether the conversation is between two attributions."""
    return desk.house.row("conversations", native_id=ONE)["attribution"] == PENDING


def test_it_stops_after_the_transaction_under_way(
    desk: Desk, start: Trackers, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long count no slice is begun after that, and the next start does the rest."""
    reached, stopped = Event(), Event()

    def hold(number: int) -> None:
        if number == 2:
            reached.set()
            stopped.wait(10)

    with monkeypatch.context() as held:
        begun = before_each_slice(held, hold)
        tracker = start(desk.house)
        assert reached.wait(20)
        tracker._stopping.set()
        stopped.set()
        tracker.stop(10.0)
        assert not tracker.progress().alive
    assert begun == [1, 2]
    assert is_marked(desk)
    desk.house.open()
    start(desk.house)
    wait_until(lambda: is_counted(desk), "the rest of the count")


def test_what_comes_meanwhile_does_not_wait_for_the_count(
    desk: Desk, start: Trackers, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery is stored before the next slice."""
    waiting = []

    def deliver(number: int) -> None:
        waiting.append(desk.house.spool.waiting()[0])
        desk.house.deliver(desk.last.payload("Notification"), number)

    begun = before_each_slice(monkeypatch, deliver)
    start(desk.house)
    wait_until(lambda: is_counted(desk), "the count")
    assert len(begun) >= SLICES
    assert set(waiting) == {0}


def test_a_count_that_fails_for_a_moment_is_done_soon(
    desk: Desk,
    start: Trackers,
    wait_until: Wait,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was stored before it counts as stored: cursors of journals are where they are thought to be."""

    def refuse(number: int) -> None:
        if number in (1, 3):
            raise DatabaseBusyError("busy")

    before_each_slice(monkeypatch, refuse)
    start(desk.house)
    wait_until(lambda: is_counted(desk), "the count")
    assert "journal.moved" not in [getattr(record, "event", "") for record in caplog.records]


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a tenth and less of what is waited else."""
    monkeypatch.setattr(patience, "FIRST", 0.01)
    monkeypatch.setattr(patience, "OUTAGE_MOST", 0.02)
    monkeypatch.setattr(patience, "MOST", 0.5)


def test_a_count_that_is_refused_keeps_nothing_else_from_being_done(
    desk: Desk,
    start: Trackers,
    wait_until: Wait,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told once, and stays marked; all journals are read, and no turn fails."""

    def refuse(_number: int) -> None:
        raise RowRejectedError("refused")

    begun = before_each_slice(monkeypatch, refuse)
    others = 12
    for number in range(others):
        desk.talk(hour(11), f"other-conversation-{number}").says(1)
    tracker = start(desk.house)

    def is_read() -> bool:
        return bool(total(desk.house.rows("usage_records"), "output_tokens") == RECORDS + 1 + others)

    wait_until(is_read, "all journals")
    assert len(begun) <= 3
    assert tracker.status().error is None
    told = [record for record in caplog.records if getattr(record, "event", "") == "tracking.uncounted"]
    assert 1 <= len(told) <= 2
    assert is_marked(desk)


@pytest.mark.usefixtures("_hasty")
def test_what_may_be_refused_for_ever_is_tried_ever_more_slowly(desk: Desk, start: Trackers) -> None:
    """Each try looks at all journals."""
    tries = []

    def refuse() -> None:
        tries.append(1)
        error: DatabaseError = RowRejectedError("refused")
        raise error

    start(desk.house, refuse=refuse)
    time.sleep(1.0)
    assert 1 <= len(tries) <= 8
