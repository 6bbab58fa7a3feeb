"""Rescans: who waits gets counts after the commit, and identical requests share one comparison."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from uuid import UUID

import pytest

from sessiond.rescans import Rescans, RootCounts
from sessiond.rounds import Question
from sessiond.targets import Target
from sessionlib.errors import (
    DatabaseUnavailableError,
    RecordNotFoundError,
    SessionlibError,
    StoppingError,
)
from sessionlib.sync.places import Place
from sessionlib.sync.reconcile import Report
from sessionlib.sync.ticket import Ticket

ROOT = Path("/p/agents/sessions")
PLACE = Place(UUID(int=1), UUID(int=2), Path("/p"), "agents/sessions", ROOT)
Wait = Callable[..., None]


class Bench:
    """Rounds on a bench: questions are kept, and answered when the test says so."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.down: str | None = None
        self.refused: SessionlibError | None = None
        self.stopped = False
        self.counted: list[str] = []

    def ask(self, question: Question) -> bool:
        """Keep a question."""
        self.questions.append(question)
        return not self.stopped

    def resolve(self, target: Target) -> list[Path]:
        """Return the one root there is, or refuse."""
        del target
        if self.refused is not None:
            raise self.refused
        return [ROOT]

    def count(self, reports: list[Report]) -> list[RootCounts]:
        """Count what the tickets say."""
        self.counted.append(threading.current_thread().name)
        return [
            RootCounts(
                project="p",
                path=str(report.place.path),
                sessions=report.total,
                written=report.ticket.counts.get("written", 0),
                unchanged=0,
                absent=0,
                tombstoned=0,
                held=0,
                unreadable=0,
                left=0,
                missing=False,
            )
            for report in reports
        ]


@pytest.fixture
def bench() -> Bench:
    """The bench of this test."""
    return Bench()


@pytest.fixture
def rescans(bench: Bench) -> Iterator[Rescans]:
    """Rescans over the bench."""
    made = Rescans(bench, resolve=bench.resolve, count=bench.count, paused=lambda: bench.down)  # type: ignore[arg-type]
    made.start()
    yield made
    made.stop()


def test_the_answer_comes_after_the_commit(bench: Bench, rescans: Rescans) -> None:
    """The future ends only when every folder that differed has been synced, and counts them."""
    answer = rescans.ask(Target())
    ticket = Ticket(2)
    question = bench.questions[0]
    assert question.begin() == [ROOT]
    question.finish([Report(PLACE, total=7, ticket=ticket)])
    ticket.done("written")
    with pytest.raises(TimeoutError):
        answer.result(0.05)
    ticket.done("written")
    assert [(count.sessions, count.written) for count in answer.result(5)] == [(7, 2)]
    assert bench.counted == ["rescans"]


def test_a_target_without_roots_is_answered(bench: Bench, rescans: Rescans) -> None:
    """Nothing to compare is an answer, too."""
    answer = rescans.ask(Target())
    bench.questions[0].begin()
    bench.questions[0].finish([])
    assert answer.result(5) == []


def test_identical_requests_share_one_comparison(bench: Bench, rescans: Rescans) -> None:
    """A hundred requests for one target before it begins are one question, and all are answered."""
    answers = [rescans.ask(Target(path=ROOT)) for _ in range(100)]
    other = rescans.ask(Target(project="x"))
    assert len(bench.questions) == 2
    bench.questions[0].begin()
    bench.questions[0].finish([Report(PLACE, total=1)])
    assert all(answer.result(5)[0].sessions == 1 for answer in answers)
    assert not other.done()


def test_a_comparison_that_has_begun_is_not_shared(bench: Bench, rescans: Rescans) -> None:
    """Files may have changed behind it, so who comes later gets one of his own."""
    first = rescans.ask(Target(path=ROOT))
    bench.questions[0].begin()
    second = rescans.ask(Target(path=ROOT))
    assert len(bench.questions) == 2
    bench.questions[0].finish([Report(PLACE, total=1)])
    assert first.result(5)[0].sessions == 1
    assert not second.done()


def test_a_refusal_reaches_all_who_wait(bench: Bench, rescans: Rescans) -> None:
    """An unknown project fails every future with the same sentence."""
    bench.refused = RecordNotFoundError("project", "shopp", nearest=("shop",))
    answers = [rescans.ask(Target(project="shopp")) for _ in range(3)]
    question = bench.questions[0]
    with pytest.raises(RecordNotFoundError) as refusal:
        question.begin()
    question.fail(refusal.value)
    for answer in answers:
        assert isinstance(answer.exception(5), RecordNotFoundError)


def test_one_who_goes_away_spoils_nothing_for_the_others(bench: Bench, rescans: Rescans) -> None:
    """Cancelling a future only ends that waiting."""
    gone, waiting = rescans.ask(Target()), rescans.ask(Target())
    assert gone.cancel()
    bench.questions[0].begin()
    bench.questions[0].finish([Report(PLACE, total=3)])
    assert waiting.result(5)[0].sessions == 3
    assert gone.cancelled()


def test_nobody_waits_for_a_database_that_is_down(bench: Bench, rescans: Rescans) -> None:
    """When the database goes away before the commit, the waiting ends with that reason."""
    answer = rescans.ask(Target())
    bench.questions[0].begin()
    bench.questions[0].finish([Report(PLACE, total=1, ticket=Ticket(1))])
    bench.down = "connection refused"
    error = answer.exception(5)
    assert isinstance(error, DatabaseUnavailableError)
    assert "connection refused" in error.message


