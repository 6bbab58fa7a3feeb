"""Comparing a root with the database: what is queued, what is believed to be gone, and what is not."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionlib.db import store
from sessionlib.db.crud import findings
from sessionlib.errors import StateUnreadableError
from sessionlib.state import listing
from sessionlib.sync import reconcile
from tests import builders, mirrors
from tests.mirrors import World


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The sessions root of a project with three sessions."""
    return builders.make_project(tmp_path / "garden", ["one", "two", "three"]) / "agents/sessions"


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """The sessions root of a project with twenty sessions."""
    return builders.make_project(tmp_path / "town", [f"s{n:02}" for n in range(20)]) / "agents/sessions"


def missing(world: World) -> set[str]:
    """Return the slugs of the sessions that are tombstoned."""
    return {row["slug"] for row in world.rows("sessions") if row["missing_since"] is not None}


def open_findings(world: World) -> list[str]:
    with world.database.read() as connection:
        return [finding.kind for finding in findings.listed(connection)]


def refuse(monkeypatch: pytest.MonkeyPatch, function: str, ending: str, code: int = errno.EACCES) -> None:
    real = getattr(os, function)

    def refusing(path: Any, *args: Any, **more: Any) -> Any:
        if str(path).endswith(ending):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, *args, **more)

    monkeypatch.setattr(os, function, refusing)


# --- what is queued --------------------------------------------------------------------------------


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


# --- what is gone ----------------------------------------------------------------------------------


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
        refuse(patch, "lstat", "/two/state.json")
        world.reconcile(root)
        report = world.confirm(root)
        assert (report.complete, report.tombstoned) == (True, 1)
        assert missing(world) == {"one"}
        assert "Permission denied" in world.file("two")["error"]
        assert world.session("two")["error"] is not None
    world.reconcile(root)
    assert (world.file("two")["error"], world.session("two")["error"]) == (None, None)


@pytest.mark.parametrize(("function", "ending"), [("scandir", "/sessions")])
def test_an_incomplete_listing_makes_nothing_absent(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch, function: str, ending: str
) -> None:
    """When the root cannot be listed, nothing is taken for gone, neither noted nor believed."""
    world.reconcile(root)
    shutil.rmtree(root / "one")
    world.reconcile(root)
    shutil.rmtree(root / "three")
    with monkeypatch.context() as patch:
        refuse(patch, function, ending)
        for _ in range(3):
            report = world.confirm(root)
            assert (report.complete, report.absent, report.tombstoned) == (False, 0, 0)
            assert report.problems
    assert missing(world) == set()
    assert world.file("three")["absent_since"] is None
    world.confirm(root)
    assert missing(world) == {"one"}


