"""Finding projects and their sessions roots."""

import errno
import os
from pathlib import Path

import pytest

from sessionlib.errors import StateUnreadableError
from sessionlib.state.scan import (
    FinderOptions,
    chain_of,
    find_roots,
    is_pruned,
    session_place,
    sessions_roots_of,
)
from tests import builders

MONOREPO = FinderOptions(sessions_dirs=("agents/sessions", "apps/*/agents/sessions"))


def found(watch_root: Path, options: FinderOptions = FinderOptions()) -> dict[str, str]:  # noqa: B008 - frozen
    """Map each root's path to its project's, both relative to the watch root."""
    discovery = find_roots(watch_root, options)
    assert discovery.complete, discovery.problems
    for root in discovery.roots:
        assert root.path == root.project_dir / root.root
    return {
        str(root.path.relative_to(watch_root)): str(root.project_dir.relative_to(watch_root))
        for root in discovery.roots
    }


def candidates(watch_root: Path, options: FinderOptions = FinderOptions()) -> list[str]:  # noqa: B008 - frozen
    return sorted(str(path.relative_to(watch_root)) for path in find_roots(watch_root, options).candidates)


def make_dir(*parts: str | Path) -> Path:
    path = Path(*parts)
    path.mkdir(parents=True)
    return path


