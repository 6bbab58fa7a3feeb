"""Comparing a root with the database: which sessions are queued, and which are believed to be gone."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionlib.db import store
from sessionlib.errors import StateUnreadableError
from sessionlib.sync import reconcile
from tests import builders, mirrors
from tests.mirrors import World
from tests.reconciling import missing, root_fixture  # noqa: F401 - fixtures
from tests.refusals import refuse


def test_a_quiet_root_costs_no_write(world: World, root: Path) -> None:
    """The second reconcile queues nothing and opens no transaction for writing."""
    builders.make_session(root, "bad", b"[]")
    builders.make_session(root, "planned", None, builders.plan(), {"a-\udcff": builders.research_run()})
    (root / "pending").mkdir()
    report = world.reconcile(root)
    assert (report.total, report.ticket.total, report.complete) == (5, 5, True)
    assert report.ticket.counts == {"written": 4, "invalid": 1}
    world.reconcile(root)
    before = world.everything()
    world.clock.tick(100)
    with mirrors.begun_writes(world.database) as writes, mirrors.counted(world.database) as sent:
        report = world.reconcile(root)
    assert (report.ticket.total, report.absent, report.tombstoned, writes) == (0, 0, 0, [])
    assert len(sent) < 10
    assert world.everything() == before


def test_only_what_differs_is_queued(world: World, root: Path) -> None:
    """New, changed and mended folders are queued, and only they."""
    world.reconcile(root)
    builders.write_json(root / "two" / "state.json", builders.v2(topic="changed"))
    builders.write_json(root / "three" / "plan.json", builders.plan(7))
    builders.make_session(root, "four")
    world.reconcile(root)
    assert {path.name for path in world.queued} == {"two", "three", "four"}
    assert world.session("three")["checkpoints_total"] == 7


def test_a_change_with_a_set_back_clock_is_found(world: World, root: Path) -> None:
    """A file of the same size and time with other bytes is found by its inode or change time."""
    world.reconcile(root)
    path = root / "one" / "state.json"
    seen = path.stat()
    path.write_bytes(path.read_bytes().replace(b"Garden", b"Market"))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert path.stat().st_size == seen.st_size
    world.reconcile(root)
    assert world.session("one")["topic"] == "Market wall"


def test_folders_without_a_good_name(world: World, root: Path) -> None:
    """Dot-folders, links and files are passed over, names that are not UTF-8 are taken."""
    builders.make_session(root, ".hidden")
    (root / "link").symlink_to(root / "one")
    (root / "file").write_text("{}")
    builders.make_session(root, "caf\udce9")
    world.reconcile(root)
    assert [row["slug"] for row in world.rows("sessions")].count("caf\\xe9") == 1
    assert len(world.rows("session_files")) == 4
    world.reconcile(root)
    assert world.queued == []
    shutil.rmtree(root / "caf\udce9")
    world.reconcile(root)
    world.confirm(root)
    assert missing(world) == {"caf\\xe9"}


def test_a_tombstone_needs_two_looks_five_seconds_apart(world: World, root: Path) -> None:
    """The first look notes an absence, a second one too soon changes nothing, a later one believes it."""
    world.reconcile(root)
    before = world.session("one")
    shutil.rmtree(root / "one")
    report = world.reconcile(root)
    assert (report.absent, report.tombstoned, missing(world)) == (1, 0, set())
    world.clock.tick(4.9)
    report = world.reconcile(root)
    assert (report.absent, report.tombstoned, missing(world)) == (0, 0, set())
    world.clock.tick(0.1)
    report = world.reconcile(root)
    assert (report.absent, report.tombstoned, missing(world)) == (0, 1, {"one"})
    assert world.session("one") == before | {"missing_since": world.clock.now}
    world.clock.tick()
    report = world.reconcile(root)
    assert (report.absent, report.tombstoned) == (0, 0)


def test_a_session_that_returns_before_its_tombstone(world: World, root: Path, tmp_path: Path) -> None:
    """A folder seen absent once and then again begins anew: a later absence needs two looks again."""
    world.reconcile(root)
    shutil.move(root / "one", tmp_path / "aside")
    world.reconcile(root)
    shutil.move(tmp_path / "aside", root / "one")
    world.reconcile(root)
    assert world.file("one")["absent_since"] is None
    shutil.rmtree(root / "one")
    world.confirm(root)
    assert missing(world) == set()


def test_a_tombstoned_session_returns(world: World, root: Path, tmp_path: Path) -> None:
    """A folder that comes back has its old row, id and history, and no tombstone."""
    world.reconcile(root)
    before = world.session("one")
    shutil.move(root / "one", tmp_path / "aside")
    world.reconcile(root)
    world.confirm(root)
    shutil.move(tmp_path / "aside", root / "one")
    world.reconcile(root)
    assert world.session("one") == before
    assert world.file("one")["missing_since"] is None
    assert world.reconcile(root).ticket.total == 0


def test_a_removed_state_file_is_an_absence(world: World, root: Path) -> None:
    """A folder that lost its state.json is as good as gone, and its error goes with its row."""
    world.reconcile(root)
    (root / "one" / "state.json").unlink()
    world.reconcile(root)
    world.confirm(root)
    assert missing(world) == {"one"}


def test_a_renamed_folder_is_another_session(world: World, root: Path) -> None:
    """Renaming a session's folder makes a new row, and tombstones the old one."""
    world.reconcile(root)
    (root / "one").rename(root / "renamed")
    world.reconcile(root)
    world.confirm(root)
    assert missing(world) == {"one"}
    assert world.session("renamed")["content_hash"] == world.session("one")["content_hash"]


