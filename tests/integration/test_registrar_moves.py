"""Projects that move, are copied, or are replaced at their path: whose rows are whose afterwards."""

import shutil
from pathlib import Path

import pytest

from sessionlib.sync.places import Place
from tests import builders, mirrors
from tests.mirrors import REMOTE, World, paths, project_at


@pytest.mark.parametrize("remote", [None, REMOTE])
def test_a_moved_project_keeps_its_ids(world: World, tmp_path: Path, remote: str | None) -> None:
    """A folder that moved is known by its inode, and its rows get the new path with the next reconcile."""
    root = project_at(tmp_path / "old", "one", "two", remote=remote)
    before = world.place(root)
    world.reconcile(root)
    (tmp_path / "old").rename(tmp_path / "new")
    moved = tmp_path / "new/agents/sessions"
    place = world.place(moved)
    assert (place.project_id, place.workspace_id) == (before.project_id, before.workspace_id)
    assert place.path == moved
    assert list(paths(world)) == [str(tmp_path / "new")]
    world.reconcile(moved)
    assert {row["path"] for row in world.rows("session_files")} == {str(moved / "one"), str(moved / "two")}
    assert [place.path for place in world.registrar.places()] == [moved]
    assert len(world.rows("sessions")) == 2


def test_a_project_that_was_missing_before_it_was_found_again(world: World, tmp_path: Path) -> None:
    """A workspace marked missing is there again once it is found in its new place."""
    root = project_at(tmp_path / "old", "one")
    world.reconcile(root)
    (tmp_path / "old").rename(tmp_path / "new")
    assert world.reconcile(root).missing
    world.confirm(tmp_path / "new/agents/sessions")
    (workspace,) = world.rows("workspaces")
    assert (workspace["path"], workspace["missing_since"]) == (str(tmp_path / "new"), None)


def test_an_inode_used_again_is_no_move(world: World, tmp_path: Path) -> None:
    """Another project's folder that got the inode of one that is gone is a project of its own."""
    root = project_at(tmp_path / "old", "one")
    before = world.place(root)
    world.reconcile(root)
    other = project_at(tmp_path / "other", "another")
    shutil.rmtree(tmp_path / "old")
    seen = (tmp_path / "other").stat()
    with world.database.write() as connection:
        mirrors.set_workspace_inode(connection, seen.st_dev, seen.st_ino)
    place = world.place(other)
    assert place.project_id != before.project_id
    assert place.workspace_id != before.workspace_id


def test_a_copy_is_no_move(world: World, tmp_path: Path) -> None:
    """A copied folder has another inode, and without a remote it is another project."""
    before = world.place(project_at(tmp_path / "old", "one"))
    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    assert world.place(tmp_path / "copy/agents/sessions").project_id != before.project_id


def test_the_old_path_used_by_another_project(world: World, tmp_path: Path) -> None:
    """Where a project moved away from, the next one is a project of its own, in the same process too."""
    root = project_at(tmp_path / "old", "one")
    before = world.place(root)
    world.reconcile(root)
    (tmp_path / "old").rename(tmp_path / "new")
    world.reconcile(tmp_path / "new/agents/sessions")
    project_at(tmp_path / "old", "other")
    for view in (world, world.restarted()):
        place = view.place(root)
        assert place.project_id != before.project_id
        assert place.workspace_id != before.workspace_id
        assert place.path == root
    world.reconcile(root)
    assert len(world.rows("sessions")) == 2


def test_a_clone_where_the_moved_one_was(world: World, tmp_path: Path) -> None:
    """Moved aside and cloned anew, the two checkouts are two workspaces of one project."""
    root = project_at(tmp_path / "shop", "one", remote=REMOTE)
    before = world.place(root)
    world.reconcile(root)
    (tmp_path / "shop").rename(tmp_path / "shop-old")
    aside = world.place(tmp_path / "shop-old/agents/sessions")
    project_at(tmp_path / "shop", "one", remote=REMOTE)
    anew = world.place(root)
    assert aside.workspace_id == before.workspace_id != anew.workspace_id
    assert aside.project_id == before.project_id == anew.project_id
    assert (anew.root, anew.path) == ("agents/sessions", root)
    assert paths(world) == {str(tmp_path / "shop"): "wall", str(tmp_path / "shop-old"): "wall"}


def test_a_project_cloned_anew_in_its_place(world: World, tmp_path: Path) -> None:
    """A folder replaced by a fresh clone at the same path stays the same workspace."""
    root = project_at(tmp_path / "shop", "one")
    before = world.place(root)
    shutil.rmtree(tmp_path / "shop")
    (tmp_path / "filler").mkdir()
    project_at(tmp_path / "shop", "one")
    assert world.restarted().place(root) == before
    assert world.rows("workspaces")[0]["inode"] == (tmp_path / "shop").stat().st_ino


def test_the_inode_of_a_bind_mount(world: World, tmp_path: Path) -> None:
    """A folder reached by another spelling while the old one still leads to it is the same workspace."""
    root = project_at(tmp_path / "a", "one")
    before = world.place(root)
    world.reconcile(root)
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    place = world.place(tmp_path / "b/agents/sessions")
    assert place.workspace_id == before.workspace_id


def moved_and_replaced(world: World, tmp_path: Path, remote: str | None = None) -> tuple[Place, Place]:
    """Move a project from ``home`` to ``away``, put another one in its place, and return both places."""
    root = project_at(tmp_path / "home", "mine", remote=remote)
    world.reconcile(root)
    (tmp_path / "home").rename(tmp_path / "away")
    world.reconcile(tmp_path / "away/agents/sessions")
    world.reconcile(project_at(tmp_path / "home", "other", remote=remote))
    return world.place(tmp_path / "away/agents/sessions"), world.place(root)