def refuse_listing(monkeypatch: pytest.MonkeyPatch, folder: Path, code: int = errno.EACCES) -> None:
    real = os.scandir

    def failing(path):
        if str(path) == str(folder):
            raise OSError(code, os.strerror(code), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", failing)


def test_finds_projects_at_every_level(tmp_path: Path) -> None:
    """With and without a repository, down to the depth and no deeper."""
    builders.make_project(tmp_path / "a")
    builders.make_project(builders.make_git_repo(tmp_path / "x/b"))
    builders.make_project(tmp_path / "1/2/3/4")
    builders.make_project(tmp_path / "1/2/3/4b/5")
    assert found(tmp_path) == {
        "a/agents/sessions": "a",
        "x/b/agents/sessions": "x/b",
        "1/2/3/4/agents/sessions": "1/2/3/4",
    }
    assert list(found(tmp_path, FinderOptions(depth=1))) == ["a/agents/sessions"]
    assert found(tmp_path / "a", FinderOptions(depth=0)) == {"agents/sessions": "."}


def test_candidates_are_few(tmp_path: Path) -> None:
    """Folders where a project can appear are watched; what lies below projects and repositories is not."""
    builders.make_project(tmp_path / "group/project")
    make_dir(tmp_path / "group/project/src")
    make_dir(builders.make_git_repo(tmp_path / "repo"), "src/deep")
    make_dir(builders.make_git_repo(tmp_path / "started"), "agents")
    make_dir(tmp_path / "empty")
    make_dir(tmp_path / "node_modules/x")
    assert candidates(tmp_path) == [".", "empty", "group", "repo", "started", "started/agents"]


def test_way_to_a_root_is_watched_at_the_greatest_depth(tmp_path: Path) -> None:
    """A half-made way to a root counts also where nothing deeper is searched."""
    make_dir(tmp_path / "p/agents")
    assert candidates(tmp_path, FinderOptions(depth=1)) == [".", "p", "p/agents"]


def test_pruned_folders_and_links_are_passed_over(tmp_path: Path) -> None:
    """What tools made, dot-folders and links are never entered."""
    for name in ("node_modules", "venv", ".cache", ".hidden", "target"):
        builders.make_project(tmp_path / name / "p")
        assert is_pruned(name)
    outside = builders.make_project(tmp_path / "real/p")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    make_dir(tmp_path / "half/agents")
    (tmp_path / "half/agents/sessions").symlink_to(outside / "agents/sessions")
    assert list(found(tmp_path)) == ["real/p/agents/sessions"]
    assert is_pruned("mine", FinderOptions(prune=frozenset({"mine"})))
    assert not is_pruned("node_modules", FinderOptions(prune=frozenset()))


def test_projects_and_repositories_are_leaves(tmp_path: Path) -> None:
    """Below a project or a repository nothing is searched that no pattern names."""
    builders.make_project(builders.make_git_repo(tmp_path / "mono") / "apps/core")
    project = builders.make_project(tmp_path / "plain")
    builders.make_project(project / "sub")
    assert list(found(tmp_path)) == ["plain/agents/sessions"]
    assert found(tmp_path, MONOREPO) == {
        "plain/agents/sessions": "plain",
        "mono/apps/core/agents/sessions": "mono",
    }


def test_watch_root_that_is_a_project_is_searched(tmp_path: Path) -> None:
    """Somebody's collection of projects may itself be a project; its sessions are not searched for more."""
    builders.make_project(tmp_path, ["s1"])
    builders.make_project(tmp_path / "a")
    make_dir(tmp_path / "agents/sessions/s1/agents/sessions")
    assert found(tmp_path) == {"agents/sessions": ".", "a/agents/sessions": "a"}


def test_watch_root_that_is_a_repository_owns_what_lies_in_it(tmp_path: Path) -> None:
    """A monorepo named as a root is one project, but for repositories within it; little of it is watched."""
    repo = builders.make_git_repo(tmp_path)
    builders.make_project(repo / "apps/core")
    builders.make_project(builders.make_git_repo(repo / "vendored/own"))
    builders.make_git_repo(repo / "vendored/bare")
    assert found(tmp_path) == {
        "apps/core/agents/sessions": ".",
        "vendored/own/agents/sessions": "vendored/own",
    }
    (repo / "agents").mkdir()
    assert candidates(tmp_path) == [".", "agents", "vendored/bare"]


def test_worktree_file_marks_a_repository(tmp_path: Path) -> None:
    """A ``.git`` file is as good as a folder."""
    main = builders.make_git_repo(tmp_path / "main")
    tree = builders.make_worktree(main, tmp_path / "tree")
    builders.make_project(tree / "inner")
    assert found(tmp_path) == {}


def test_missing_watch_root_is_said(tmp_path: Path) -> None:
    """A root that is not there is no empty root."""
    discovery = find_roots(tmp_path / "gone")
    assert not discovery.complete
    assert discovery.roots == ()
    assert "gone" in discovery.problems[0]
    assert "No such file" in discovery.problems[0]


def test_unreadable_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One closed folder makes the search incomplete, and the rest is found."""
    builders.make_project(tmp_path / "a")
    make_dir(tmp_path / "closed")
    refuse_listing(monkeypatch, tmp_path / "closed")
    discovery = find_roots(tmp_path)
    assert [root.path for root in discovery.roots] == [tmp_path / "a/agents/sessions"]
    assert discovery.problems == (f"{tmp_path / 'closed'}: Permission denied",)
    assert not discovery.complete


def test_folder_that_goes_meanwhile_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder removed between listing and visit is simply gone."""
    make_dir(tmp_path / "gone")
    refuse_listing(monkeypatch, tmp_path / "gone", errno.ENOENT)
    assert find_roots(tmp_path).complete


def test_roots_of_a_project(tmp_path: Path) -> None:
    """Each place that the options name is looked at, each root comes once."""
    project = builders.make_project(tmp_path / "p")
    builders.make_project(project / "apps/one")
    builders.make_project(project / "apps/two")
    builders.make_project(project / "apps/.hidden")
    make_dir(project / "apps/three/agents")
    (project / "apps/file").touch()
    options = FinderOptions(sessions_dirs=(*MONOREPO.sessions_dirs, "apps/one/agents/sessions/", "", "."))
    assert [root.root for root in sessions_roots_of(project, options)] == [
        "agents/sessions",
        "apps/one/agents/sessions",
        "apps/two/agents/sessions",
    ]
    assert [root.root for root in sessions_roots_of(project)] == ["agents/sessions"]


def test_roots_of_an_unreadable_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that could be too short is an error, but the way to watch is still told."""
    project = builders.make_project(tmp_path / "p")
    make_dir(project / "apps")
    refuse_listing(monkeypatch, project / "apps")
    with pytest.raises(StateUnreadableError, match="Permission denied") as caught:
        sessions_roots_of(project, MONOREPO)
    assert caught.value.session_dir == project
    assert chain_of(project, MONOREPO) == (project, project / "agents", project / "apps")


def test_chain_names_what_to_watch(tmp_path: Path) -> None:
    """The existing folders on every way are told, the roots themselves are not."""
    project = make_dir(tmp_path / "p")
    assert chain_of(project, MONOREPO) == (project,)
    make_dir(project / "apps/one/agents")
    make_dir(project / "apps/two")
    make_dir(project / "agents/sessions")
    assert [str(path.relative_to(project)) for path in chain_of(project, MONOREPO)] == [
        ".",
        "agents",
        "apps",
        "apps/one",
        "apps/one/agents",
        "apps/two",
    ]
    assert chain_of(tmp_path / "gone") == ()


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/w/p/agents/sessions/s", ("/w/p", "agents/sessions", "s")),
        ("/w/p/agents/sessions/s/", ("/w/p", "agents/sessions", "s")),
        ("/w/m/apps/core/agents/sessions/s", ("/w/m", "apps/core/agents/sessions", "s")),
        ("/agents/sessions/s", ("/", "agents/sessions", "s")),
        ("/w/p/agents/sessions", None),
        ("/w/p/agents/sessions/.git", None),
        ("/w/p/agents/sessions/s/research", None),
        ("/w/p/other/sessions/s", None),
        ("/", None),
        ("/s", None),
    ],
)
def test_place_of_a_session(path: str, place: tuple[str, str, str] | None) -> None:
    """A session's project, root and name are read off its path, the longest pattern first."""
    expected = None if place is None else (Path(place[0]), *place[1:])
    assert session_place(Path(path), MONOREPO) == expected


def test_place_of_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is one below the current folder."""
    monkeypatch.chdir(tmp_path)
    assert session_place(Path("p/agents/sessions/s")) == (tmp_path / "p", "agents/sessions", "s")
