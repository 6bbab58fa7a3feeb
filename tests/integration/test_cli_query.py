"""`sessionctl query`: every named question, on both databases."""

import os
from pathlib import Path
from typing import Any

import pytest

from sessionlib.db.queries.named import QUESTIONS
from tests import builders
from tests.ctl import Ctl, bare_ctl_fixture, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures

HOUR = 3600


def _slugs(rows: list[dict[str, Any]]) -> set[str]:
    return {row.get("slug") or row["session"] for row in rows}


def test_without_a_name_the_questions_are_listed(bare_ctl: Ctl) -> None:
    """The list names every question with a description, needs no database, and makes none."""
    said = bare_ctl("query")
    assert said.code == 0
    assert all(question.name in said.out and question.description in said.out for question in QUESTIONS)
    rows = bare_ctl.json("query")
    assert [row["name"] for row in rows] == [question.name for question in QUESTIONS]
    assert next(row for row in rows if row["name"] == "stuck")["parameters"] == ["days", "project", "limit"]
    assert not (bare_ctl.home / "state").exists()


@pytest.mark.parametrize("name", [question.name for question in QUESTIONS])
def test_every_question_has_an_answer_for_people_and_programs(mirrored: Ctl, name: str) -> None:
    """Each question answers with exit code 0, as a table and as the one object."""
    words = ["query", name, *(["0000001"] if name == "commit" else [])]
    assert isinstance(mirrored.json(*words), list)
    said = mirrored(*words)
    assert (said.code, "as of" in said.err) == (0, True)
    assert said.out == "none\n" or len(said.out.splitlines()) > 1


