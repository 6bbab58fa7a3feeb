"""Reconcile rounds: what is asked for is done, coalesced, repeated, and survives every failure."""

import threading
import time
from pathlib import Path

import pytest

from sessiond.agenda import EVERYTHING
from sessiond.rounds import Rounds
from sessionlib.errors import DatabaseUnavailableError, SessionlibError
from sessionlib.sync.reconcile import Report
from sessionlib.sync.ticket import Ticket
from tests.conftest import Wait
from tests.rounding import A, B, C, Fake, fake_fixture, rounds_fixture

__all__ = ["fake_fixture", "rounds_fixture"]


def test_the_start_compares_everything_and_vouches(fake: Fake, rounds: Rounds, wait_until: Wait) -> None:
    """The first round goes over all roots, and the heartbeat follows it."""
    del rounds
    wait_until(lambda: fake.done == [A, B] and fake.vouched == 1)


def test_a_round_reads_what_is_stored_at_once(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """What is stored of many roots is read together; of one alone, when it is compared."""
    monkeypatch.setattr("sessiond.rounds._AT_ONCE", 2)
    fake.roots = [A, B, C]
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: fake.done == [A, B, C])
    rounds.request(C, "overflow")
    wait_until(lambda: fake.done == [A, B, C, C])
    rounds.stop()
    assert fake.pictured == [[A, B]]
    assert fake.saw_picture == [True, True, False, False]


def test_one_root_can_be_asked_for(fake: Fake, rounds: Rounds, wait_until: Wait) -> None:
    """A request compares just its root, without another heartbeat."""
    wait_until(lambda: fake.vouched == 1)
    rounds.request(B, "overflow")
    wait_until(lambda: fake.done == [A, B, B])
    assert fake.vouched == 1


def test_an_absence_is_confirmed_by_a_later_look(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """A root with newly absent folders is compared once more by itself."""
    monkeypatch.setattr("sessiond.rounds._CONFIRM_SPACING", 0.05)
    fake.reports[A] = {"absent": 2, "unconfirmed": 2}
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: fake.done == [A, B, A])
    rounds.stop()


def test_what_went_a_little_later_is_confirmed_a_little_later(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """The look that confirms the first comes too early for the second, which has another one soon after."""
    monkeypatch.setattr("sessiond.rounds._CONFIRM_SPACING", 0.05)
    fake.reports[A] = {"absent": 1, "unconfirmed": 1, "confirm_in": 0.6}
    looks: list[float] = []

    def looked() -> None:
        if looks:
            fake.reports[A] = {"tombstoned": 1, "unconfirmed": 1, "confirm_in": 0.1}
        looks.append(time.monotonic())
        fake.before[A] = looked

    fake.before[A] = looked
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: len(looks) >= 3)
    rounds.stop()
    assert fake.done[:4] == [A, B, A, A]
    assert looks[1] - looks[0] > 0.5
    assert looks[2] - looks[1] < 5


def test_a_database_failure_postpones_the_round(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """While the database is down the request is kept and done later."""
    monkeypatch.setattr("sessiond.rounds._DATABASE_RETRY", 0.02)
    fake.failures = [DatabaseUnavailableError("down"), DatabaseUnavailableError("down")]
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: fake.done == [A, B])
    rounds.stop()


