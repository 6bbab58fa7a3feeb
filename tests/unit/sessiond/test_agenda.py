"""The agenda: what is planned, in which order it is taken, and what counts as doubt."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sessiond.agenda import EVERYTHING, Agenda, Lane, Plan

A, B = Path("/p/a"), Path("/p/b")


def plan(root: Path = A, lane: Lane = Lane.SOON, due: float = 0.0, since: float = 0.0) -> Plan:
    """Return a plan."""
    return Plan(root, lane, "test", due, since)


def test_a_second_plan_for_the_same_root_and_lane_changes_nothing() -> None:
    """Requests coalesce into the one that comes first."""
    agenda: Agenda[str] = Agenda()
    agenda.plan(plan(due=1.0))
    agenda.plan(plan(due=9.0))
    assert agenda.take_due(2.0) == plan(due=1.0)
    assert agenda.take_due(99.0) is None


def test_lanes_do_not_replace_each_other() -> None:
    """A look that confirms an absence stands beside a request for the same root."""
    agenda: Agenda[str] = Agenda()
    agenda.plan(plan(lane=Lane.CONFIRM, due=5.0))
    agenda.plan(plan(due=0.0))
    assert agenda.take_due(0.0) == plan(due=0.0)
    assert agenda.take_due(4.9) is None
    assert agenda.take_due(5.0) == plan(lane=Lane.CONFIRM, due=5.0)


@given(st.lists(st.tuples(st.sampled_from([A, B, EVERYTHING]), st.sampled_from(Lane), st.floats(0, 100))))
def test_plans_are_taken_in_the_order_of_their_time(planned: list[tuple[Path, Lane, float]]) -> None:
    """Whatever is planned in whatever order, the earliest is taken first, and nothing before its time."""
    agenda: Agenda[str] = Agenda()
    for root, lane, due in planned:
        agenda.plan(plan(root, lane, due))
    taken = []
    while (due := agenda.next_due()) is not None:
        assert agenda.take_due(due - 0.001) is None
        one = agenda.take_due(due)
        assert one is not None
        taken.append(one)
    assert [one.due for one in taken] == sorted(one.due for one in taken)
    expected = set()
    believed: dict[Path, float] = {}
    for root, lane, due in planned:
        if lane is Lane.CONFIRM and due <= believed.get(root, -1.0):
            continue
        expected.add((root, lane))
        if lane is Lane.ACCEPTED:
            believed[root] = max(due, believed.get(root, due))
            expected.discard((root, Lane.CONFIRM))
    assert {(one.root, one.lane) for one in taken} == expected
    assert len(taken) == len(expected)


def test_only_requests_and_retries_cast_doubt() -> None:
    """A routine round and a confirming look say nothing about lost changes."""
    agenda: Agenda[str] = Agenda()
    agenda.plan(plan(EVERYTHING, Lane.TIMER, since=1.0))
    agenda.plan(plan(A, Lane.CONFIRM, since=2.0))
    assert agenda.doubtful_since() is None
    agenda.plan(plan(A, Lane.RETRY, since=4.0))
    agenda.plan(plan(B, Lane.SOON, since=3.0))
    assert agenda.doubtful_since() == 3.0


def test_questions_are_taken_in_order_and_given_back_at_the_end() -> None:
    """Whoever asked first is answered first; those that were not are returned."""
    agenda: Agenda[str] = Agenda()
    for question in ("one", "two", "three"):
        agenda.ask(question)
    assert agenda.take_asked() == "one"
    assert agenda.is_asked
    assert agenda.clear() == ["two", "three"]
    assert agenda.take_asked() is None


def test_the_older_doubt_is_kept() -> None:
    """A plan that joins another keeps that one's time to be done, and the doubt of the older."""
    agenda: Agenda[str] = Agenda()
    agenda.plan(plan(lane=Lane.RETRY, due=1.0, since=5.0))
    agenda.plan(plan(lane=Lane.RETRY, due=2.0, since=3.0))
    assert agenda.doubtful_since() == 3.0
    assert agenda.next_due() == 1.0


def test_what_was_accepted_takes_the_last_time_and_the_place_of_a_doubt() -> None:
    """A look that would not believe does not come first; one that is planned later stands beside it."""
    agenda: Agenda[str] = Agenda()
    agenda.plan(plan(lane=Lane.CONFIRM, due=5.0))
    agenda.plan(plan(B, lane=Lane.CONFIRM, due=5.0))
    agenda.plan(plan(lane=Lane.ACCEPTED, due=6.0))
    agenda.plan(plan(lane=Lane.ACCEPTED, due=9.0))
    agenda.plan(plan(lane=Lane.ACCEPTED, due=8.0))
    agenda.plan(plan(lane=Lane.CONFIRM, due=7.0))
    agenda.plan(plan(lane=Lane.CONFIRM, due=9.5))
    assert agenda.doubtful_since() is None
    taken = [agenda.take_due(99.0) for _ in range(4)]
    assert [(one.root, one.lane, one.due) for one in taken if one is not None] == [
        (B, Lane.CONFIRM, 5.0),
        (A, Lane.ACCEPTED, 9.0),
        (A, Lane.CONFIRM, 9.5),
    ]
