"""A session that changes: what is written again, what is not, and the history it leaves."""

import os
import shutil
from pathlib import Path

import pytest

from sessionlib.state import files
from sessionlib.state.files import look
from sessionlib.state.manager import StateManager
from sessionlib.sync import mapping, task
from sessionlib.sync.mirror import Outcome
from tests import builders, mirrors
from tests.builders import time_of
from tests.mirrors import World, outcomes, stamped


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
    for module in (mapping, task):
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
    assert world.session("one")["content_changed_at"] == time_of(builders.at(7))


def test_a_rolled_back_file_rolls_the_row_back(world: World, root: Path) -> None:
    """In the only checkout an older document is as good as any: no stamp decides."""
    folder = builders.make_session(root, "one", stamped(50, current_phase="docs"))
    world.sync(folder)
    builders.write_json(folder / "state.json", stamped(1, current_phase="spec"))
    mirrors.age(folder, 1_000_000)
    world.sync(folder)
    row = world.session("one")
    assert row["current_phase"] == "spec"
    assert row["activity_at"] == time_of(builders.at(1))


def test_an_absent_folder_writes_nothing(world: World, root: Path) -> None:
    """A folder without a state.json, or none at all, is reported absent and leaves no trace."""
    (root / "empty").mkdir()
    builders.make_session(root, "one")
    world.sync(root / "one")
    shutil.rmtree(root / "one")
    before = world.everything()
    assert outcomes(world, root / "empty", root / "never", root / "one") == [Outcome.ABSENT] * 3
    assert world.everything() == before


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
