"""What is published, and where it is looked for: the change feed's finder on both databases."""

import shutil
from pathlib import Path

from sessiond.feed import Change
from tests import builders, mirrors
from tests.feeding import HERE, Wait, Watch, save, short, watch, world
from tests.mirrors import World

__all__ = ["watch", "world"]


# --- what is published -----------------------------------------------------------------------------


def test_a_new_session_and_its_change(watch: Watch, root: Path) -> None:
    """The first version is `created`, the next `changed`; each tells what its row shows."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    (created,) = watch.look()
    row = watch.world.session("wall")
    assert created == Change(
        kind="created",
        at=row["synced_at"].isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        project="garden",
        project_id=str(row["project_id"]),
        session_id=str(row["session_id"]),
        root="agents/sessions",
        slug="wall",
        seq=1,
        phase="spec",
        status="active",
        host_id=str(HERE),
    )
    save(folder, 1, current_phase="plan")
    watch.touch(folder)
    (changed,) = watch.look()
    assert (changed.kind, changed.seq, changed.phase) == ("changed", 2, "plan")


def test_unreadable_sessions_are_counted(watch: Watch, root: Path) -> None:
    """Each session once, also one of which no row was ever made; none when they are mended or gone."""
    assert watch.changes.unreadable == 0
    folders = [builders.make_session(root, name, builders.v2()) for name in ("wall", "roof", "yard")]
    watch.touch(*folders)
    for folder in folders[:2]:
        builders.write_json(folder / "state.json", b"[]")
    new = builders.make_session(root, "new", builders.v2())
    builders.write_json(new / "state.json", b"[]")
    watch.touch(*folders, new)
    assert {change.slug for change in watch.look() if change.kind == "unreadable"} == {"wall", "roof", "new"}
    assert watch.changes.unreadable == 3
    save(folders[0], 1)
    watch.touch(*folders)
    watch.look()
    assert watch.changes.unreadable == 2


def test_versions_between_two_looks(watch: Watch, root: Path) -> None:
    """All versions that were committed before a look are published, in order, and once."""
    folder = builders.make_session(root, "wall", builders.v2())
    for number in range(1, 6):
        watch.world.sync(folder)
        save(folder, number)
    watch.touch(folder)
    watch.ring(folder, folder)
    assert short(watch.look()) == [("created", 1), *(("changed", seq) for seq in range(2, 7))]
    watch.touch(folder)
    assert watch.look() == []


def test_what_another_process_committed(watch: Watch, root: Path) -> None:
    """A sync that finds nothing to do, because somebody else was faster, publishes what he wrote."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.world.restarted().sync(folder)
    (result,) = watch.touch(folder)
    assert result.outcome == "unchanged"
    assert short(watch.look()) == [("created", 1)]


def test_what_was_there_before_the_start(world: World, root: Path, wait_until: Wait) -> None:
    """Versions, tombstones and errors from before the start are no news; what follows them is."""
    old, gone, bad = (builders.make_session(root, slug, builders.v2()) for slug in ("old", "gone", "bad"))
    world.sync(old, gone, bad)
    save(old, 1)
    builders.write_json(bad / "state.json", b"{}}")
    world.sync(old)
    world.mirror.sync(world.place(root), ["bad"], settled=["bad"])
    shutil.rmtree(gone)
    world.reconcile(root)
    world.confirm(root)
    assert world.session("gone")["missing_since"] is not None
    assert world.session("bad")["error"] is not None
    world.clock.tick(20)
    watch = Watch(world, wait_until)
    watch.touch(old, bad)
    watch.ring(gone)
    watch.changes.reconciled(world.place(root))
    watch.changes.catch_up()
    assert watch.look() == []
    save(old, 2)
    builders.make_session(root, "gone", builders.v2())
    builders.write_json(bad / "state.json", builders.v2())
    watch.touch(old, gone, bad)
    assert sorted((change.slug, change.kind, change.seq) for change in watch.look()) == [
        ("bad", "restored", 1),
        ("gone", "restored", 1),
        ("old", "changed", 3),
    ]
    watch.changes.stop()


def test_removed_and_restored(watch: Watch, root: Path) -> None:
    """A tombstone is published after the comparison that made it, its end after the sync that ended it."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    watch.look()
    folder.rename(root.parent / "away")
    watch.world.reconcile(root)
    watch.world.confirm(root)
    watch.changes.reconciled(watch.world.place(root))
    (removed,) = watch.look()
    assert (removed.kind, removed.seq, removed.slug) == ("removed", 1, "wall")
    watch.ring(folder)
    assert watch.look() == []
    (root.parent / "away").rename(folder)
    watch.touch(folder)
    assert short(watch.look()) == [("restored", 1)]


def test_created_and_removed_between_two_looks(watch: Watch, root: Path) -> None:
    """Both are published although the session was never looked at in between."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.world.sync(folder)
    shutil.rmtree(folder)
    watch.world.reconcile(root)
    watch.world.confirm(root)
    watch.ring(folder)
    assert short(watch.look()) == [("created", 1), ("removed", 1)]


