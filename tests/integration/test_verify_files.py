"""Verifying files that cannot be used, odd names, and copies in several workspaces, on both databases."""

import os
import shutil
import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sessionlib.errors import StateUnreadableError
from sessionlib.sync import mapping, snapshot
from sessionlib.sync.registrar import Host
from tests import builders, mirrors, verifying
from tests.mirrors import World, worktree
from tests.verifying import drifts, one_fixture, places, verified  # noqa: F401 - a fixture


def test_bad_files_keep_their_last_good_content(world: World, root: Path, one: Path) -> None:
    """An invalid file is named, and no drift once its row has the error; its good content is still proved."""
    (one / "state.json").write_bytes(b"[]")
    verifying.aged(one)
    assert ("session_files", "size") in places(drifts(world))
    world.sync(one)
    found = verified(world)
    assert (found.count, found.unreadable) == (
        0,
        [(str(one), "state.json holds a list at the top level, not an object")],
    )
    verifying.edit(world, "sessions", world.session("one"), topic="edited")
    assert places(drifts(world)) == [("sessions", "topic")]
    assert verifying.rebuilt(world).rows == 1
    assert world.session("one")["topic"] == "Garden wall"
    assert drifts(world) == []


def test_a_bad_file_that_was_never_good_is_no_drift(world: World, root: Path) -> None:
    """It has a copy's row with the error, and no session."""
    folder = verifying.make(root, "bad", b"[]")
    world.sync(folder)
    found = verified(world)
    assert (found.sessions, found.count, len(found.unreadable)) == (1, 0, 1)


