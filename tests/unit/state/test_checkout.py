"""What git's plain files say about a folder."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sessionlib.state.checkout import find_checkout
from tests import builders

REMOTE = "git@host.example:team/wall.git"


def test_plain_repository(tmp_path: Path) -> None:
    """From any folder within, the top level is found; the path need not exist."""
    repo = builders.make_git_repo(tmp_path / "wall", REMOTE)
    (repo / "src/deep").mkdir(parents=True)
    for path in (repo, repo / "src/deep", repo / "src/none/such"):
        checkout = find_checkout(path)
        assert checkout is not None
        assert (checkout.path, checkout.common_dir, checkout.main_path) == (repo, repo / ".git", repo)
        assert not checkout.is_worktree
        assert checkout.remote_url == "host.example/team/wall"


def test_no_repository(tmp_path: Path) -> None:
    """Outside of any repository there is none."""
    assert find_checkout(tmp_path) is None


def test_links_are_resolved(tmp_path: Path) -> None:
    """A checkout reached through a link is the one it leads to."""
    repo = builders.make_git_repo(tmp_path / "wall")
    (tmp_path / "link").symlink_to(repo)
    checkout = find_checkout(tmp_path / "link")
    assert checkout is not None
    assert checkout.path == repo
    assert checkout.remote_url is None


def test_worktree_belongs_to_its_main_repository(tmp_path: Path) -> None:
    """A worktree has its own top level, and the main one's git folder and remote."""
    main = builders.make_git_repo(tmp_path / "wall", REMOTE)
    tree = builders.make_worktree(main, tmp_path / "trees/wall-2")
    checkout = find_checkout(tree / "src")
    assert checkout is not None
    assert (checkout.path, checkout.common_dir, checkout.main_path) == (tree, main / ".git", main)
    assert checkout.is_worktree
    assert checkout.remote_url == "host.example/team/wall"


def test_worktree_of_a_bare_repository_has_no_main_folder(tmp_path: Path) -> None:
    """A bare repository has no files of its own, whatever its folder is called."""
    for name in ("wall.git", "box/.git"):
        bare = builders.make_git_dir(tmp_path / name, bare=True)
        checkout = find_checkout(builders.make_worktree(bare, tmp_path / f"tree-{bare.parent.name}"))
        assert checkout is not None
        assert (checkout.common_dir, checkout.main_path, checkout.is_worktree) == (bare, None, True)


def test_submodule_is_a_repository_of_its_own(tmp_path: Path) -> None:
    """A submodule has its own git folder inside the outer one, and its own remote; so have its worktrees."""
    outer = builders.make_git_repo(tmp_path / "outer", "https://host.example/outer")
    inner = outer / "libs/inner"
    inner.mkdir(parents=True)
    git_dir = builders.make_git_dir(outer / ".git/modules/inner", "https://host.example/inner")
    with (git_dir / "config").open("a") as config:
        config.write("[core]\n\tworktree = ../../../libs/inner\n")
    (inner / ".git").write_text("gitdir: ../../.git/modules/inner\n")
    checkout = find_checkout(inner)
    assert checkout is not None
    assert (checkout.path, checkout.common_dir, checkout.main_path) == (inner, git_dir, inner)
    assert not checkout.is_worktree
    assert checkout.remote_url == "host.example/inner"
    tree = find_checkout(builders.make_worktree(git_dir, tmp_path / "inner-2"))
    assert tree is not None
    assert (tree.common_dir, tree.main_path, tree.is_worktree) == (git_dir, inner, True)


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"gitdir:", b"gitdir: /none/such", b"gitdir: a\0b", b"\xff\xfe", b"gitdir: x\ny\n"],
)
def test_git_file_that_leads_nowhere_ends_the_search(tmp_path: Path, content: bytes) -> None:
    """A broken checkout is not taken for a part of the repository around it."""
    outer = builders.make_git_repo(tmp_path / "outer")
    (outer / "inner").mkdir()
    (outer / "inner/.git").write_bytes(content)
    assert find_checkout(outer / "inner") is None


def test_empty_git_folder_is_passed_over(tmp_path: Path) -> None:
    """A folder called .git without a repository in it counts for nothing."""
    outer = builders.make_git_repo(tmp_path / "outer")
    (outer / "inner/.git").mkdir(parents=True)
    (outer / "half/.git").mkdir(parents=True)
    (outer / "half/.git/HEAD").touch()
    for name in ("inner", "half"):
        checkout = find_checkout(outer / name)
        assert checkout is not None
        assert checkout.path == outer


