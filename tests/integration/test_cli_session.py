"""`sessionctl session`: a session's life in its files, without any database."""

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests import builders
from tests.ctl import Ctl, bare_ctl_fixture  # noqa: F401 - fixtures


@pytest.fixture
def shop(bare_ctl: Ctl) -> Ctl:
    """`sessionctl` inside a project with sessions in several phases."""
    project = bare_ctl.project(
        "shop",
        {
            "2026-01-05_wall": builders.v2_building(4, (1, 2), session_id="2026-01-05_wall"),
            "2026-01-06_pond": builders.v2(session_id="2026-01-06_pond"),
            "2026-01-07_pond-fish": builders.v1_3(),
        },
    )
    (project / "src/deep").mkdir(parents=True)
    bare_ctl.monkeypatch.chdir(project / "src/deep")
    return bare_ctl


def _state(ctl: Ctl, slug: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ctl.code / "shop/agents/sessions" / slug / "state.json").read_text())
    return found


def test_a_session_s_whole_life(shop: Ctl) -> None:
    """From new to complete, each step prints one line and is what the file says afterwards."""
    said = shop("session", "new", "search", "--topic", "Search box", "--description", "Find things")
    folder = shop.code / "shop/agents/sessions/search"
    assert (said.code, said.out, said.err) == (0, f"made {folder} (full, phase spec)\n", "")
    shop.monkeypatch.setenv("SESSIOND_SESSION", "search")
    steps = [
        (["phase", "plan"], "search: phase spec -> plan"),
        (["checkpoint", "init", "2"], "search: 2 checkpoints (0/2 done, current 1)"),
        (["phase", "search", "build"], "search: phase plan -> build"),
        (["git", "--branch", "feat", "--base-branch", "main"], "search: branch feat, base_branch main"),
        (["checkpoint", "start", "2"], "search: checkpoint 2 started (0/2 done, current 2)"),
        (["checkpoint", "complete", "2"], "search: checkpoint 2 completed (1/2 done, current 1)"),
        (
            ["commit", "abcdef0", "feat: box", "--checkpoint", "2"],
            "search: commit abcdef0 in checkpoint 2 (1 in all)",
        ),
        (["checkpoint", "complete", "1"], "search: checkpoint 1 completed (2/2 done, none is left)"),
        (["decide", "use a box", "--rationale", "why not"], "search: decision 'use a box' (1 in all)"),
        (["git", "--branch", ""], "search: branch cleared"),
        (["status", "paused"], "search: status active -> paused"),
        (["phase", "complete"], "search: phase build -> complete"),
        (["phase", "complete"], "search: unchanged, phase complete"),
    ]
    for words, line in steps:
        said = shop("session", *words)
        assert (said.code, said.out, said.err) == (0, line + "\n", ""), words
    state = _state(shop, "search")
    assert (state["topic"], state["description"], state["current_phase"]) == (
        "Search box",
        "Find things",
        "complete",
    )
    assert (state["status"], state["git"]["branch"], state["git"]["base_branch"]) == (
        "complete",
        None,
        "main",
    )
    assert state["build_progress"]["checkpoints_completed"] == [1, 2]
    assert [commit["sha"] for commit in state["commits"]] == ["abcdef0"]
    assert [decision["rationale"] for decision in state["decisions"]] == ["why not"]
    assert not (shop.home / "state").exists()


def test_new_makes_a_name_of_date_and_topic(shop: Ctl) -> None:
    """Without a name the folder is called after today and the topic; the same topic again gets a number."""
    today = datetime.now(UTC).astimezone().date().isoformat()  # noqa: TID251 - the real day is meant
    names = [shop.json("session", "new", "--topic", "Ünïcode & more!")[0]["slug"] for _ in range(2)]
    assert names == [f"{today}_ünïcode-more", f"{today}_ünïcode-more-2"]
    assert (shop.code / "shop/agents/sessions" / names[0] / "state.json").exists()


def test_new_takes_type_phase_and_prior_session(shop: Ctl) -> None:
    """The details go into the file as StateManager writes them."""
    (row,) = shop.json(
        *("session", "new", "quick", "--topic", "t", "--type", "quick", "--phase", "build", "--prior", "wall")
    )
    assert (row["session_type"], row["current_phase"], row["prior_session_slug"]) == (
        "quick",
        "build",
        "wall",
    )
    assert row["changed"] is True


