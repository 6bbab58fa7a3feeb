"""Session folders become rows, on both databases: which rows, when they are written, and when not."""

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionlib.errors import DatabaseUnavailableError, RowRejectedError
from sessionlib.state import files, looks
from sessionlib.state.document import decode, interpret
from sessionlib.state.files import look
from sessionlib.state.manager import StateManager
from sessionlib.sync import mapping, mirror, snapshot
from sessionlib.sync.mirror import Outcome
from tests import builders, mirrors
from tests.mirrors import World


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The sessions root of an empty project outside git."""
    return builders.make_project(tmp_path / "garden") / "agents/sessions"


def outcomes(world: World, *session_dirs: Path) -> list[Outcome]:
    return [result.outcome for result in world.sync(*session_dirs)]


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written)


def stamped(hours: int, **more: Any) -> dict[str, Any]:
    """Return a v2 document whose time is so many hours after T0."""
    return builders.v2(updated_at=builders.at(hours), **more)


def worktree(tmp_path: Path, name: str = "tree") -> tuple[Path, Path]:
    """Return the sessions roots of a repository and of a worktree of it."""
    main = builders.make_project(builders.make_git_repo(tmp_path / "main"))
    tree = builders.make_project(builders.make_worktree(main, tmp_path / name))
    return main / "agents/sessions", tree / "agents/sessions"


# --- which rows ------------------------------------------------------------------------------------

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
        "created_at": moment(builders.T0),
        "updated_at": moment(builders.at(1)),
        "activity_at": moment(builders.at(5)),
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
        "created_at": moment(builders.T0),
        "updated_at": moment(builders.at(1)),
        "activity_at": moment(builders.at(20)),
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
        "created_at": moment(builders.T0),
        "updated_at": moment(builders.at(1)),
        "activity_at": moment(builders.at(14)),
    },
}


@pytest.mark.parametrize("generation", REPRESENTATIVE)
def test_every_column_of_a_session(world: World, root: Path, generation: str) -> None:
    """Every column of the session, its copy and its document holds what the file says."""
    folder = builders.make_session(root, "one", builders.GENERATIONS[generation]())
    data = (folder / "state.json").read_bytes()
    assert outcomes(world, folder) == [Outcome.WRITTEN]
    place = world.place(root)
    found = mapping.content_hash(data)
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
        plan_state=builders._plan_state(3, 1),
        phases=builders._v1_phases("finalized", "in_progress"),
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
            "created_at": moment(builders.at(11)),
        }
    ]
    assert world.rows("decisions") == [
        owner
        | {
            "position": 0,
            "title": "use brick 1",
            "rationale": "it is 1 times as strong",
            "source": "review",
            "decided_at": moment(builders.at(1)),
        }
    ]
    assert world.rows("doc_updates") == [
        owner
        | {
            "position": 0,
            "kind": "L2",
            "path": "docs/wall.md",
            "description": "the wall",
            "created_at": moment(builders.at(19)),
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
            "created_at": moment(builders.T0),
            "completed_at": moment(builders.at(6)),
        }
    ]
    assert world.rows("session_links") == [
        owner
        | {
            "client": "claude-code",
            "native_id": "c1",
            "agent_native_id": "",
            "linked_at": moment(builders.at(3)),
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
            "content_hash": mapping.content_hash((folder / name).read_bytes()),
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


# --- what is written again, and what is not --------------------------------------------------------


def test_an_unchanged_session_is_not_written(world: World, root: Path) -> None:
    """A second sync of all generations leaves every row as it was, observed times included."""
    folders = [builders.make_session(root, slug, make()) for slug, make in builders.SESSIONS.items()]
    world.sync(*folders)
    before = world.everything()
    world.clock.tick()
    assert set(outcomes(world, *folders)) == {Outcome.UNCHANGED}
    assert world.everything() == before


def test_a_touched_file_changes_no_session(world: World, root: Path) -> None:
    """A new time with the same bytes is noted beside the copy, and the session's row is not written."""
    folder = builders.make_session(root, "one", builders.v2_building())
    world.sync(folder)
    before = world.session("one")
    world.clock.tick()
    mirrors.age(folder, 100)
    assert outcomes(world, folder) == [Outcome.TOUCHED]
    assert world.session("one") == before
    assert outcomes(world, folder) == [Outcome.UNCHANGED]


