"""Whom a conversation belongs to and whom it runs as: project, workspace and identity."""

import logging
from pathlib import Path

import pytest

from sessionlib.db.crud import identities, projects
from sessionlib.db.engine import Database
from sessionlib.models import IdentityCreate, IdentityUpdate, ProjectUpdate
from sessionlib.models.identity import IdentityStatus
from tests import builders
from tests.shops import NOON, ONE, TWO, Shop
from tests.talks import Talk


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """An empty shop, on each database."""
    return Shop(database, tmp_path)


def _identity(shop: Shop, name: str, *, archived: bool = False) -> str:
    with shop.database.write() as connection:
        made = identities.create(connection, IdentityCreate(name=name))
        if archived:
            identities.change(connection, made.identity_id, IdentityUpdate(status=IdentityStatus.ARCHIVED))
    return str(made.identity_id)


@pytest.mark.parametrize(
    ("environment", "file", "default", "expected"),
    [
        (None, None, None, ("unassigned", "fallback")),
        (None, None, "gardener", ("gardener", "project")),
        (None, "mason", "gardener", ("mason", "workspace")),
        ("Smith", "mason", "gardener", ("smith", "environment")),
        ("nobody", "mason", "gardener", ("mason", "workspace")),
        ("retired", "nobody", "gardener", ("gardener", "project")),
        ("retired", "retired", None, ("unassigned", "fallback")),
    ],
)
def test_the_identity_by_its_order(
    shop: Shop,
    environment: str | None,
    file: str | None,
    default: str | None,
    expected: tuple[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The environment, the workspace's file, the project's default, the seeded one: first one that can be."""
    ids = {name: _identity(shop, name) for name in ("gardener", "mason", "smith")}
    _identity(shop, "retired", archived=True)
    builders.make_git_repo(shop.folder)
    if file is not None:
        (shop.folder / ".claude").mkdir()
        builders.write_json(shop.folder / ".claude" / "sessiond.json", {"identity": file})
    shop.hear(shop.talk(TWO), "SessionStart", 0, source="startup")
    if default is not None:
        with shop.database.write() as connection:
            project = projects.listed(connection)[0]
            projects.change(connection, project.project_id, ProjectUpdate(default_identity_id=ids[default]))
    context = {} if environment is None else {"SESSIOND_IDENTITY": environment}
    with caplog.at_level(logging.WARNING):
        shop.hear(shop.talk(ONE), "UserPromptSubmit", 1, prompt="go", context=context)
    row = shop.conversation(ONE)
    with shop.database.read() as connection:
        name = identities.get(connection, row["identity_id"]).name
    assert (name, row["identity_source"]) == expected
    unusable = {"nobody", "retired"} & {environment, file}
    assert ("identity passed over" in caplog.text) == bool(unusable)


def test_the_environment_may_be_heard_of_later(shop: Shop) -> None:
    """A transcript that was read first does not keep the identity from being known."""
    _identity(shop, "smith")
    talk = shop.talk().says(1)
    shop.read()
    assert shop.conversation()["identity_source"] == "fallback"
    shop.hear(talk, "Stop", 10, context={"SESSIOND_IDENTITY": "smith"})
    assert shop.conversation()["identity_source"] == "environment"


def test_front_matter_names_an_identity(shop: Shop) -> None:
    """The notes that the client reads may begin with it."""
    _identity(shop, "mason")
    builders.make_git_repo(shop.folder)
    (shop.folder / "CLAUDE.md").write_text("---\ntitle: x\nidentity_id: 'mason'  # ours\n---\n# Notes\n")
    shop.hear(shop.talk(), "Stop", 10)
    assert shop.conversation()["identity_source"] == "workspace"


def test_folders_belong_to_their_projects(shop: Shop, tmp_path: Path) -> None:
    """Subfolders, links, worktrees, folders that are gone; one that is nobody's takes nothing below it."""
    builders.make_git_repo(shop.folder, "git@example.org:garden/shop.git")
    tree = builders.make_worktree(shop.folder, tmp_path / "tree")
    (shop.folder / "sub").mkdir()
    (tmp_path / "link").symlink_to(shop.folder)
    (tmp_path / "plain" / "inner").mkdir(parents=True)
    folders = ["shop", "shop/sub", "link/sub", tree.name, "plain", "plain/inner", "gone"]
    for number, name in enumerate(folders):
        talk = Talk(shop.config, tmp_path / name, f"conversation-{number}", NOON)
        shop.hear(talk, "Stop", number)
    found = [shop.conversation(f"conversation-{number}") for number in range(len(folders))]
    assert len({row["project_id"] for row in found[:4]}) == 1
    assert found[0]["workspace_id"] == found[1]["workspace_id"] == found[2]["workspace_id"]
    assert found[3]["workspace_id"] not in (None, found[0]["workspace_id"])
    assert len({row["project_id"] for row in found}) == 4
    assert [row["workspace_id"] for row in found[4:]] == [None] * 3
