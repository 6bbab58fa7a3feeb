"""StateManager: creating sessions, and what no session is made of."""

import errno
import os
from pathlib import Path

import pytest

from sessionlib.errors import (
    PhaseNotAllowedError,
    StateExistsError,
    StateRefusedError,
    StateWriteError,
)
from sessionlib.state.layout import slug_problem
from sessionlib.state.manager import StateManager
from tests.refusals import refuse
from tests.states import building_fixture  # noqa: F401 - fixtures


def test_create_makes_a_session(tmp_path: Path) -> None:
    """A new session has its folder's name, its details, and one save."""
    saves: list[Path] = []
    manager = StateManager(tmp_path / "p/agents/sessions/2026-01-01_new", saves.append)
    content = manager.create(
        "New wall",
        description="Higher.",
        branch="wall",
        base_branch="main",
        prior_session="before",
    )
    assert saves == [manager.session_dir]
    assert (content.declared_id, content.topic, content.description) == (
        "2026-01-01_new",
        "New wall",
        "Higher.",
    )
    assert (content.session_type, content.current_phase, content.status) == ("full", "spec", "active")
    assert (content.git_branch, content.git_worktree, content.git_base_branch) == ("wall", None, "main")
    assert content.prior_session_slug == "before"
    assert list(content.phase_history) == ["spec_started_at"]
    assert content.generation == "v2"
    assert content.warnings == ()


@pytest.mark.parametrize(
    ("session_type", "phase", "first"),
    [
        ("full", None, "spec"),
        ("quick", None, "plan"),
        ("quick", "build", "build"),
        ("research", None, "spec"),
    ],
)
def test_create_begins_where_the_type_does(
    tmp_path: Path, session_type: str, phase: str | None, first: str
) -> None:
    """Each type has its first phases."""
    content = StateManager(tmp_path / "s").create("t", session_type=session_type, phase=phase)
    assert (content.session_type, content.current_phase) == (session_type, first)
    assert list(content.phase_history) == [f"{first}_started_at"]


@pytest.mark.parametrize(
    ("topic", "more", "error"),
    [
        ("", {}, StateRefusedError),
        ("t", {"session_type": "feature"}, StateRefusedError),
        ("t", {"phase": "build"}, PhaseNotAllowedError),
        ("t", {"session_type": "quick", "phase": "spec"}, PhaseNotAllowedError),
        ("t", {"branch": 7}, StateRefusedError),
    ],
)
def test_create_refuses_what_does_not_fit(tmp_path: Path, topic: str, more: dict, error: type) -> None:
    """A refused session leaves no folder behind."""
    with pytest.raises(error):
        StateManager(tmp_path / "s").create(topic, **more)
    assert not (tmp_path / "s").exists()


def test_create_refuses_an_existing_session(session: Path) -> None:
    """A session is never overwritten, whatever state its file is in."""
    before = (session / "state.json").read_bytes()
    saves: list[Path] = []
    with pytest.raises(StateExistsError):
        StateManager(session, saves.append).create("again")
    assert (session / "state.json").read_bytes() == before
    assert saves == []


def synced_from_now_on(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the inodes of what is synced, as it is."""
    synced = []
    real = os.fsync

    def noting(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", noting)
    return synced


def test_create_syncs_the_folders_above_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut takes no new folder: each one's name is on the disk before the session is acknowledged."""
    synced = synced_from_now_on(monkeypatch)
    StateManager(tmp_path / "agents/sessions/s").create("t")
    above = [tmp_path / name for name in ("agents/sessions", "agents", "")]
    assert synced[:3] == [folder.stat().st_ino for folder in above]


def test_create_syncs_a_folder_that_somebody_else_has_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one of a creation that failed half way: its name may not be on the disk yet."""
    folder = tmp_path / "agents/sessions/s"
    with monkeypatch.context() as broken:

        def fail(_fd: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        broken.setattr(os, "fsync", fail)
        with pytest.raises(StateWriteError):
            StateManager(folder).create("t")
    synced = synced_from_now_on(monkeypatch)
    StateManager(folder).create("t")
    assert synced[0] == folder.parent.stat().st_ino


def test_create_below_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may make a folder there but not list what is there makes a session all the same."""
    refuse(monkeypatch, "open", errno.EACCES, lambda path: path == str(tmp_path))
    assert StateManager(tmp_path / "s").create("t").topic == "t"


def test_create_fills_a_folder_that_waits(tmp_path: Path) -> None:
    """A folder made beforehand gets its state.json."""
    (tmp_path / "s").mkdir()
    assert StateManager(tmp_path / "s").create("t").topic == "t"


@pytest.mark.parametrize("name", [".hidden", "a\x01b", "x" * 256, "a\\b"])
def test_create_refuses_bad_names(tmp_path: Path, name: str) -> None:
    """A name that could not be listed, or not be a folder, is refused in words."""
    assert slug_problem(name)
    with pytest.raises(StateRefusedError, match="cannot be named"):
        StateManager(tmp_path / name).create("t")


def test_slug_rule() -> None:
    """Names of folders that exist in the wild are fine."""
    for name in (
        "2026-01-12_session-overhaul_k9m2x7",
        "research_x_20260128_124500",
        "Grün & blau",
        "x" * 255,
    ):
        assert slug_problem(name) is None
    assert slug_problem("") == "is empty"
    assert slug_problem("a/b")


def test_create_where_no_folder_can_be(tmp_path: Path) -> None:
    """A file in the way is a failed write."""
    (tmp_path / "file").touch()
    with pytest.raises(StateWriteError, match="cannot make"):
        StateManager(tmp_path / "file/s").create("t")
