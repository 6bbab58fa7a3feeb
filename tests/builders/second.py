"""Session documents of the second generation, and those in which both are mixed."""

from collections.abc import Iterable
from typing import Any

from tests.builders.first import plan_state
from tests.builders.parts import T0, Document, at, made, make_commits, make_decisions


def v2(**overrides: Any) -> Document:
    """A pure v2 document, as the template gives it."""
    return made(
        {
            "$schema": "state manifest, second edition",
            "session_id": "2026-01-05_garden-wall_aaa111",
            "topic": "Garden wall",
            "description": "Build a wall around the garden.",
            "session_type": "full",
            "created_at": T0,
            "updated_at": at(1),
            "current_phase": "spec",
            "status": "active",
            "phase_history": {
                "spec_started_at": T0,
                "spec_completed_at": None,
                "plan_started_at": None,
                "plan_completed_at": None,
                "build_started_at": None,
                "build_completed_at": None,
                "docs_started_at": None,
                "docs_completed_at": None,
            },
            "build_progress": {
                "checkpoints_total": None,
                "checkpoints_completed": [],
                "current_checkpoint": None,
            },
            "git": {"branch": None, "worktree": None, "base_branch": None},
            "commits": [],
            "artifacts": {"spec": "spec.md", "plan": "plan.json", "plan_readable": "plan.md"},
        },
        overrides,
    )


def v2_building(total: int = 4, completed: Iterable[int] = (1, 2), **overrides: Any) -> Document:
    """A v2 document in the middle of its build."""
    done = list(completed)
    document = v2(
        current_phase="build",
        build_progress={
            "checkpoints_total": total,
            "checkpoints_completed": done,
            "current_checkpoint": next((n for n in range(1, total + 1) if n not in done), None),
        },
        git={"branch": "wall", "worktree": None, "base_branch": "main"},
        commits=make_commits(len(done)),
    )
    document["phase_history"].update(
        spec_completed_at=at(2), plan_started_at=at(2), plan_completed_at=at(4), build_started_at=at(4)
    )
    return made(document, overrides)


def v2_granularity(**overrides: Any) -> Document:
    """A v2 document as a web form writes it: one foreign key, microseconds, a declared total of 0."""
    return made(
        v2(),
        {
            "granularity": "feature",
            "created_at": "2026-01-21T17:30:28.566903+00:00",
            "updated_at": "2026-01-21T17:30:28.566903+00:00",
            "build_progress": {
                "checkpoints_total": 0,
                "checkpoints_completed": [],
                "current_checkpoint": None,
            },
            **overrides,
        },
    )


def hybrid(**overrides: Any) -> Document:
    """A v2 document with a plan state beside its progress, older than its last commit."""
    return made(
        v2_building(4, (1, 2, 3, 4), plan_state=plan_state(4, 2), prior_session="2026-01-12_before_ddd444"),
        overrides,
    )


def hybrid_21_keys(**overrides: Any) -> Document:
    """A v2 document with seven v1 keys bolted on; its commits use the older key, its docs are done."""
    document = v2_building(
        5,
        (1, 2, 3, 4, 5),
        current_phase="docs",
        commits=make_commits(5, "checkpoint_id"),
        goals={"high_level": ["shade"]},
        open_questions=[],
        key_decisions=make_decisions(3, "title", "rationale", "date"),
        research_artifacts=[],
        doc_updates=[{"type": "L3", "path": "docs/w.md", "description": "w", "created_at": at(30)}],
        prior_session=None,
        parent_session=None,
    )
    document["phase_history"].update(
        build_completed_at=at(28), docs_started_at=at(28), docs_completed_at=at(31)
    )
    return made(document, overrides)
