"""Which project and workspace a folder belongs to: found by any key, minted once, never split or mixed."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from uuid import UUID

import pytest

from sessionlib.db.crud import projects
from sessionlib.errors import StateNotFoundError
from sessionlib.sync.folders import folder_at
from sessionlib.sync.registrar import Host, Registrar, slug_of
from tests import builders, mirrors
from tests.mirrors import REMOTE, World, paths, project_at


def test_a_repository(world: World, tmp_path: Path) -> None:
    """A repository's top level is the workspace, its folder's name the project's."""
    place = world.place(project_at(tmp_path / "Garden Wall", "one"))
    assert (place.workspace_path, place.root) == (tmp_path / "Garden Wall", "agents/sessions")
    (project,) = world.rows("projects")
    assert (project["slug"], project["name"]) == ("garden-wall", "Garden Wall")
    (workspace,) = world.rows("workspaces")
    seen = (tmp_path / "Garden Wall").stat()
    assert (workspace["dev"], workspace["inode"]) == (seen.st_dev, seen.st_ino)
    assert not workspace["registered"]


def test_a_project_outside_git(world: World, tmp_path: Path) -> None:
    """Without git the folder above agents/sessions is the project, or the one above another root."""
    one = world.place(builders.make_project(tmp_path / "plain") / "agents/sessions")
    two = world.place(builders.make_project(tmp_path / "other", root="work") / "work")
    assert (one.workspace_path, one.root) == (tmp_path / "plain", "agents/sessions")
    assert (two.workspace_path, two.root) == (tmp_path / "other", "work")
    assert one.project_id != two.project_id


def test_a_worktree_belongs_to_its_repository(world: World, tmp_path: Path) -> None:
    """Whichever of the two is found first, a worktree is a workspace of the same project."""
    main = project_at(tmp_path / "main")
    tree = builders.make_project(builders.make_worktree(tmp_path / "main", tmp_path / "tree"))
    for order in ((main, tree / "agents/sessions"), (tree / "agents/sessions", main)):
        mirrors.empty(world.database)
        world.registrar.forget()
        one, two = (world.place(root) for root in order)
        assert one.project_id == two.project_id
        assert one.workspace_id != two.workspace_id
        assert one.session_id("x") == two.session_id("x")
        assert [row["slug"] for row in world.rows("projects")] == ["main"]


def test_a_worktree_inside_its_repository(world: World, tmp_path: Path) -> None:
    """A worktree kept inside the main checkout is a workspace of its own, not a root of it."""
    main = world.place(project_at(tmp_path / "main"))
    tree = builders.make_project(builders.make_worktree(tmp_path / "main", tmp_path / "main/trees/a"))
    place = world.place(tree / "agents/sessions")
    assert (place.root, place.workspace_path) == ("agents/sessions", tree)
    assert place.project_id == main.project_id
    assert place.workspace_id != main.workspace_id


def test_a_clone_with_the_same_remote(world: World, tmp_path: Path) -> None:
    """Clones of one remote are one project, however its address is spelled."""
    one = world.place(project_at(tmp_path / "a", remote=REMOTE))
    two = world.place(project_at(tmp_path / "b", remote="https://me:secret@example.org/garden/wall"))
    other = world.place(project_at(tmp_path / "c", remote="https://example.org/garden/other"))
    assert one.project_id == two.project_id != other.project_id
    assert paths(world)[str(tmp_path / "a")] == "wall"
    assert not any("secret" in row["alias"] for row in world.rows("project_aliases"))


