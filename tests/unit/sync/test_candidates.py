"""Which folders may become a project because a person says so."""

from pathlib import Path

import pytest

from sessionlib.errors import StateNotFoundError, UsageError
from sessionlib.state.scan import DEFAULT_OPTIONS
from sessionlib.sync import candidates
from tests import builders


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a project in it."""
    made = tmp_path / "home"
    builders.make_project(made / "garden", {"wall": builders.v2()})
    monkeypatch.setenv("HOME", str(made))
    return made


def test_folders_of_projects_are_taken(home: Path, tmp_path: Path) -> None:
    """With sessions, without any yet, and by way of a link."""
    (home / "empty").mkdir()
    (tmp_path / "link").symlink_to(home / "garden")
    for path in (home / "garden", home / "empty", tmp_path / "link"):
        candidates.check(path, DEFAULT_OPTIONS)


@pytest.mark.parametrize("name", ["/", ".", "..", "link"])
def test_what_holds_projects_is_none(home: Path, name: str) -> None:
    """The root, a home folder and what is above it are refused, with the way to watch all below them."""
    (home / "link").symlink_to(home)
    with pytest.raises(UsageError, match="holds projects, and is none itself") as caught:
        candidates.check(home / name, DEFAULT_OPTIONS)
    assert "watch.roots" in str(caught.value.hint)


def test_a_home_with_sessions_of_its_own_is_a_project(home: Path) -> None:
    """Dotfiles are worked on, too."""
    builders.make_session(home / "agents/sessions", "shell", builders.v2())
    candidates.check(home, DEFAULT_OPTIONS)


@pytest.mark.parametrize("name", ["agents/sessions", "agents/sessions/wall"])
def test_the_sessions_of_a_project_are_no_project(home: Path, name: str) -> None:
    """The project they belong to is named."""
    with pytest.raises(UsageError, match="the sessions folder of") as caught:
        candidates.check(home / "garden" / name, DEFAULT_OPTIONS)
    assert caught.value.hint == f"name the project: {home / 'garden'}"


@pytest.mark.parametrize("name", ["none", "file", "loop", "x" * 5000, "a\0b"])
def test_what_is_no_folder_is_refused(home: Path, name: str) -> None:
    """Whatever the path, the sentence is the same."""
    (home / "file").write_text("")
    (home / "loop").symlink_to(home / "loop")
    with pytest.raises(StateNotFoundError, match="there is no folder"):
        candidates.check(home / name, DEFAULT_OPTIONS)
