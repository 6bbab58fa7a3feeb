"""What a rescan's target means: whatever a person may point at leads to the sessions roots it is about."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from sessiond.targets import Target, roots_of
from sessionlib.config import Config, DaemonConfig, DatabaseConfig
from sessionlib.errors import StateNotFoundError
from sessionlib.runtime import Runtime
from tests import builders

ROOT = "agents/sessions"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A watched folder with two projects."""
    builders.make_project(tmp_path / "code" / "shop", ["one"])
    builders.make_project(tmp_path / "code" / "deep" / "pond", ["two"])
    return tmp_path / "code"


@pytest.fixture
def runtime(sqlite_url: str, tmp_path: Path) -> Iterator[Runtime]:
    """An open runtime on an empty database."""
    settings = Config(
        database=DatabaseConfig(url=sqlite_url),
        daemon=DaemonConfig(state_dir=tmp_path / "state", host_id=UUID(int=1)),
    )
    with Runtime.open(settings) as opened:
        yield opened


def asked(runtime: Runtime, code: Path, path: Path) -> set[Path]:
    """Return the roots of a path, relative to the watched folder's parent."""
    return {root.relative_to(code.parent) for root in roots_of(runtime, [code], Target(path=path))}


SHOP, POND = Path("code/shop") / ROOT, Path("code/deep/pond") / ROOT


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("code/shop", {SHOP}),
        ("code/shop/agents/sessions", {SHOP}),
        ("code/shop/agents/sessions/one", {SHOP}),
        ("code/link", {SHOP}),
        ("code/current", {SHOP}),
        ("code/deep", {POND}),
        ("code", {SHOP, POND}),
        (".", {SHOP, POND}),
    ],
)
def test_a_path_leads_to_its_roots(
    runtime: Runtime, code: Path, is_known: bool, place: str, expected: set[Path]
) -> None:
    """A project, its sessions folder, a session, links to them, folders above: known before or new."""
    (code / "link").symlink_to(code / "shop")
    (code / "current").symlink_to(code / "shop" / ROOT / "one")
    if is_known:
        assert runtime.open_project(code).wait(10)
    assert asked(runtime, code, code.parent / place) == expected


def test_a_file_of_a_known_session_leads_to_its_root(runtime: Runtime, code: Path) -> None:
    """A file, and a session that is gone, are looked for in the root they belong to."""
    assert runtime.open_project(code).wait(10)
    assert asked(runtime, code, code / "shop" / ROOT / "one" / "state.json") == {SHOP}
    assert asked(runtime, code, code / "shop" / ROOT / "gone") == {SHOP}
    assert asked(runtime, code, code / "shop" / "src") == {SHOP}


def test_a_root_that_is_new_in_a_known_project_is_found(runtime: Runtime, code: Path) -> None:
    """By the project's name as well as by its path."""
    assert runtime.open_project(code).wait(10)
    builders.make_project(code / "shop" / "apps" / "till", ["three"])
    new = Path("code/shop/apps/till") / ROOT
    finder = (*runtime.finder.sessions_dirs, "apps/*/agents/sessions")
    object.__setattr__(runtime.finder, "sessions_dirs", finder)
    assert asked(runtime, code, code / "shop") == {SHOP, new}
    named = roots_of(runtime, [code], Target(project="shop"))
    assert {root.relative_to(code.parent) for root in named} == {SHOP, new}


def test_a_registered_project_may_get_its_sessions_later(
    runtime: Runtime, code: Path, tmp_path: Path
) -> None:
    """Outside the watched folders too; until then the answer is that there are none yet."""
    apart = tmp_path / "apart"
    apart.mkdir()
    with pytest.raises(StateNotFoundError, match="lies outside"):
        roots_of(runtime, [code], Target(path=apart))
    runtime.registrar.register_project(apart)
    with pytest.raises(StateNotFoundError, match="no sessions below"):
        roots_of(runtime, [code], Target(path=apart))
    builders.make_project(apart, ["four"])
    assert asked(runtime, code, apart) == {Path("apart") / ROOT}


@pytest.mark.parametrize("name", ["circle", "nowhere", "n" * 300])
def test_what_is_no_folder_is_refused_in_words(runtime: Runtime, code: Path, name: str) -> None:
    """A link that leads in circles, nothing, a name that is too long: one sentence, never a defect."""
    (code / "circle").symlink_to(code / "circle")
    with pytest.raises(StateNotFoundError, match="there is no folder"):
        roots_of(runtime, [code], Target(path=code / name))
