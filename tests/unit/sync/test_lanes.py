"""The queue's state without threads: each folder in one place at a time, and every ticket kept."""

from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sessionlib.sync.lanes import Job, Lanes
from sessionlib.sync.ticket import Ticket

A, B, C = (Path(f"/p/{name}") for name in "abc")
OTHER = Path("/q/d")


@pytest.fixture
def lanes() -> Lanes:
    """Empty lanes."""
    return Lanes()


def take(lanes: Lanes, live: int = 10, batch: int = 10, runs: int = 5) -> list[Job]:
    return lanes.take(live_most=live, batch_most=batch, batch_runs=runs)


def paths(jobs: list[Job]) -> list[Path]:
    return [job.path for job in jobs]


def test_live_first_then_batch(lanes: Lanes) -> None:
    """Live folders are taken before a reconcile's; one that is both is live."""
    for path, live in ((A, False), (B, False), (C, True), (B, True)):
        lanes.add(path, live=live)
    assert paths(take(lanes)) == [C, B]
    assert paths(take(lanes)) == [A]
    assert take(lanes) == []


def test_a_group_lies_in_one_folder(lanes: Lanes) -> None:
    """A group ends at the first folder of another root, and at its bound."""
    for path in (A, B, OTHER, C):
        lanes.add(path, live=True)
    assert paths(take(lanes, live=1)) == [A]
    assert paths(take(lanes)) == [B]
    assert paths(take(lanes)) == [OTHER]
    assert paths(take(lanes)) == [C]


def test_groups_of_a_reconcile_are_bounded(lanes: Lanes) -> None:
    """No more than so many groups of batch work run at once."""
    for path in (A, B):
        lanes.add(path, live=False)
    assert paths(take(lanes, batch=1, runs=1)) == [A]
    assert take(lanes, batch=1, runs=1) == []
    lanes.batch_runs -= 1
    assert paths(take(lanes, batch=1, runs=1)) == [B]


def test_dirtied_while_running(lanes: Lanes) -> None:
    """A running folder that is dirtied runs again after it, with the new tickets."""
    lanes.add(A, live=False)
    (job,) = take(lanes)
    ticket = Ticket(1)
    lanes.add(A, live=False, ticket=ticket)
    lanes.add(A, live=True)
    assert take(lanes) == []
    lanes.finish(job)
    (again,) = take(lanes)
    assert (again.live, again.tickets) == (True, [ticket])
    assert again is not job
    assert lanes.is_running(again)
    assert not lanes.is_running(job)


def test_a_delay_ends_when_it_is_due(lanes: Lanes) -> None:
    """A delayed folder waits until its time, not a moment less."""
    lanes.add(A, live=True)
    (job,) = take(lanes)
    lanes.delay(job, 10.0)
    assert (lanes.delayed, lanes.next_due(), len(lanes)) == (1, 10.0, 1)
    lanes.wake(9.9)
    assert take(lanes) == []
    lanes.wake(10.0)
    assert take(lanes) == [job]
    assert lanes.next_due() is None


def test_something_new_ends_a_delay(lanes: Lanes) -> None:
    """A delayed folder that is dirtied is tried at once; it keeps its tickets, not what was found torn."""
    ticket = Ticket(1)
    lanes.add(A, live=False, ticket=ticket)
    (job,) = take(lanes)
    job.torn_looks = 2
    lanes.delay(job, 10.0)
    lanes.add(A, live=True)
    (again,) = take(lanes)
    assert (again.live, again.torn_looks, again.tickets) == (True, 0, [ticket])


def test_an_old_due_time_does_not_end_a_later_delay(lanes: Lanes) -> None:
    """Delayed, woken by a change, and delayed again: the first due time no longer counts."""
    lanes.add(A, live=True)
    (job,) = take(lanes)
    lanes.delay(job, 10.0)
    lanes.add(A, live=True)
    (job,) = take(lanes)
    lanes.delay(job, 20.0)
    lanes.wake(10.0)
    assert take(lanes) == []
    lanes.wake(20.0)
    assert take(lanes) == [job]


def test_dirtied_during_a_try_that_failed(lanes: Lanes) -> None:
    """A folder that is to be delayed and was dirtied meanwhile is tried at once, with all its tickets."""
    tickets = [Ticket(1), Ticket(1)]
    lanes.add(A, live=False, ticket=tickets[0])
    (job,) = take(lanes)
    job.torn_looks = 3
    lanes.add(A, live=True, ticket=tickets[1])
    lanes.delay(job, 10.0)
    (again,) = take(lanes)
    assert (again.tickets, again.torn_looks, again.live) == (tickets, 0, True)


def test_giving_back(lanes: Lanes) -> None:
    """Untried folders return to their lanes, merged with what came in meanwhile."""
    for path, live in ((A, False), (B, False)):
        lanes.add(path, live=live)
    jobs = take(lanes)
    lanes.add(B, live=True)
    lanes.give_back(jobs)
    assert paths(take(lanes)) == [B]
    assert paths(take(lanes)) == [A]


