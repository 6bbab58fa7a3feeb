"""`sessionctl identity` on both databases: who conversations run as, and which rule decides it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from sessionlib.db.engine import Database
from sessionlib.models import FALLBACK_IDENTITY_ID
from sessionlib.sync.registrar import Host
from tests import builders
from tests.ctl import Ctl, ctl_fixture  # noqa: F401 - fixtures
from tests.ingesting import House
from tests.mirrors import empty
from tests.talks import Talk

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def desk(ctl: Ctl, mirror_database: Database) -> Iterator[Ctl]:
    """`sessionctl`, two mirrored projects, and no identity in the environment; identities go afterwards."""
    ctl.monkeypatch.delenv("SESSIOND_IDENTITY", raising=False)
    _forget(mirror_database)
    for name in ("shop", "garden"):
        ctl.project(name, {"wall": builders.v2(session_id="wall")})
    assert ctl("sync", ctl.code).code == 0
    yield ctl
    empty(mirror_database)
    _forget(mirror_database)


def _forget(database: Database) -> None:
    with database.write() as connection:
        connection.execute(
            text("DELETE FROM identities WHERE CAST(identity_id AS TEXT) <> :kept"),
            {"kept": str(FALLBACK_IDENTITY_ID)},
        )


def fallback(desk: Ctl) -> str:
    """Return the name of the identity that was there before all others."""
    (row,) = [row for row in desk.json("identity", "list") if row["identity_id"] == str(FALLBACK_IDENTITY_ID)]
    name: str = row["name"]
    return name


def test_identities_are_registered_once(desk: Ctl) -> None:
    """In any case a name means one identity; what is given anew is written."""
    (made,) = desk.json("identity", "add", "Mason", "--platform", "desk", "--description", "walls")
    assert (made["name"], made["platform"], made["changed"]) == ("Mason", "desk", True)
    said = desk("identity", "add", "mason")
    assert (said.code, said.out) == (0, "Mason is registered already\n")
    assert desk("identity", "add", "MASON", "--platform", "phone").out == "changed Mason\n"
    rows = {row["name"]: row for row in desk.json("identity", "list")}
    assert len(rows) == 2
    assert (rows["Mason"]["platform"], rows["Mason"]["description"]) == ("phone", "walls")
    assert "Mason" in desk("identity", "list").out


def test_a_default_is_the_projects(desk: Ctl) -> None:
    """It is set, said again, counted and taken away."""
    desk("identity", "add", "mason")
    said = desk("identity", "default", "garden", "Mason")
    assert said.out == "garden has the default identity mason\n"
    assert "the next one gets this" in said.err
    assert (
        desk("identity", "default", "garden", "mason").out
        == "garden has the default identity mason already\n"
    )
    assert {row["name"]: row["default_of"] for row in desk.json("identity", "list")}["mason"] == 1
    (row,) = desk.json("identity", "default", "garden", "--none")
    assert (row["identity"], row["changed"]) == (None, True)
    assert desk("identity", "default", "garden", "--none").out == "garden has no default identity already\n"


def test_an_archived_identity_is_never_chosen(desk: Ctl) -> None:
    """It says what that means for its projects, and comes back when it is restored."""
    desk("identity", "add", "mason")
    desk("identity", "default", "garden", "mason")
    said = desk("identity", "archive", "mason")
    assert said.out == "mason is archived\n"
    assert "still the default of 1 project: conversations there run as the fallback" in said.err
    assert desk("identity", "archive", "mason").out == "mason is archived already\n"
    (row,) = desk.json("identity", "which", desk.code / "garden")
    assert (row["identity"], row["source"]) == (fallback(desk), "fallback")
    assert row["passed_over"] == [{"identity": "mason", "source": "project"}]
    assert desk("identity", "restore", "mason").out == "mason is active\n"
    (row,) = desk.json("identity", "which", desk.code / "garden")
    assert (row["identity"], row["source"]) == ("mason", "project")


@pytest.mark.parametrize(
    ("action", "code", "message", "hint"),
    [
        (["default", "garden"], 2, "give an identity, or --none", "identity default garden NAME"),
        (["default", "garden", "mason", "--none"], 2, "give an identity, or --none", "NAME"),
        (["default", "gardn", "mason"], 1, "no project named 'gardn'", "did you mean: garden?"),
        (["default", "garden", "masn"], 1, "no identity named 'masn'", "did you mean: mason?"),
        (["default", "garden", "old"], 2, "is archived", "identity restore old"),
        (["add", "old"], 2, "is archived", "identity restore old"),
        (["add", "x" * 201], 2, "1 to 200 characters", "choose another name"),
        (["archive", "zzz"], 1, "no identity named 'zzz'", "sessionctl identity list"),
        (["restore", "masn"], 1, "no identity named 'masn'", "did you mean: mason?"),
        (["which", "nowhere"], 2, "there is no folder", "name the folder"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_mistakes_say_what_to_do(desk: Ctl, action: list[str], code: int, message: str, hint: str) -> None:
    """One sentence and a hint, and nothing is changed."""
    for name in ("mason", "old"):
        desk("identity", "add", name)
    desk("identity", "archive", "old")
    before = desk.json("identity", "list")
    said = desk("identity", *action)
    assert (said.code, said.out) == (code, ""), said
    first, second = said.err.splitlines()
    assert message in first
    assert hint in second
    assert desk.json("identity", "list") == before


def test_the_fallback_cannot_be_archived(desk: Ctl) -> None:
    """A conversation without an identity cannot be stored, so there is always one."""
    name = fallback(desk)
    said = desk("identity", "archive", name)
    assert said.code == 2
    assert f"{name} is the fallback" in said.err
    assert {row["name"]: row["status"] for row in desk.json("identity", "list")}[name] == "active"


def test_which_follows_the_rules_in_their_order(desk: Ctl) -> None:
    """The environment, a file of the workspace, the project, the fallback; what is unknown is passed over."""
    shop = desk.code / "shop"
    inner = shop / "src" / "deep"
    inner.mkdir(parents=True)

    def chosen() -> tuple[str, str]:
        (row,) = desk.json("identity", "which", inner)
        assert row["project"] == "shop"
        return row["identity"], row["source"]

    assert chosen() == (fallback(desk), "fallback")
    for name in ("by-project", "by-file", "by-hand"):
        desk("identity", "add", name)
    desk("identity", "default", "shop", "by-project")
    assert chosen() == ("by-project", "project")
    (shop / ".claude").mkdir()
    (shop / ".claude" / "sessiond.json").write_text(json.dumps({"identity": "by-file"}))
    assert chosen() == ("by-file", "workspace")
    desk.monkeypatch.setenv("SESSIOND_IDENTITY", "By-Hand")
    assert chosen() == ("by-hand", "environment")
    desk.monkeypatch.setenv("SESSIOND_IDENTITY", "nobody")
    assert chosen() == ("by-file", "workspace")
    said = desk("identity", "which", inner)
    assert "'nobody', which the environment names, is not registered or archived" in said.err
    desk.monkeypatch.chdir(inner)
    assert desk.json("identity", "which")[0]["path"] == str(inner)


def test_which_registers_nothing(desk: Ctl) -> None:
    """A folder that nobody knows, a checkout among them, is looked at, and that is all."""
    checkout = builders.make_git_repo(desk.code / "fresh")
    before = [row["slug"] for row in desk.json("projects")]
    for path in (checkout, desk.home):
        said = desk("identity", "which", path)
        assert (said.code, "no project is known there yet" in said.err) == (0, True)
    assert [row["slug"] for row in desk.json("projects")] == before


def test_which_says_what_ingest_does(desk: Ctl, mirror_database: Database, tmp_path: Path) -> None:
    """A conversation that is started there runs as the one that was told, by the same rule."""
    desk("identity", "add", "by-project")
    desk("identity", "add", "by-file")
    desk("identity", "default", "shop", "by-project")
    (desk.code / "garden" / "CLAUDE.md").write_text("---\nidentity: by-file\n---\n")
    repository = builders.make_git_repo(desk.code / "fresh")
    host = Host(UUID(desk.environment["SESSIOND_HOST_ID"] or ""), "anvil")
    house = House(mirror_database, tmp_path / "house", host=host)
    inner = builders.make_git_repo(desk.code / "shop" / "vendor")
    folders = (desk.code / "shop", desk.code / "garden", repository, inner, desk.home)
    for number, folder in enumerate(folders):
        (told,) = desk.json("identity", "which", folder)
        talk = Talk(house.config, folder, f"conversation-{number}", NOON)
        house.deliver(talk.payload("UserPromptSubmit", prompt="go"), number)
        house.drain()
        row = house.row("conversations", native_id=f"conversation-{number}")
        assert (str(row["identity_id"]), row["identity_source"]) == (told["identity_id"], told["source"])
        assert told["project"] in (None, house.row("projects", project_id=row["project_id"])["slug"])
    assert desk.json("identity", "which", inner)[0]["project"] == "vendor"