@pytest.mark.parametrize("aside", ["aside", "away"])
def test_a_project_that_moves_back(world: World, tmp_path: Path, aside: str) -> None:
    """Back where another one was meanwhile it has its ids, and so has the other one where that went to."""
    mine, other = moved_and_replaced(world, tmp_path)
    (tmp_path / "home").rename(tmp_path / "between")
    (tmp_path / "away").rename(tmp_path / "home")
    (tmp_path / "between").rename(tmp_path / aside)
    again = world.restarted()
    for view, name, before in (
        (again, "home", mine),
        (again, aside, other),
        (world.restarted(), "home", mine),
    ):
        view.reconcile(tmp_path / name / "agents/sessions")
        place = view.place(tmp_path / name / "agents/sessions")
        assert (place.project_id, place.workspace_id) == (before.project_id, before.workspace_id)
        assert place.workspace_path == tmp_path / name
    assert set(paths(world)) == {str(tmp_path / "home"), str(tmp_path / aside)}
    assert {(row["slug"], row["project_id"], row["path"]) for row in world.rows("session_files")} == {
        ("mine", mine.project_id, str(tmp_path / "home/agents/sessions/mine")),
        ("other", other.project_id, str(tmp_path / aside / "agents/sessions/other")),
    }


def test_a_project_that_moves_back_in_the_same_process(world: World, tmp_path: Path) -> None:
    """What was cached of the other project at this path is forgotten, its further roots included."""
    mine, other = moved_and_replaced(world, tmp_path)
    nested = builders.make_project(tmp_path / "home/apps/web") / "agents/sessions"
    assert world.place(nested).workspace_id == other.workspace_id
    shutil.rmtree(tmp_path / "home")
    (tmp_path / "away").rename(tmp_path / "home")
    builders.make_project(tmp_path / "home/apps/web")
    world.registrar.forget(mine.path)
    root = tmp_path / "home/agents/sessions"
    world.registrar.forget(root)
    assert world.place(root).workspace_id == world.place(nested).workspace_id == mine.workspace_id
    world.reconcile(root)
    assert world.session("other")["project_id"] == other.project_id
    assert world.session("mine")["project_id"] == mine.project_id
    (tmp_path / "home").rename(tmp_path / "third")
    assert world.place(tmp_path / "third/agents/sessions").workspace_id == mine.workspace_id
    project_at(tmp_path / "home", "stranger")
    world.registrar.forget()
    assert world.place(root).project_id not in {mine.project_id, other.project_id}


def test_clones_of_one_project_keep_their_paths(world: World, tmp_path: Path) -> None:
    """Within one project nothing is split, and a path that holds another of its checkouts stays as it is."""
    mine, other = moved_and_replaced(world, tmp_path, REMOTE)
    shutil.rmtree(tmp_path / "home")
    (tmp_path / "away").rename(tmp_path / "home")
    place = world.restarted().place(tmp_path / "home/agents/sessions")
    assert place.workspace_id == other.workspace_id
    assert place.project_id == mine.project_id


@pytest.mark.parametrize("inode_used_again", [False, True])
def test_where_it_came_from_is_taken(world: World, tmp_path: Path, inode_used_again: bool) -> None:
    """With a stranger where it came from there is no path to give the other one: the path decides."""
    _, other = moved_and_replaced(world, tmp_path)
    shutil.rmtree(tmp_path / "home")
    (tmp_path / "away").rename(tmp_path / "home")
    project_at(tmp_path / "away", "stranger")
    seen = (tmp_path / "away").stat()
    identity = (seen.st_dev, seen.st_ino) if inode_used_again else (-7, -8)
    with world.database.write() as connection:
        mirrors.set_workspace_inode(connection, *identity, tmp_path / "home")
    assert world.restarted().place(tmp_path / "home/agents/sessions").workspace_id == other.workspace_id


@pytest.mark.parametrize(
    ("gone", "anew"),
    [
        (["mine"], ["other"]),  # the registered one, cloned anew
        (["mine"], ["stranger"]),  # nobody's
        (["same"], ["same"]),  # copies of each other
        ([], ["other"]),  # one that never had a session
    ],
)
def test_an_inode_used_again_takes_no_path(
    world: World, tmp_path: Path, gone: list[str], anew: list[str]
) -> None:
    """A new folder with the inode of a deleted project belongs to the project at its path."""
    first = project_at(tmp_path / "gone", *gone)
    world.reconcile(first)
    root = project_at(tmp_path / "home", "same" if gone == ["same"] else "other")
    world.reconcile(root)
    before = world.place(root)
    shutil.rmtree(tmp_path / "gone")
    (tmp_path / "home").rename(tmp_path / "old")
    project_at(tmp_path / "home", *anew)
    seen = (tmp_path / "home").stat()
    with world.database.write() as connection:
        mirrors.set_workspace_inode(connection, seen.st_dev, seen.st_ino, tmp_path / "gone")
    assert world.restarted().place(root) == before


def test_devices_that_are_numbered_anew(world: World, tmp_path: Path) -> None:
    """After a restart of the machine the paths tell, also where two disks have changed their numbers."""
    roots = [project_at(tmp_path / name, f"of-{name}") for name in ("a", "b")]
    for root in roots:
        world.reconcile(root)
    before = [world.place(root) for root in roots]
    seen = [(tmp_path / name).stat() for name in ("a", "b")]
    for numbers in ([(-7, -8), (-7, -9)], [(stat.st_dev, stat.st_ino) for stat in reversed(seen)]):
        with world.database.write() as connection:
            for name, number in zip(("a", "b"), numbers, strict=True):
                mirrors.set_workspace_inode(connection, *number, tmp_path / name)
        again = world.restarted()
        assert [again.place(root) for root in roots] == before
