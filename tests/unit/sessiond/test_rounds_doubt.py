"""Doubt: since when files may differ from the mirror, through outages, defects and imports."""

import time

import pytest

from sessiond.agenda import EVERYTHING
from sessiond.rounds import Rounds
from sessionlib.errors import DatabaseUnavailableError
from sessionlib.sync.ticket import Ticket
from tests.conftest import Wait
from tests.rounding import A, B, C, Fake, fake_fixture, rounds_fixture

__all__ = ["fake_fixture", "rounds_fixture"]


def test_a_confirming_look_casts_no_doubt(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """While the second look at an absence runs, nothing is in doubt since the first one."""
    monkeypatch.setattr("sessiond.rounds._CONFIRM_SPACING", 0.05)
    fake.reports[A] = {"absent": 1, "unconfirmed": 1}
    rounds = Rounds(fake.steps(), interval=3600)
    doubts: list[float | None] = []

    def look_again() -> None:
        fake.before[A] = lambda: doubts.append(rounds.doubtful_since())

    fake.before[B] = look_again
    rounds.start()
    wait_until(lambda: fake.done == [A, B, A])
    rounds.stop()
    assert doubts == [None]


def test_doubt_outlasts_an_outage(fake: Fake, monkeypatch: pytest.MonkeyPatch, wait_until: Wait) -> None:
    """However often the database refuses, files are in doubt since they were asked about; it is told once."""
    monkeypatch.setattr("sessiond.rounds._DATABASE_RETRY", 0.01)
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: fake.vouched == 1)
    failures = fake.failures = [DatabaseUnavailableError("down") for _ in range(10_000)]
    asked = time.monotonic()
    rounds.request(A, "overflow")
    answered = time.monotonic()
    wait_until(lambda: len(failures) < 9_990)
    since = rounds.doubtful_since()
    assert since is not None
    assert asked <= since <= answered
    assert rounds.no_database == "down"
    del failures[1:]
    wait_until(lambda: rounds.doubtful_since() is None)
    assert rounds.no_database is None
    rounds.stop()


def test_an_outage_is_told_once(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """A daemon without changes learns of an outage by its rounds, and says so."""
    monkeypatch.setattr("sessiond.rounds._DATABASE_RETRY", 0.01)
    caplog.set_level("DEBUG", "sessiond.rounds")
    fake.failures = [DatabaseUnavailableError("down") for _ in range(4)]
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: fake.done == [A, B])
    rounds.stop()
    told = [r.levelname for r in caplog.records if getattr(r, "event", "") == "reconcile.postponed"]
    assert told == ["WARNING", "DEBUG", "DEBUG", "DEBUG"]


def test_what_a_doubt_has_queued_stays_in_doubt(fake: Fake, rounds: Rounds, wait_until: Wait) -> None:
    """Lost events are made good when what they were about is mirrored, not when it is queued."""
    wait_until(lambda: fake.vouched == 1)
    ticket = Ticket(1)
    fake.reports[B] = {"ticket": ticket}
    asked = time.monotonic()
    rounds.request(B, "overflow")
    answered = time.monotonic()
    wait_until(lambda: fake.done == [A, B, B] and rounds.progress().doing is None)
    since = rounds.doubtful_since()
    assert since is not None
    assert asked <= since <= answered
    ticket.done("written")
    assert rounds.doubtful_since() is None


def test_one_root_keeps_no_other_back(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect with one root is logged, leaves that root in doubt, and the round goes on."""
    monkeypatch.setattr("sessiond.rounds._DEFECT_RETRY", 2.0)
    fake.failures = [ZeroDivisionError("a defect")]
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: fake.done == [B] and rounds.first_round_over)
    assert rounds.doubtful_since() is not None
    assert (fake.vouched, "a defect" in caplog.text) == (0, True)
    wait_until(lambda: fake.done == [B, A] and rounds.doubtful_since() is None)
    rounds.stop()


def test_roots_that_are_no_more_are_forgotten(fake: Fake, rounds: Rounds, wait_until: Wait) -> None:
    """The last comparisons are those of the roots that the last round has come by."""
    wait_until(lambda: fake.vouched == 1)
    rounds.request(C, "appeared")
    wait_until(lambda: C in rounds.compared())
    rounds.request(EVERYTHING, "again")
    wait_until(lambda: set(rounds.compared()) == {A, B})


def test_a_heartbeat_that_fails_repeats_no_round(fake: Fake, wait_until: Wait) -> None:
    """When the database takes no heartbeat, that is tried again, and nothing else."""
    refused = [DatabaseUnavailableError("down")]
    real = fake.vouch

    def vouch() -> None:
        if refused:
            raise refused.pop()
        real()

    fake.vouch = vouch  # type: ignore[method-assign]
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: fake.vouched == 1)
    rounds.stop()
    assert fake.done == [A, B]