def test_an_undated_session_is_as_old_as_its_file(world: World, root: Path) -> None:
    """Without a stamp in the document the file's time tells the activity, touched files included."""
    folder = builders.make_session(root, "one", {"topic": "t"})
    world.sync(folder)
    mirrors.age(folder, 1000)
    world.sync(folder)
    seen = look(folder)
    assert seen is not None
    assert world.session("one")["activity_at"] == mapping.time_of(seen.state.mtime_ns)


def test_an_edit_upserts_parts_and_deletes_absent_ones(world: World, root: Path) -> None:
    """After an edit the parts are those of the new document, and its NULLs are written."""
    kept = builders.make_session(root, "kept", builders.v1_3())
    folder = builders.make_session(root, "one", builders.v1_3(), None, {"soil": builders.research_run()})
    world.sync(folder, kept)
    shutil.rmtree(folder / "research")
    document = builders.v1_3(
        topic=None,
        description=None,
        current_phase=None,
        commits=builders.make_commits(2, "checkpoint_id"),
        key_decisions=[],
        doc_updates=None,
        plan_state=None,
    )
    builders.write_json(folder / "state.json", document)
    world.sync(folder)
    row = world.session("one")
    nulls = ("topic", "description", "current_phase", "checkpoints_total", "checkpoints_total_source")
    assert [row[name] for name in nulls] == [None] * 5
    mine = {"session_id": row["session_id"]}
    assert [part["position"] for part in world.rows("commits", **mine)] == [0, 1]
    for table in ("checkpoints", "decisions", "doc_updates", "research_runs"):
        assert world.rows(table, **mine) == [], table
    assert world.rows("session_inputs", slug="one") == []
    other = {"session_id": world.session("kept")["session_id"]}
    assert len(world.rows("commits", **other)) == 6
    assert len(world.rows("checkpoints", **other)) == 6


def test_a_changed_plan_changes_the_session(world: World, root: Path) -> None:
    """plan.json is an input like state.json: added, changed, broken and removed, the rows follow it."""
    folder = builders.make_session(root, "one", builders.v1_1())
    world.sync(folder)
    assert world.session("one")["checkpoints_total_source"] is None
    builders.write_json(folder / "plan.json", builders.plan_tranches(4))
    assert outcomes(world, folder) == [Outcome.WRITTEN]
    assert world.session("one")["checkpoints_total"] == 4
    builders.write_json(folder / "plan.json", builders.plan(9))
    world.sync(folder)
    assert world.session("one")["checkpoints_total"] == 9
    (folder / "plan.json").write_text('{"checkpoints": nonsense}')
    mirrors.age(folder, 100, "plan.json")
    world.sync(folder)
    row = world.session("one")
    assert (row["checkpoints_total"], row["error"]) == (None, None)
    assert row["warnings"][-1][0] == "plan.json"
    (folder / "plan.json").unlink()
    world.sync(folder)
    assert world.session("one")["warnings"] == []
    assert world.session("one")["version_seq"] == 1