def test_unreadable_and_mended(watch: Watch, root: Path) -> None:
    """An error is published when it is new, and its end also when the content is what it was."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    watch.look()
    for text_, published in ((b"{]", 1), (b"{]", 0), (b"[]", 1)):
        builders.write_json(folder / "state.json", text_)
        watch.world.mirror.sync(watch.world.place(root), ["wall"], settled=["wall"])
        watch.ring(folder)
        found = watch.look()
        assert short(found) == [("unreadable", 1)] * published
        assert all(change.error == watch.world.session("wall")["error"] for change in found)
    builders.write_json(folder / "state.json", builders.v2())
    watch.touch(folder)
    assert short(watch.look()) == [("restored", 1)]
    builders.write_json(folder / "state.json", b"[]")
    watch.touch(folder)
    save(folder, 1)
    watch.touch(folder)
    assert watch.look()[-1].kind == "changed"


def test_a_session_that_was_never_readable(watch: Watch, root: Path) -> None:
    """Without a row it is told by its file alone; once it can be read it is created."""
    folder = builders.make_session(root, "wall", b"[]")
    watch.touch(folder)
    (found,) = watch.look()
    assert (found.kind, found.seq, found.phase, found.project) == ("unreadable", 0, None, "garden")
    assert found.error == watch.world.file("wall")["error"]
    watch.touch(folder)
    assert watch.look() == []
    save(folder, 1)
    watch.touch(folder)
    assert short(watch.look()) == [("created", 1)]


def test_a_plan_alone(watch: Watch, root: Path) -> None:
    """A row that is written anew without a new version is a change too, with the old number."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    watch.look()
    builders.write_json(folder / "plan.json", builders.plan(3))
    watch.touch(folder)
    assert short(watch.look()) == [("changed", 1)]
    watch.touch(folder)
    assert watch.look() == []


def test_a_database_that_was_built_anew(watch: Watch, root: Path) -> None:
    """When somebody deleted the rows, their sessions are created again, with numbers from 1."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    save(folder, 1)
    watch.touch(folder)
    watch.look()
    mirrors.empty(watch.world.database)
    watch.world.registrar.forget()
    watch.touch(folder)
    assert short(watch.look()) == [("created", 1)]


def test_a_project_that_is_gone(watch: Watch, root: Path) -> None:
    """Sessions whose rows went with their project are removed; nothing is left to look up."""
    folder = builders.make_session(root, "wall", builders.v2())
    watch.touch(folder)
    watch.look()
    mirrors.empty(watch.world.database)
    watch.ring(folder)
    (removed,) = watch.look()
    assert (removed.kind, removed.project, removed.slug) == ("removed", None, "wall")
    watch.ring(folder)
    assert watch.look() == []


# --- where it looks --------------------------------------------------------------------------------


def test_a_comparison_finds_what_nobody_rang_for(watch: Watch, root: Path) -> None:
    """What others wrote in a root is found after its comparison; a second one reads no session."""
    folders = [builders.make_session(root, f"s{number}", builders.v2()) for number in range(3)]
    watch.world.restarted().sync(*folders)
    watch.changes.reconciled(watch.world.place(root))
    assert short(watch.look()) == [("created", 1)] * 3
    with mirrors.counted(watch.world.database) as sent:
        watch.changes.reconciled(watch.world.place(root))
        assert watch.look() == []
    assert len([statement for statement in sent if "sessions" in statement]) == 1


def test_catching_up(world: World, root: Path, wait_until: Wait) -> None:
    """What happened while nobody rang is found in all projects: versions, tombstones, what was mended."""
    gone = builders.make_session(root, "gone", builders.v2())
    world.sync(gone)
    gone.rename(root.parent / "away")
    world.reconcile(root)
    world.confirm(root)
    other = builders.make_project(root.parents[2] / "shed") / "agents/sessions"
    watch = Watch(world, wait_until)
    (root.parent / "away").rename(gone)
    world.clock.tick()
    world.sync(gone)
    world.sync(builders.make_session(other, "roof", builders.v2()))
    watch.changes.catch_up()
    assert sorted((change.slug, change.kind) for change in watch.look()) == [
        ("gone", "restored"),
        ("roof", "created"),
    ]
    watch.changes.stop()


def test_more_sessions_than_fit_into_a_query(watch: Watch, root: Path) -> None:
    """Many sessions at once are looked at in several queries, and none is left out."""
    folders = [builders.make_session(root, f"s{number:04}", builders.v2()) for number in range(1100)]
    watch.world.sync(*folders)
    with mirrors.counted(watch.world.database) as sent:
        watch.ring(*folders)
        found = watch.look()
    assert sorted(change.slug for change in found) == [folder.name for folder in folders]
    assert len([statement for statement in sent if "session_versions" in statement]) <= 10
