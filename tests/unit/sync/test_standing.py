"""How long a session stands in its phases: carried on version by version, as counted anew."""

from datetime import timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from sessionlib.db.rows import PhaseRow, VersionRow
from sessionlib.sync import standing
from tests.worlds import T0

PROJECT, SESSION = UUID(int=1), UUID(int=2)
PHASES = st.sampled_from(["spec", "plan", "build", "complete", "", None])
STATUSES = st.sampled_from(["active", "paused", "complete", "failed"])
STEP = 1_000_000
START = standing.micros(T0)


def version(seq: int, phase: str | None, seconds: int, status: str = "active") -> VersionRow:
    """Return a version so many seconds after the start."""
    at = T0 + timedelta(seconds=seconds)
    return VersionRow(PROJECT, SESSION, seq, f"hash {seq}", phase, status, at, at)


def history(*seen: tuple[str | None, int]) -> list[VersionRow]:
    """Return a history of phases and seconds."""
    return [version(seq, phase, seconds) for seq, (phase, seconds) in enumerate(seen, 1)]


def test_a_phase_counts_from_when_it_was_entered() -> None:
    """Versions in one phase do not move its begin; the phase left gets the time until the next one."""
    found = standing.of(history(("spec", 0), ("spec", 5), ("plan", 7), ("plan", 9)))
    assert found == (START + 7 * STEP, None, {"spec": 7 * STEP})


def test_a_phase_that_comes_back_goes_on() -> None:
    """The time before is kept by moving the begin back, and the phase is left no more."""
    found = standing.of(history(("spec", 0), ("plan", 10), ("spec", 14)))
    assert found == (START + 4 * STEP, None, {"plan": 4 * STEP})
    assert standing.of(history(("spec", 0), ("plan", 10), ("spec", 14), ("build", 15))).left == {
        "plan": 4 * STEP,
        "spec": 11 * STEP,
    }


def test_versions_without_a_phase_end_the_one_before() -> None:
    """Time without a phase is nobody's."""
    found = standing.of(history(("spec", 0), (None, 3), ("spec", 10), (None, 11)))
    assert found.left == {"spec": 4 * STEP}


def test_a_closed_session_stands_no_longer() -> None:
    """By its phase or by its status, a session that is closed has an end; opened again it has none."""
    rows = [*history(("build", 0)), version(2, "build", 6, "failed")]
    assert standing.of(rows).stood_us == 6 * STEP
    assert standing.of([*rows, version(3, "complete", 9)]).stood_us == 0
    assert standing.of([*rows, version(3, "build", 9)]) == (START, None, {})


def test_rows_carry_their_owner() -> None:
    """What was left is stored under the ids of the session."""
    assert standing.rows(version(1, "spec", 0), {"plan": 3}) == [PhaseRow(PROJECT, SESSION, "plan", 3)]


@given(st.lists(st.tuples(PHASES, st.integers(-5, 50), STATUSES), min_size=1, max_size=12))
def test_sums_are_those_of_the_versions(seen: list[tuple[str | None, int, str]]) -> None:
    """Whatever the history, times that go back included: each phase has the sum of its versions' times."""
    rows = [version(seq, *one) for seq, one in enumerate(seen, 1)]
    sums: dict[str, int] = {}
    for here, then in pairwise(rows):
        if here.phase is not None:
            sums[here.phase] = sums.get(here.phase, 0) + (then.at - here.at) // timedelta(microseconds=1)
    found, last = standing.of(rows), rows[-1]
    present = {} if last.phase is None else {last.phase: standing.micros(last.at) - found.since_us}
    assert {**found.left, **present} == {**dict.fromkeys(present, 0), **sums}
    is_closed = last.phase == "complete" or last.status in {"complete", "failed"}
    assert found.stood_us == (standing.micros(last.at) - found.since_us if is_closed else None)