@pytest.mark.parametrize("remote", [None, REMOTE])
@pytest.mark.parametrize("view", ["running", "restarted", "round"])
def test_a_worktree_of_what_became_a_repository(
    world: World, tmp_path: Path, view: str, remote: str | None
) -> None:
    """A project that was registered before it was a repository is its worktree's, whichever is seen first."""
    main = builders.make_project(tmp_path / "shop", ["one"]) / "agents/sessions"
    before = world.place(main)
    builders.make_git_repo(tmp_path / "shop", remote)
    tree = builders.make_project(builders.make_worktree(tmp_path / "shop", tmp_path / "a-tree"), ["one"])
    now = world if view == "running" else world.restarted()
    if view == "round":
        now.registrar.look_up([tree / "agents/sessions", main])
    place = now.place(tree / "agents/sessions")
    assert place.project_id == before.project_id
    assert place.workspace_id != before.workspace_id
    assert place.session_id("one") == before.session_id("one")
    assert now.restarted().place(main) == before
    assert [row["slug"] for row in world.rows("projects")] == ["shop"]
    clone = project_at(tmp_path / "clone", remote=remote)
    assert (world.restarted().place(clone).project_id == before.project_id) is (remote is not None)


def test_a_worktree_is_rather_its_repositorys_than_its_remotes(world: World, tmp_path: Path) -> None:
    """A worktree stays with its main checkout where that is another project than the clones of its remote."""
    main = builders.make_project(tmp_path / "shop") / "agents/sessions"
    mine = world.place(main)
    clone = world.place(project_at(tmp_path / "clone", remote=REMOTE))
    builders.make_git_repo(tmp_path / "shop", REMOTE)
    tree = builders.make_project(builders.make_worktree(tmp_path / "shop", tmp_path / "tree"))
    assert world.place(tree / "agents/sessions").project_id == mine.project_id != clone.project_id
    assert world.restarted().place(main) == mine


def test_a_clone_of_what_got_a_remote_later(world: World, tmp_path: Path) -> None:
    """Of roots that are looked up together those that are known get the keys they have by now first."""
    main = builders.make_project(tmp_path / "shop") / "agents/sessions"
    before = world.place(main)
    builders.make_git_repo(tmp_path / "shop", REMOTE)
    clone = project_at(tmp_path / "clone", remote=REMOTE)
    now = world.restarted()
    now.registrar.look_up([clone, main])
    assert now.place(clone).project_id == before.project_id
    assert now.registrar.known(main) == before


def test_a_worktree_of_a_repository_that_moved(world: World, tmp_path: Path) -> None:
    """Worktrees of a bare repository that was moved are still one project, told by each other."""
    bare = builders.make_git_dir(tmp_path / "bare.git")
    first = builders.make_project(builders.make_worktree(bare, tmp_path / "one")) / "agents/sessions"
    before = world.place(first)
    bare.rename(tmp_path / "moved.git")
    for name in ("one", "gone"):
        git_dir = tmp_path / "moved.git/worktrees" / name
        git_dir.mkdir(exist_ok=True)
        (git_dir / "gitdir").write_text(f"{tmp_path / name / '.git'}\n")
    (tmp_path / "one/.git").write_text(f"gitdir: {tmp_path / 'moved.git/worktrees/one'}\n")
    second = builders.make_project(builders.make_worktree(tmp_path / "moved.git", tmp_path / "two"))
    assert world.place(second / "agents/sessions").project_id == before.project_id


def test_a_path_that_is_no_longer_a_worktree_tells_nothing(world: World, tmp_path: Path) -> None:
    """What git still lists at a path where another project lies now does not make the two one."""
    project_at(tmp_path / "main")
    builders.make_worktree(tmp_path / "main", tmp_path / "tree")
    shutil.rmtree(tmp_path / "tree")
    other = world.place(builders.make_project(tmp_path / "tree") / "agents/sessions")
    assert world.place(tmp_path / "main/agents/sessions").project_id != other.project_id


def test_a_clone_on_another_host(world: World, tmp_path: Path) -> None:
    """The same remote on two hosts is one project with two workspaces; the same path alone is not."""
    root = project_at(tmp_path / "a", remote=REMOTE)
    plain = builders.make_project(tmp_path / "plain") / "agents/sessions"
    elsewhere = World(world.database, Host(UUID(int=2), "elsewhere"))
    assert world.place(root).project_id == elsewhere.place(root).project_id
    assert world.place(root).workspace_id != elsewhere.place(root).workspace_id
    assert world.place(plain).project_id != elsewhere.place(plain).project_id


