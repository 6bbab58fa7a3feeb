"""StateManager: whom a save is told to, and when."""

import logging
import os
from pathlib import Path

import pytest

from sessionlib.errors import (
    StateLockedError,
    StateRefusedError,
    StateWriteError,
)
from sessionlib.state.lock import locked
from sessionlib.state.manager import StateManager
from tests.states import building_fixture, on_disk  # noqa: F401 - fixtures


def test_change_is_one_save_and_one_call(session: Path) -> None:
    """Several details in one verb are one save; a change that says nothing new is none."""
    saves: list[Path] = []
    manager = StateManager(session, saves.append)
    assert manager.set_git(branch="b", worktree="w", base_branch=None)
    assert saves == [session]
    assert not manager.set_git(branch="b")
    assert not manager.set_git()
    assert saves == [session]
    assert (manager.content.git_branch, manager.content.git_base_branch) == ("b", None)
    assert manager.document == on_disk(session)


def test_callback_gets_the_absolute_folder_as_named(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is made absolute, a link is not resolved."""
    saves: list[Path] = []
    (tmp_path / "link").symlink_to(session)
    monkeypatch.chdir(tmp_path)
    StateManager("link", saves.append).set_status("paused")
    StateManager(Path("agents/../agents/sessions/s1"), saves.append).set_status("active")
    assert saves == [tmp_path / "link", session]


def test_callback_comes_after_the_lock_is_free(session: Path) -> None:
    """Whoever is told may change the session again."""
    seen: list[str] = []

    def again(folder: Path) -> None:
        with locked(folder, 0):
            seen.append(on_disk(folder)["status"])
        if len(seen) == 1:
            StateManager(folder, again).set_status("active")

    StateManager(session, again).set_status("paused")
    assert seen == ["paused", "active"]


def test_failing_callback_is_logged_and_swallowed(session: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A mirror that is broken does not fail the save, but leaves a trace."""

    def failing(_: Path) -> None:
        message = "no mirror"
        raise RuntimeError(message)

    with caplog.at_level(logging.ERROR, logger="sessionlib.state"):
        assert StateManager(session, failing).set_status("paused")
    assert on_disk(session)["status"] == "paused"
    assert [record.getMessage() for record in caplog.records] == ["save_callback_failed"]
    assert caplog.records[0].session_dir == str(session)
    assert "no mirror" in caplog.text


def test_stop_in_callback_goes_on(session: Path) -> None:
    """What is meant to end the program is not swallowed."""

    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StateManager(session, stop).set_status("paused")


def test_failed_write_is_told_too(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a failed write left something is for the mirror to see; the file is untouched."""
    saves: list[Path] = []
    before = (session / "state.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StateWriteError, match="No space left"):
        StateManager(session, saves.append).set_status("paused")
    assert saves == [session]
    assert (session / "state.json").read_bytes() == before
    with pytest.raises(StateWriteError):
        StateManager(session.with_name("new"), saves.append).create("t")
    assert saves == [session, session.with_name("new")]


def test_refused_change_is_not_told(session: Path) -> None:
    """Nothing was written, so nobody is told."""
    saves: list[Path] = []
    manager = StateManager(session, saves.append, lock_timeout=0)
    with pytest.raises(StateRefusedError):
        manager.set_status("sleeping")
    with locked(session), pytest.raises(StateLockedError):
        manager.set_status("paused")
    assert saves == []