def test_a_root_that_cannot_be_looked_at_keeps_its_identity(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root whose stat is refused is neither missing nor another one, and nothing is written."""
    world.reconcile(root)
    world.reconcile(root)
    before = world.everything()
    with monkeypatch.context() as patch:
        refuse(patch, "stat", "/sessions")
        report = world.confirm(root)
    assert (report.complete, report.missing) == (False, False)
    assert world.everything() == before


# --- the root itself -------------------------------------------------------------------------------


def test_a_vanished_root_tombstones_nothing(world: World, root: Path, tmp_path: Path) -> None:
    """The workspace is marked missing, its sessions stay; when it is back all is as before."""
    world.reconcile(root)
    before = world.everything(("key", "derived"))
    shutil.move(root, tmp_path / "aside")
    gone_at = world.clock.now
    for _ in range(3):
        assert world.confirm(root).missing
    assert missing(world) == set()
    (workspace,) = world.rows("workspaces")
    assert workspace["missing_since"] > gone_at
    with mirrors.begun_writes(world.database) as writes:
        world.confirm(root)
    assert writes == []
    shutil.move(tmp_path / "aside", root)
    report = world.confirm(root)
    assert (report.missing, report.total, report.ticket.total) == (False, 3, 0)
    (workspace,) = world.rows("workspaces")
    assert workspace["missing_since"] is None
    assert world.rows("workspace_roots")[0]["missing_since"] is None
    assert world.everything(("key", "derived")) == before


def test_a_root_made_anew_while_nobody_looked(world: World, root: Path) -> None:
    """A restarted process finds a new folder in place of the one that vanished: the workspace is back."""
    world.reconcile(root)
    shutil.rmtree(root)
    world.reconcile(root)
    root.mkdir()
    builders.make_session(root, "one", builders.v2(topic="anew"))
    again = world.restarted()
    again.reconcile(root)
    assert world.rows("workspaces")[0]["missing_since"] is None
    assert world.rows("workspace_roots")[0]["missing_since"] is None
    assert world.session("one")["topic"] == "anew"


def test_an_empty_folder_of_another_disk_is_a_missing_root(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unmounted disk leaves an empty folder behind; even after a restart that proves nothing."""
    world.reconcile(root)
    shutil.rmtree(root)
    root.mkdir()
    with world.database.write() as connection:
        mirrors.set_root_device(connection, -7)
    again = world.restarted()
    for _ in range(3):
        assert again.confirm(root).missing
    assert missing(world) == set()


def test_one_of_two_roots_vanishes(world: World, tmp_path: Path) -> None:
    """While another root of the workspace is there, it is not missing; with the last one it is."""
    project = builders.make_project(builders.make_git_repo(tmp_path / "mono"), ["one"])
    builders.make_project(project / "apps/web", ["two"])
    first, second = project / "agents/sessions", project / "apps/web/agents/sessions"
    world.reconcile(first)
    world.reconcile(second)
    shutil.rmtree(second)
    world.confirm(second)
    assert world.rows("workspaces")[0]["missing_since"] is None
    shutil.rmtree(first)
    world.confirm(first)
    assert world.rows("workspaces")[0]["missing_since"] is not None
    assert missing(world) == set()
    builders.make_session(first, "one")
    world.confirm(first)
    assert world.rows("workspaces")[0]["missing_since"] is None


def test_a_deleted_worktree_shows_the_other_copy(world: World, tmp_path: Path) -> None:
    """When a whole worktree goes its copies give way; when it returns they are shown again."""
    repository = builders.make_project(builders.make_git_repo(tmp_path / "main"))
    tree = builders.make_project(builders.make_worktree(repository, tmp_path / "tree"))
    main, side = repository / "agents/sessions", tree / "agents/sessions"
    builders.make_session(main, "one", builders.v2(topic="main"))
    builders.make_session(side, "one", builders.v2(topic="tree", updated_at=builders.at(40)))
    builders.make_session(side, "only-here")
    world.reconcile(main)
    world.reconcile(side)
    assert world.session("one")["topic"] == "tree"
    shutil.move(tree, tmp_path / "aside")
    world.reconcile(side)
    assert world.session("one")["topic"] == "main"
    assert missing(world) == set()
    world.reconcile(main)
    assert world.session("one")["topic"] == "main"
    shutil.move(tmp_path / "aside", tree)
    world.reconcile(side)
    assert world.session("one")["topic"] == "tree"


@pytest.mark.parametrize("coming_back", [False, True])
def test_a_reconcile_killed_between_mark_and_sessions(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coming_back: bool
) -> None:
    """Killed after the workspace was marked and before its sessions were settled, the next one does it."""
    repository = builders.make_project(builders.make_git_repo(tmp_path / "main"))
    tree = builders.make_project(builders.make_worktree(repository, tmp_path / "tree"))
    main, side = repository / "agents/sessions", tree / "agents/sessions"
    builders.make_session(main, "one", builders.v2(topic="main"))
    builders.make_session(side, "one", builders.v2(topic="tree", updated_at=builders.at(40)))
    world.reconcile(main)
    world.reconcile(side)
    shutil.move(tree, tmp_path / "aside")
    if coming_back:
        world.reconcile(side)
        shutil.move(tmp_path / "aside", tree)

    class KilledError(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(world.mirror, "settle", killed)
        with pytest.raises(KilledError):
            world.reconcile(side)
    world.reconcile(side)
    assert world.session("one")["topic"] == ("tree" if coming_back else "main")


# --- many at once ----------------------------------------------------------------------------------


def vanish(root: Path, count: int) -> None:
    for path in sorted(root.iterdir())[:count]:
        shutil.rmtree(path)


def test_a_mass_disappearance_is_held_back_once(world: World, crowd: Path) -> None:
    """More than half of a root gone at once waits for one more confirmation, with a finding meanwhile."""
    world.reconcile(crowd)
    vanish(crowd, 11)
    assert world.reconcile(crowd).absent == 11
    report = world.confirm(crowd)
    assert (report.held, report.tombstoned, len(missing(world))) == (11, 0, 0)
    assert open_findings(world) == ["mass_vanish"]
    world.clock.tick(1)
    report = world.reconcile(crowd)
    assert (report.held, report.tombstoned) == (0, 0)
    assert open_findings(world) == ["mass_vanish"]
    report = world.confirm(crowd)
    assert (report.held, report.tombstoned, len(missing(world))) == (0, 11, 11)
    assert open_findings(world) == []


def test_a_mass_disappearance_can_be_accepted(world: World, crowd: Path) -> None:
    """A person who says so needs no second confirmation."""
    world.reconcile(crowd)
    vanish(crowd, 20)
    world.reconcile(crowd, accept_missing=True)
    assert missing(world) == set()
    report = world.confirm(crowd, accept_missing=True)
    assert (report.held, report.tombstoned) == (0, 20)


def test_what_is_held_can_be_accepted_at_once(world: World, crowd: Path) -> None:
    """Right after it was held back a person can release it: two looks have come before."""
    world.reconcile(crowd)
    vanish(crowd, 15)
    world.reconcile(crowd)
    held = world.confirm(crowd)
    assert (held.held, held.tombstoned) == (15, 0)
    report = world.reconcile(crowd, accept_missing=True)
    assert report.tombstoned == 15
    assert open_findings(world) == []


def test_a_held_mass_that_returns_closes_its_finding(world: World, crowd: Path, tmp_path: Path) -> None:
    """When the sessions are there again nothing is held any more, and nobody is told that it is."""
    world.reconcile(crowd)
    shutil.copytree(crowd, tmp_path / "copy")
    vanish(crowd, 15)
    world.reconcile(crowd)
    world.confirm(crowd)
    assert open_findings(world) == ["mass_vanish"]
    shutil.copytree(tmp_path / "copy", crowd, dirs_exist_ok=True)
    world.confirm(crowd)
    assert open_findings(world) == []
    assert missing(world) == set()
    assert world.confirm(crowd).ticket.total == 0


def test_a_few_or_a_smaller_part_are_no_mass(world: World, crowd: Path, root: Path) -> None:
    """All of a small root, and half of a large one, need no further confirmation."""
    for place, count in ((crowd, 10), (root, 3)):
        world.reconcile(place)
        vanish(place, count)
        world.reconcile(place)
        report = world.confirm(place)
        assert (report.held, report.tombstoned) == (0, count)


def test_a_slow_disappearance_is_a_mass_too(world: World, crowd: Path) -> None:
    """A disk that takes its time to vanish is held back like one that goes at once."""
    world.reconcile(crowd)
    vanish(crowd, 9)
    world.reconcile(crowd)
    vanish(crowd, 9)
    report = world.confirm(crowd)
    assert (report.absent, report.held, report.tombstoned) == (9, 9, 0)
    world.confirm(crowd)
    world.confirm(crowd)
    world.confirm(crowd)
    assert len(missing(world)) == 18


def test_the_listing_replaced_while_it_is_read_is_incomplete(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root swapped for another one in the middle of the look proves nothing."""
    world.reconcile(root)
    shutil.rmtree(root / "one")
    world.reconcile(root)
    identities = iter([(1, 1), (1, 2)])
    with monkeypatch.context() as patch:
        patch.setattr(listing, "_identity", lambda _: next(identities))
        report = world.confirm(root)
    assert (report.complete, report.tombstoned) == (False, 0)