def test_the_stop_ends_all_waiting(bench: Bench, rescans: Rescans) -> None:
    """Those who wait, those whose comparison runs, and those who come late get the same answer."""
    waiting, running = rescans.ask(Target(project="a")), rescans.ask(Target(project="b"))
    bench.questions[1].begin()
    bench.questions[1].finish([Report(PLACE, ticket=Ticket(1))])
    rescans.stop()
    late: Future[list[RootCounts]] = rescans.ask(Target())
    for answer in (waiting, running, late):
        assert isinstance(answer.exception(1), StoppingError)


def test_a_defect_while_counting_is_told_in_words(
    bench: Bench, rescans: Rescans, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits gets a sentence, the log the traceback, and the next request is answered."""
    monkeypatch.setattr(rescans, "_count", lambda reports: reports[0].nothing)
    answer = rescans.ask(Target())
    bench.questions[0].begin()
    bench.questions[0].finish([Report(PLACE)])
    assert "AttributeError" in str(answer.exception(5))
    assert "nothing" in caplog.text
    monkeypatch.setattr(rescans, "_count", bench.count)
    again = rescans.ask(Target())
    bench.questions[1].begin()
    bench.questions[1].finish([])
    assert again.result(5) == []


def test_nobody_waits_behind_a_comparison_that_hangs(bench: Bench, rescans: Rescans) -> None:
    """Who has not had his turn when the database is down is refused too, and closes nobody else's request."""
    bench.down = "connection refused"
    refused = rescans.ask(Target())
    assert isinstance(refused.exception(5), DatabaseUnavailableError)
    bench.down = None
    again, joined = rescans.ask(Target()), rescans.ask(Target())
    assert len(bench.questions) == 2
    assert bench.questions[0].begin() == ()
    bench.questions[0].finish([])
    assert rescans.ask(Target()) is not None
    assert len(bench.questions) == 2
    assert bench.questions[1].begin() == [ROOT]
    bench.questions[1].finish([Report(PLACE, total=3)])
    assert [answer.result(5)[0].sessions for answer in (again, joined)] == [3, 3]


def test_a_belief_that_nobody_waits_for_outlives_an_outage(
    bench: Bench, rescans: Rescans, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """It is asked for again when the database is back; who waited was told and asks himself."""
    monkeypatch.setattr("sessiond.rescans._AGAIN_AFTER", 0.0)
    bench.down = "connection refused"
    told = rescans.request(Target(path=ROOT, accept_missing=True))
    waiting = rescans.ask(Target(project="x", accept_missing=True))
    plain = rescans.request(Target(path=ROOT))
    for answer in (told, waiting, plain):
        assert isinstance(answer.exception(5), DatabaseUnavailableError)
    assert [question.begin() for question in bench.questions] == [(), (), ()]
    time.sleep(0.6)
    assert len(bench.questions) == 3
    bench.down = None
    wait_until(lambda: len(bench.questions) == 4, "the request that was kept")
    again = bench.questions[3]
    assert again.accept_missing
    assert again.begin() == [ROOT]
    again.fail(DatabaseUnavailableError("gone again"))
    wait_until(lambda: len(bench.questions) == 5, "the same once more")
    assert bench.questions[4].begin() == [ROOT]
    bench.questions[4].finish([Report(PLACE)])
    time.sleep(0.6)
    assert len(bench.questions) == 5


def test_what_cannot_be_done_for_nobody_is_logged(
    bench: Bench, rescans: Rescans, caplog: pytest.LogCaptureFixture
) -> None:
    """An unknown project, more than can be kept, and the end of the daemon: a line with its target."""
    missing = RecordNotFoundError("project", "shopp", nearest=("shop",))
    asked = rescans.request(Target(project="shopp", accept_missing=True))
    bench.questions[0].fail(missing)
    assert asked.exception(5) is missing
    for number in range(102):
        rescans.request(Target(project=f"p{number}", accept_missing=True))
        bench.questions[-1].fail(DatabaseUnavailableError("down"))
    rescans.stop()
    said = [record for record in caplog.records if getattr(record, "event", "") == "rescan.refused"]
    assert [record.fields["target"] for record in said] == [  # type: ignore[attr-defined]
        "shopp",
        "p100",
        "p101",
        *(f"p{number}" for number in range(100)),
    ]
    assert "stopping" in said[-1].getMessage()
    assert len(bench.questions) == 103


def test_one_of_two_waits(bench: Bench, rescans: Rescans, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits beside one who does not hears of the fault, and the request is kept all the same."""
    monkeypatch.setattr("sessiond.rescans._AGAIN_AFTER", 0.0)
    target = Target(path=ROOT, accept_missing=True)
    waiting, _ = rescans.ask(target), rescans.request(target)
    assert len(bench.questions) == 1
    bench.questions[0].fail(DatabaseUnavailableError("down"))
    assert isinstance(waiting.exception(5), DatabaseUnavailableError)
    joined = None
    for _ in range(500):
        time.sleep(0.01)
        if len(bench.questions) == 2:
            joined = rescans.ask(target)
            break
    assert joined is not None
    assert bench.questions[1].begin() == [ROOT]
    bench.questions[1].finish([Report(PLACE, total=3)])
    assert joined.result(5)[0].sessions == 3