def test_half_of_a_write_is_looked_at_again(world: World, one: Path) -> None:
    """A file that is torn at first and whole a moment later is no drift; one that stays so is named."""
    whole = (one / "state.json").read_bytes()
    (one / "state.json").write_bytes(whole[: len(whole) // 2])
    threading.Timer(0.4, lambda: ((one / "state.json").write_bytes(whole), world.sync(one))).start()
    assert verified(world).count == 0
    (one / "state.json").write_bytes(whole[: len(whole) // 2])
    assert ("session_files", "size") in places(drifts(world))
    assert {drift.cause.split(":")[0] for drift in drifts(world)} == {"not mirrored yet"}


@pytest.mark.parametrize("cut", [True, False], ids=["half", "garbage"])
@pytest.mark.parametrize("mirrored", [True, False], ids=["mirrored", "new"])
@pytest.mark.parametrize("age", [0.0, verifying.OLD], ids=["young", "old"])
def test_cut_and_garbled_files_are_named(
    world: World, one: Path, *, cut: bool, mirrored: bool, age: float
) -> None:
    """What stays torn is no write under way: it is named with its reason, with a row that says so or none."""
    whole = (one / "state.json").read_bytes()
    (one / "state.json").write_bytes(whole[: len(whole) // 2] if cut else b"\x00\xffgarbage\xfe")
    mirrors.age(one, age)
    if mirrored:
        world.mirror.sync(world.place(one.parent), ["one"], settled=["one"])
    found = verified(world)
    ((path, reason),) = found.unreadable
    assert path == str(one)
    assert reason.startswith("state.json is not")
    assert (found.sessions, bool(found.count)) == (1, not mirrored)
    assert [path for path, _ in verifying.rebuilt(world).unreadable] == [str(one)]
    assert (verified(world).count, verified(world).unreadable) == (0, found.unreadable)


def test_files_that_may_not_be_read_are_named(
    world: World, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system refuses to read is no drift, but it is said; a rebuild records it once."""

    def refused(folder: Path, **_: Any) -> Any:
        raise StateUnreadableError("cannot be read: Permission denied", session_dir=folder)

    monkeypatch.setattr(snapshot, "take", refused)
    found = verified(world)
    assert (found.count, found.unreadable) == (0, [(str(one), "cannot be read: Permission denied")])
    assert verifying.rebuilt(world).unreadable == found.unreadable
    assert world.file("one")["error"] == "cannot be read: Permission denied"
    before = world.everything()
    assert verifying.rebuilt(world).rows == 0
    assert (verified(world).count, world.everything()) == (0, before)


def test_hostile_names_are_compared(world: World, root: Path) -> None:
    """Names that no database takes as they are, and such as steer a terminal, have rows that are proved."""
    names = [os.fsdecode(b"bad-\xff\xfe"), "back\\slash", "line\nbreak", "\x1b[31mred", "a b;c'd\"e", "ünï"]
    world.sync(*(verifying.make(root, name) for name in names))
    assert (verified(world).sessions, verified(world).count) == (len(names), 0)
    for row in world.rows("sessions"):
        verifying.edit(world, "sessions", row, topic="edited")
    found = drifts(world)
    assert {drift.path for drift in found} == {row["path"] for row in world.rows("session_files")}
    assert verifying.rebuilt(world).written == len(names)
    assert drifts(world) == []


def test_the_freshest_copy_is_what_should_show(world: World, tmp_path: Path) -> None:
    """All copies on this host are read; a row that shows the wrong one is named and mended."""
    main, tree = worktree(tmp_path)
    old = verifying.make(main, "one", verifying.everything("one", topic="old"))
    new = verifying.make(tree, "one", verifying.everything("one", topic="new", updated_at=builders.at(9)))
    world.sync(old)
    world.sync(new)
    assert (world.session("one")["topic"], verified(world).count) == ("new", 0)
    before = world.everything()
    mine = next(row for row in world.rows("session_files") if row["path"] == str(old))
    wrong = {name: mine[name] for name in ("workspace_id", "content_hash", "inputs_hash")}
    verifying.edit(world, "sessions", world.session("one"), topic="old", **wrong)
    found = drifts(world, main / "one")
    assert {drift.column for drift in found} == {"workspace_id", "topic", "content_hash", "inputs_hash"}
    assert {drift.path for drift in found} == {str(new)}
    assert verifying.rebuilt(world, main / "one").rows == 1
    assert world.everything() == before | {"workspace_roots": world.everything()["workspace_roots"]}


def test_copies_of_other_hosts_count_as_they_are_committed(world: World, root: Path, tmp_path: Path) -> None:
    """What another host shows is proved from its documents, its rows are not looked at, nor touched."""
    away = World(world.database, Host(UUID(int=7), "away"))
    remote = mirrors.project_at(tmp_path / "here", remote=mirrors.REMOTE)
    there = mirrors.project_at(tmp_path / "there", remote=mirrors.REMOTE)
    world.sync(verifying.make(remote, "one", verifying.everything("one", topic="ours")))
    theirs = verifying.make(
        there, "one", verifying.everything("one", topic="theirs", updated_at=builders.at(9))
    )
    away.sync(theirs)
    shutil.rmtree(there.parents[1])
    assert (world.session("one")["topic"], verified(world).count) == ("theirs", 0)
    row = next(row for row in world.rows("session_files") if row["path"] == str(theirs))
    verifying.edit(world, "session_files", row, size=1, observed_at=mirrors.NOON)
    verifying.edit(world, "sessions", world.session("one"), topic="edited")
    (drift,) = drifts(world)
    assert (drift.column, drift.stored, drift.expected) == ("topic", "edited", "theirs")
    assert verifying.rebuilt(world).rows == 1
    assert world.session("one")["topic"] == "theirs"
    after = next(row for row in world.rows("session_files") if row["path"] == str(theirs))
    assert (after["size"], after["observed_at"]) == (1, mirrors.NOON)


def test_a_missing_root_is_named_and_kept(world: World, root: Path, one: Path) -> None:
    """What a root held that is not there counts as it is committed."""
    root.parents[1].rename(root.parents[2] / "moved")
    found = verified(world)
    assert (found.sessions, found.count, found.missing) == (0, 0, [str(root)])
    done = verifying.rebuilt(world)
    assert (done.missing, done.written, done.tombstoned) == ([str(root)], 0, 0)
    assert world.session("one")["missing_since"] is None


def test_an_empty_mount_point_is_no_empty_root(world: World, root: Path, one: Path) -> None:
    """A root that is empty, and on another device than its sessions were, is missing."""
    shutil.rmtree(one)
    with world.database.write() as connection:
        mirrors.set_root_device(connection, 99)
    assert verified(world).missing == [str(root)]


def test_what_the_database_refuses_is_named(
    world: World, root: Path, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session whose rows were refused is no drift: its file is named with the database's words."""
    world.sync(verifying.make(root, "two"))
    real = mapping.session_row

    def poisoned(*args: Any) -> Any:
        row = real(*args)
        return row._replace(checkpoints_total=1 << 70) if row.topic == "poison" else row

    monkeypatch.setattr(mapping, "session_row", poisoned)
    builders.write_json(one / "state.json", verifying.everything("one", topic="poison"))
    verifying.aged(one)
    assert {drift.path for drift in drifts(world)} == {str(one)}
    done = verifying.rebuilt(world)
    assert [path for path, _ in done.rejected] == [str(one)]
    assert world.file("one")["error"] is not None
    found = verified(world)
    assert (found.sessions, found.count, [path for path, _ in found.unreadable]) == (2, 0, [str(one)])
    verifying.edit(world, "sessions", world.session("two"), topic="edited")
    assert [drift.path for drift in drifts(world)] == [str(root / "two")]
    done = verifying.rebuilt(world)
    assert (done.written, [path for path, _ in done.unreadable]) == (1, [str(one)])
    monkeypatch.undo()
    verifying.rebuilt(world)
    assert world.session("one")["topic"] == "poison"
    assert (verified(world).count, verified(world).unreadable) == (0, [])


def test_a_bad_file_has_no_say_in_when_its_session_was_worked_on(world: World, root: Path) -> None:
    """A session without a time in its document keeps that of its last good file, and it is no drift."""
    folder = verifying.make(root, "one", {"topic": "undated"})
    world.sync(folder)
    worked_on = world.session("one")["activity_at"]
    (folder / "state.json").write_bytes(b"[]")
    world.sync(folder)
    assert world.session("one")["activity_at"] == worked_on
    mirrors.age(folder, 60)
    world.sync(folder)
    assert (verified(world).count, verifying.rebuilt(world).rows) == (0, 0)
    assert world.session("one")["activity_at"] == worked_on
