"""A folder of projects, the real daemon, both databases: every answer is right, at every step."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionlib.state.manager import StateManager
from tests import builders
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.processes import Daemon, asked, direct, environment, sessionctl

pytestmark = pytest.mark.timeout(180)

Wait = Callable[..., None]

ROOT = "agents/sessions"


def make_world(code: Path) -> None:
    """Make three projects: all generations, a repository with a worktree, a monorepo with a nested root."""
    shop = builders.make_project(code / "shop")
    for name, make in builders.SESSIONS.items():
        plan = builders.plan(4) if name == "v1.1" else None
        builders.make_session(shop / ROOT, name, make(), plan=plan)
    run = builders.research_run()
    builders.make_session(shop / ROOT, "with-research", builders.v2(), research={"run-1": run})
    tools = builders.make_git_repo(code / "tools", "git@forge.example:team/tools.git")
    builders.make_project(tools, {"cli": builders.v2_building(topic="main copy")})
    tree = builders.make_worktree(tools, code / "tools-wt")
    newer = builders.v2_building(topic="worktree copy", updated_at=builders.at(400))
    builders.make_project(tree, {"cli": newer})
    mono = builders.make_git_repo(code / "deep" / "mono")
    builders.make_project(mono, ["top"])
    builders.make_project(mono, ["nested"], root="apps/core/agents/sessions")


def by_slug(daemon: Daemon, *arguments: str) -> dict[str, dict[str, Any]]:
    """Return the sessions that `sessionctl` lists, by slug."""
    return {row["slug"]: row for row in asked(daemon.environment, "sessions", "--limit", "500", *arguments)}


def seen(url: str) -> dict[str, dict[str, Any]]:
    """Return what the session rows say right now, by slug, for waiting."""
    names = ("slug", "current_phase", "topic", "error", "missing_since")
    rows = direct(url, f"SELECT {', '.join(names)} FROM sessions")
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows}


def present(url: str) -> set[str]:
    """Return the sessions that are not tombstoned."""
    return {slug for slug, row in seen(url).items() if row["missing_since"] is None}


def test_a_folder_of_projects_is_mirrored_and_followed(
    tmp_path: Path, database_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """Import, edit, rename, delete, move and add: the rows follow, and every answer is right."""
    code = tmp_path / "code"
    make_world(code)
    daemon = start_daemon(database_url, code)
    count = len(builders.SESSIONS) + 1 + 1 + 2
    wait_until(lambda: len(seen(database_url)) == count, "the import")

    listed = by_slug(daemon)
    assert {row["project_slug"] for row in listed.values()} == {"shop", "tools", "mono"}
    assert (listed["v1.1"]["checkpoints_completed"], listed["v1.1"]["checkpoints_total"]) == (4, 4)
    assert listed["nested"]["root"] == "apps/core/agents/sessions"
    assert listed["cli"]["topic"] == "worktree copy"
    assert asked(daemon.environment, "show", "with-research")[0]["research_runs"][0]["research_id"] == "run-1"
    oracle = {
        name: StateManager(code / "shop" / ROOT / name, read_only=True).load() for name in builders.SESSIONS
    }
    in_build = {name for name, content in oracle.items() if content.current_phase == "build"}
    assert set(by_slug(daemon, "--phase", "build", "--project", "shop")) == in_build
    ids = dict(direct(database_url, "SELECT slug, session_id FROM sessions"))

    _edit(code, daemon, wait_until, database_url)
    _rename_and_delete(code, daemon, wait_until, database_url)
    _move(code, daemon, wait_until, ids, database_url)
    assert daemon.stop() == 0


def _edit(code: Path, daemon: Daemon, wait_until: Wait, url: str) -> None:
    manager = StateManager(code / "shop" / ROOT / "v2")
    manager.transition_to_phase("plan")
    wait_until(lambda: seen(url)["v2"]["current_phase"] == "plan", "the new phase")
    manager.add_commit("feedbeef", "Lay the last brick")
    wait_until(lambda: direct(url, "SELECT sha FROM commits WHERE sha = 'feedbeef'"), "the commit")
    hits = asked(daemon.environment, "query", "commit", "--sha", "feedbee")
    assert [row["session"] for row in hits] == ["v2"]
    path = code / "shop" / ROOT / "v1.3" / "state.json"
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    wait_until(lambda: seen(url)["v1.3"]["error"], "the error of a torn file")
    assert by_slug(daemon)["v1.3"]["checkpoints_total"] == 6
    assert [Path(row["path"]).name for row in asked(daemon.environment, "query", "unreadable")] == ["v1.3"]
    path.write_bytes(good)
    wait_until(lambda: seen(url)["v1.3"]["error"] is None, "the healed file")


def _rename_and_delete(code: Path, daemon: Daemon, wait_until: Wait, url: str) -> None:
    root = code / "shop" / ROOT
    (root / "v1.0").rename(root / "renamed")
    shutil.rmtree(root / "v1.4")
    wait_until(lambda: "renamed" in present(url), "the renamed folder")
    wait_until(lambda: not {"v1.0", "v1.4"} & present(url), "the tombstones", 20)
    assert not {"v1.0", "v1.4"} & set(by_slug(daemon))
    assert {"v1.0", "v1.4"} < set(by_slug(daemon, "--missing"))
    shutil.rmtree(code / "tools-wt")
    wait_until(lambda: seen(url)["cli"]["topic"] == "main copy", "the copy that is left", 20)
    builders.make_project(code / "new" / "far" / "away", ["first"])
    wait_until(lambda: "first" in present(url), "a project that appeared")


def _move(code: Path, daemon: Daemon, wait_until: Wait, ids: dict[str, Any], url: str) -> None:
    (code / "deep" / "mono").rename(code / "mono-moved")
    moved = str(code / "mono-moved")
    wait_until(
        lambda: direct(url, f"SELECT 1 FROM workspaces WHERE path = '{moved}'"),
        "the moved project",
        20,
    )
    StateManager(code / "mono-moved" / ROOT / "top").set_details(topic="after the move")
    wait_until(lambda: seen(url)["top"]["topic"] == "after the move", "an edit after the move")
    now = dict(direct(url, "SELECT slug, session_id FROM sessions"))
    assert {slug: now[slug] for slug in ids} == ids
    assert len(asked(daemon.environment, "projects")) == 4
    assert by_slug(daemon)["nested"]["missing_since"] is None


def test_what_happened_while_the_daemon_was_down_is_mirrored_at_its_start(
    tmp_path: Path, database_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """After kill -9, edits, additions and deletions made meanwhile are found by the next start."""
    code = tmp_path / "code"
    project = builders.make_project(code / "p", ["kept", "edited", "removed"])
    daemon = start_daemon(database_url, code)
    wait_until(lambda: len(seen(database_url)) == 3, "the import")
    assert daemon.process is not None
    daemon.process.kill()
    daemon.process.wait(10)
    StateManager(project / ROOT / "edited").set_details(topic="edited meanwhile")
    shutil.rmtree(project / ROOT / "removed")
    builders.make_session(project / ROOT, "added")
    daemon.start()
    wait_until(lambda: present(database_url) == {"kept", "edited", "added"}, "the new state", 20)
    assert by_slug(daemon)["edited"]["topic"] == "edited meanwhile"


def test_one_daemon_for_each_state_folder(tmp_path: Path, sqlite_url: str, start_daemon: StartDaemon) -> None:
    """A second daemon exits with 75 and names the process that holds the folder."""
    code = builders.make_project(tmp_path / "code" / "p", ["s"]).parent
    first = start_daemon(sqlite_url, code)
    assert first.process is not None
    second = Daemon([code], first.environment, tmp_path / "second.log")
    with pytest.raises(AssertionError, match=f"process {first.process.pid}"):
        second.start()
    assert second.process is not None
    assert second.process.wait(10) == 75


def test_a_one_shot_sync_needs_no_daemon(tmp_path: Path, database_url: str) -> None:
    """`sessionctl sync` mirrors a folder, and a second run finds nothing to do."""
    code = tmp_path / "code"
    make_world(code)
    environ = environment(database_url, tmp_path / "state")
    first = sessionctl(environ, "sync", str(code))
    assert first.returncode == 0, first.stderr
    assert len(asked(environ, "sessions", "--limit", "100")) == len(builders.SESSIONS) + 4
    again = asked(environ, "sync", str(code))
    assert [row["written"] for row in again] == [0] * len(again)
