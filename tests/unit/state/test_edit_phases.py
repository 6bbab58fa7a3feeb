"""Transitions from phase to phase, and the status and the times that follow them."""

from pathlib import Path
from typing import Any

import pytest

from sessionlib.errors import PhaseNotAllowedError, StateRefusedError
from tests import builders
from tests.edits import is_recent, make


def test_refused_transition_names_what_is_allowed(tmp_path: Path) -> None:
    """The error carries the phases that can follow, for a person and for a program."""
    manager = make(tmp_path, builders.v2())
    with pytest.raises(
        PhaseNotAllowedError, match="from phase spec to docs; allowed from here: plan"
    ) as caught:
        manager.transition_to_phase("docs")
    assert caught.value.allowed == ("plan",)
    assert manager.content.current_phase == "spec"


def test_transition_to_the_same_phase_is_no_change(tmp_path: Path) -> None:
    """An agent that tries again what already worked is not told that it failed."""
    manager = make(tmp_path, builders.v2())
    assert manager.transition_to_phase("plan")
    assert not manager.transition_to_phase("plan")


@pytest.mark.parametrize("phase", ["review", "", None, 7, ["plan"]])
def test_unknown_phase_is_refused(tmp_path: Path, phase: Any) -> None:
    """A word that is no phase is refused with those that are."""
    manager = make(tmp_path, builders.v2())
    with pytest.raises(StateRefusedError, match="there is no phase") as caught:
        manager.transition_to_phase(phase)
    assert "spec, plan, build, docs, complete" in (caught.value.hint or "")


def test_odd_phases_can_be_left(tmp_path: Path) -> None:
    """A session without a phase begins, one with an unknown phase goes anywhere; nothing is ended by it."""
    for phase, wanted in ((None, "spec"), ("implementing", "docs")):
        manager = make(tmp_path, builders.v2(current_phase=phase, phase_history=None))
        assert manager.transition_to_phase(wanted)
        assert list(manager.content.phase_history) == [f"{wanted}_started_at"]


def test_earlier_end_is_kept(tmp_path: Path) -> None:
    """A phase that was completed before it is left keeps that time."""
    manager = make(tmp_path, builders.v2())
    manager.complete_phase()
    ended = manager.content.phase_history["spec_completed_at"]
    manager.transition_to_phase("plan")
    assert manager.content.phase_history["spec_completed_at"] == ended


@pytest.mark.parametrize(
    ("status", "there", "back"),
    [("active", "complete", "active"), ("failed", "complete", "active"), ("paused", "complete", "active")],
)
def test_status_follows_completion(tmp_path: Path, status: str, there: str, back: str) -> None:
    """Complete is a status too; reopened work is active."""
    manager = make(tmp_path, builders.v2_building(status=status))
    manager.transition_to_phase("complete")
    assert manager.content.status == there
    manager.transition_to_phase("docs")
    assert manager.content.status == back


def test_status_set_by_hand_stays(tmp_path: Path) -> None:
    """A complete session that was then declared failed stays failed when reopened."""
    manager = make(tmp_path, builders.v2_building())
    manager.transition_to_phase("complete")
    manager.set_status("failed")
    manager.transition_to_phase("build")
    assert manager.content.status == "failed"


def test_research_and_quick_ways(tmp_path: Path) -> None:
    """Research ends with its spec and can ask further; quick sessions need no spec."""
    manager = make(tmp_path, builders.v2(session_type="research"))
    manager.transition_to_phase("complete")
    assert manager.content.status == "complete"
    manager.transition_to_phase("spec")
    assert manager.content.status == "active"
    quick = make(tmp_path, builders.v2(session_type="quick"))
    quick.transition_to_phase("build")
    assert "build_started_at" in quick.content.phase_history


@pytest.mark.parametrize(
    ("current", "phase", "words"),
    [
        ("spec", "complete", "no end of its own"),
        ("complete", None, "no end of its own"),
        ("plan", "docs", "not reached yet"),
        (None, None, "there is no phase None"),
    ],
)
def test_phase_that_cannot_be_completed(
    tmp_path: Path, current: str | None, phase: str | None, words: str
) -> None:
    """Only phases that were reached, and have an end, can be completed."""
    manager = make(tmp_path, builders.v2(current_phase=current))
    with pytest.raises(StateRefusedError, match=words):
        manager.complete_phase(phase)


def test_earlier_phase_can_be_completed_late(tmp_path: Path) -> None:
    """A forgotten end of an earlier phase can be noted, also where the current one is unknown."""
    for current in ("docs", "implementing"):
        manager = make(tmp_path, builders.v2(current_phase=current))
        assert manager.complete_phase("plan")
        assert is_recent(manager.content.phase_history["plan_completed_at"])


def test_v1_phases_stay_coherent(tmp_path: Path) -> None:
    """In a v1 document status and times of each phase move together."""
    manager = make(tmp_path, builders.v1_3(current_phase="spec"))
    manager.transition_to_phase("plan")
    phases = manager.document["phases"]
    assert phases["spec"]["status"] == "finalized"
    assert (phases["plan"]["status"], phases["plan"]["finalized_at"]) == ("in_progress", None)
    manager.transition_to_phase("build")
    assert phases is not manager.document["phases"]
    assert manager.document["phases"]["plan"]["status"] == "finalized"
    assert manager.document["phases"]["build"] == {
        "status": "in_progress",
        "started_at": builders.at(8),
        "completed_at": None,
    }
    manager.transition_to_phase("docs")
    assert manager.document["phases"]["build"]["status"] == "completed"
    assert list(manager.document["phases"]["docs"]) == ["started_at", "completed_at", "status"]
    assert "phase_history" not in manager.document


def test_hybrid_with_both_histories_is_written_in_both(tmp_path: Path) -> None:
    """An older time does not show through where the newer one was emptied."""
    both = builders.v2_building(phases=builders.v1_phases("finalized", "in_progress"))
    manager = make(tmp_path, both)
    manager.transition_to_phase("plan")
    assert "plan_completed_at" not in manager.content.phase_history
    assert manager.document["phases"]["plan"]["status"] == "in_progress"
    partly = make(tmp_path, builders.v2(phases={"spec": "done"}))
    partly.transition_to_phase("plan")
    assert partly.document["phases"] == {"spec": "done"}
