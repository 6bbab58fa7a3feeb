"""The sessions of a root: complete, or said not to be."""

import errno
import os
import resource
from pathlib import Path

import pytest

from sessionlib.errors import StateNotFoundError
from sessionlib.state.listing import list_sessions
from sessionlib.state.looks import look
from tests import builders


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sessions root with two sessions and one folder that is none yet."""
    project = builders.make_project(tmp_path / "p", ["one", "two"])
    (project / "agents/sessions/pending").mkdir()
    return project / "agents/sessions"


def fail(monkeypatch: pytest.MonkeyPatch, function: str, code: int, ending: str) -> None:
    real = getattr(os, function)

    def failing(path, *args, **kwargs):
        if str(path).endswith(ending):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, function, failing)


def test_lists_sessions_and_pending_folders(root: Path) -> None:
    """Each session comes with its look, folders without a state.json apart."""
    listing = list_sessions(root)
    assert listing.sessions == {"one": look(root / "one"), "two": look(root / "two")}
    assert listing.pending == ("pending",)
    assert listing.complete
    assert listing.problems == ()
    assert listing.identity == (root.stat().st_dev, root.stat().st_ino)


def test_only_real_folders_count(root: Path, tmp_path: Path) -> None:
    """Links, files and dot-folders are no sessions, and research runs inside one are none either."""
    other = builders.make_session(tmp_path / "other", "three", research={"r": {"id": "r"}})
    (root / "link").symlink_to(other)
    (root / "file").write_text("x")
    builders.make_session(root, ".hidden")
    builders.make_session(root, "three", research={"r": builders.research_run()})
    assert sorted(list_sessions(root).sessions) == ["one", "three", "two"]


def test_names_that_are_not_utf8_come_through(root: Path) -> None:
    """A name of odd bytes is listed as the operating system's decoder gives it."""
    name = os.fsdecode(b"odd-\xff")
    try:
        builders.make_session(root, name)
    except OSError:
        pytest.skip("this file system wants UTF-8")
    assert name in list_sessions(root).sessions


def test_known_looks_spare_the_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the looks of last time a quiet session is two stats."""
    known = list_sessions(root).sessions
    calls = []
    real = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path, **more: calls.append(path) or real(path, **more))
    assert list_sessions(root, known).sessions == known
    assert len([path for path in calls if "/one/" in path]) == 1


def test_missing_root_is_an_error_of_its_own(tmp_path: Path) -> None:
    """A root that is gone, or a file, is not an empty root."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "gone", tmp_path / "file"):
        with pytest.raises(StateNotFoundError, match="no sessions folder"):
            list_sessions(path)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.EMFILE])
def test_root_that_cannot_be_listed_is_incomplete(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A refusal is never an empty list that looks complete."""
    fail(monkeypatch, "listdir", code, "sessions")
    listing = list_sessions(root)
    assert not listing.complete
    assert listing.problems == ((".", os.strerror(code)),)
    assert listing.identity is not None


def test_root_that_cannot_be_asked_has_no_identity(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a stat there is not even an identity."""
    fail(monkeypatch, "stat", errno.EIO, "sessions")
    assert list_sessions(root).identity is None


@pytest.mark.parametrize(("function", "ending"), [("lstat", "/one"), ("lstat", "/one/state.json")])
def test_session_that_cannot_be_seen_makes_it_incomplete(
    root: Path, monkeypatch: pytest.MonkeyPatch, function: str, ending: str
) -> None:
    """One closed session is named; the others are listed all the same."""
    fail(monkeypatch, function, errno.EACCES, ending)
    listing = list_sessions(root)
    assert list(listing.sessions) == ["two"]
    assert not listing.complete
    assert listing.problems == (("one", "Permission denied"),)


def test_session_that_goes_meanwhile_is_gone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder removed between listing and look is neither a session nor a problem."""
    fail(monkeypatch, "lstat", errno.ENOENT, "/one")
    listing = list_sessions(root)
    assert list(listing.sessions) == ["two"]
    assert listing.complete


def test_root_swapped_meanwhile_is_incomplete(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was listed across two folders is not to be believed."""
    real = os.listdir

    def swapping(path):
        found = real(path)
        if str(path) == str(root):
            root.rename(root.with_name("moved"))
            root.mkdir()
        return found

    monkeypatch.setattr(os, "listdir", swapping)
    listing = list_sessions(root)
    assert not listing.complete
    assert listing.problems == ((".", "was replaced while it was listed"),)


def test_no_descriptors_left_is_incomplete(root: Path) -> None:
    """A real lack of descriptors is said."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        listing = list_sessions(root)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not listing.complete
    assert listing.problems == ((".", "Too many open files"),)