def test_a_recheck(lanes: Lanes) -> None:
    """The second look is a job without tickets; a change meanwhile takes its place."""
    lanes.add(A, live=True)
    (job,) = take(lanes)
    lanes.recheck(job, 5.0)
    lanes.wake(5.0)
    (again,) = take(lanes)
    assert again.recheck
    lanes.add(A, live=True)
    lanes.recheck(again, 5.0)
    (third,) = take(lanes)
    assert not third.recheck
    lanes.recheck(third, 5.0)
    lanes.add(A, live=True)
    (fourth,) = take(lanes)
    assert not fourth.recheck


def test_clear_returns_all_that_waits(lanes: Lanes) -> None:
    """Waiting, delayed and dirtied-again folders are returned; running ones stay."""
    for path in (A, B, C):
        lanes.add(path, live=path is not C)
    jobs = take(lanes)
    lanes.delay(jobs[0], 9.0)
    lanes.add(B, live=True)
    assert sorted(paths(lanes.clear())) == [A, B, C]
    assert list(lanes.running) == [B]
    assert lanes.next_due() is None
    assert len(lanes) == 1


class LanesMachine(RuleBasedStateMachine):
    """Any order of calls: a folder is in one place, and every ticket is held by exactly one job."""

    folders = st.sampled_from([A, B, C, OTHER])

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.now = 0.0
        self.running: list[Job] = []
        self.open = 0

    @rule(path=folders, live=st.booleans(), ticketed=st.booleans())
    def add(self, path: Path, live: bool, ticketed: bool) -> None:
        self.lanes.add(path, live=live, ticket=Ticket(1) if ticketed else None)
        self.open += ticketed

    @rule(most=st.integers(1, 3))
    def take(self, most: int) -> None:
        jobs = take(self.lanes, most, most)
        assert not {job.path for job in jobs} & {job.path for job in self.running}
        assert len({job.path.parent for job in jobs}) <= 1
        self.running += jobs
        if jobs and not jobs[0].live:
            self.lanes.batch_runs -= 1

    @precondition(lambda self: self.running)
    @rule(how=st.sampled_from(["finish", "delay", "give_back", "recheck"]), seconds=st.integers(0, 5))
    def end(self, how: str, seconds: int) -> None:
        job = self.running.pop(0)
        if how in {"finish", "recheck"}:
            self.open -= len(job.tickets)
            job.tickets.clear()
        if how == "finish":
            self.lanes.finish(job)
        elif how == "give_back":
            self.lanes.give_back([job])
        else:
            (self.lanes.delay if how == "delay" else self.lanes.recheck)(job, self.now + seconds)

    @rule(seconds=st.integers(0, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.lanes.wake(self.now)
        assert all(job.due > self.now for job in self.lanes._delayed.values())

    @invariant()
    def nothing_is_lost(self) -> None:
        lanes = self.lanes
        waiting = [*lanes.live.values(), *lanes.batch.values(), *lanes._delayed.values()]
        places = [job.path for job in (*waiting, *self.running)]
        assert len(places) == len(set(places))
        assert set(lanes._again) <= set(lanes.running)
        held = [job.tickets for job in (*waiting, *self.running, *lanes._again.values())]
        assert sum(map(len, held)) == self.open
        assert len(lanes) == len(places) + len(lanes._again)


TestLanesMachine = LanesMachine.TestCase


def test_endless_live_work_does_not_starve_a_batch() -> None:
    """After sixteen groups of live work a batch has its turn, and live work goes on."""
    lanes = Lanes()
    for number in range(40):
        lanes.add(Path(f"/live{number}/s"), live=True)
    lanes.add(Path("/batch/s"), live=False)
    taken = [lanes.take(live_most=1, batch_most=9, batch_runs=1)[0].live for _ in range(20)]
    assert taken.index(False) == 16
    assert taken.count(False) == 1


def test_the_oldest_change_is_found_wherever_it_stands(lanes: Lanes) -> None:
    """What was given back stands behind younger work, and is still the oldest."""
    lanes.add(A, live=True)
    jobs = take(lanes)
    lanes.add(B, live=True)
    lanes.give_back(jobs)
    assert list(lanes.live) == [B, A]
    assert lanes.oldest() == jobs[0].since


def test_a_change_behind_a_second_look_has_an_age(lanes: Lanes) -> None:
    """A second look is no change that waits; a change that is noted while it runs is one."""
    lanes.add(A, live=True)
    lanes.recheck(take(lanes)[0], 0.0)
    lanes.wake(1.0)
    take(lanes)
    assert lanes.oldest() is None
    lanes.add(A, live=True)
    assert lanes.oldest() is not None
    assert lanes.holds(A)
    assert not lanes.holds(B)
