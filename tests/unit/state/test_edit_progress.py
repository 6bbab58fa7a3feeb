"""Checkpoints that are declared, started and completed."""

from pathlib import Path
from typing import Any

import pytest

from sessionlib.errors import StateRefusedError
from tests import builders
from tests.edits import make


def test_out_of_order_completion(tmp_path: Path) -> None:
    """The current one is the lowest not done after the one completed, else the lowest not done."""
    manager = make(tmp_path, builders.v2_building(4, []))
    currents = []
    for number in (2, 4, 1, 3):
        manager.complete_checkpoint(number)
        currents.append(manager.content.current_checkpoint)
    assert currents == [3, 1, 3, None]
    assert not manager.complete_checkpoint(2)
    assert manager.content.build_finished


@pytest.mark.parametrize("total", [0, -1, 1_001, True, 2.0, "3", None])
def test_impossible_totals_are_refused(tmp_path: Path, total: Any) -> None:
    """A build has at least one checkpoint, and no more than there can be rows."""
    with pytest.raises(StateRefusedError, match="1 to 1,000 checkpoints"):
        make(tmp_path, builders.v2()).init_build_progress(total)


def test_total_below_what_is_done_is_refused(tmp_path: Path) -> None:
    """Done work is not declared away, unless the progress is reset."""
    manager = make(tmp_path, builders.v2_building(4, [1, 3]))
    with pytest.raises(StateRefusedError, match="checkpoint 3 is completed") as caught:
        manager.init_build_progress(2)
    assert "reset" in (caught.value.hint or "")
    assert manager.init_build_progress(2, reset=True)
    assert manager.content.checkpoints_completed_ids == ()


def test_current_survives_a_new_total_where_it_can(tmp_path: Path) -> None:
    """The checkpoint in work stays current if it is still one that is to be done."""
    manager = make(tmp_path, builders.v2_building(6, [1, 2]))
    manager.start_checkpoint(5)
    manager.init_build_progress(8)
    assert manager.content.current_checkpoint == 5
    manager.init_build_progress(4)
    assert manager.content.current_checkpoint == 3
    manager.init_build_progress(2)
    assert manager.content.current_checkpoint is None


@pytest.mark.parametrize("number", [0, 5, -1, True, "2", 1.0])
def test_unknown_checkpoints_are_refused(tmp_path: Path, number: Any) -> None:
    """A checkpoint that is none can neither be started nor completed."""
    manager = make(tmp_path, builders.v2_building(4))
    for verb in (manager.start_checkpoint, manager.complete_checkpoint):
        with pytest.raises(StateRefusedError, match="they are 1 to 4"):
            verb(number)


def test_checkpoints_need_a_total(tmp_path: Path) -> None:
    """Without a known total there is nothing to start; one from the plan will do."""
    manager = make(tmp_path, builders.v2())
    with pytest.raises(StateRefusedError, match="no checkpoints yet") as caught:
        manager.start_checkpoint(1)
    assert "sessionctl session checkpoint SESSION init TOTAL" in (caught.value.hint or "")
    builders.write_json(manager.session_dir / "plan.json", builders.plan(2))
    assert manager.start_checkpoint(2)
    assert manager.complete_checkpoint(2)
    assert manager.content.checkpoints_total_source == "plan"


def test_completed_checkpoint_is_not_started_again(tmp_path: Path) -> None:
    """What is done is not in work."""
    with pytest.raises(StateRefusedError, match="completed already"):
        make(tmp_path, builders.v2_building(4, [1])).start_checkpoint(1)


def test_strange_entries_among_the_completed_stay(tmp_path: Path) -> None:
    """Entries nobody understands are somebody's; a count becomes the ids it stood for."""
    manager = make(
        tmp_path, builders.v1_3(plan_state={"checkpoints_total": 4, "checkpoints_completed": ["CP1"]})
    )
    manager.complete_checkpoint(2)
    assert manager.document["plan_state"]["checkpoints_completed"] == ["CP1", 2]
    counted = make(tmp_path, builders.v1_3(plan_state={"checkpoints_total": 4, "checkpoints_completed": 2}))
    counted.complete_checkpoint(4)
    assert counted.document["plan_state"]["checkpoints_completed"] == [1, 2, 4]


def test_stale_copy_in_the_phases_is_kept_in_step(tmp_path: Path) -> None:
    """The second copy of the current checkpoint moves with the first."""
    manager = make(tmp_path, builders.v1_2_contradicting())
    manager.init_build_progress(6)
    assert manager.document["phases"]["build"]["current_checkpoint"] == 6


def test_untouched_template_is_not_chosen_over_plan_state(tmp_path: Path) -> None:
    """Progress is written where it is read from."""
    both = builders.v2(plan_state={"checkpoints_total": 4, "checkpoints_completed": [1]})
    manager = make(tmp_path, both)
    manager.complete_checkpoint(2)
    assert manager.document["plan_state"]["checkpoints_completed"] == [1, 2]
    assert manager.document["build_progress"]["checkpoints_completed"] == []
    assert manager.content.checkpoints_completed_ids == (1, 2)
