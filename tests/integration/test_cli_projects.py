"""`sessionctl projects`: list, show, add, remove, alias, merge, on both databases."""

import io
import sys

import pytest

from tests import builders
from tests.ctl import Ctl, bare_ctl_fixture, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures


@pytest.mark.parametrize("words", [["projects"], ["projects", "list"]], ids=" ".join)
def test_projects_are_listed_with_what_their_sessions_add_up_to(mirrored: Ctl, words: list[str]) -> None:
    """Without an action, or with `list`, each project is one row of the roll-up."""
    rows = {row["slug"]: row for row in mirrored.json(*words)}
    assert {slug: row["sessions"] for slug, row in rows.items()} == {"shop": 6, "garden": 1}
    assert (rows["garden"]["checkpoints_completed"], rows["garden"]["checkpoints_total"]) == (2, 4)
    said = mirrored(*words)
    assert said.out.splitlines()[0].startswith("PROJECT")
    assert len(said.out.splitlines()) == 3


def test_an_empty_registry_says_so(ctl: Ctl) -> None:
    """No projects is an answer, not an error."""
    said = ctl("projects")
    assert (said.code, said.out) == (0, "no projects\n")


def test_show_names_aliases_workspaces_and_roots(mirrored: Ctl) -> None:
    """A project shows by which keys it is known and where it lies."""
    (row,) = mirrored.json("projects", "show", "shop")
    path = str(mirrored.code / "shop")
    assert row["slug"] == "shop"
    assert [alias["alias"].endswith(path) for alias in row["aliases"]] == [True]
    (place,) = row["workspaces"]
    assert (place["path"], place["registered"]) == (path, False)
    assert [root["root"] for root in place["roots"]] == ["agents/sessions"]
    said = mirrored("projects", "show", "shop").out
    assert "1 workspace" in said
    assert path in said


def test_add_registers_a_folder_outside_the_roots(ctl: Ctl) -> None:
    """A folder becomes a project with its sessions folders; a sync then finds them without its path."""
    path = ctl.project("hidden", {"one": None})
    said = ctl("projects", "add", path)
    assert said.out == f"registered {path} as project hidden, with 1 sessions folder\n"
    (row,) = ctl.json("projects", "add", path)
    assert (row["slug"], row["path"], row["roots"]) == ("hidden", str(path), ["agents/sessions"])
    (shown,) = ctl.json("projects", "show", "hidden")
    assert shown["workspaces"][0]["registered"] is True
    assert ctl("sync").code == 0
    assert [found["slug"] for found in ctl.json("sessions")] == ["one"]
    said = ctl("projects", "add", "code/hidden")
    assert said.code == 0
    assert said.out == f"{path} is registered already as project hidden, with 1 sessions folder\n"


def test_add_makes_the_database(bare_ctl: Ctl) -> None:
    """Registering is a write: it makes the database, where a read would refuse."""
    assert bare_ctl("projects").code == 78
    path = bare_ctl.project("hidden", {})
    assert bare_ctl("projects", "add", path).code == 0
    assert [row["slug"] for row in bare_ctl.json("projects")] == ["hidden"]


def test_add_refuses_what_is_no_folder(ctl: Ctl) -> None:
    """A path that is not there ends with 1 and says so."""
    said = ctl("projects", "add", ctl.code / "none")
    assert said.code == 1
    assert "no folder" in said.err


def test_remove_forgets_rows_and_touches_no_file(mirrored: Ctl) -> None:
    """With --yes project and sessions are gone from the mirror; the files are there, and come back."""
    said = mirrored("projects", "remove", "shop", "--yes")
    assert said.code == 0
    assert said.out == "removed shop and 6 mirrored sessions\n"
    assert "files are untouched; a running daemon that watches its folder will register it again" in said.err
    assert [row["slug"] for row in mirrored.json("projects")] == ["garden"]
    assert {row["slug"] for row in mirrored.json("sessions")} == {"wall"}
    assert (mirrored.code / "shop/agents/sessions/fresh/state.json").exists()
    mirrored("sync", mirrored.code)
    assert len(mirrored.json("sessions", "--project", "shop")) == 6


def test_remove_needs_a_yes(mirrored: Ctl) -> None:
    """Where nobody can be asked, nothing is removed without --yes."""
    said = mirrored("projects", "remove", "shop")
    assert (said.code, said.out) == (2, "")
    assert said.err == "sessionctl: removing shop needs a yes\n  hint: add --yes\n"
    assert len(mirrored.json("projects")) == 2


