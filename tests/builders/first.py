"""Session documents of the first generation, from v1.0 to v1.4."""

from typing import Any

from tests.builders.parts import T0, Document, at, made, make_commits, make_decisions


def v1_0(**overrides: Any) -> Document:
    """The oldest shape: no plan state, many decisions, older than its own phases."""
    return made(
        {
            "session_id": "2025-12-24_pond_bbb222",
            "topic": "Pond",
            "description": "Dig a pond.",
            "granularity": "feature",
            "created_at": T0,
            "updated_at": at(1),
            "current_phase": "spec",
            "phases": {
                "spec": {
                    "status": "finalized",
                    "started_at": T0,
                    "finalized_at": at(5),
                    "_status_values": ["draft", "finalized"],
                    "_status_notes": {"draft": "being written"},
                },
                "plan": {"status": "not_started", "started_at": None, "finalized_at": None},
                "build": {"status": "not_started", "started_at": None, "completed_at": None},
            },
            "goals": {"high_level": ["water"], "mid_level": ["a hole"], "low_level": ["a spade"]},
            "open_questions": ["How deep?"],
            "key_decisions": make_decisions(18, "decision", "rationale", "date"),
        },
        overrides,
    )


def v1_0_bare(**overrides: Any) -> Document:
    """The oldest shape with a null description and an example among its decisions."""
    decisions = [{"_example": {"decision": "…"}}, *make_decisions(2, "decision", "rationale")]
    return v1_0(**{"description": None, "key_decisions": decisions, **overrides})


def v1_1(**overrides: Any) -> Document:
    """The shape with tranches: complete, four done, and the total only in plan.json (`plan_tranches`)."""
    return v1_0(
        **{
            "current_phase": "complete",
            "phases": v1_phases("finalized", "completed"),
            "plan_state": {
                "status": "completed",
                "checkpoints_completed": [1, 2, 3, 4],
                "current_tranche": None,
                "current_task": None,
                "last_updated": at(20),
            },
            "key_decisions": make_decisions(3, "decision", "rationale", "source"),
            **overrides,
        }
    )


def v1_phases(plan: str, build: str | None, **build_more: Any) -> Document:
    """Return the phases of the first generation, spec done, plan and build with these statuses."""
    return {
        "spec": {"status": "finalized", "started_at": T0, "finalized_at": at(5)},
        "plan": {"status": plan, "started_at": at(5), "finalized_at": at(8) if plan == "finalized" else None},
        "build": {
            "status": build,
            "started_at": at(8),
            "completed_at": at(20) if build in {"complete", "completed"} else None,
            **build_more,
        },
    }


def plan_state(total: int, completed: int, **more: Any) -> Document:
    """Return the progress of the first generation, so many of so many checkpoints done."""
    return {
        "status": "in_progress",
        "checkpoints_total": total,
        "checkpoints_detailed": list(range(1, total + 1)),
        "checkpoints_completed": list(range(1, completed + 1)),
        "current_checkpoint": None if completed >= total else completed + 1,
        "current_task_group": None,
        "current_task": None,
        "last_updated": at(18),
        "summary": "Laying bricks.",
        **more,
    }


def v1_2_undated(**overrides: Any) -> Document:
    """A v1.2 document without ``updated_at`` and goals, with a prior session."""
    document = v1_0(
        current_phase="build",
        phases=v1_phases("finalized", "in_progress"),
        plan_state=plan_state(5, 5),
        prior_session="2025-12-24_pond_bbb222",
        parent_session=None,
    )
    del document["updated_at"], document["goals"]
    return made(document, overrides)


def v1_2_contradicting(**overrides: Any) -> Document:
    """A v1.2 document whose phases name a current checkpoint although all are done."""
    return v1_0(
        **{
            "current_phase": "build",
            "phases": v1_phases("finalized", "in_progress", current_checkpoint=2),
            "plan_state": plan_state(5, 5),
            "doc_updates": [{"type": "none", "description": "nothing to say", "created_at": at(19)}],
            **overrides,
        }
    )


def v1_2_finished(**overrides: Any) -> Document:
    """A v1.2 document whose build is complete although its current phase says build."""
    return v1_0(
        **{
            "current_phase": "build",
            "phases": v1_phases("finalized", "complete"),
            "plan_state": plan_state(4, 4, status="complete"),
            "key_decisions": make_decisions(2, "decision", "rationale", "made_at"),
            **overrides,
        }
    )


def v1_3(**overrides: Any) -> Document:
    """A v1.3 document with commits: its id is not its folder's name, its build is done in phase plan."""
    return v1_0(
        **{
            "session_id": "2026-01-12_renamed-since_ccc333",
            "current_phase": "plan",
            "phases": v1_phases("finalized", "completed"),
            "plan_state": plan_state(6, 6),
            "commits": make_commits(6, "checkpoint_id"),
            "research_artifacts": [{"path": "research/soil", "description": "about soil"}],
            "doc_updates": [
                {"type": "L2", "path": "docs/wall.md", "description": "the wall", "created_at": at(19)}
            ],
            "prior_session": None,
            "parent_session": None,
            **overrides,
        }
    )


def v1_3_research(**overrides: Any) -> Document:
    """A v1.3 research document: plan state null, only the spec phase."""
    return v1_0(
        **{
            "session_id": "research_soil_20260128_124500",
            "granularity": "research",
            "phases": {"spec": {"status": "draft", "started_at": T0, "finalized_at": None}},
            "plan_state": None,
            "commits": [],
            "research_artifacts": [
                {
                    "research_id": "soil_20260128",
                    "research_plan_path": "research/soil_20260128/research-plan.md",
                    "report_path": "research/soil_20260128/report.md",
                    "phase": "spec",
                    "triggered_by": "user",
                    "complexity_tier": "medium",
                    "total_subagents": 4,
                    "iterations": 2,
                    "success_criteria_met": "4 of 5",
                    "created_at": at(3),
                }
            ],
            **overrides,
        }
    )


def v1_4(**overrides: Any) -> Document:
    """A v1.4 document: ``$schema``, an empty description, five of five in phase plan."""
    return v1_3(
        **{
            "$schema": "state schema",
            "description": "",
            "plan_state": plan_state(5, 5),
            "commits": make_commits(5, "checkpoint_id"),
            "key_decisions": make_decisions(2, "title", "rationale", "date"),
            **overrides,
        }
    )


def v1_4_unsteady(**overrides: Any) -> Document:
    """A v1.4 document with a null build status and commit times that go back and forth."""
    commits = make_commits(7, "checkpoint_id")
    commits[2]["created_at"], commits[5]["created_at"] = commits[5]["created_at"], commits[2]["created_at"]
    return v1_4(
        **{
            "phases": v1_phases("finalized", None),
            "plan_state": plan_state(7, 7),
            "commits": commits,
            **overrides,
        }
    )