def test_nested_roots_of_a_monorepo(world: World, tmp_path: Path) -> None:
    """A monorepo is one project; its nested sessions folders are roots of one workspace."""
    top = project_at(tmp_path / "mono")
    nested = builders.make_project(tmp_path / "mono/apps/web") / "agents/sessions"
    for order in ((top, nested), (nested, top)):
        mirrors.empty(world.database)
        world.registrar.forget()
        places = {place.root: place for place in map(world.place, order)}
        assert set(places) == {"agents/sessions", "apps/web/agents/sessions"}
        assert len({place.workspace_id for place in places.values()}) == 1
        assert len({place.session_id("same") for place in places.values()}) == 2


def test_a_clone_nested_in_a_registered_workspace(world: World, tmp_path: Path) -> None:
    """A repository kept inside another project's folder is a project of its own."""
    (tmp_path / "all").mkdir()
    world.registrar.register_project(tmp_path / "all")
    outer = world.place(builders.make_project(tmp_path / "all") / "agents/sessions")
    inner = world.place(project_at(tmp_path / "all/vendor/lib"))
    plain = world.place(builders.make_project(tmp_path / "all/notes") / "agents/sessions")
    assert inner.project_id != outer.project_id
    assert (plain.workspace_id, plain.root) == (outer.workspace_id, "notes/agents/sessions")


def test_an_explicit_registration(world: World, tmp_path: Path) -> None:
    """A folder that a person registers is a workspace, even in the middle of a repository."""
    repository = world.place(project_at(tmp_path / "mono"))
    web = builders.make_project(tmp_path / "mono/apps/web")
    workspace = world.registrar.register_project(web)
    assert workspace.registered
    place = world.place(web / "agents/sessions")
    assert (place.workspace_id, place.root) == (workspace.workspace_id, "agents/sessions")
    assert place.project_id != repository.project_id
    assert world.registrar.registered_paths() == [web]
    assert world.registrar.register_project(web) == workspace
    with pytest.raises(StateNotFoundError):
        world.registrar.register_project(tmp_path / "nowhere")


def test_registering_what_is_known_keeps_its_ids(world: World, tmp_path: Path) -> None:
    """To register a project that was found before only marks it."""
    place = world.place(project_at(tmp_path / "a", remote=REMOTE))
    workspace = world.registrar.register_project(tmp_path / "a")
    assert (workspace.project_id, workspace.workspace_id) == (place.project_id, place.workspace_id)


