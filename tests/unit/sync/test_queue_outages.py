"""The queue while the database as a whole is down, and the probes that find it up again."""

import logging
import threading
from threading import Event
from typing import Any

import pytest

from sessionlib.errors import (
    DatabaseRefusedError,
    DatabaseUnavailableError,
    SchemaMismatchError,
    SchemaMissingError,
)
from tests.conftest import Wait
from tests.queues import Make, Work, make_fixture, path, quick_fixture, work_fixture  # noqa: F401 - fixtures

WHOLE = [DatabaseUnavailableError("down"), DatabaseRefusedError("read-only"), SchemaMissingError("empty")]


@pytest.mark.parametrize("error", WHOLE, ids=lambda error: type(error).__name__)
def test_an_outage_pauses_and_loses_nothing(
    make: Make, work: Work, wait_until: Wait, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """While the database is down one worker probes and nothing is tried; then everything is synced."""
    caplog.set_level(logging.WARNING, "sessionlib.sync")
    down = Event()
    down.set()
    probes: list[str] = []
    recovered: list[None] = []

    def probe() -> None:
        probes.append(threading.current_thread().name)
        if down.is_set():
            raise error

    def failing(_: list[str]) -> None:
        if down.is_set():
            raise error

    work.behave = failing
    one = make(workers=4, probe=probe, batch_most=3)
    one.listen(on_recover=lambda: recovered.append(None), on_results=lambda *_: None)
    one.start()
    ticket = one.submit_batch(path(n) for n in range(20))
    for number in range(20, 25):
        one.submit(path(number))
    wait_until(lambda: len(probes) > 3, "probes")
    assert one.stats().paused == str(error)
    tried = len(work.calls)
    wait_until(lambda: len(probes) > 8, "more probes")
    assert len(work.calls) == tried
    assert one.owed == {}
    assert one.stats().waiting == 25
    down.clear()
    assert ticket.wait(5)
    assert one.drain(5) == 0
    assert ticket.counts == {"written": 20}
    assert one.stats().paused is None
    wait_until(lambda: recovered, "the news")
    assert len(recovered) == 1
    events = [record.event for record in caplog.records]  # type: ignore[attr-defined]
    assert events == ["db.down", "db.up"]


def test_a_probe_alone_proves_nothing(
    make: Make, work: Work, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that answers and takes no work is one outage: told once, probed ever more slowly."""
    caplog.set_level(logging.WARNING, "sessionlib.sync")
    full = Event()
    full.set()
    recovered: list[None] = []

    def failing(_: list[str]) -> None:
        if full.is_set():
            raise DatabaseUnavailableError("disk full")

    work.behave = failing
    one = make(workers=2)
    one.listen(on_recover=lambda: recovered.append(None), on_results=lambda *_: None)
    one.start()
    ticket = one.submit_batch([path("a")])
    wait_until(lambda: len(work.calls) > 5, "several tries")
    assert one.stats().paused == "disk full"
    assert recovered == []
    full.clear()
    assert ticket.wait(5)
    wait_until(lambda: recovered, "the news")
    assert len(recovered) == 1
    assert [record.event for record in caplog.records] == ["db.down", "db.up"]  # type: ignore[attr-defined]


def test_a_probe_that_raises_anything_is_no_answer(make: Make, work: Work, wait_until: Wait) -> None:
    """A surprise in the probe kills no worker and ends no outage."""
    surprises = iter([ValueError("?"), KeyError("?"), OSError("?")])
    failed = iter([DatabaseUnavailableError("down")])

    def probe() -> None:
        for error in surprises:
            raise error

    def failing(_: list[str]) -> None:
        for error in failed:
            raise error

    work.behave = failing
    one = make(workers=1, probe=probe)
    one.start()
    assert one.submit_batch([path("a")]).wait(5)
    assert next(surprises, None) is None
    assert one.stats().paused is None


def test_close_during_an_outage_is_quick(make: Make, work: Work, wait_until: Wait) -> None:
    """Neither the prober nor those who wait for it keep the process from ending."""

    def down(*_: Any) -> None:
        raise DatabaseUnavailableError("down")

    work.behave = down
    one = make(workers=3, probe=down)
    one.start()
    ticket = one.submit_batch([path("a")])
    wait_until(lambda: one.stats().paused, "the outage")
    assert one.close(5) == 1
    assert not any(thread.is_alive() for thread in one._threads)
    assert ticket.counts == {"refused": 1}


@pytest.mark.parametrize("submitted", [0, 3])
def test_what_somebody_else_found_wrong_pauses_until_it_is_mended(
    make: Make, work: Work, wait_until: Wait, caplog: pytest.LogCaptureFixture, submitted: int
) -> None:
    """Suspended, nobody works; an answer to the probe is the end of it, also when there is nothing to do."""
    caplog.set_level(logging.WARNING, "sessionlib.sync")
    newer = Event()
    newer.set()
    probes: list[None] = []
    recovered: list[None] = []

    def probe() -> None:
        probes.append(None)
        if newer.is_set():
            raise SchemaMismatchError("newer")

    one = make(workers=2, probe=probe)
    one.listen(on_recover=lambda: recovered.append(None), on_results=lambda *_: None)
    one.start()
    for _ in range(2):
        one.suspend(SchemaMismatchError("newer"))
    ticket = one.submit_batch(path(n) for n in range(submitted))
    wait_until(lambda: len(probes) > 3, "probes")
    assert one.stats().paused == "newer"
    assert work.calls == []
    newer.clear()
    wait_until(lambda: one.stats().paused is None, "the end")
    assert ticket.wait(5)
    wait_until(lambda: recovered, "the news")
    assert len(recovered) == 1
    assert [record.event for record in caplog.records] == ["db.down", "db.up"]  # type: ignore[attr-defined]