def test_a_bad_file_that_never_was_good_can_go(world: World, root: Path) -> None:
    """An error row without a session is tombstoned too, and counts no more as unreadable."""
    builders.make_session(root, "bad", b"[]")
    world.reconcile(root)
    shutil.rmtree(root / "bad")
    world.reconcile(root)
    assert world.confirm(root).tombstoned == 1
    assert world.file("bad")["missing_since"] is not None


def test_a_folder_that_returns_during_the_confirmation(
    world: World, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the lock everything is looked at once more: what came back meanwhile is not gone."""
    odd = builders.make_session(root, "odd-\udcff")
    world.reconcile(root)
    shutil.move(odd, tmp_path / "aside")
    world.reconcile(root)

    def returning(*args: Any, real: Callable[..., None] = store.lock_sessions) -> None:
        real(*args)
        if not odd.exists():
            shutil.move(tmp_path / "aside", odd)

    monkeypatch.setattr(reconcile.store, "lock_sessions", returning)
    world.confirm(root)
    assert missing(world) == set()
    world.reconcile(root)
    assert world.file("odd-\\xff")["absent_since"] is None


def test_a_folder_that_cannot_be_looked_at_is_not_gone(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal during the confirmation keeps the session, and does not end the reconcile."""
    world.reconcile(root)
    shutil.rmtree(root / "one")
    world.reconcile(root)

    def refusing(session_dir: Path) -> None:
        raise StateUnreadableError("no", session_dir=session_dir)

    monkeypatch.setattr(reconcile, "look", refusing)
    world.confirm(root)
    assert missing(world) == set()


def test_a_folder_that_cannot_be_looked_at_says_so_on_its_row(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither gone nor forgotten: the reason stands on its row, and does not shield its neighbours."""
    world.reconcile(root)
    shutil.rmtree(root / "one")
    with monkeypatch.context() as patch:
        refuse(patch, "lstat", errno.EACCES, lambda path: path.endswith("/two/state.json"))
        world.reconcile(root)
        report = world.confirm(root)
        assert (report.complete, report.tombstoned) == (True, 1)
        assert missing(world) == {"one"}
        assert "Permission denied" in world.file("two")["error"]
        assert world.session("two")["error"] is not None
    world.reconcile(root)
    assert (world.file("two")["error"], world.session("two")["error"]) == (None, None)