def test_new_outside_a_project_wants_a_path(bare_ctl: Ctl) -> None:
    """Where no project is around, a path must say where; a git repository is a project enough."""
    said = bare_ctl("session", "new", "--topic", "t")
    assert (said.code, said.out) == (1, "")
    assert "hint: to begin one here, name a path: agents/sessions/NAME" in said.err
    repository = builders.make_git_repo(bare_ctl.code / "repo")
    (repository / "src").mkdir()
    bare_ctl.monkeypatch.chdir(repository / "src")
    made = bare_ctl.json("session", "new", "second", "--topic", "t")[0]["session_dir"]
    assert made == str(repository / "agents/sessions/second")
    bare_ctl.monkeypatch.chdir(bare_ctl.home)
    assert bare_ctl("session", "new", "agents/sessions/first", "--topic", "t").code == 0
    assert (bare_ctl.home / "agents/sessions/first/state.json").exists()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("./elsewhere", "hint: name a path like <project>/agents/sessions/<slug>"),
        ("agents/sessions/../elsewhere", "hint: name a path like <project>/agents/sessions/<slug>"),
        ("agents/sessions", "agents/sessions/NAME"),
        ("code/shop/agents/sessions/", "shop/agents/sessions is a folder of sessions, not one of them"),
        ("code/shop/agents/sessions/wall/..", "shop/agents/sessions/NAME"),
        ("code/shop/apps/web/agents/sessions", "apps/web/agents/sessions/NAME"),
        ("code/shop/agents/sessions/group", "group is a folder of sessions, not one of them"),
    ],
)
def test_new_refuses_where_nothing_looks(bare_ctl: Ctl, place: str, message: str) -> None:
    """A folder of sessions, and a place no finder accepts, are refused with a better path."""
    root = bare_ctl.project("shop", {"wall": None}) / "agents/sessions"
    builders.make_session(root / "group", "inner", builders.v2())
    before = sorted(bare_ctl.home.rglob("*"))
    said = bare_ctl("session", "new", place, "--topic", "t")
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert sorted(bare_ctl.home.rglob("*")) == before


def test_new_goes_where_the_configuration_looks(bare_ctl: Ctl) -> None:
    """With another sessions folder configured, a repository's first session and the hints name that one."""
    config = bare_ctl.home / "given.toml"
    config.write_text('[watch]\nsessions_dirs = ["daily/log"]\n')
    repository = builders.make_git_repo(bare_ctl.code / "repo")
    bare_ctl.monkeypatch.chdir(repository)
    made = bare_ctl.json("--config", config, "session", "new", "one", "--topic", "t")[0]["session_dir"]
    assert made == str(repository / "daily/log/one")
    said = bare_ctl("--config", config, "session", "new", "agents/sessions/one", "--topic", "t")
    assert "<project>/daily/log/<slug>" in said.err