def test_a_new_mapping_version_writes_every_row_again(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade that maps differently heals every row, whatever its hashes say."""
    folder = builders.make_session(root, "one")
    world.sync(folder)
    for module in (mapping, mirror):
        monkeypatch.setattr(module, "MAPPING_VERSION", 99)
    monkeypatch.setattr(
        mapping, "session_row", lambda *args, real=mapping.session_row: real(*args)._replace(topic="new")
    )
    assert outcomes(world, folder) == [Outcome.WRITTEN]
    row = world.session("one")
    assert (row["topic"], row["mapping_version"], row["version_seq"]) == ("new", 99, 1)


def test_the_version_history(world: World, root: Path) -> None:
    """Each accepted content is one version, an old one that comes back included; times never go back."""
    folder = builders.make_session(root, "one", stamped(1))
    world.sync(folder)
    for phase, hours in (("plan", 2), ("build", 3), ("plan", 2)):
        world.clock.tick()
        builders.write_json(folder / "state.json", stamped(hours, current_phase=phase))
        world.sync(folder)
        world.sync(folder)
    versions = world.rows("session_versions")
    assert [row["seq"] for row in versions] == [1, 2, 3, 4]
    assert [row["phase"] for row in versions] == ["spec", "plan", "build", "plan"]
    assert [row["status"] for row in versions] == ["active"] * 4
    assert versions[1]["content_hash"] == versions[3]["content_hash"] == world.file("one")["content_hash"]
    times = [row["at"] for row in versions]
    assert times == sorted(times)
    assert len(world.rows("documents")) == 3


def test_content_changed_at_never_goes_back(world: World, root: Path) -> None:
    """Neither an old file's time nor a clock set back moves the time of the last change back."""
    folder = builders.make_session(root, "one", stamped(1))
    world.sync(folder)
    seen = []
    for hours, seconds in ((2, 0.0), (3, 10_000_000.0), (4, 0.0)):
        builders.write_json(folder / "state.json", stamped(hours))
        mirrors.age(folder, seconds)
        world.clock.tick(-100 if hours == 4 else 1)
        world.sync(folder)
        seen.append(world.session("one")["content_changed_at"])
    assert seen == sorted(seen)
    assert [row["at"] for row in world.rows("session_versions")][1:] == seen


def test_the_first_sight_of_an_old_session_is_not_a_change_of_today(world: World, root: Path) -> None:
    """A session found for the first time changed when it was last worked on."""
    world.sync(builders.make_session(root, "one", stamped(7)))
    assert world.session("one")["content_changed_at"] == moment(builders.at(7))


# --- bad files -------------------------------------------------------------------------------------

BAD = {
    "no JSON": b'{"topic": nope}',
    "a list": b"[]",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a template": b'{"topic": "{{ topic }}"}',
    "too deep": b'{"a":' * 101 + b"1" + b"}" * 101,
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_keeps_the_last_good_row_and_heals(world: World, root: Path, bad: str) -> None:
    """The session keeps its content with the error beside it, and loses the error when the file is mended."""
    folder = builders.make_session(root, "one", builders.v1_3())
    good = (folder / "state.json").read_bytes()
    world.sync(folder)
    before, parts = world.session("one"), world.rows("commits")
    builders.write_json(folder / "state.json", BAD[bad])
    world.clock.tick()
    result = world.sync(folder)[0]
    assert result.outcome is Outcome.INVALID
    assert result.error
    assert result.error.startswith("state.json ")
    assert world.session("one") == before | {"error": result.error}
    assert world.rows("commits") == parts
    assert world.file("one")["error"] == result.error
    assert world.file("one")["content_hash"] == before["content_hash"]
    assert outcomes(world, folder) == [Outcome.UNCHANGED]
    builders.write_json(folder / "state.json", good)
    assert outcomes(world, folder) == [Outcome.TOUCHED]
    assert world.session("one") == before
    assert world.file("one")["error"] is None


def test_a_file_that_was_never_good_has_an_error_and_no_session(world: World, root: Path) -> None:
    """A file that was bad from the start is visible with its error; once good it becomes a session."""
    folder = builders.make_session(root, "one", b"[]")
    assert outcomes(world, folder) == [Outcome.INVALID]
    assert world.rows("sessions") == []
    assert world.file("one")["content_hash"] is None
    assert "list" in world.file("one")["error"]
    builders.write_json(folder / "state.json", builders.v2())
    assert outcomes(world, folder) == [Outcome.WRITTEN]
    assert world.session("one")["error"] is None


def test_a_half_written_file_is_not_taken(world: World, root: Path) -> None:
    """What looks torn writes nothing; only when it stays so it is recorded as invalid."""
    folder = builders.make_session(root, "one")
    world.sync(folder)
    before = world.everything()
    (folder / "state.json").write_bytes(b'{"topic": "ha')
    assert outcomes(world, folder) == [Outcome.TORN]
    assert world.everything() == before
    result = world.mirror.sync(world.place(root), ["one"], settled={"one"})[0]
    assert result.outcome is Outcome.INVALID
    assert world.session("one")["error"] == result.error


@pytest.mark.parametrize("bad", [b'{"topic": "ha', b"[]"])
def test_a_file_mended_right_after_a_bad_reading_is_not_taken_for_the_bad_one(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch, bad: bytes
) -> None:
    """An error is never recorded under the signature of the good file that replaced the bad one."""
    folder = builders.make_session(root, "one")
    world.sync(folder)
    (folder / "state.json").write_bytes(bad)
    good = builders.v2(topic="mended")

    def mended_meanwhile(*args: Any, real: Callable[..., Any] = snapshot.decode, **kwargs: Any) -> Any:
        try:
            return real(*args, **kwargs)
        finally:
            builders.write_json(folder / "state.json", good)

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "decode", mended_meanwhile)
        world.mirror.sync(world.place(root), ["one"], settled={"one"})
    world.reconcile(root)
    assert world.session("one")["error"] is None
    assert world.session("one")["topic"] == "mended"


def test_a_link_mended_while_it_was_refused_is_found(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state.json that was a link when it was read, and a file when it was looked at, is read again."""
    folder = builders.make_session(root, "one")
    world.sync(folder)
    (root / "elsewhere.json").write_text("{}")
    (folder / "state.json").unlink()
    (folder / "state.json").symlink_to(root / "elsewhere.json")

    def mended_meanwhile(*args: Any, real: Callable[..., Any] = snapshot.read_inputs) -> Any:
        try:
            return real(*args)
        finally:
            builders.write_json(folder / "state.json", builders.v2(topic="mended"))

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "read_inputs", mended_meanwhile)
        world.sync(folder)
    world.reconcile(root)
    row = world.session("one")
    assert (row["topic"], row["error"]) == ("mended", None)


def test_a_file_the_system_refuses_is_retried_by_every_reconcile(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal keeps the row with its error, is written once, and heals when the file can be read again."""
    folder = builders.make_session(root, "one", None, builders.plan(4))
    world.sync(folder)
    before = world.session("one")

    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(looks, "look_at", refused)
        result = world.sync(folder)[0]
        assert result.outcome is Outcome.UNREADABLE
        stored = world.everything()
        world.clock.tick()
        world.sync(folder)
        assert world.everything() == stored
    assert world.session("one") == before | {"error": result.error}
    assert world.file("one")["extras"]
    world.reconcile(root)
    assert world.queued == [folder]
    assert world.session("one")["error"] is None


def test_an_unreadable_file_heals_with_its_next_reading(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that could never be read has a row without content until it can."""
    folder = builders.make_session(root, "one")

    def refused(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(looks, "look_at", refused)
        assert outcomes(world, folder) == [Outcome.UNREADABLE]
    assert world.rows("sessions") == []
    assert world.file("one")["error"]
    world.reconcile(root)
    assert world.session("one")["error"] is None


def test_a_rolled_back_file_rolls_the_row_back(world: World, root: Path) -> None:
    """In the only checkout an older document is as good as any: no stamp decides."""
    folder = builders.make_session(root, "one", stamped(50, current_phase="docs"))
    world.sync(folder)
    builders.write_json(folder / "state.json", stamped(1, current_phase="spec"))
    mirrors.age(folder, 1_000_000)
    world.sync(folder)
    row = world.session("one")
    assert row["current_phase"] == "spec"
    assert row["activity_at"] == moment(builders.at(1))


def test_an_absent_folder_writes_nothing(world: World, root: Path) -> None:
    """A folder without a state.json, or none at all, is reported absent and leaves no trace."""
    (root / "empty").mkdir()
    builders.make_session(root, "one")
    world.sync(root / "one")
    shutil.rmtree(root / "one")
    before = world.everything()
    assert outcomes(world, root / "empty", root / "never", root / "one") == [Outcome.ABSENT] * 3
    assert world.everything() == before


# --- several copies --------------------------------------------------------------------------------


def shown(world: World, slug: str = "one") -> tuple[Any, ...]:
    row = world.session(slug)
    (place,) = world.rows("workspaces", workspace_id=row["workspace_id"])
    return row["topic"], Path(place["path"]).name


def test_the_latest_document_is_shown(world: World, tmp_path: Path) -> None:
    """Of two copies the one with the latest believable stamp is shown, in whatever order they arrive."""
    main, tree = worktree(tmp_path)
    old = builders.make_session(main, "one", stamped(1, topic="old"))
    new = builders.make_session(tree, "one", stamped(2, topic="new"))
    mirrors.age(new, 1000)
    for order in ((old, new), (new, old)):
        mirrors.empty(world.database)
        world.registrar.forget()
        for folder in order:
            world.sync(folder)
        assert shown(world) == ("new", "tree")
        assert world.session("one")["version_seq"] == (2 if order[0] is old else 1)
    builders.write_json(old / "state.json", stamped(3, topic="newest"))
    world.sync(old)
    assert shown(world) == ("newest", "main")


def test_equal_stamps_are_told_apart_by_file_time_then_path(world: World, tmp_path: Path) -> None:
    """With equal stamps the newer file is shown, with equal times the greater path."""
    main, tree = worktree(tmp_path)
    one = builders.make_session(main, "one", stamped(1, topic="main"))
    two = builders.make_session(tree, "one", stamped(1, topic="tree"))
    mirrors.age(two, 1000)
    world.sync(one)
    world.sync(two)
    assert shown(world)[0] == "main"
    for folder in (one, two):
        os.utime(folder / "state.json", ns=(10**18, 10**18))
    world.sync(two)
    world.sync(one)
    assert shown(world)[0] == "tree"


def test_stamps_from_the_future_do_not_win(world: World, tmp_path: Path) -> None:
    """A stamp later than its copy's own time plus a minute was invented; one within the minute counts."""
    main, tree = worktree(tmp_path)
    far = {"updated_at": "2099-01-01T00:00:00Z"}
    lying = builders.make_session(main, "one", builders.v2(topic="lying", **far))
    honest = builders.make_session(tree, "one", stamped(5, topic="honest"))
    world.sync(lying)
    assert world.session("one")["activity_at"] == moment(builders.T0)
    world.sync(honest)
    assert shown(world)[0] == "honest"
    moment_ahead = datetime(2026, 5, 1, tzinfo=UTC)
    os.utime(lying / "state.json", (moment_ahead.timestamp() - 59,) * 2)
    builders.write_json(lying / "state.json", builders.v2(topic="ahead", updated_at="2026-05-01T00:00:00Z"))
    os.utime(lying / "state.json", (moment_ahead.timestamp() - 59,) * 2)
    world.sync(lying)
    assert shown(world)[0] == "ahead"
    os.utime(lying / "state.json", (moment_ahead.timestamp() - 61,) * 2)
    world.sync(lying)
    assert shown(world)[0] == "honest"


def test_a_copy_rolled_back_lets_the_other_one_show(world: World, tmp_path: Path) -> None:
    """A copy's own change is always applied, and then the copies that exist now are ranked anew."""
    main, tree = worktree(tmp_path)
    one = builders.make_session(main, "one", stamped(9, topic="main"))
    two = builders.make_session(tree, "one", stamped(5, topic="tree"))
    world.sync(one)
    world.sync(two)
    assert shown(world)[0] == "main"
    builders.write_json(one / "state.json", stamped(1, topic="rolled back"))
    world.sync(one)
    assert shown(world) == ("tree", "tree")
    assert {row["document_time"] for row in world.rows("session_files")} == {
        moment(builders.at(1)),
        moment(builders.at(5)),
    }


def test_the_next_copy_shows_when_the_freshest_goes_and_again_when_it_returns(
    world: World, tmp_path: Path
) -> None:
    """A deleted copy gives way to the other, with all its parts; when it returns it is shown again."""
    main, tree = worktree(tmp_path)
    builders.make_session(main, "one", builders.v2_building(6, (1, 2), topic="old"))
    fresh = builders.make_session(
        tree, "one", stamped(400, topic="fresh"), builders.plan(2), {"soil": builders.research_run()}
    )
    world.reconcile(main)
    world.reconcile(tree)
    assert shown(world)[0] == "fresh"
    assert len(world.rows("research_runs")) == 1
    shutil.move(fresh, tmp_path / "aside")
    world.reconcile(tree)
    world.confirm(tree)
    assert shown(world) == ("old", "main")
    assert world.rows("research_runs") == []
    assert len(world.rows("checkpoints")) == 6
    assert world.session("one")["missing_since"] is None
    shutil.move(tmp_path / "aside", fresh)
    world.reconcile(tree)
    assert shown(world) == ("fresh", "tree")
    assert len(world.rows("research_runs")) == 1


def test_a_bad_copy_keeps_its_rank(world: World, tmp_path: Path) -> None:
    """When the freshest copy breaks its last good content stays shown, with the error, over a stale one."""
    main, tree = worktree(tmp_path)
    builders.make_session(main, "one", stamped(1, topic="stale"))
    fresh = builders.make_session(tree, "one", stamped(9, topic="fresh"))
    world.reconcile(main)
    world.reconcile(tree)
    builders.write_json(fresh / "state.json", b"[]")
    world.reconcile(tree)
    assert shown(world)[0] == "fresh"
    assert world.session("one")["error"]
    world.sync(main / "one")
    assert shown(world)[0] == "fresh"


def test_a_copy_shown_from_the_database_equals_one_read_from_its_file(world: World, tmp_path: Path) -> None:
    """What is restored from stored documents is what the file said: every derived column is the same."""
    main, tree = worktree(tmp_path)
    odd = "name-\udcff"
    runs = {odd: builders.research_run(request=7), "a-b": builders.research_run(status=[]), "a": {"id": 1}}
    shape = builders.hybrid_21_keys(
        topic="é\u0000\ud800 1e2",
        commits=[{"sha": "ABC1234", "checkpoint": 1e0}, {"sha": None}, 5],
        build_progress={"checkpoints_total": 1e2, "checkpoints_completed": [1.0, "2"]},
        huge=10**30,
        tiny=1e-300,
        big=1e300,
    )
    builders.make_session(tree, "one", shape, builders.plan(100), runs)
    (tree / "one" / "research" / "z").mkdir()
    (tree / "one" / "research" / "z" / "state.json").symlink_to("nowhere")
    world.reconcile(tree)
    derived = ["sessions", "checkpoints", "commits", "research_runs"]
    first = world.everything(("key", "derived"))
    assert first["sessions"]
    fresher = builders.make_session(main, "one", stamped(490))
    world.reconcile(main)
    assert world.session("one")["topic"] == "Garden wall"
    shutil.rmtree(fresher)
    world.reconcile(main)
    world.confirm(main)
    again = world.everything(("key", "derived"))
    assert {name: again[name] for name in derived} == {name: first[name] for name in derived}


def test_the_same_bytes_may_be_a_state_and_a_part(world: World, root: Path) -> None:
    """A document's row says the same whether its bytes came first as a state.json or as something else."""
    builders.make_session(root, "a", builders.v2(), builders.v2_building(), {"r": builders.v1_3()})
    builders.make_session(root, "b", builders.v2_building())
    builders.make_session(root, "c", builders.v1_3())
    by_part = {}
    for order in (("a", "b", "c"), ("c", "b", "a")):
        mirrors.empty(world.database)
        world.registrar.forget()
        for slug in order:
            world.sync(root / slug)
        by_part[order] = world.everything(("key", "derived"))["documents"]
    assert len(set(map(str, by_part.values()))) == 1


# --- poison ----------------------------------------------------------------------------------------


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the row of any session with the topic ``poison`` be one that no database takes."""
    real = mapping.session_row

    def poisoned(*args: Any) -> Any:
        row = real(*args)
        return row._replace(checkpoints_total=1 << 70) if row.topic == "poison" else row

    monkeypatch.setattr(mapping, "session_row", poisoned)


@pytest.mark.usefixtures("poison")
def test_a_poison_row_is_isolated(world: World, root: Path) -> None:
    """Of fifty sessions the forty-nine good ones are written; the bad one has an error, and heals."""
    folders = [builders.make_session(root, f"s{n:02}") for n in range(50)]
    builders.write_json(folders[31] / "state.json", builders.v2(topic="poison"))
    results = world.sync(*folders)
    assert [result.slug for result in results] == [folder.name for folder in folders]
    assert [r.slug for r in results if r.outcome is not Outcome.WRITTEN] == ["s31"]
    assert results[31].outcome is Outcome.INVALID
    assert len(world.rows("sessions")) == 49
    assert world.file("s31")["error"] == results[31].error
    assert world.reconcile(root).ticket.total == 0
    builders.write_json(folders[31] / "state.json", builders.v2(topic="antidote"))
    world.reconcile(root)
    assert world.queued == [folders[31]]
    assert world.session("s31")["error"] is None


@pytest.mark.usefixtures("poison")
def test_a_row_that_turns_poison_keeps_the_last_good_one(world: World, root: Path) -> None:
    """A rejected change leaves the session as it was, with the database's words beside it."""
    folder = builders.make_session(root, "one", builders.v2(topic="good"))
    world.sync(folder)
    before = world.session("one")
    builders.write_json(folder / "state.json", builders.v2(topic="poison"))
    result = world.sync(folder)[0]
    assert world.session("one") == before | {"error": result.error}


@pytest.mark.usefixtures("poison")
def test_poison_mended_while_it_was_rejected_is_not_taken_for_poison(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of a rejected content is never recorded under the signature of what replaced it."""
    folder = builders.make_session(root, "one", builders.v2(topic="poison"))

    def mended(*args: Any, real: Any = mirror.Mirror._quarantine) -> Any:
        builders.write_json(folder / "state.json", builders.v2(topic="antidote"))
        return real(*args)

    monkeypatch.setattr(mirror.Mirror, "_quarantine", mended)
    world.sync(folder)
    world.reconcile(root)
    row = world.session("one")
    assert (row["topic"], row["error"]) == ("antidote", None)


def test_a_folder_of_which_nothing_can_be_stored_does_not_stop_its_neighbours(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even the error can be recorded the others are written, and the outcome says so."""
    folders = [builders.make_session(root, name) for name in ("a", "bad", "c", "d")]
    real = mirror._Task._file_row

    def unstorable(self: Any, place: Any, slug: str, *args: Any) -> Any:
        row = real(self, place, slug, *args)
        return row._replace(size=1 << 70) if slug == "bad" else row

    monkeypatch.setattr(mirror._Task, "_file_row", unstorable)
    results = world.sync(*folders)
    assert [r.outcome for r in results] == [
        Outcome.WRITTEN,
        Outcome.REJECTED,
        Outcome.WRITTEN,
        Outcome.WRITTEN,
    ]
    assert results[1].error
    assert len(world.rows("sessions")) == 3


def test_an_outage_in_mid_batch_is_no_poison(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that goes away while poison is isolated raises, and nothing is recorded as bad."""
    folders = [builders.make_session(root, f"s{n}") for n in range(4)]
    calls = iter([RowRejectedError("poison"), DatabaseUnavailableError("gone")])

    def failing(*_: Any) -> None:
        raise next(calls)

    world.place(root)
    monkeypatch.setattr(mirror.store, "write", failing)
    with pytest.raises(DatabaseUnavailableError):
        world.sync(*folders)
    assert world.rows("session_files") == []


def test_values_only_one_database_would_take_are_cut_alike(world: World, root: Path) -> None:
    """What does not fit an index of PostgreSQL is cut or left out on both, and noted."""
    # Random-looking text: an index entry is compressed, so that repetitions would fit.
    noise = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(5000))
    document = builders.v2(
        current_phase=noise,
        status=noise,
        commits=[{"sha": noise, "message": noise}],
        conversations=[
            {"client": "c", "native_id": noise},
            {"client": "c" * 200, "native_id": noise[:200], "agent_native_id": noise[200:400]},
        ],
        research_artifacts=[{"research_id": noise}, {"research_id": "fine"}],
        key_decisions=[{"decision": noise, "rationale": noise}],
        topic=noise,
    )
    folder = builders.make_session(root, "one", document)
    assert outcomes(world, folder) == [Outcome.WRITTEN]
    row = world.session("one")
    assert row["current_phase"] == row["effective_status"] == noise[:499] + "…"
    assert row["topic"] == noise
    assert [part["research_id"] for part in world.rows("research_runs")] == ["fine"]
    assert [part["client"] for part in world.rows("session_links")] == ["c" * 200]
    assert {path for path, _ in row["warnings"]} >= {
        "current_phase",
        "status",
        "commits",
        "conversations",
        "research_artifacts",
    }


def test_folders_whose_names_are_spelled_alike(world: World, root: Path) -> None:
    """A name that is not UTF-8, and a name that looks like its escaped form, are two sessions."""
    names = ["x-\udcff", "x-\\xff", "x-\\\\xff", "é"]
    folders = [builders.make_session(root, name, builders.v2(topic=repr(name))) for name in names]
    results = world.sync(*folders)
    assert [r.outcome for r in results] == [Outcome.WRITTEN] * 4
    assert {row["topic"] for row in world.rows("sessions")} == {repr(name) for name in names}
    assert world.reconcile(root).ticket.total == 0


# --- any JSON --------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(sorted(builders.hybrid_21_keys()) + sorted(builders.v1_3()) + ["conversations"])
TIMES = st.sampled_from(
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1969-12-31", "2026-01-01T00:00:00+14:00"]
)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        "conversations": st.lists(
            st.fixed_dictionaries(
                {"client": st.text(max_size=3), "native_id": st.text(max_size=3)},
                optional={"agent_native_id": st.text(max_size=2) | st.none(), "linked_at": TIMES},
            ),
            max_size=4,
        ),
        "commits": st.lists(
            st.fixed_dictionaries({"sha": st.text(max_size=4)}, optional={"created_at": TIMES}), max_size=3
        ),
        "research_artifacts": st.lists(
            st.fixed_dictionaries({"research_id": st.text(max_size=3), "created_at": TIMES}), max_size=3
        ),
        "phase_history": st.dictionaries(
            st.sampled_from(["spec_started_at", "build_completed_at"]), TIMES, max_size=2
        ),
        "updated_at": TIMES,
        "created_at": TIMES,
    },
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    document=st.dictionaries(KEYS | st.text(max_size=5), JSON, max_size=8),
    lists=LISTS,
    plan=st.none() | st.dictionaries(st.sampled_from(["checkpoints", "tranches", "x"]), JSON, max_size=2),
)
def test_any_json_object_has_rows_that_both_databases_take(
    world: World, root: Path, document: dict[str, Any], lists: dict[str, Any], plan: dict[str, Any] | None
) -> None:
    """Whatever object a file holds, its rows are stored, and stay the same when restored from documents."""
    data = json.dumps(document | lists).encode("utf-8", "surrogatepass")
    folder = builders.make_session(root, "any", data, plan)
    if plan is None:
        (folder / "plan.json").unlink(missing_ok=True)
    result = world.sync(folder)[0]
    tree = decode(data, session_dir=folder)
    assert result.outcome in {Outcome.WRITTEN, Outcome.TOUCHED}
    assert result.error is None
    row = world.session("any")
    content = mapping.storable(interpret(tree, plan))
    assert row["topic"] == content.topic
    assert row["phase_history"] == json.loads(mapping.dump_json(content.phase_history))
    assert len(world.rows("session_links")) == len(content.links)


# --- identity --------------------------------------------------------------------------------------


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


def test_session_links_follow_the_document(world: World, root: Path) -> None:
    """Links are upserted by conversation and agent, and those no longer in the document go."""
    folder = builders.make_session(root, "one")
    manager = StateManager(folder)
    manager.link_conversation("claude-code", "c1")
    manager.link_conversation("claude-code", "c1", "a1", "hook")
    manager.link_conversation("other", "c1")
    world.sync(folder)
    keys = [(r["client"], r["native_id"], r["agent_native_id"]) for r in world.rows("session_links")]
    assert keys == [("claude-code", "c1", ""), ("claude-code", "c1", "a1"), ("other", "c1", "")]
    manager.document["conversations"].pop(0)
    manager.save()
    world.sync(folder)
    assert len(world.rows("session_links")) == 2


def test_the_write_of_a_quiet_batch_is_short(world: World, root: Path) -> None:
    """Nothing is asked of the database one session at a time: a quiet batch costs a handful of statements."""
    folders = [builders.make_session(root, f"s{n:03}") for n in range(60)]
    world.sync(*folders)
    with mirrors.counted(world.database) as statements:
        assert set(outcomes(world, *folders)) == {Outcome.UNCHANGED}
    assert len(statements) <= 4


def test_a_change_within_the_clocks_tick_asks_for_another_look(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file written a moment ago is racy; an old one is not."""
    monkeypatch.setattr(files, "RACY_NS", 30 * 10**9)
    folder = builders.make_session(root, "one")
    assert world.sync(folder)[0].racy
    then = (folder / "state.json").stat().st_mtime - 60
    os.utime(folder / "state.json", (then, then))
    os.utime(folder, (then, then))
    assert not world.sync(folder)[0].racy


def test_times_are_kept_to_the_microsecond(world: World, root: Path) -> None:
    """Both databases give the times back as they were written, in UTC."""
    folder = builders.make_session(root, "one", builders.v2_granularity())
    world.clock.now += timedelta(microseconds=1)
    world.sync(folder)
    row = world.session("one")
    assert row["updated_at"] == datetime(2026, 1, 21, 17, 30, 28, 566903, UTC)
    assert row["synced_at"] == world.clock.now
    assert row["updated_at"].tzinfo is UTC
