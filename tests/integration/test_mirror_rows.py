"""Session folders become rows, on both databases: every column, and the same rows from the same files."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sessionlib.state.document import interpret
from sessionlib.state.files import look
from sessionlib.sync import digests, mapping, standing
from sessionlib.sync.mirror import Outcome
from tests import builders, mirrors
from tests.builders import time_of
from tests.mirrors import World, outcomes, stamped, worktree

REPRESENTATIVE: dict[str, dict[str, Any]] = {
    "v1.0": {
        "declared_id": "2025-12-24_pond_bbb222",
        "topic": "Pond",
        "description": "Dig a pond.",
        "session_type": None,
        "generation": "v1",
        "current_phase": "spec",
        "status": None,
        "effective_status": "active",
        "build_finished": False,
        "phase_history": {
            "spec_started_at": "2026-01-05T09:00:00Z",
            "spec_completed_at": "2026-01-05T14:00:00Z",
        },
        "checkpoints_total": None,
        "checkpoints_total_source": None,
        "checkpoints_completed": 0,
        "checkpoints_completed_ids": [],
        "current_checkpoint": None,
        "git_branch": None,
        "git_worktree": None,
        "git_base_branch": None,
        "prior_session_slug": None,
        "parent_session_slug": None,
        "warnings": [],
        "created_at": time_of(builders.T0),
        "updated_at": time_of(builders.at(1)),
        "activity_at": time_of(builders.at(5)),
    },
    "v1.3": {
        "declared_id": "2026-01-12_renamed-since_ccc333",
        "topic": "Pond",
        "description": "Dig a pond.",
        "session_type": None,
        "generation": "v1",
        "current_phase": "plan",
        "status": None,
        "effective_status": "active",
        "build_finished": True,
        "phase_history": {
            "spec_started_at": "2026-01-05T09:00:00Z",
            "spec_completed_at": "2026-01-05T14:00:00Z",
            "plan_started_at": "2026-01-05T14:00:00Z",
            "plan_completed_at": "2026-01-05T17:00:00Z",
            "build_started_at": "2026-01-05T17:00:00Z",
            "build_completed_at": "2026-01-06T05:00:00Z",
        },
        "checkpoints_total": 6,
        "checkpoints_total_source": "declared",
        "checkpoints_completed": 6,
        "checkpoints_completed_ids": [1, 2, 3, 4, 5, 6],
        "current_checkpoint": None,
        "git_branch": None,
        "git_worktree": None,
        "git_base_branch": None,
        "prior_session_slug": None,
        "parent_session_slug": None,
        "warnings": [],
        "created_at": time_of(builders.T0),
        "updated_at": time_of(builders.at(1)),
        "activity_at": time_of(builders.at(20)),
    },
    "v2-hybrid": {
        "declared_id": "2026-01-05_garden-wall_aaa111",
        "topic": "Garden wall",
        "description": "Build a wall around the garden.",
        "session_type": "full",
        "generation": "hybrid",
        "current_phase": "build",
        "status": "active",
        "effective_status": "active",
        "build_finished": True,
        "phase_history": {
            "spec_started_at": "2026-01-05T09:00:00Z",
            "spec_completed_at": "2026-01-05T11:00:00Z",
            "plan_started_at": "2026-01-05T11:00:00Z",
            "plan_completed_at": "2026-01-05T13:00:00Z",
            "build_started_at": "2026-01-05T13:00:00Z",
        },
        "checkpoints_total": 4,
        "checkpoints_total_source": "declared",
        "checkpoints_completed": 4,
        "checkpoints_completed_ids": [1, 2, 3, 4],
        "current_checkpoint": None,
        "git_branch": "wall",
        "git_worktree": None,
        "git_base_branch": "main",
        "prior_session_slug": "2026-01-12_before_ddd444",
        "parent_session_slug": None,
        "warnings": [],
        "created_at": time_of(builders.T0),
        "updated_at": time_of(builders.at(1)),
        "activity_at": time_of(builders.at(14)),
    },
}


@pytest.mark.parametrize("generation", REPRESENTATIVE)
def test_every_column_of_a_session(world: World, root: Path, generation: str) -> None:
    """Every column of the session, its copy and its document holds what the file says."""
    folder = builders.make_session(root, "one", builders.GENERATIONS[generation]())
    data = (folder / "state.json").read_bytes()
    assert outcomes(world, folder) == [Outcome.WRITTEN]
    place = world.place(root)
    found = digests.content_hash(data)
    seen = look(folder)
    assert seen is not None
    row = world.session("one")
    changed = row.pop("content_changed_at")
    assert changed == REPRESENTATIVE[generation]["activity_at"]
    assert row == REPRESENTATIVE[generation] | {
        "project_id": place.project_id,
        "session_id": place.session_id("one"),
        "root": "agents/sessions",
        "slug": "one",
        "workspace_id": place.workspace_id,
        "content_hash": found,
        "inputs_hash": found,
        "parts": row["parts"],
        "mapping_version": mapping.MAPPING_VERSION,
        "first_seen_at": world.clock.now,
        "synced_at": world.clock.now,
        "missing_since": None,
        "error": None,
        "version_seq": 1,
        "phase_since_us": standing.micros(changed),
        "phase_stood_us": 0 if row["effective_status"] == "complete" else None,
    }
    assert world.file("one") == {
        "project_id": place.project_id,
        "workspace_id": place.workspace_id,
        "root": "agents/sessions",
        "slug": "one",
        "session_id": place.session_id("one"),
        "path": str(folder),
        **seen.state._asdict(),
        "folder_mtime_ns": seen.folder_mtime_ns,
        "extras": "",
        "content_hash": found,
        "inputs_hash": found,
        "mapping_version": mapping.MAPPING_VERSION,
        "document_time": REPRESENTATIVE[generation]["activity_at"],
        "error": None,
        "absent_looks": 0,
        "absent_since": None,
        "missing_since": None,
        "observed_at": world.clock.now,
    }
    assert world.rows("documents") == [
        {
            "project_id": place.project_id,
            "content_hash": found,
            "body": json.loads(data),
            "size": len(data),
            "document_time": REPRESENTATIVE[generation]["activity_at"],
            "created_at": world.clock.now,
        }
    ]


def test_every_column_of_the_parts(world: World, root: Path) -> None:
    """Checkpoints, commits, decisions, documents, research runs and links have all their columns."""
    document = builders.v1_3(
        plan_state=builders.plan_state(3, 1),
        phases=builders.v1_phases("finalized", "in_progress"),
        commits=builders.make_commits(1, "checkpoint_id"),
        key_decisions=builders.make_decisions(1, "decision", "rationale", "made_at", "source"),
        conversations=[
            {
                "client": "claude-code",
                "native_id": "c1",
                "agent_native_id": None,
                "linked_at": builders.at(3),
                "source": "hook",
            }
        ],
    )
    plan = builders.plan(3)
    folder = builders.make_session(root, "one", document, plan, {"soil": builders.research_run()})
    world.sync(folder)
    place = world.place(root)
    owner = {"project_id": place.project_id, "session_id": place.session_id("one")}
    assert world.rows("checkpoints") == [
        owner | {"number": 1, "title": "Course 1", "completed": True, "is_current": False},
        owner | {"number": 2, "title": "Course 2", "completed": False, "is_current": True},
        owner | {"number": 3, "title": "Course 3", "completed": False, "is_current": False},
    ]
    assert world.rows("commits") == [
        owner
        | {
            "position": 0,
            "sha": "0000001",
            "message": "feat: lay brick 1",
            "checkpoint": 1,
            "created_at": time_of(builders.at(11)),
        }
    ]
    assert world.rows("decisions") == [
        owner
        | {
            "position": 0,
            "title": "use brick 1",
            "rationale": "it is 1 times as strong",
            "source": "review",
            "decided_at": time_of(builders.at(1)),
        }
    ]
    assert world.rows("doc_updates") == [
        owner
        | {
            "position": 0,
            "kind": "L2",
            "path": "docs/wall.md",
            "description": "the wall",
            "created_at": time_of(builders.at(19)),
        }
    ]
    assert world.rows("research_runs") == [
        owner
        | {
            "research_id": "soil",
            "request": "What soil carries a wall?",
            "status": "complete",
            "complexity_tier": "simple",
            "criteria_met": 3,
            "criteria_total": 4,
            "created_at": time_of(builders.T0),
            "completed_at": time_of(builders.at(6)),
        }
    ]
    assert world.rows("session_links") == [
        owner
        | {
            "client": "claude-code",
            "native_id": "c1",
            "agent_native_id": "",
            "linked_at": time_of(builders.at(3)),
            "source": "hook",
        }
    ]
    copy = {
        "project_id": place.project_id,
        "workspace_id": place.workspace_id,
        "root": "agents/sessions",
        "slug": "one",
    }
    assert world.rows("session_inputs") == [
        copy
        | {
            "name": name,
            "content_hash": digests.content_hash((folder / name).read_bytes()),
            "problem": None,
        }
        for name in ("plan.json", "research/soil/state.json")
    ]
    assert len(world.rows("documents")) == 3


def test_every_generation_at_once(world: World, root: Path) -> None:
    """A batch of all generations gives each session the parts its document has."""
    folders = [builders.make_session(root, slug, make()) for slug, make in builders.SESSIONS.items()]
    assert outcomes(world, *folders) == [Outcome.WRITTEN] * len(folders)
    for slug, make in builders.SESSIONS.items():
        content = interpret(make())
        row = world.session(slug)
        assert row["topic"] == content.topic
        assert row["current_phase"] == content.current_phase
        assert row["checkpoints_completed"] == len(content.checkpoints_completed_ids)
        for table, parts in (
            ("checkpoints", content.checkpoints),
            ("commits", content.commits),
            ("decisions", content.decisions),
            ("doc_updates", content.doc_updates),
            ("research_runs", content.research_runs),
        ):
            assert len(world.rows(table, session_id=row["session_id"])) == len(parts), (slug, table)


def test_an_emptied_database_gives_the_same_ids_again(world: World, tmp_path: Path) -> None:
    """Rebuilt from files, the mirror carries the same ids and the same derived columns."""
    main, tree = worktree(tmp_path)
    for slug, make in builders.SESSIONS.items():
        builders.make_session(main, slug, make(), builders.plan(3))
    builders.make_session(tree, "v2", stamped(450), None, {"r": builders.research_run()})
    world.reconcile(main)
    world.reconcile(tree)
    derived = world.derived()
    mirrors.empty(world.database)
    again = World(world.database)
    again.reconcile(tree)
    again.reconcile(main)
    assert again.derived() == derived


def test_times_are_kept_to_the_microsecond(world: World, root: Path) -> None:
    """Both databases give the times back as they were written, in UTC."""
    folder = builders.make_session(root, "one", builders.v2_granularity())
    world.clock.now += timedelta(microseconds=1)
    world.sync(folder)
    row = world.session("one")
    assert row["updated_at"] == datetime(2026, 1, 21, 17, 30, 28, 566903, UTC)
    assert row["synced_at"] == world.clock.now
    assert row["updated_at"].tzinfo is UTC
