"""The board over real parts, files and databases: it claims no freshness that does not hold."""

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from sessiond.agenda import EVERYTHING
from sessiond.board import Board, Limits
from sessiond.hints import ProjectsTouched
from sessiond.parts import Parts
from sessionlib.config import Config
from sessionlib.models.base import utc_now
from tests import builders
from tests.boards import (
    ROOT,
    Down,
    Gate,
    Start,
    config_fixture,
    down_fixture,
    fresh_fixture,
    no_writes,
    save,
    start_fixture,
)
from tests.conftest import Wait

__all__ = ["config_fixture", "down_fixture", "fresh_fixture", "start_fixture"]


# --- the start -------------------------------------------------------------------------------------


def test_fresh_after_the_first_round(fresh: Parts) -> None:
    """When all is mirrored, the mirror is as of now, and every part is well."""
    before = utc_now()
    health = fresh.board.health()
    assert health.as_of is not None
    assert health.as_of >= before
    assert (health.oldest, health.reasons, fresh.board.stuck()) == (None, (), [])
    assert [state.sessions for state in fresh.board.workspaces(fresh.name_of)] == [3]


def test_before_the_first_round_the_heartbeat_counts(start: Start, wait_until: Wait) -> None:
    """A first start knows nothing; a later one is as fresh as the last heartbeat until it has compared."""
    gates: list[Gate] = []
    parts = start(lambda runtime: gates.append(Gate(runtime)))
    assert gates[0].reached.wait(10)
    health = parts.board.health()
    assert (health.as_of, health.age) == (None, None)
    assert "first comparison" in health.reasons[0]
    gates[0].open.set()
    wait_until(lambda: parts.board.vouched and not parts.board.health().reasons)
    vouched = parts.board.vouched
    assert vouched is not None
    parts.stop(10.0)
    again = start(lambda runtime: gates.append(Gate(runtime)))
    assert gates[1].reached.wait(10)
    health = again.board.health()
    assert health.as_of is not None
    assert abs(health.as_of - vouched) < timedelta(seconds=1)
    assert health.reasons
    gates[1].open.set()
    wait_until(lambda: not again.board.health().reasons)


# --- changes on their way --------------------------------------------------------------------------


def test_a_change_ages_while_the_database_is_slow(
    fresh: Parts, config: Config, start: Start, wait_until: Wait
) -> None:
    """The mirror falls behind by the age of the oldest change, is stale after the limit, and recovers."""
    del start
    with no_writes(fresh.runtime.database):
        before = utc_now()
        save(config)
        wait_until(lambda: fresh.board.health().reasons, "it to be stale")
        health = fresh.board.health()
        assert health.as_of is not None
        assert before <= health.as_of < before + timedelta(seconds=1)
        assert (health.oldest or 0) >= 0.5
        assert "has been waiting" in health.reasons[0]
        assert fresh.board.database_state("x", is_postgres=False).up
        assert fresh.board.stuck() == []
        fresh.board.limits = Limits(stale_after=0.5, stuck_after=0.2)
        wait_until(lambda: any("queue makes no progress" in words for words in fresh.board.stuck()))
        assert any("makes no progress" in words for words in fresh.board.health().reasons)
    fresh.board.limits = Limits(stale_after=0.5, stuck_after=60)
    wait_until(lambda: not fresh.board.health().reasons, "it to be fresh", seconds=20)


def test_a_change_that_moves_on_meanwhile_is_not_missed(fresh: Parts, config: Config) -> None:
    """A change is seen although it leaves the debouncer for the queue between two looks at them."""
    session = config.watch.roots[0] / "shop" / ROOT / "one"

    def moves_on() -> None:
        fresh.runtime.queue.submit(session)

    board = Board(
        fresh.runtime.queue,
        fresh.rounds,
        fresh.watcher,
        held_since=moves_on,
        others=list,
        limits=Limits(60, 60),
    )
    fresh.runtime.queue.drain(10)
    with no_writes(fresh.runtime.database):
        assert board.health().oldest is not None


