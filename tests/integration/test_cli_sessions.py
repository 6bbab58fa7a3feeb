"""`sessionctl sessions` and `sessionctl show`, on both databases."""

import json
import shutil

import pytest

from sessionlib.db.crud import hosts
from sessionlib.db.engine import Database
from sessionlib.models import utc_now
from tests import builders
from tests.ctl import Ctl, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures


@pytest.mark.parametrize(
    ("words", "slugs"),
    [
        ([], {"fresh", "half-built", "all-built", "closed", "renamed", "pond", "wall"}),
        (["--phase", "build"], {"half-built", "all-built", "wall"}),
        (["--status", "complete"], {"closed", "pond"}),
        (["--project", "shop", "--phase", "build"], {"half-built", "all-built"}),
        (["--project", "GARDEN"], {"wall"}),
        (["--min-checkpoints", "5"], {"all-built", "renamed"}),
        (["--min-completed", "4"], {"all-built", "renamed", "pond"}),
        (["--text", "SEARCH"], {"half-built"}),
        (["--text", "by name"], {"half-built"}),
        (["--text", "%"], set()),
        (["--branch", "wall"], {"half-built", "all-built", "wall"}),
        (["--branch", "wall", "--min-completed", "3"], {"all-built"}),
        (["--type", "full", "--phase", "spec"], {"fresh"}),
        (["--type", "quick"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_filters_choose_sessions(mirrored: Ctl, words: list[str], slugs: set[str]) -> None:
    """Each filter, alone and with others, gives just the sessions it names."""
    assert {row["slug"] for row in mirrored.json("sessions", *words)} == slugs


def test_rows_say_what_the_files_say(mirrored: Ctl) -> None:
    """A row holds project, phase, progress and branch of its session."""
    (row,) = mirrored.json("sessions", "--text", "half-built")
    assert row["project_slug"] == "shop"
    assert (row["current_phase"], row["effective_status"], row["git_branch"]) == ("build", "active", "wall")
    assert (row["checkpoints_completed"], row["checkpoints_total"], row["current_checkpoint"]) == (2, 4, 3)
    assert row["activity_at"] == builders.at(12)
    assert row["missing_since"] is row["error"] is None


def test_people_see_a_table_and_how_fresh_it_is(mirrored: Ctl) -> None:
    """In a pipe the table is plain text, and the last line on standard error tells its age."""
    said = mirrored("sessions", "--project", "garden")
    assert said.code == 0
    head, row = said.out.splitlines()
    assert head.split()[:5] == ["SESSION", "PROJECT", "PHASE", "STATUS", "DONE"]
    assert row.split()[:6] == ["wall", "garden", "build", "active", "2/4", "wall"]
    assert said.err.startswith("as of ")


def test_a_cut_list_says_how_many_there_are(mirrored: Ctl) -> None:
    """The newest come first, the footer counts all, and the offset it names goes on without a gap."""
    everything = [row["slug"] for row in mirrored.json("sessions")]
    said = mirrored("sessions", "--limit", 3)
    assert said.err.splitlines()[0] == "3 of 7 sessions; go on with --offset 3"
    assert len(said.out.splitlines()) == 4
    paged = [
        row["slug"]
        for start in (0, 3, 6)
        for row in mirrored.json("sessions", "--limit", 3, "--offset", start)
    ]
    assert paged == everything
    assert mirrored("sessions", "--limit", 3, "--offset", 6).err.splitlines()[0] == "1 of 7 sessions"
    assert mirrored("sessions", "--offset", 9).err.splitlines()[0] == "0 of 7 sessions"
    assert "of 7" not in mirrored("sessions", "--limit", 7).err


def test_nothing_found_says_so_and_doubts_odd_words(mirrored: Ctl) -> None:
    """An empty list is no error; a phase that nobody knows is pointed out."""
    said = mirrored("sessions", "--phase", "bvild")
    assert (said.code, said.out) == (0, "no sessions\n")
    assert "'bvild' is no usual phase; those are spec, plan, build, docs, complete" in said.err
    assert "usual" not in mirrored("sessions", "--phase", "docs").err


def test_an_unknown_project_names_the_nearest(mirrored: Ctl) -> None:
    """A mistyped project ends with 1 and a suggestion."""
    said = mirrored("sessions", "--project", "shup")
    assert (said.code, said.out) == (1, "")
    assert said.err == "sessionctl: no project named 'shup'\n  hint: did you mean: shop?\n"


def test_sessions_whose_files_are_gone_are_shown_on_request(mirrored: Ctl) -> None:
    """A tombstoned session is left out, unless --missing asks for it."""
    shutil.rmtree(mirrored.code / "shop/agents/sessions/fresh")
    database = Database(str(mirrored.environment["SESSIOND_DATABASE_URL"] or ""))
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE sessions SET missing_since = synced_at WHERE slug = 'fresh'")
    database.close()
    assert "fresh" not in mirrored("sessions").out
    assert "gone" in mirrored("sessions", "--missing", "--text", "fresh").out


def test_sessions_of_a_missing_workspace_say_so(mirrored: Ctl) -> None:
    """Where a whole project is gone its sessions stay in the list, marked until it returns."""
    (mirrored.code / "garden").rename(mirrored.home / "aside")
    mirrored("sync", mirrored.code)
    (row,) = mirrored.json("sessions", "--project", "garden")
    assert (row["slug"], row["missing_since"]) == ("wall", None)
    assert row["workspace_missing_since"] is not None
    for verb in (["sessions"], ["query", "recent"]):
        lines = mirrored(*verb).out.splitlines()
        assert [line.split()[0] for line in lines if "workspace missing" in line] == ["wall"], verb
    (mirrored.home / "aside").rename(mirrored.code / "garden")
    mirrored("sync", mirrored.code)
    assert mirrored.json("sessions", "--project", "garden")[0]["workspace_missing_since"] is None
    assert "workspace missing" not in mirrored("sessions").out


def test_a_mirror_nobody_vouches_for_is_stale(mirrored: Ctl) -> None:
    """Without a recent heartbeat the answer says that it is stale, to people and to programs."""
    database = Database(str(mirrored.environment["SESSIOND_DATABASE_URL"] or ""))
    with database.write() as connection:
        host = next(iter(hosts.last_beats(connection)))
        hosts.beat(connection, host, utc_now().replace(year=2020))
    said = mirrored("sessions", "--json")
    assert said.object["stale"] is True
    assert said.object["as_of"].startswith("2020-")
    assert "stale: nothing has vouched for this mirror since 20" in mirrored("sessions").err
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE hosts SET heartbeat_at = NULL")
    database.close()
    assert mirrored("sessions", "--json").object["as_of"] is None
    assert "stale: nothing has vouched for this mirror yet" in mirrored("sessions").err


def test_show_gives_everything_about_a_session(ctl: Ctl) -> None:
    """The detail holds the session, all its parts, its history, its copies and its document."""
    document = builders.v2_building(
        session_id="wall",
        decisions=[{"title": "use bricks", "rationale": "stone is dear", "source": "review"}],
        doc_updates=[{"type": "L2", "path": "docs/wall.md", "description": "the wall"}],
        conversations=[{"client": "claude-code", "native_id": "abc-1", "linked_at": builders.at(9)}],
        mood="good",
    )
    project = ctl.project("garden", {})
    builders.make_session(
        project / "agents/sessions",
        "wall",
        document,
        plan=builders.plan(4),
        research={"soil_1": builders.research_run()},
    )
    ctl("sync", project)
    (row,) = ctl.json("show", "wall")
    assert row["session"]["topic"] == "Garden wall"
    assert [(part["number"], part["title"], part["completed"]) for part in row["checkpoints"]] == [
        (1, "Course 1", True),
        (2, "Course 2", True),
        (3, "Course 3", False),
        (4, "Course 4", False),
    ]
    assert [part["sha"] for part in row["commits"]] == ["0000001", "0000002"]
    assert [part["title"] for part in row["decisions"]] == ["use bricks"]
    assert [part["path"] for part in row["doc_updates"]] == ["docs/wall.md"]
    assert [part["research_id"] for part in row["research_runs"]] == ["soil_1"]
    assert [part["native_id"] for part in row["links"]] == ["abc-1"]
    assert [part["phase"] for part in row["versions"]] == ["build"]
    assert [part["path"] for part in row["files"]] == [str(project / "agents/sessions/wall")]
    assert row["document"] == document
    said = ctl("show", "wall").out
    for words in (
        "checkpoints:     2/4",
        "spec_started_at:    2026-01-05T09:00:00Z",
        "4 checkpoints",
        "current  Course 3",
        "2 commits",
        "1 decision",
        "stone is dear",
        "1 doc update",
        "1 research run",
        "1 link",
        "1 version",
        "1 file",
    ):
        assert words in said


def test_show_prints_the_stored_document(mirrored: Ctl) -> None:
    """--document gives the document itself, as one row, and indented for people."""
    assert mirrored.json("show", "wall", "--document") == [builders.v2_building(session_id="wall")]
    said = mirrored("show", "wall", "--document")
    assert json.loads(said.out) == builders.v2_building(session_id="wall")
    assert said.out.startswith('{\n  "')


@pytest.mark.parametrize("name", ["half", "shop/agents/sessions/half-built/", "half-built", "HALF-B"])
def test_show_knows_a_session_by_a_part_of_its_name(mirrored: Ctl, name: str) -> None:
    """A part of a slug, in any case, or a path to its folder is enough where no other session fits."""
    (row,) = mirrored.json("show", name, "--project", "shop")
    assert row["session"]["slug"] == "half-built"


def test_show_knows_a_session_by_its_ids(mirrored: Ctl) -> None:
    """The declared id and the mirror's id find the session too; warnings of an odd document are listed."""
    (row,) = mirrored.json("show", "2026-01-12_renamed-since_ccc333")
    (again,) = mirrored.json("show", row["session"]["session_id"])
    assert row["session"] == again["session"]
    said = mirrored("show", "renamed").out
    assert "declared id:     2026-01-12_renamed-since_ccc333" in said


def test_show_does_not_guess(mirrored: Ctl) -> None:
    """A part that fits several is refused with 2, a name that fits none with 1 and the nearest."""
    said = mirrored("show", "built")
    assert said.code == 2
    assert "shop:agents/sessions/all-built" in said.err
    assert "shop:agents/sessions/half-built" in said.err
    assert mirrored("show", "wal", "--project", "shop").code == 1
    said = mirrored("show", "hlaf-built")
    assert said.code == 1
    assert "did you mean: half-built" in said.err


def test_hostile_words_in_files_steer_nothing(ctl: Ctl) -> None:
    """Escapes and line breaks in a topic reach neither a person's terminal nor the shape of the table."""
    evil = "\x1b]0;owned\x07\nFAKE  ROW [bold]"
    ctl.project("garden", {"wall": builders.v2(topic=evil)})
    ctl("sync", ctl.code)
    said = ctl("sessions")
    assert len(said.out.splitlines()) == 2
    assert "\\x1b]0;owned\\x07\\nFAKE  ROW [bold]" in said.out
    assert "\x1b" not in said.out + ctl("show", "wall").out + ctl("show", "wall", "--document").out
    assert ctl.json("sessions")[0]["topic"] == evil