class _Typing(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code", "left"), [("y\n", 0, 1), ("n\n", 1, 2), ("\n", 1, 2), ("", 1, 2)])
def test_remove_asks_on_a_terminal(
    mirrored: Ctl, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, left: int
) -> None:
    """On a terminal the question says what goes and what stays; anything but yes changes nothing."""
    monkeypatch.setattr(sys, "stdin", _Typing(typed))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    said = mirrored("projects", "remove", "garden")
    monkeypatch.undo()
    assert said.code == code
    assert "Forget project garden and 1 mirrored session? (its files are untouched" in said.err
    for name, value in mirrored.environment.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    assert len(mirrored.json("projects")) == left


def test_an_alias_is_another_name(mirrored: Ctl) -> None:
    """By its alias, in any case, a project is found everywhere; to say it twice changes nothing."""
    (row,) = mirrored.json("projects", "alias", "shop", "The-Store")
    assert (row["alias"], row["changed"]) == ("name:the-store", True)
    assert len(mirrored.json("sessions", "--project", "the-STORE")) == 6
    assert mirrored.json("projects", "show", "the-store")[0]["slug"] == "shop"
    said = mirrored("projects", "alias", "the-store", "the-store")
    assert (said.code, said.out) == (0, "shop is known as the-store already\n")


def test_an_alias_of_another_kind_is_kept_as_it_is(mirrored: Ctl) -> None:
    """A key with its kind in front, such as a remote's address, is not taken for a name."""
    (row,) = mirrored.json("projects", "alias", "shop", "remote:example.org/Me/shop")
    assert row["alias"] == "remote:example.org/Me/shop"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["alias", "shop", "garden"], 2, "'garden' is the name of another project"),
        (["alias", "shop", "name:GARDEN"], 2, "'garden' is the name of another project"),
        (["alias", "shop", " "], 2, "an alias must not be empty"),
        (["alias", "shup", "x"], 1, "did you mean: shop?"),
        (["show", "gardne"], 1, "did you mean: garden?"),
        (["remove", "nothing-like-it"], 1, "no project named 'nothing-like-it'"),
        (["merge", "shop", "shop"], 2, "shop and shop are the same project"),
        (["merge", "shop", "gardn"], 1, "did you mean: garden?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_change_nothing(mirrored: Ctl, words: list[str], code: int, message: str) -> None:
    """A name nobody knows, or one that another project has, is refused with a way on."""
    said = mirrored("projects", *words)
    assert (said.code, said.out) == (code, "")
    assert message in said.err
    assert {row["slug"]: row["sessions"] for row in mirrored.json("projects")} == {"shop": 6, "garden": 1}


def test_an_alias_of_another_project_is_refused(mirrored: Ctl) -> None:
    """An alias names one project; the way out is a merge."""
    mirrored("projects", "alias", "shop", "store")
    said = mirrored("projects", "alias", "garden", "store")
    assert said.code == 2
    assert "belongs to project shop" in said.err
    assert "projects merge" in said.err


def test_merge_makes_one_project_of_two(mirrored: Ctl) -> None:
    """All sessions are the target's, the old name still works, and a sync changes nothing."""
    (row,) = mirrored.json("projects", "merge", "garden", "shop")
    assert (row["workspaces"], row["sessions"], row["shared"]) == (1, 1, 0)
    (project,) = mirrored.json("projects")
    assert (project["slug"], project["sessions"], project["workspaces"]) == ("shop", 7, 2)
    assert len(mirrored.json("sessions", "--project", "garden")) == 7
    assert mirrored.json("show", "wall")[0]["commits"][0]["sha"] == "0000001"
    assert [done["written"] for done in mirrored.json("sync")] == [0, 0]
    assert len(mirrored.json("projects")) == 1


def test_merge_says_what_was_in_both(ctl: Ctl) -> None:
    """Two clones with the same session become one session with two copies; the freshest is shown."""
    ctl.project("one", {"wall": builders.v2_building(4, (1,))})
    ctl.project("two", {"wall": builders.v2_building(4, (1, 2, 3))})
    ctl("sync", ctl.code)
    said = ctl("projects", "merge", "two", "one")
    assert said.out == "merged two into one: 1 workspace, 1 session (1 in both), 1 key\n"
    (row,) = ctl.json("show", "wall")
    assert row["session"]["checkpoints_completed"] == 3
    assert len(row["files"]) == 2