def test_events_that_are_read_and_not_passed_on_have_an_age(
    fresh: Parts, config: Config, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """While whoever hears an event takes his time, the mirror is not as of now."""
    gate = threading.Event()
    monkeypatch.setattr(fresh.watcher, "_on_hint", lambda _: gate.wait(10))
    before = utc_now()
    save(config)
    wait_until(lambda: fresh.watcher.heard_since is not None)
    time.sleep(0.05)
    health = fresh.board.health()
    assert health.as_of is not None
    assert before <= health.as_of < utc_now() - timedelta(seconds=0.05)
    gate.set()
    wait_until(lambda: fresh.watcher.heard_since is None)


def test_a_hint_never_waits_for_the_database(
    fresh: Parts, config: Config, tmp_path: Path, wait_until: Wait
) -> None:
    """While a new project is being registered in a database that is busy, events are still taken in."""
    del config
    with no_writes(fresh.runtime.database):
        builders.make_project(tmp_path / "code" / "new", ["four"])
        wait_until(fresh.runtime.registrar._registering.locked, "the registration")
        began = time.monotonic()
        fresh._hear(ProjectsTouched(tmp_path / "code", "appeared"))
        assert time.monotonic() - began < 1.0
    wait_until(lambda: not fresh.board.health().reasons, seconds=20)


def test_what_lost_events_were_about_counts_until_it_is_mirrored(
    fresh: Parts, tmp_path: Path, wait_until: Wait
) -> None:
    """What a comparison found after a loss is as old as the loss, not as its finding."""
    gate = Gate(fresh.runtime)
    lost = utc_now()
    fresh.rounds.request(EVERYTHING, "overflow")
    assert gate.reached.wait(10)
    builders.make_session(tmp_path / "code" / "shop" / ROOT, "four", builders.v2())
    time.sleep(0.3)
    with no_writes(fresh.runtime.database):
        builders.make_session(tmp_path / "code" / "shop" / ROOT, "five", builders.v2())
        gate.open.set()
        wait_until(lambda: fresh.rounds.progress().doing is None)
        health = fresh.board.health()
        assert health.as_of is not None
        assert health.as_of <= lost + timedelta(seconds=0.2)
    wait_until(lambda: not fresh.board.health().reasons, seconds=20)


# --- the database ----------------------------------------------------------------------------------


def test_an_outage_is_seen_and_over(fresh: Parts, config: Config, down: Down, wait_until: Wait) -> None:
    """While the database is down that is the reason, and nothing is stuck; then all is well."""
    with down():
        save(config)
        wait_until(lambda: fresh.runtime.queue.stats().paused, "the outage")
        state = fresh.board.database_state("x", is_postgres=False)
        assert not state.up
        assert state.error
        wait_until(lambda: (fresh.board.health().age or 0) > 0.5)
        health = fresh.board.health()
        assert health.reasons[0].startswith("the database is down")
        assert fresh.board.stuck() == []
    wait_until(lambda: not fresh.board.health().reasons, "it to be fresh", seconds=30)


def test_an_outage_without_any_change_is_seen(fresh: Parts, down: Down, wait_until: Wait) -> None:
    """An idle daemon learns by its rounds that the database is gone, and the doubt keeps its age."""
    with down():
        asked = utc_now()
        fresh.rounds.request(EVERYTHING, "overflow")
        wait_until(lambda: fresh.rounds.no_database, "the outage", seconds=20)
        assert fresh.runtime.queue.stats().paused is None
        assert not fresh.board.database_state("x", is_postgres=False).up
        time.sleep(2.5)  # longer than until the next try
        health = fresh.board.health()
        assert health.as_of is not None
        assert health.as_of < asked + timedelta(seconds=0.2)
        assert health.reasons[0].startswith("the database is down")
    wait_until(lambda: not fresh.board.health().reasons, "it to be fresh", seconds=30)