def test_a_symlinked_path_is_the_same_place(world: World, tmp_path: Path) -> None:
    """A root reached through links is the place it leads to."""
    root = project_at(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert world.place(tmp_path / "link/agents/sessions") == world.place(root)
    assert len(world.rows("workspaces")) == 1
    assert world.registrar.register_project(tmp_path / "link").path == str(tmp_path / "real")


def test_a_remote_added_later_does_not_split(world: World, tmp_path: Path) -> None:
    """The id is minted once: a remote that comes later is one more key, by which clones find it."""
    root = project_at(tmp_path / "a")
    place = world.place(root)
    builders.make_git_repo(tmp_path / "a", REMOTE)
    assert world.restarted().place(root) == place
    clone = world.restarted().place(project_at(tmp_path / "b", remote=REMOTE))
    assert clone.project_id == place.project_id


def test_a_remote_that_changes_does_not_split(world: World, tmp_path: Path) -> None:
    """A repository whose remote is renamed stays the project it was."""
    root = project_at(tmp_path / "a", remote=REMOTE)
    place = world.place(root)
    builders.make_git_repo(tmp_path / "a", "https://example.org/renamed")
    assert world.restarted().place(root) == place


def test_two_projects_of_one_name(world: World, tmp_path: Path) -> None:
    """The second project of a name gets a suffix, and both can be found."""
    world.place(project_at(tmp_path / "a/shop"))
    world.place(project_at(tmp_path / "b/shop"))
    slugs = sorted(row["slug"] for row in world.rows("projects"))
    assert slugs[0] == "shop"
    assert slugs[1].startswith("shop-")
    with world.database.read() as connection:
        assert len({projects.find(connection, slug).project_id for slug in slugs}) == 2


def test_a_folder_whose_name_is_not_utf8(world: World, tmp_path: Path) -> None:
    """A project whose path is not UTF-8 is registered, found again, reconciled and followed like any."""
    root = project_at(tmp_path / "caf\udce9 \\ bar", "one", "tw\udcff")
    place = world.place(root)
    assert (place.path, place.root) == (root, "agents/sessions")
    world.reconcile(root)
    assert len(world.rows("sessions")) == 2
    again = world.restarted()
    assert again.place(root) == place
    assert again.registrar.places() == [place]
    assert again.registrar.register_project(root.parent.parent).workspace_id == place.workspace_id
    assert again.registrar.registered_paths() == [root.parent.parent]
    root.parent.parent.rename(tmp_path / "plain")
    assert world.place(tmp_path / "plain/agents/sessions").workspace_id == place.workspace_id


def test_sessions_in_the_root_folder() -> None:
    """The root folder of a container has no name and can be a project nevertheless."""
    folder = folder_at(mirrors.HOST.host_id, Path("/"), None)
    assert folder.name == "root"


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Shop", "shop"), ("a b/c", "a-b-c"), ("..", "project"), ("é", "project"), ("x" * 300, "x" * 100)],
)
def test_slugs(name: str, slug: str) -> None:
    """A slug holds what a shell and a URL take."""
    assert slug_of(name) == slug


def test_a_folder_that_is_not_there(world: World, tmp_path: Path) -> None:
    """A root that never was cannot be registered; one that is known is found though its folder is gone."""
    with pytest.raises(StateNotFoundError):
        world.place(tmp_path / "no/agents/sessions")
    root = project_at(tmp_path / "a")
    place = world.place(root)
    shutil.rmtree(tmp_path / "a")
    assert world.place(root) == place
    world.registrar.forget(root)
    assert world.place(root) == place
    assert world.registrar.places() == [place]


@pytest.mark.parametrize("remote", [None, REMOTE])
def test_registered_by_several_at_once(world: World, tmp_path: Path, remote: str | None) -> None:
    """Threads of one process and other processes that register the same projects agree on their ids."""
    roots = [project_at(tmp_path / name / "shop", remote=remote) for name in "abc"]
    registrars = [Registrar(world.database, mirrors.HOST) for _ in range(2)]
    with ThreadPoolExecutor(6) as pool:
        found = list(
            pool.map(
                lambda job: job[0].place_of(job[1]), [(one, root) for root in roots for one in registrars * 2]
            )
        )
    assert len({place.workspace_id for place in found}) == 3
    assert len({place.project_id for place in found}) == (1 if remote else 3)
    assert len(world.rows("projects")) == (1 if remote else 3)
    assert len(world.rows("workspace_roots")) == 3


def test_registering_and_looking_up_at_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who registers a project and a worker who looks one up do not wait for each other for ever."""
    project_at(tmp_path / "a")
    other = project_at(tmp_path / "b")
    inside, registering = Event(), world.registrar.adopt

    def slow(*args: object) -> object:
        inside.set()
        # The look-up holds its lock by now, and waits for this transaction.
        Event().wait(0.1)
        return registering(*args)

    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(world.registrar, "adopt", slow)
        person = pool.submit(world.registrar.register_project, tmp_path / "a")
        assert inside.wait(5)
        worker = pool.submit(world.place, other)
        assert person.result(5).registered
        assert worker.result(5).path == other