@pytest.mark.parametrize("shared", ["", "/none/such", "../../HEAD"])
def test_worktree_whose_repository_is_gone(tmp_path: Path, shared: str) -> None:
    """A worktree that points to nothing is no checkout."""
    main = builders.make_git_repo(tmp_path / "wall")
    tree = builders.make_worktree(main, tmp_path / "tree")
    (main / ".git/worktrees/tree/commondir").write_text(shared)
    assert find_checkout(tree) is None


def test_unreadable_and_overlong_files_are_passed_over(tmp_path: Path) -> None:
    """A config that is a pipe, or a megabyte and more, says nothing."""
    repo = builders.make_git_repo(tmp_path / "wall", REMOTE)
    config = repo / ".git/config"
    config.unlink()
    os.mkfifo(config)
    checkout = find_checkout(repo)
    assert checkout is not None
    assert checkout.remote_url is None
    config.unlink()
    config.write_text(f'# {"x" * (1 << 20)}\n[remote "origin"]\nurl = {REMOTE}\n')
    checkout = find_checkout(repo)
    assert checkout is not None
    assert checkout.remote_url is None


@pytest.mark.parametrize(
    ("config", "remote"),
    [
        ('[remote "b"]\nurl=https://h.example/b\n[remote "a"]\nurl=https://h.example/a', "h.example/a"),
        ('[remote "a"]\nurl=https://h.example/a\n[remote "origin"]\nurl=https://h.example/o', "h.example/o"),
        ('[remote "origin"]\nurl=/srv/local\n[remote "up"]\nurl=https://h.example/u', "h.example/u"),
        ('[remote "origin"]\nurl = https://h.example/1\nurl = https://h.example/2', "h.example/1"),
        ('[REMOTE "origin"] URL = https://h.example/x ; comment', "h.example/x"),
        ('[remote "origin"]\nurl = "https://h.example/a;b" # comment', "h.example/a;b"),
        ('[remote "origin"]\nurl = https://h.example/\\\nlong', "h.example/long"),
        ('[remote "or\\"i"]\nurl = "https://h.example/q\\t"', "h.example/q"),
        ('[remote "origin"]\nurl = "https://h.example/q\\\\"', "h.example/q\\"),
        ("garbage\n[]\n= 5\n[remote]\nurl = https://h.example/z", "h.example/z"),
        ('[remote "origin"]\nurl\npushurl = https://h.example/p', None),
        ('[branch "main"]\nremote = origin', None),
        ("\x00\x01\x02", None),
    ],
)
def test_configs_of_all_kinds(tmp_path: Path, config: str, remote: str | None) -> None:
    """origin is preferred, then the first by name; oddities do no harm."""
    repo = builders.make_git_repo(tmp_path / "wall")
    (repo / ".git/config").write_text(config)
    checkout = find_checkout(repo)
    assert checkout is not None
    assert checkout.remote_url == remote


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git to compare with")
def test_agrees_with_git_itself(tmp_path: Path) -> None:
    """For a real repository and a real worktree the answers are git's own."""

    def git(*args: str, cwd: Path) -> str:
        settings = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        result = subprocess.run(
            ["git", *settings, *args], cwd=cwd, capture_output=True, text=True, check=True
        )
        return result.stdout.strip()

    repo, tree = tmp_path / "repo", tmp_path / "tree"
    repo.mkdir()
    git("init", "-q", ".", cwd=repo)
    git("remote", "add", "origin", "https://user:secret@Host.example/a/b.git", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=repo)
    git("worktree", "add", "-q", str(tree), cwd=repo)
    for folder, is_worktree in ((repo, False), (tree, True)):
        checkout = find_checkout(folder)
        assert checkout is not None
        assert str(checkout.path) == git("rev-parse", "--show-toplevel", cwd=folder)
        common = git("rev-parse", "--path-format=absolute", "--git-common-dir", cwd=folder)
        assert str(checkout.common_dir) == common
        assert (checkout.main_path, checkout.is_worktree) == (repo, is_worktree)
        assert checkout.remote_url == "host.example/a/b"