@pytest.fixture
def closed(shop: Ctl) -> Path:
    """A session folder nobody may look into, as it is for others than root."""
    folder = shop.code / "shop/agents/sessions/2026-01-05_wall"
    real = os.stat, os.lstat, os.open

    def guarded(call: Any) -> Any:
        def asked(path: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(path, str | os.PathLike) and folder in Path(path).parents:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return call(path, *args, **kwargs)

        return asked

    for name, call in zip(("stat", "lstat", "open"), real, strict=True):
        shop.monkeypatch.setattr(os, name, guarded(call))
    return folder


@pytest.mark.parametrize("name", ["2026-01-05_wall", "path", "cwd"])
def test_a_closed_session_folder_is_told_as_such(shop: Ctl, closed: Path, name: str) -> None:
    """A folder of mode 000 gives one clear sentence, however it is named."""
    if name == "cwd":
        shop.monkeypatch.chdir(closed)
    words = {"path": [str(closed)], "cwd": []}.get(name, [name])
    said = shop("session", "show", *words)
    assert (said.code, said.out) == (1, "")
    assert "unexpected" not in said.err
    assert str(closed) in said.err
    assert "ermission denied" in said.err


def test_a_closed_session_folder_does_not_hide_the_others(shop: Ctl, closed: Path) -> None:
    """Beside a closed folder sessions are found by name, and new ones made; not in its place."""
    assert shop.json("session", "show", "06_pond")[0]["slug"] == "2026-01-06_pond"
    assert shop("session", "new", "more", "--topic", "t").code == 0
    said = shop("session", "new", str(closed), "--topic", "t")
    assert (said.code, said.out) == (1, "")
    assert f"cannot look into {closed}: Permission denied" in said.err


def test_a_sessions_folder_that_cannot_be_listed_is_told(shop: Ctl) -> None:
    """Where the names cannot be read, none is guessed."""

    def refuse(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    shop.monkeypatch.setattr(Path, "iterdir", refuse)
    said = shop("session", "show", "pond")
    assert said.code == 1
    assert f"cannot look into {shop.code / 'shop/agents/sessions'}: Permission denied" in said.err


@pytest.mark.parametrize("name", ["none", "./none", "2026", "x" * 300, "a\0b"])
def test_a_name_from_the_environment_says_so(shop: Ctl, name: str) -> None:
    """When $SESSIOND_SESSION names no session, the error tells that the name came from there."""
    if "\0" not in name:
        shop.monkeypatch.setenv("SESSIOND_SESSION", name)
        said = shop("session", "show")
        assert said.code in {1, 2}
        assert "(the name comes from SESSIOND_SESSION)" in said.err
    said = shop("session", "show", name)
    assert said.code in {1, 2}
    assert "SESSIOND_SESSION" not in said.err
    assert "unexpected" not in said.err


def test_a_phase_alone_says_that_the_session_was_left_out(shop: Ctl) -> None:
    """One bare word is the phase; the error tells which word is missing."""
    said = shop("session", "phase", "docs")
    assert said.code == 2
    assert "SESSION was left out, and " in said.err


def test_words_too_many_show_the_action_s_usage(shop: Ctl) -> None:
    """What an action does not take is told with its own help, not the whole program's."""
    said = shop("session", "phase", "wall", "--json", "docs")
    assert said.code == 2
    assert said.err == (
        "sessionctl: unrecognized arguments: docs\n"
        "  hint: `sessionctl session phase --help` tells what it takes\n"
    )
    said = shop("session", "checkpoint", "wall", "--json", "complete", "1")
    assert said.code == 2
    assert said.err == ("sessionctl: there is no step 'wall'\n  hint: it is one of init, start, complete\n")


@pytest.mark.parametrize(
    "name", ["wall", "2026-01-05_wall", "../../agents/sessions/2026-01-05_wall", "absolute", "file"]
)
def test_a_session_is_named_in_many_ways(shop: Ctl, name: str) -> None:
    """A part of its name, the name, a path to the folder or to its file: all mean the same session."""
    folder = shop.code / "shop/agents/sessions/2026-01-05_wall"
    given = {"absolute": str(folder), "file": str(folder / "state.json")}.get(name, name)
    assert shop.json("session", "show", given)[0]["session_dir"].endswith("agents/sessions/2026-01-05_wall")


def test_an_exact_name_wins_over_a_part(shop: Ctl) -> None:
    """A whole name that is also a part of another's means the one it names."""
    assert shop.json("session", "show", "2026-01-06_pond")[0]["slug"] == "2026-01-06_pond"


def test_without_a_name_the_environment_or_the_folder_says_which(shop: Ctl) -> None:
    """$SESSIOND_SESSION comes first, then the session folder we stand in; else it is asked for."""
    said = shop("session", "show")
    assert said.code == 2
    assert "hint: name one, set SESSIOND_SESSION, or go to its folder" in said.err
    inside = shop.code / "shop/agents/sessions/2026-01-06_pond/notes"
    inside.mkdir()
    shop.monkeypatch.chdir(inside)
    assert shop.json("session", "show")[0]["slug"] == "2026-01-06_pond"
    assert shop("session", "phase", "plan").out == "2026-01-06_pond: phase spec -> plan\n"
    shop.monkeypatch.setenv("SESSIOND_SESSION", str(shop.code / "shop/agents/sessions/2026-01-05_wall"))
    assert shop.json("session", "show")[0]["slug"] == "2026-01-05_wall"


def test_show_reads_the_file_itself(shop: Ctl) -> None:
    """What people see, the row and the document come from state.json, whatever its generation."""
    said = shop("session", "show", "fish")
    assert said.code == 0
    for words in ("phase:        plan", "6 checkpoints", "6 commits", "18 decisions", "1 doc update"):
        assert words in said.out
    (row,) = shop.json("session", "show", "fish")
    assert (row["declared_id"], row["generation"]) == ("2026-01-12_renamed-since_ccc333", "v1")
    assert row["commits"][0] | {"message": ""} == {
        "sha": "0000001",
        "message": "",
        "checkpoint": 1,
        "created_at": builders.at(11),
    }
    assert shop.json("session", "show", "fish", "--document") == [builders.v1_3()]
    found = shop("session", "show", "fish", "--json").object
    assert found["stale"] is False
    assert found["as_of"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["show", "pond-f", "--bogus"], 2, "unrecognized arguments: --bogus"),
        (["show", "2026"], 2, "'2026' means several sessions: 2026-01-05_wall, 2026-01-06_pond"),
        (["show", "2026-01-05_wal1"], 1, "did you mean: 2026-01-05_wall"),
        (["show", "./none"], 1, "there is no session at"),
        (["phase", "wall", "docks"], 2, "there is no phase 'docks'"),
        (["phase", "pond-fish", "spec", "extra"], 2, "unrecognized arguments: extra"),
        (["phase", "06_pond", "build"], 2, "cannot go from phase spec to build; allowed from here: plan"),
        (["status", "wall", "lazy"], 2, "there is no status 'lazy'"),
        (["checkpoint", "wall", "complete", "9"], 2, "there is no checkpoint 9; they are 1 to 4"),
        (["checkpoint", "wall", "start", "1"], 2, "checkpoint 1 is completed already"),
        (["checkpoint", "wall", "init", "1"], 2, "checkpoint 2 is completed"),
        (["checkpoint", "wall", "start", "3", "--reset"], 2, "--reset goes with init only"),
        (["checkpoint", "wall", "start"], 2, "there is no step 'wall'"),
        (["commit", "wall", "nosha", "m"], 2, "'nosha' is no commit id"),
        (["checkpoint", "06_pond", "start", "1"], 2, "sessionctl session checkpoint SESSION init TOTAL"),
        (["commit", "wall", "abcdef0", ""], 2, "message must not be empty"),
        (["commit", "wall", "abcdef0", " "], 2, "message must not be empty"),
        (["git", "wall"], 2, "no git detail is named"),
        (["decide", "wall", " "], 2, "title must be a text that is not empty"),
        (["new", "2026-01-05_wall", "--topic", "t"], 1, "there is a session at"),
        (["new", ".hidden", "--topic", "t"], 2, "begins with a dot"),
        (["new", "x", "--topic", "t", "--type", "slow"], 2, "there is no session type 'slow'"),
        (["new", "x", "--topic", "t", "--phase", "docs"], 2, "cannot go from phase none to docs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_changes_nothing(shop: Ctl, words: list[str], code: int, message: str) -> None:
    """Each refusal is one line with a way on, and leaves all files as they are."""
    root = shop.code / "shop/agents/sessions"
    before = {path: path.read_bytes() for path in sorted(root.glob("*/state.json"))}
    said = shop("session", *words)
    assert (said.code, said.out) == (code, "")
    assert message in said.err
    assert {path: path.read_bytes() for path in sorted(root.glob("*/state.json"))} == before


def test_reset_begins_the_build_again(shop: Ctl) -> None:
    """Init with --reset forgets what is completed."""
    said = shop("session", "checkpoint", "wall", "init", "3", "--reset")
    assert said.out == "2026-01-05_wall: 3 checkpoints (0/3 done, current 1)\n"


def test_a_bare_name_outside_any_project_is_refused(bare_ctl: Ctl) -> None:
    """Without a project around there is nowhere to look for a name."""
    said = bare_ctl("session", "show", "wall")
    assert said.code == 1
    assert "name the session by its path, or go into its project" in said.err


def test_a_broken_file_is_told_and_kept(shop: Ctl) -> None:
    """A document nobody can read is not overwritten by a change."""
    state = shop.code / "shop/agents/sessions/2026-01-05_wall/state.json"
    state.write_text("[]")
    said = shop("session", "phase", "wall", "docs")
    assert said.code == 1
    assert said.err.startswith("sessionctl: ")
    assert state.read_text() == "[]"


def test_a_monorepo_s_nearest_project_is_meant(bare_ctl: Ctl) -> None:
    """Inside an app of a monorepo names mean that app's sessions; at the top they mean all of them."""
    top = bare_ctl.project("mono", {"top": None})
    app = builders.make_project(top / "apps/web", {"web": None})
    bare_ctl.monkeypatch.chdir(app)
    assert bare_ctl.json("session", "show", "we")[0]["slug"] == "web"
    assert bare_ctl("session", "show", "top").code == 1
    made = Path(bare_ctl.json("session", "new", "more", "--topic", "t")[0]["session_dir"])
    assert made == app / "agents/sessions/more"
    bare_ctl.monkeypatch.chdir(top)
    assert bare_ctl.json("session", "show", "we")[0]["slug"] == "web"
    made = Path(bare_ctl.json("session", "new", "most", "--topic", "t")[0]["session_dir"])
    assert made == top / "agents/sessions/most"
