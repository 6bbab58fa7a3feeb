"""What a document of any generation says: its details, its phases, its status."""

import pytest

from sessionlib.state.interpret import interpret
from tests import builders
from tests.builders import at, time_of
from tests.states import problems

PLANS = {"v1.1": builders.plan_tranches(4), "v1.2-finished": builders.plan(4)}


@pytest.mark.parametrize(
    ("name", "generation", "phase", "effective", "finished", "done", "total", "source", "commits"),
    [
        ("v1.0", "v1", "spec", "active", False, 0, None, None, 0),
        ("v1.0-bare", "v1", "spec", "active", False, 0, None, None, 0),
        ("v1.1", "v1", "complete", "complete", True, 4, 4, "plan", 0),
        ("v1.2-undated", "v1", "build", "active", True, 5, 5, "declared", 0),
        ("v1.2-contradicting", "v1", "build", "active", True, 5, 5, "declared", 0),
        ("v1.2-finished", "v1", "build", "active", True, 4, 4, "declared", 0),
        ("v1.3", "v1", "plan", "active", True, 6, 6, "declared", 6),
        ("v1.3-research", "v1", "spec", "active", False, 0, None, None, 0),
        ("v1.4", "v1", "plan", "active", True, 5, 5, "declared", 5),
        ("v1.4-unsteady", "v1", "plan", "active", True, 7, 7, "declared", 7),
        ("v2", "v2", "spec", "active", False, 0, None, None, 0),
        ("v2-granularity", "v2", "spec", "active", False, 0, 0, "declared", 0),
        ("v2-hybrid", "hybrid", "build", "active", True, 4, 4, "declared", 4),
        ("v2-hybrid-21", "hybrid", "docs", "active", True, 5, 5, "declared", 5),
    ],
)
def test_every_generation_says_what_it_means(  # noqa: PLR0913, PLR0917 - one row of the table
    name: str,
    generation: str,
    phase: str,
    effective: str,
    finished: bool,
    done: int,
    total: int | None,
    source: str | None,
    commits: int,
) -> None:
    """Each of the fourteen shapes is read without a warning, and no commit loses its checkpoint."""
    content = interpret(builders.SESSIONS[name](), PLANS.get(name))
    assert content.warnings == ()
    assert (content.generation, content.current_phase) == (generation, phase)
    assert (content.effective_status, content.build_finished) == (effective, finished)
    assert len(content.checkpoints_completed_ids) == done
    assert (content.checkpoints_total, content.checkpoints_total_source) == (total, source)
    assert content.current_checkpoint is None
    assert [commit.checkpoint for commit in content.commits] == list(range(1, commits + 1))
    assert len(content.checkpoints) == (total or 0)
    assert content.phase_history


def test_details_are_verbatim() -> None:
    """Words and texts come out as written: empty, overlong, unknown or absent."""
    long = "x" * 100_000
    content = interpret(
        {"session_id": "other", "topic": long, "description": "", "session_type": "feature"}
        | {"current_phase": "Building", "status": "done", "git": {"branch": "b", "base_branch": "main"}}
        | {"prior_session": "before", "parent_session": "above"}
    )
    assert (content.declared_id, content.topic, content.description) == ("other", long, "")
    assert (content.session_type, content.current_phase, content.status) == ("feature", "Building", "done")
    assert content.effective_status == "done"
    assert (content.git_branch, content.git_worktree, content.git_base_branch) == ("b", None, "main")
    assert (content.prior_session_slug, content.parent_session_slug) == ("before", "above")
    assert problems(content) == ["current_phase", "status", "session_type"]
    assert interpret({"topic": long}).warnings == ()


def test_empty_object() -> None:
    """An object that says nothing is an active session without anything."""
    content = interpret({})
    assert content.warnings == ()
    assert content.generation == "v1"
    assert content.effective_status == "active"
    assert content.current_phase is None
    assert content.stamps == ()


@pytest.mark.parametrize(
    ("state", "effective"),
    [
        ({"status": "paused", "current_phase": "complete"}, "paused"),
        ({"current_phase": "complete"}, "complete"),
        ({"status": "", "current_phase": "complete"}, "complete"),
        ({"status": None, "current_phase": "build"}, "active"),
    ],
)
def test_effective_status(state: dict, effective: str) -> None:
    """The declared status wins, else the phase tells."""
    assert interpret(state).effective_status == effective


def test_phase_times_are_resolved_one_by_one() -> None:
    """Each time comes from the history, and where that has none from the older place."""
    content = interpret(
        {
            "phase_history": {"spec_started_at": at(1), "spec_completed_at": None, "plan_started_at": "soon"},
            "phases": {
                "spec": {"started_at": at(9), "finalized_at": at(2)},
                "plan": {"started_at": at(3), "finalized_at": None, "completed_at": at(4)},
                "docs": {"started_at": at(5)},
                "build": "in_progress",
                "complete": {"started_at": at(6)},
                "_status_values": [],
            },
        }
    )
    assert content.phase_history == {
        "spec_started_at": time_of(at(1)),
        "spec_completed_at": time_of(at(2)),
        "plan_started_at": time_of(at(3)),
        "plan_completed_at": time_of(at(4)),
        "docs_started_at": time_of(at(5)),
    }
    assert problems(content) == ["phase_history.plan_started_at"]


@pytest.mark.parametrize(
    ("state", "finished"),
    [
        ({"phases": {"build": {"status": "complete"}}}, True),
        ({"phases": {"build": {"status": "completed"}}}, True),
        ({"phases": {"build": {"status": "in_progress"}}}, False),
        ({"phases": {"build": "completed"}}, False),
        ({"phases": []}, False),
        ({"phase_history": {"build_completed_at": at(1)}}, True),
        ({"build_progress": {"checkpoints_total": 2, "checkpoints_completed": [1, 2]}}, True),
        ({"build_progress": {"checkpoints_total": 2, "checkpoints_completed": [2]}}, False),
        ({"build_progress": {"checkpoints_total": 0, "checkpoints_completed": []}}, False),
    ],
)
def test_build_finished(state: dict, finished: bool) -> None:
    """A build is finished when its checkpoints or its phase say so."""
    assert interpret(state).build_finished is finished