def test_the_thread_survives_a_defect(
    fake: Fake, rounds: Rounds, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected exception is logged with its traceback, and the next request is served."""
    wait_until(lambda: fake.vouched == 1)
    fake.failures = [ZeroDivisionError("a defect")]
    rounds.request(A, "overflow")
    wait_until(lambda: "round failed" in caplog.text)
    rounds.request(B, "overflow")
    wait_until(lambda: fake.done == [A, B, B])


def test_the_timer_repeats_the_round(fake: Fake, wait_until: Wait) -> None:
    """Everything is compared again after each interval."""
    rounds = Rounds(fake.steps(), interval=0.05)
    rounds.start()
    wait_until(lambda: fake.done.count(A) >= 4)
    rounds.stop()


def test_no_heartbeat_while_work_is_queued(fake: Fake, wait_until: Wait) -> None:
    """The mirror is vouched for only once what a round has queued is synced."""
    ticket = Ticket(1)
    fake.reports[A] = {"ticket": ticket}
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: fake.done == [A, B])
    assert fake.vouched == 0
    ticket.done("written")
    wait_until(lambda: fake.vouched == 1)
    rounds.stop()


def test_only_a_complete_round_cleans_and_vouches(fake: Fake, wait_until: Wait) -> None:
    """A round in which a root could not be listed mends no lost events, and nobody vouches for it."""
    fake.reports[A] = {"complete": False}
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: fake.done == [A, B])
    assert (fake.cleaned, fake.vouched) == ([], 0)
    rounds.request(EVERYTHING, "again")
    wait_until(lambda: fake.cleaned == [4] and fake.vouched == 1)
    rounds.stop()


def test_an_outage_multiplies_nothing(fake: Fake, monkeypatch: pytest.MonkeyPatch, wait_until: Wait) -> None:
    """However many timer rounds fail, one timer and one retry are planned."""
    monkeypatch.setattr("sessiond.rounds._DATABASE_RETRY", 0.005)
    fake.failures = [DatabaseUnavailableError("down") for _ in range(60)]
    rounds = Rounds(fake.steps(), interval=0.02)
    rounds.start()
    wait_until(lambda: len(fake.failures) < 10)
    for _ in range(50):
        rounds.request(A, "absent")
    planned = list(rounds._agenda._plans)
    assert len(planned) == len(set(planned)) <= 5
    wait_until(lambda: not fake.failures and A in fake.done)
    rounds.stop()


def test_a_problem_is_told_once(
    fake: Fake, rounds: Rounds, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that cannot be listed is a warning when it is news, not at every round."""
    caplog.set_level("DEBUG", "sessiond.rounds")
    wait_until(lambda: fake.vouched == 1)
    for count in range(3):
        fake.reports[A] = {"problems": (("s", "Permission denied"),)}
        rounds.request(A, "look")
        wait_until(lambda wanted=count + 2: fake.done.count(A) == wanted)
    rounds.request(B, "last")
    wait_until(lambda: fake.done.count(B) == 2)
    told = [r.levelname for r in caplog.records if getattr(r, "event", "") == "reconcile.unlisted"]
    assert told == ["WARNING", "DEBUG", "DEBUG"]


def test_everything_stands_for_all_roots() -> None:
    """The constant is no path that a root could have."""
    assert not EVERYTHING.is_absolute()


class Asking:
    """A question that records its answer."""

    def __init__(self, roots: list[Path], *, accept_missing: bool = False) -> None:
        self.roots = roots
        self.accept_missing = accept_missing
        self.error: SessionlibError | None = None
        self.reports: list[Report] | None = None
        self.failure: SessionlibError | None = None

    def begin(self) -> list[Path]:
        """Return the roots, or refuse."""
        if self.error is not None:
            raise self.error
        return self.roots

    def finish(self, reports: list[Report]) -> None:
        """Keep the reports."""
        self.reports = reports

    def fail(self, error: SessionlibError) -> None:
        """Keep the error."""
        self.failure = error


def test_a_question_is_answered_with_its_reports(fake: Fake, rounds: Rounds, wait_until: Wait) -> None:
    """What somebody asks for is compared with his wish about missing sessions, and he gets the reports."""
    wait_until(lambda: fake.vouched == 1)
    question = Asking([B], accept_missing=True)
    assert rounds.ask(question)
    wait_until(lambda: question.reports is not None)
    assert [report.place.path for report in question.reports or []] == [B]
    assert fake.believed == [False, False, True]


def test_a_question_goes_before_the_rest_of_a_round(fake: Fake, wait_until: Wait) -> None:
    """Somebody who asks in the middle of a round over everything is answered before its next root."""
    rounds = Rounds(fake.steps(), interval=3600)
    question = Asking([C])
    fake.before[A] = lambda: rounds.ask(question)
    rounds.start()
    wait_until(lambda: fake.done == [A, C, B])
    rounds.stop()


def test_what_was_accepted_is_believed_by_the_look_that_confirms_it(
    fake: Fake, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it was asked for in the middle of a round, and the database fails in between; only once."""
    monkeypatch.setattr("sessiond.rounds._ACCEPTED_SECONDS", 0.05)
    monkeypatch.setattr("sessiond.rounds._CONFIRM_SPACING", 0.05)
    monkeypatch.setattr("sessiond.rounds._DATABASE_RETRY", 0.05)
    rounds = Rounds(fake.steps(), interval=3600)
    question = Asking([C], accept_missing=True)

    def ask() -> None:
        rounds.ask(question)
        fake.reports[C] = {"unconfirmed": 3}
        fake.before[C] = lambda: fake.before.update({C: fail})

    def fail() -> None:
        # Of what is gone by now nothing was accepted.
        fake.reports[C] = {"unconfirmed": 1}
        fake.failures.append(DatabaseUnavailableError("down"))

    fake.before[A] = ask
    rounds.start()
    wait_until(lambda: fake.done == [A, C, B, C, C])
    assert fake.believed == [False, True, False, True, True, False]
    rounds.stop()


def test_a_question_that_cannot_begin_fails_alone(fake: Fake, rounds: Rounds, wait_until: Wait) -> None:
    """The reason reaches who asked, and the thread serves the next."""
    wait_until(lambda: fake.vouched == 1)
    bad, good = Asking([A]), Asking([B])
    bad.error = DatabaseUnavailableError("down")
    rounds.ask(bad)
    rounds.ask(good)
    wait_until(lambda: good.reports is not None)
    assert bad.failure is bad.error
    assert bad.reports is None


def test_a_defect_while_answering_is_told_in_words(
    fake: Fake, rounds: Rounds, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asked gets a sentence without the traceback, which the log has."""
    wait_until(lambda: fake.vouched == 1)
    fake.failures = [ZeroDivisionError("a defect")]
    question = Asking([A])
    rounds.ask(question)
    wait_until(lambda: question.failure is not None)
    assert "ZeroDivisionError" in str(question.failure)
    assert "a defect" in caplog.text


def test_questions_are_refused_after_the_stop(fake: Fake, wait_until: Wait) -> None:
    """One that waits at the stop fails, and one that comes later is not taken."""
    rounds = Rounds(fake.steps(), interval=3600)
    late = Asking([A])
    fake.before[A] = lambda: (rounds.ask(late), rounds.stop(0))
    rounds.start()
    wait_until(lambda: late.failure is not None)
    assert not rounds.ask(Asking([B]))
    rounds.stop()


def test_the_first_round_is_over_when_its_import_is(fake: Fake, wait_until: Wait) -> None:
    """Until what the first round has queued is mirrored, the mirror is only as fresh as before."""
    ticket = Ticket(1)
    fake.reports[A] = {"ticket": ticket}
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: len(rounds.compared()) == 2)
    assert not rounds.first_round_over
    ticket.done("written")
    wait_until(lambda: rounds.first_round_over)
    rounds.stop()


def test_a_timer_casts_no_doubt_and_a_lost_event_does(fake: Fake, wait_until: Wait) -> None:
    """Files are in doubt from a request's moment until its comparison; a routine round doubts nothing."""
    rounds = Rounds(fake.steps(), interval=3600)
    assert rounds.doubtful_since() is None
    before = time.monotonic()
    rounds.request(B, "overflow")
    since = rounds.doubtful_since()
    assert since is not None
    assert since >= before
    rounds.start()
    wait_until(lambda: fake.vouched == 1)
    assert rounds.doubtful_since() is None
    rounds.stop()


def test_progress_tells_what_the_thread_is_at(fake: Fake, wait_until: Wait) -> None:
    """While a comparison hangs, the thread is seen to hold it, and is stuck after the limit."""
    gate = threading.Event()
    fake.before[A] = gate.wait
    rounds = Rounds(fake.steps(), interval=3600)
    rounds.start()
    wait_until(lambda: rounds.progress().doing is not None)
    held = rounds.progress()
    assert "everything" in (held.doing or "")
    now = time.monotonic()
    assert not held.is_stuck(now, 60)
    assert held.is_stuck(now + 61, 60)
    gate.set()
    wait_until(lambda: rounds.progress().holding_since is None)
    rounds.stop()
    assert rounds.progress().is_stuck(now, 60)
