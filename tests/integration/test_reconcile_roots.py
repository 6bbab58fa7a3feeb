"""A sessions root that vanishes, is replaced or cannot be listed: what that proves, and what not."""

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from sessionlib.state import listing
from tests import builders, mirrors
from tests.mirrors import World
from tests.reconciling import missing, root_fixture  # noqa: F401 - fixtures
from tests.refusals import refuse


@pytest.mark.parametrize(("function", "ending"), [("listdir", "/sessions")])
def test_an_incomplete_listing_makes_nothing_absent(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch, function: str, ending: str
) -> None:
    """When the root cannot be listed, nothing is taken for gone, neither noted nor believed."""
    world.reconcile(root)
    shutil.rmtree(root / "one")
    world.reconcile(root)
    shutil.rmtree(root / "three")
    with monkeypatch.context() as patch:
        refuse(patch, function, errno.EACCES, lambda path: path.endswith(ending))
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
        refuse(patch, "stat", errno.EACCES, lambda path: path.endswith("/sessions"))
        report = world.confirm(root)
    assert (report.complete, report.missing) == (False, False)
    assert world.everything() == before


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