@pytest.mark.parametrize(
    ("words", "slugs"),
    [
        (["recent"], {"fresh", "half-built", "all-built", "closed", "renamed", "pond", "wall"}),
        (["recent", "--project", "garden"], {"wall"}),
        (["in-build"], {"half-built", "all-built", "wall"}),
        (["in-build", "--project", "shop"], {"half-built", "all-built"}),
        (["all-done-not-closed"], {"all-built", "renamed"}),
        (["all-done-not-closed", "--project", "garden"], set()),
        (["stuck"], {"fresh", "half-built", "all-built", "renamed", "wall"}),
        (["stuck", "--project", "garden"], {"wall"}),
        (["stuck", "--days", "36500"], set()),
        (["more-than-3-checkpoints"], {"half-built", "all-built", "renamed", "wall"}),
        (["commit", "0000006"], {"renamed"}),
        (["commit", "--sha", "0000002", "--project", "garden"], {"wall"}),
        (["commit", "00000031234567"], {"all-built", "renamed"}),
        (["commit", "abcdef0"], set()),
        (["decisions", "brick 3"], {"pond", "renamed"}),
        (["decisions", "--text", "brick 17"], {"renamed"}),
        (["decisions", "3 times as", "--project", "garden"], set()),
        (["mismatched-ids"], {"renamed"}),
        (["mismatched-ids", "--project", "garden"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_questions_about_sessions(mirrored: Ctl, words: list[str], slugs: set[str]) -> None:
    """Each question, with and without its options, names just the right sessions."""
    assert _slugs(mirrored.json("query", *words)) == slugs


def test_recent_begins_with_the_last_active(mirrored: Ctl) -> None:
    """Where was I: the session worked on last comes first."""
    rows = mirrored.json("query", "recent")
    assert [row["activity_at"] for row in rows] == sorted((row["activity_at"] for row in rows), reverse=True)
    assert rows[0]["slug"] in {"renamed", "pond"}


def test_commit_names_session_and_checkpoint(mirrored: Ctl) -> None:
    """The question every review asks: which checkpoint was this commit made for?"""
    (row,) = mirrored.json("query", "commit", "0000006")
    assert (row["session"], row["checkpoint"], row["message"]) == ("renamed", 6, "feat: lay brick 6")


def test_projects_and_phases_add_up(mirrored: Ctl) -> None:
    """The roll-ups count sessions, builds and checkpoints."""
    rows = {row["slug"]: row for row in mirrored.json("query", "projects")}
    assert set(rows) == {"shop", "garden"}
    shop = rows["shop"]
    assert (shop["sessions"], shop["active"], shop["in_build"], shop["complete"]) == (6, 4, 2, 2)
    assert shop["workspaces"] == 1
    counts = {row["phase"]: (row["sessions"], row["active"]) for row in mirrored.json("query", "phases")}
    assert counts == {"spec": (1, 1), "build": (3, 3), "complete": (2, 0), "plan": (1, 1)}
    only = {row["phase"]: row["sessions"] for row in mirrored.json("query", "phases", "--project", "garden")}
    assert only == {"build": 1}


def test_time_per_phase_follows_the_history(ctl: Ctl) -> None:
    """Two hours between two contents count for the first one's phase, for session and project alike."""
    project = ctl.project("garden", {"wall": builders.v2(updated_at=builders.T0, phase_history={})})
    state = project / "agents/sessions/wall/state.json"
    _set_time(state, builders.v2(phase_history={}), 1_767_603_600)
    ctl("sync", project)
    closed = builders.v2(current_phase="complete", status="complete", phase_history={})
    _set_time(state, closed, 1_767_603_600 + 2 * HOUR)
    ctl("sync", project)
    for words in ([], ["--session", "wall"], ["wall"], ["--project", "garden"]):
        rows = ctl.json("query", "time-per-phase", *words)
        assert [(row["phase"], row["sessions"]) for row in rows] == [("spec", 1), ("complete", 1)]
        assert rows[1]["seconds"] == 0
    assert ctl("query", "time-per-phase", "--session", "wull").code == 1


def _set_time(state: Path, document: dict[str, Any], moment: int) -> None:
    builders.write_json(state, document)
    os.utime(state, (moment, moment))


def test_workspaces_and_unreadable_files_are_found(mirrored: Ctl) -> None:
    """A broken file is named with its reason, and counted in its workspace; the others are not."""
    broken = mirrored.code / "shop/agents/sessions/fresh"
    (broken / "state.json").write_text("not json")
    assert mirrored("sync").code == 1
    (row,) = mirrored.json("query", "unreadable")
    assert (row["project"], row["path"]) == ("shop", str(broken))
    assert "not JSON" in row["error"]
    assert mirrored.json("query", "unreadable", "--project", "garden") == []
    places = {row["project_slug"]: row for row in mirrored.json("query", "workspaces")}
    assert (places["shop"]["session_files"], places["shop"]["errors"]) == (6, 1)
    assert [row["project_slug"] for row in mirrored.json("query", "workspaces", "--project", "garden")] == [
        "garden"
    ]
    assert "unreadable" in mirrored("sessions", "--text", "fresh").out


def test_a_cut_answer_says_that_there_are_more(mirrored: Ctl) -> None:
    """With a limit the first rows come, and a note that more exist; at the exact number there is none."""
    said = mirrored("query", "recent", "--limit", 2)
    assert len(said.out.splitlines()) == 3
    assert "the first 2; there are more (--limit)" in said.err
    assert "there are more" not in mirrored("query", "recent", "--limit", 7).err
    assert len(mirrored.json("query", "stuck", "--project", "shop", "--limit", 1)) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["commt"], "there is no query named 'commt'\n  hint: did you mean: commit?"),
        (["zzz"], "there is no query named 'zzz'\n  hint: `sessionctl query` lists them all"),
        (["commit"], "query commit needs --sha\n  hint: sessionctl query commit VALUE"),
        (["commit", "xyz"], "'xyz' is no commit id\n  hint: give 4 to 64 hexadecimal digits"),
        (
            ["commit", "abcdef", "--sha", "abc123"],
            (
                "query commit does not know what to do with 'abcdef'"
                "\n  hint: `sessionctl query` lists what each question takes"
            ),
        ),
        (
            ["recent", "--days", "3"],
            "query recent takes no --days\n  hint: it takes --project, --limit",
        ),
        (["projects", "--project", "x"], "query projects takes no --project\n  hint: it takes no options"),
        (
            ["findings", "extra"],
            (
                "query findings does not know what to do with 'extra'"
                "\n  hint: `sessionctl query` lists what each question takes"
            ),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_questions_asked_wrongly_end_with_two(bare_ctl: Ctl, words: list[str], message: str) -> None:
    """An unknown name gets the nearest, an option that does not belong is refused, before any database."""
    said = bare_ctl("query", *words)
    assert (said.code, said.out, said.err) == (2, "", f"sessionctl: {message}\n")


def test_an_unknown_project_ends_with_one(mirrored: Ctl) -> None:
    """A question about a project nobody knows names the nearest."""
    said = mirrored("query", "in-build", "--project", "gardn")
    assert said.code == 1
    assert "did you mean: garden?" in said.err
