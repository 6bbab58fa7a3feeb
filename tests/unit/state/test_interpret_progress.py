"""Checkpoints: how many there are, which are done, where each generation says so."""

from typing import Any

import pytest

from sessionlib.state.content import (
    Checkpoint,
)
from sessionlib.state.interpret import interpret
from sessionlib.state.progress import MOST_CHECKPOINTS
from tests import builders
from tests.states import problems


def progress(
    build: Any = None, older: Any = None, plan: dict | None = None, **more: Any
) -> tuple[int | None, str | None, tuple[int, ...], int | None]:
    content = interpret({"build_progress": build, "plan_state": older, **more}, plan)
    return (
        content.checkpoints_total,
        content.checkpoints_total_source,
        content.checkpoints_completed_ids,
        content.current_checkpoint,
    )


def box(total: Any = None, completed: Any = None, current: Any = None) -> dict:
    return {
        "checkpoints_total": total,
        "checkpoints_completed": completed,
        "current_checkpoint": current,
    }


def test_untouched_template_gives_way_to_plan_state() -> None:
    """A v2 template filled in by hands that know the v1 names shows what they wrote."""
    for untouched in (box(None, []), box(0, [], None), {}, None):
        assert progress(untouched, box(4, [1, 2], 3)) == (4, "declared", (1, 2), 3)
    assert progress(box(5, [1], 2), box(4, [1, 2], 3)) == (5, "declared", (1,), 2)


def test_fields_fall_back_one_by_one() -> None:
    """What the believed place leaves open is asked of the other one; a present null current is an answer."""
    assert progress({"current_checkpoint": 2}, box(4, [1])) == (4, "declared", (1,), 2)
    assert progress({"checkpoints_completed": [1]}, box(4, [9], 3)) == (4, "declared", (1,), 3)
    assert progress(box(4, [1, 2, 3, 4], None), box(4, [1], 2)) == (4, "declared", (1, 2, 3, 4), None)


def test_current_checkpoint_of_the_phases_is_the_last_resort() -> None:
    """The copy in the build phase counts only where no other place has the key."""
    phases = {"build": {"current_checkpoint": 2}}
    assert progress(phases=phases)[3] == 2
    assert progress(None, {"checkpoints_total": 3}, phases=phases)[3] == 2
    assert progress(None, box(3, [], None), phases=phases)[3] is None


@pytest.mark.parametrize(
    ("declared", "done", "planned", "total", "source"),
    [
        (4, [1], None, 4, "declared"),
        (4, [1], 6, 4, "declared"),
        (None, [1, 2, 3, 4], 4, 4, "plan"),
        (0, [1, 2, 3, 4], 4, 4, "plan"),
        (0, [1, 2, 3, 4], None, None, None),
        (2, [1, 2, 3], 5, 5, "plan"),
        (2, [1, 2, 3], None, None, None),
        (2, [1, 2, 3], 2, None, None),
        (None, [1, 2], None, None, None),
        (0, [], None, 0, "declared"),
        (0, [], 3, 3, "plan"),
        (None, [], 3, 3, "plan"),
        (None, [], 0, None, None),
        (-3, [], None, None, None),
        (2**31, [], None, None, None),
        (True, [], None, None, None),
        ("4", [], None, 4, "declared"),
        (4.0, [], None, 4, "declared"),
        (4.5, [], None, None, None),
    ],
)
def test_total_is_never_less_than_done(
    declared: Any, done: list[int], planned: int | None, total: int | None, source: str | None
) -> None:
    """The first believable number wins and says where it is from; 4/0 is never shown."""
    plan = None if planned is None else builders.plan(planned)
    assert progress(box(declared, done), None, plan)[:2] == (total, source)


@pytest.mark.parametrize(
    ("written", "ids", "notes"),
    [
        ([3, 1, 2, 1], (1, 2, 3), 0),
        ([1e0, 2.0], (1, 2), 0),
        (["1", 2], (1, 2), 1),
        ([0, -1, 2], (2,), 2),
        ([True, None, {}, "CP1", 2], (2,), 3),
        (3, (1, 2, 3), 1),
        ("2", (1, 2), 2),
        ({"1": True}, (), 1),
        (True, (), 1),
        (None, (), 0),
    ],
)
def test_completed_ids_are_coerced(written: Any, ids: tuple[int, ...], notes: int) -> None:
    """Ids are whole, positive, sorted and each once; what is odd is noted."""
    content = interpret({"plan_state": {"checkpoints_completed": written}})
    assert content.checkpoints_completed_ids == ids
    assert len(content.warnings) == notes


def test_checkpoints_have_titles_and_states() -> None:
    """One row for each number, titled by the plan, plus the completed ones beyond the total."""
    content = interpret(builders.v2_building(3, [1, 7], commits=[]), builders.plan(2))
    assert content.checkpoints == (
        Checkpoint(1, "Course 1", completed=True, current=False),
        Checkpoint(2, "Course 2", completed=False, current=True),
        Checkpoint(3, None, completed=False, current=False),
        Checkpoint(7, None, completed=True, current=False),
    )


@pytest.mark.parametrize(
    ("items", "titles"),
    [
        ([{"id": 2, "title": "b"}, {"id": 1, "title": "a"}], ["a", "b"]),
        ([{"number": 1, "name": "a"}, {"checkpoint_id": 2, "title": "b"}], ["a", "b"]),
        ([{"id": 0, "title": "a"}, {"id": 1, "title": "b"}], ["a", "b"]),
        ([{"id": 1, "title": "a"}, {"id": 1, "title": "b"}], ["a", "b"]),
        ([{"id": "CP-1", "title": "a"}, {"title": ""}], ["a", None]),
        (["a", None, "b"], ["a", "b"]),
        ([{"_note": "x"}, {"title": 5, "name": "a"}, 7], ["a", None]),
    ],
)
def test_plans_of_all_kinds(items: list, titles: list[str | None]) -> None:
    """Numbers count when they are whole and distinct, else the order does."""
    content = interpret({}, {"checkpoints": items})
    assert [checkpoint.title for checkpoint in content.checkpoints] == titles


@pytest.mark.parametrize("plan", [{}, {"checkpoints": {}}, {"checkpoints": None, "tranches": "4"}])
def test_plans_without_checkpoints(plan: dict) -> None:
    """A plan that lists nothing says nothing."""
    assert interpret({}, plan).checkpoints_total is None


def test_checkpoint_rows_are_capped() -> None:
    """A huge total is believed, but does not make a million rows."""
    content = interpret({"build_progress": box(2_000_000, [1, 3_000_000])})
    assert content.checkpoints_total == 2_000_000
    assert len(content.checkpoints) == MOST_CHECKPOINTS
    assert problems(content) == ["checkpoints"]
    beyond = interpret({"build_progress": box(999, [5000, 5001, 5002])})
    assert len(beyond.checkpoints) == MOST_CHECKPOINTS
    assert problems(beyond) == ["checkpoints"]
