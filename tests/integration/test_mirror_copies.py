"""Several copies of one session: which one is shown, and when another takes its place."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from tests import builders, mirrors
from tests.builders import time_of
from tests.mirrors import World, shown, stamped, worktree
from tests.verifying import drifts, places, rebuilt


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
    assert world.session("one")["activity_at"] == time_of(builders.T0)
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
        time_of(builders.at(1)),
        time_of(builders.at(5)),
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


@pytest.mark.parametrize("comes_first", [True, False])
def test_a_copy_that_was_never_understood_keeps_its_session(
    world: World, tmp_path: Path, comes_first: bool
) -> None:
    """Nobody's last row is shown as gone while a folder of it is there, in whatever order that came about."""
    main, tree = worktree(tmp_path)
    good = builders.make_session(main, "one", stamped(1, topic="good"))
    world.sync(good)
    if comes_first:
        world.sync(builders.make_session(tree, "one", b"[1]"))
    shutil.rmtree(good)
    world.confirm(main)
    world.confirm(main)
    if not comes_first:
        assert world.session("one")["missing_since"] is not None
        world.sync(builders.make_session(tree, "one", b"[1]"))
    row = world.session("one")
    assert (row["topic"], row["missing_since"]) == ("good", None)
    assert "object" in row["error"]
    assert drifts(world) == []
    with world.database.write() as connection:
        connection.execute(text("UPDATE sessions SET error = NULL, missing_since = first_seen_at"))
    assert places(drifts(world)) == [("sessions", "missing_since"), ("sessions", "error")]
    rebuilt(world)
    assert drifts(world) == []
    shutil.rmtree(tree / "one")
    world.confirm(tree)
    world.confirm(tree)
    assert world.session("one")["missing_since"] is not None
