"""Usage is counted anew in short transactions, and to its end, whatever comes in between."""

from pathlib import Path
from typing import Any

import pytest

from sessionlib.db.engine import Database
from sessionlib.db.execution import PENDING
from sessionlib.errors import DatabaseBusyError, RowRejectedError
from sessionlib.sync.ingest import spending, upkeep
from sessionlib.sync.ingest.ingester import Ingester
from tests.desks import ONE, Desk, hour
from tests.mirrors import begun_writes

RECORDS = 23
AT_ONCE = 5


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def desk(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with one conversation of many records, none of them counted to a session yet."""
    monkeypatch.setattr(spending, "_AT_ONCE", AT_ONCE)
    made = Desk(database, tmp_path)
    talk = made.talk(hour(10.5), ONE)
    for _ in range(RECORDS):
        talk.says(1)
    made.house.read()
    assert made.counted() == {("", "", 0): RECORDS}
    return made


def attributions(desk: Desk) -> list[str]:
    """Return by what the conversations' records are counted."""
    return [row["attribution"] for row in desk.house.rows("conversations")]


def dies_after(monkeypatch: pytest.MonkeyPatch, slices: int) -> None:
    """Let the process end behind so many slices of the next recount."""
    plain = Ingester._settle_some
    left = [slices]

    def settle(self: Ingester, *args: Any, **more: Any) -> Any:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return plain(self, *args, **more)

    monkeypatch.setattr(Ingester, "_settle_some", settle)


def test_each_transaction_looks_at_a_few_records(desk: Desk) -> None:
    """A link that comes late moves all records to its session, in transactions of a few each."""
    desk.session("first")
    with begun_writes(desk.house.database) as begun:
        desk.session("first", conversations=[desk.link("first", ONE, hour(8))])
    assert desk.counted() == {("first", "build", 2): RECORDS}
    assert len(begun) >= RECORDS // AT_ONCE


@pytest.mark.parametrize("slices", [1, 2, 4])
def test_a_recount_that_was_killed_is_ended_by_the_next_start(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, slices: int
) -> None:
    """What a kill left between two attributions is marked, and counted to its end."""
    with monkeypatch.context() as dying:
        dies_after(dying, slices)
        with pytest.raises(Killed):
            desk.session("first", conversations=[desk.link("first", ONE, hour(8))])
    assert attributions(desk) == [PENDING]
    assert desk.counted() == {
        ("", "", 0): RECORDS - slices * AT_ONCE,
        ("first", "build", 2): slices * AT_ONCE,
    }
    desk.house.open()
    list(upkeep.finish_counting(desk.house.database, desk.house.ingester))
    assert desk.counted() == {("first", "build", 2): RECORDS}
    assert PENDING not in attributions(desk)
    assert list(upkeep.finish_counting(desk.house.database, desk.house.ingester)) == []


@pytest.mark.parametrize("slices", [1, 4])
def test_a_session_that_changes_in_between_is_counted_by_its_last_state(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, slices: int
) -> None:
    """Records of slices that were counted by an older state are counted again, even after the last slice."""
    plain = Ingester._settle_some
    done = [0]

    def settle(self: Ingester, *args: Any, **more: Any) -> Any:
        found = plain(self, *args, **more)
        done[0] += 1
        if done[0] == slices:
            monkeypatch.setattr(Ingester, "_settle_some", plain)
            desk.write("first")
            desk.write("other", conversations=[desk.link("other", ONE, hour(8))])
            # Nobody has come yet to what follows of it.
            desk.world.reconcile(desk.root)
        return found

    monkeypatch.setattr(Ingester, "_settle_some", settle)
    desk.session("first", conversations=[desk.link("first", ONE, hour(8))])
    assert desk.counted() == {("other", "build", 2): RECORDS}


def fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let each slice of a count fail."""

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Ingester, "_settle_some", refuse)


def linked(desk: Desk) -> None:
    """Mirror a session that all records belong to, without counting, and begin anew."""
    desk.write("first", conversations=[desk.link("first", ONE, hour(8))])
    desk.world.reconcile(desk.root)
    desk.house.open()


def events(caplog: pytest.LogCaptureFixture) -> set[str]:
    """Return the names of what was told in the log."""
    return {getattr(record, "event", "") for record in caplog.records}


def test_a_count_that_fails_is_no_failure_of_the_store(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A journal is read to where it was stored; the count waits, and is done when it can be."""
    linked(desk)
    desk.last.says(1)
    house = desk.house
    with monkeypatch.context() as broken:
        fails(broken, DatabaseBusyError("busy"))
        (journal,) = house.transcripts.changed(house.adapter, house.config)
        assert sum(looked.lines for looked in house.transcripts.read(house.adapter, journal)) == 1
        for _ in range(2):
            with pytest.raises(DatabaseBusyError):
                house.count()
    house.transcripts.refresh()
    assert "journal.moved" not in events(caplog)
    assert list(house.transcripts.changed(house.adapter, house.config)) == []
    assert attributions(desk) == [PENDING]
    house.count()
    assert desk.counted() == {("first", "build", 2): RECORDS + 1}
    assert PENDING not in attributions(desk)


def test_no_delivery_is_put_aside_for_a_count_that_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are stored."""
    linked(desk)
    house = desk.house
    for number, event in enumerate(("Notification", "Stop")):
        house.deliver(desk.last.payload(event), number)
    with monkeypatch.context() as broken:
        fails(broken, RowRejectedError("refused"))
        done = house.deliveries.drain()
    assert (done.stored, done.buried, house.spool.buried()) == (2, 0, [])
    assert len([row for row in house.rows("agent_logs") if row["category"] == "hook"]) == 2
    house.count()
    assert desk.counted() == {("first", "build", 2): RECORDS}


def test_a_note_that_fails_after_a_portion_is_no_failure_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That the small file beside a journal was read is noted later; the lines are known to be stored."""
    house = desk.house
    desk.last.says(1, agent="helper")
    desk.last.path_of("helper").with_suffix(".meta.json").write_text('{"agentType": "scout"}')
    (journal,) = house.transcripts.changed(house.adapter, house.config)
    plain, calls = Ingester.store, []

    def store(self: Ingester, *args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise DatabaseBusyError("busy")
        return plain(self, *args, **more)

    with monkeypatch.context() as broken:
        broken.setattr(Ingester, "store", store)
        with pytest.raises(DatabaseBusyError):
            list(house.transcripts.read(house.adapter, journal))
    house.transcripts.refresh()
    assert "journal.moved" not in events(caplog)
    assert list(house.transcripts.changed(house.adapter, house.config)) == [journal]
    house.read()
    assert list(house.transcripts.changed(house.adapter, house.config)) == []
    assert house.row("agents", native_id="helper")["agent_type"] == "scout"


def test_what_comes_in_between_is_counted_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """New responses of a conversation that is half counted are stored, and end what was begun."""
    with monkeypatch.context() as dying:
        dies_after(dying, 2)
        with pytest.raises(Killed):
            desk.session("first", conversations=[desk.link("first", ONE, hour(8))])
    desk.house.open()
    desk.last.says(1)
    desk.house.read()
    assert desk.counted() == {("first", "build", 2): RECORDS + 1}
    assert PENDING not in attributions(desk)
