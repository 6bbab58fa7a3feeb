"""Merging two projects: nothing is lost, nothing is doubled, and a rebuild finds nothing to mend."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sessionlib.db import moving, moving_execution, tables
from sessionlib.db.crud import findings, projects
from sessionlib.db.rows import VersionRow
from sessionlib.errors import UsageError
from sessionlib.models import Project, derived_id
from sessionlib.sync.merging import Merged, joined, merge_projects
from tests import builders
from tests.mirrors import NOON, World

PROJECT = derived_id("a project")
SESSION = derived_id("a session")
SESSIONS = "agents/sessions"


def _version(seq: int, content: str, hours: float) -> VersionRow:
    at = NOON + timedelta(hours=hours)
    return VersionRow(PROJECT, SESSION, seq, content, "build", "active", at, at)


@pytest.mark.parametrize(
    ("mine", "other", "contents"),
    [
        ([("a", 0), ("c", 2)], [("b", 1)], "abc"),
        ([("a", 0), ("b", 3)], [("a", 1), ("x", 2)], "axb"),
        ([("a", 1)], [("a", 0)], "a"),
        ([("a", 0)], [("b", 5)], "ba"),
        ([("a", 5)], [("b", 0), ("c", 1)], "bca"),
        ([("b", 1)], [("a", 0), ("b", 1)], "ab"),
    ],
)
def test_histories_are_joined_by_time(
    mine: list[tuple[str, float]], other: list[tuple[str, float]], contents: str
) -> None:
    """Two histories become one in the order of time, without repeats, and end with what is shown."""
    rows = joined(
        [_version(n, *row) for n, row in enumerate(mine, 1)],
        [
            _version(n, *row)._replace(project_id=derived_id("x"), session_id=derived_id("y"))
            for n, row in enumerate(other, 1)
        ],
    )
    assert "".join(row.content_hash for row in rows) == contents
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert {row[:2] for row in rows} == {(PROJECT, SESSION)}
    assert [row.at for row in rows] == sorted(row.at for row in rows)


def test_a_merge_knows_every_table_of_a_project() -> None:
    """A table added later must be carried too, or a merge would delete its rows with the source."""
    owned = {name for name, table in tables.metadata.tables.items() if "project_id" in table.c}
    assert owned - {"projects"} == moving.CARRIED | {table.name for table in moving_execution.CARRIED}


def _project(world: World, slug: str) -> Project:
    with world.database.read() as connection:
        return projects.find(connection, slug)


def _merge(world: World, source: str, target: str) -> Merged:
    merged = merge_projects(world.database, world.mirror, _project(world, source), _project(world, target))
    world.registrar.forget()
    return merged


def _mirrored(world: World, path: Path, sessions: dict[str, Any]) -> Path:
    root = builders.make_project(path, sessions) / SESSIONS
    world.reconcile(root)
    return root


def test_every_row_is_carried_over(world: World, tmp_path: Path) -> None:
    """Sessions of all generations move with parts, inputs, history and first sight, under their new ids."""
    documents = {name: make() for name, make in builders.SESSIONS.items()}
    root = _mirrored(world, tmp_path / "one", documents)
    builders.make_session(
        root,
        "rich",
        builders.v2(conversations=[{"client": "c", "native_id": "n", "linked_at": builders.T0}]),
        plan=builders.plan(3),
        research={"soil": builders.research_run()},
    )
    world.reconcile(root)
    _mirrored(world, tmp_path / "two", {"other": None})
    before = {name: world.rows(name) for name in moving.CARRIED}
    seen = {row["slug"]: (row["first_seen_at"], row["content_changed_at"]) for row in before["sessions"]}
    world.clock.tick(3600)
    merged = _merge(world, "one", "two")
    assert merged == Merged(workspaces=1, sessions=len(documents) + 1, shared=0, aliases=1)
    target = _project(world, "two").project_id
    for name, rows in before.items():
        after = world.rows(name)
        extra = 1 if name == "project_aliases" else 0
        assert len(after) == len(rows) + extra, name
        assert {row["project_id"] for row in after} <= {target}, name
    after = world.rows("sessions")
    assert {row["slug"]: (row["first_seen_at"], row["content_changed_at"]) for row in after} == seen
    place = world.place(root)
    assert {row["slug"]: row["session_id"] for row in after} == {
        row["slug"]: place.session_id(row["slug"]) for row in after
    }


def test_a_merged_mirror_is_what_a_rebuild_makes(world: World, tmp_path: Path) -> None:
    """After a merge a reconcile finds nothing to do, and to read every file again changes nothing."""
    documents = {name: make() for name, make in builders.SESSIONS.items()}
    one = _mirrored(world, tmp_path / "one", documents)
    two = _mirrored(world, tmp_path / "two", {"v2": builders.v2_building(), "other": None})
    _merge(world, "one", "two")
    assert (world.reconcile(one).ticket.total, world.reconcile(two).ticket.total) == (0, 0)
    derived = world.everything(["key", "derived"])
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE session_files SET mapping_version = 0")
        connection.exec_driver_sql("UPDATE sessions SET mapping_version = 0")
    assert world.reconcile(one).ticket.total == len(documents)
    world.reconcile(two)
    assert world.everything(["key", "derived"]) == derived


@pytest.mark.parametrize("source_is_fresher", [True, False])
def test_of_a_session_in_both_the_freshest_copy_wins(
    world: World, tmp_path: Path, *, source_is_fresher: bool
) -> None:
    """Copies of one session stand side by side; its history is that of both, seen since the first sight."""
    older, newer = builders.v2_building(4, (1,)), builders.v2_building(4, (1, 2, 3))
    first = _mirrored(world, tmp_path / "source", {"wall": newer if source_is_fresher else older})
    seen = world.clock.now
    world.clock.tick(60)
    _mirrored(world, tmp_path / "target", {"wall": older if source_is_fresher else newer})
    merged = _merge(world, "source", "target")
    assert (merged.sessions, merged.shared) == (1, 1)
    session = world.session("wall")
    assert session["checkpoints_completed"] == 3
    assert session["first_seen_at"] == seen
    history = world.rows("session_versions")
    assert [row["seq"] for row in history] == [1, 2]
    assert history[-1]["content_hash"] == session["content_hash"]
    assert session["version_seq"] == 2
    assert len(world.rows("session_files")) == 2
    assert len(world.rows("checkpoints")) == 4
    assert len(world.rows("commits")) == 3
    builders.write_json(first / "wall/state.json", builders.v2_building(4, (1, 2, 3, 4)))
    world.sync(first / "wall")
    assert world.session("wall")["checkpoints_completed"] == 4
    assert [row["seq"] for row in world.rows("session_versions")] == [1, 2, 3]


def test_tombstones_and_unreadable_copies_move_too(world: World, tmp_path: Path) -> None:
    """A session whose files are gone keeps its row and parts; one that never could be read stays a copy."""
    root = _mirrored(world, tmp_path / "one", {"gone": builders.v2_building(), "bad": b"[]", "ok": None})
    _mirrored(world, tmp_path / "two", {})
    for path in (root / "gone").iterdir():
        path.unlink()
    world.reconcile(root)
    world.confirm(root)
    missing_since = world.session("gone")["missing_since"]
    assert missing_since is not None
    _merge(world, "one", "two")
    gone = world.session("gone")
    assert gone["missing_since"] == missing_since
    assert len(world.rows("commits", session_id=gone["session_id"])) == 2
    assert world.file("bad")["error"] is not None
    assert {row["slug"] for row in world.rows("sessions")} == {"gone", "ok"}
    builders.make_session(root, "gone", builders.v2_building(4, (1, 2, 3)))
    world.reconcile(root)
    assert world.session("gone")["missing_since"] is None


def test_names_findings_and_marks_move_too(world: World, tmp_path: Path) -> None:
    """Aliases, the old name, open findings and a workspace registered by hand are the target's."""
    _mirrored(world, tmp_path / "one", {"a": None})
    _mirrored(world, tmp_path / "two", {"b": None})
    workspace = world.registrar.register_project(tmp_path / "one")
    source, target = _project(world, "one"), _project(world, "two")
    with world.database.write() as connection:
        projects.claim_alias(connection, source.project_id, "name:uno")
        finding = findings.Finding("mass_vanish", "there", "gone")
        findings.open_finding(connection, source.project_id, workspace.workspace_id, finding)
    _merge(world, "one", "two")
    assert _project(world, "uno").slug == _project(world, "one").slug == "two"
    (row,) = world.rows("findings")
    assert (row["project_id"], row["workspace_id"]) == (target.project_id, workspace.workspace_id)
    with world.database.write() as connection:
        findings.open_finding(connection, target.project_id, workspace.workspace_id, finding)
    assert len(world.rows("findings")) == 1
    assert {row["registered"] for row in world.rows("workspaces")} == {True, False}
    assert world.place(tmp_path / "one" / SESSIONS).project_id == target.project_id


def test_a_project_is_not_merged_into_itself(world: World, tmp_path: Path) -> None:
    """The same project by two names is refused before anything is written."""
    _mirrored(world, tmp_path / "one", {"a": None})
    before = world.everything()
    with pytest.raises(UsageError, match="the same project"):
        _merge(world, "one", str(_project(world, "one").project_id))
    assert world.everything() == before
