"""`sessionctl verify` and `sessionctl rebuild`, on both databases."""

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sessionlib.db.engine import Database
from sessionlib.sync import absences, rebuild
from tests import builders, verifying
from tests.ctl import Ctl, bare_ctl_fixture, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures


def _execute(ctl: Ctl, *statements: str) -> None:
    database = Database(str(ctl.environment["SESSIOND_DATABASE_URL"] or ""))
    with database.write() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    database.close()


def _damage(ctl: Ctl, *statements: str) -> None:
    """Run statements on SQLite as its own shell does, without a look at what they break."""
    url = str(ctl.environment["SESSIOND_DATABASE_URL"])
    if not url.startswith("sqlite"):
        pytest.skip("PostgreSQL refuses it")
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _age(ctl: Ctl) -> None:
    for path in ctl.code.glob("*/agents/sessions/*"):
        verifying.aged(path)
    assert ctl("sync").code == 0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks need only a moment between them."""
    monkeypatch.setattr(absences, "CONFIRM_AFTER", absences.CONFIRM_AFTER * 0)
    monkeypatch.setattr(rebuild, "CONFIRM_AFTER", 0.01)


def test_a_right_mirror_ends_with_zero(mirrored: Ctl) -> None:
    """One line tells how many sessions were compared, and the exit code is 0; JSON has no rows."""
    said = mirrored("verify")
    assert said.code == 0
    assert said.out.startswith("7 sessions compared in ")
    assert said.out.endswith(" s: nothing differs\n")
    assert mirrored.json("verify") == []


def test_drift_is_named_and_ends_with_one(mirrored: Ctl) -> None:
    """Table, column, both values, cause and command are told; paths narrow it, and a rebuild mends it."""
    _age(mirrored)
    _execute(mirrored, "UPDATE sessions SET topic = 'edited' WHERE slug = 'half-built'")
    said = mirrored("verify")
    folder = mirrored.code / "shop/agents/sessions/half-built"
    assert said.code == 1
    assert said.out.splitlines()[0] == "1 difference"
    for words in (
        folder,
        "topic",
        "edited",
        "Search box",
        "behind the mirror",
        f"sessionctl rebuild {folder}",
    ):
        assert str(words) in said.out
    assert "1 session with 1 difference" in said.out
    assert f"  run: sessionctl rebuild {folder}" in said.out.splitlines()
    assert "  sessions.topic: edited → Search box" in said.out.splitlines()
    said = mirrored("verify", "--json")
    (row,) = said.object["rows"]
    assert said.code == 1
    assert (row["path"], row["table"], row["column"]) == (str(folder), "sessions", "topic")
    summary = said.object["summary"]
    assert (summary["sessions"], summary["stored"], summary["differences"]) == (7, 7, 1)
    assert (row["stored"], row["expected"]) == ("edited", "Search box")
    assert set(row["key"]) == {"project_id", "session_id"}
    assert mirrored("verify", mirrored.code / "garden").code == 0
    assert mirrored("verify", folder).code == 1
    said = mirrored("rebuild")
    assert (said.code, "7 sessions compared" in said.out, "1 written (1 row)" in said.out) == (0, True, True)
    assert mirrored("verify").code == 0
    (counts,) = mirrored.json("rebuild")
    assert (counts["sessions"], counts["written"], counts["rows"], counts["tombstoned"]) == (7, 0, 0, 0)


def test_the_limit_bounds_what_is_named(mirrored: Ctl) -> None:
    """Beyond the limit differences are counted only."""
    _age(mirrored)
    _execute(mirrored, "UPDATE sessions SET topic = 'edited'")
    said = mirrored("verify", "--limit", "2", "--json")
    assert (said.code, len(said.object["rows"])) == (1, 2)
    assert "5 more; --limit shows them" in said.err
    assert "7 differences" in mirrored("verify").out


def test_hostile_values_cannot_steer_a_terminal(mirrored: Ctl) -> None:
    """What is stored and what a file says are shown escaped, and cut when they are long."""
    _age(mirrored)
    _execute(mirrored, f"UPDATE sessions SET topic = '\x1b[31m{'x' * 500}' WHERE slug = 'fresh'")
    said = mirrored("verify")
    assert "\x1b" not in said.out
    assert "\\x1b[31mxxx" in said.out
    assert "x" * 100 not in said.out
    _execute(mirrored, "UPDATE documents SET body = '{\"a\": 1}'")
    said = mirrored("verify")
    assert said.code == 1
    assert max(map(len, said.out.splitlines())) < 800


def test_unreadable_files_are_counted(mirrored: Ctl) -> None:
    """A file that cannot be used is named with its reason, and is no drift."""
    folder = mirrored.code / "shop/agents/sessions/fresh"
    (folder / "state.json").write_text("[]")
    mirrored("sync")
    said = mirrored("verify")
    assert said.code == 0
    assert "1 unreadable file" in said.out
    assert str(folder) in said.out
    assert "1 file cannot be read; their last good rows stand" in mirrored("verify", "--json").err
    assert mirrored("rebuild").code == 1


def test_folders_without_rows_are_drift(mirrored: Ctl) -> None:
    """A new session in a known project is named one by one, a project nobody registered as a whole."""
    verifying.aged(builders.make_session(mirrored.code / "garden/agents/sessions", "new"))
    mirrored.project("barn", {"a": None, "b": None})
    config = mirrored.home / "config.toml"
    config.write_text(f"[watch]\nroots = ['{mirrored.code}']\n")
    said = mirrored("verify", "--config", config, "--json")
    assert said.code == 1
    paths = {Path(row["path"]).relative_to(mirrored.code).as_posix() for row in said.object["rows"]}
    assert paths == {"garden/agents/sessions/new", "barn/agents/sessions"}
    (counts,) = mirrored.json("rebuild", mirrored.code)
    assert (counts["sessions"], counts["written"]) == (10, 3)
    assert mirrored("verify", "--config", config).code == 0


def test_without_a_database_or_sessions_it_says_so(bare_ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """No database is 78 and none is made; a path to nothing 1; nothing to rebuild 2; a dead server 69."""
    said = bare_ctl("verify")
    assert (said.code, said.out) == (78, "")
    assert not (bare_ctl.home / "state/mirror.db").exists()
    assert bare_ctl("rebuild").code == 2
    said = bare_ctl("verify", bare_ctl.home / "nowhere")
    assert (said.code, "there is no folder" in said.err) == (1, True)
    monkeypatch.setenv("SESSIOND_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    for verb in ("verify", "rebuild"):
        assert bare_ctl(verb).code == 69


def test_nothing_to_compare_is_no_clean_bill(mirrored: Ctl) -> None:
    """Where nothing is known verify ends with 2, as rebuild does; what is stored all the same is told."""
    said = mirrored("verify", mirrored.code / "garden")
    assert (said.code, "1 of 7 sessions of this host compared in" in said.out) == (0, True)
    garden = mirrored.code / "garden/agents/sessions"
    _execute(
        mirrored,
        "DELETE FROM workspace_roots WHERE workspace_id IN (SELECT workspace_id FROM "
        "session_files WHERE slug = 'wall')",
    )
    said = mirrored("verify")
    assert said.code == 1
    told = f"1 session stored of {garden}, which is not registered"
    assert told in said.err
    (left,) = mirrored("verify", "--json").object["summary"]["leftovers"]
    assert told in left
    assert mirrored("sync", garden).code == 0
    assert mirrored("verify").code == 0
    _execute(mirrored, "DELETE FROM workspace_roots")
    said = mirrored("verify")
    assert (said.code, said.err.count("which is not registered")) == (1, 2)
    _execute(mirrored, *(f"DELETE FROM {name}" for name in ("session_files", "sessions", "workspaces")))
    said = mirrored("verify")
    assert (said.code, said.out) == (2, "")
    assert "there is nothing to verify" in said.err
    assert mirrored("rebuild").code == 2


def test_copies_without_a_workspace_are_told(mirrored: Ctl) -> None:
    """Rows that lost their owner are compared with nothing, and the verb that judges them is named."""
    _damage(mirrored, "DELETE FROM workspaces WHERE path LIKE '%garden'")
    said = mirrored("verify")
    assert (said.code, "sessionctl quality" in said.err) == (1, True)


def test_damaged_values_end_nothing(mirrored: Ctl) -> None:
    """Values that cannot be read are drift like any other, and a rebuild writes over all of them at once."""
    _age(mirrored)
    _damage(
        mirrored,
        "UPDATE documents SET body = x'ff'",
        "UPDATE sessions SET missing_since = 'garbage', synced_at = 'garbage'",
        "UPDATE session_files SET missing_since = 'garbage', observed_at = x'ff'",
    )
    said = mirrored("verify", "--json")
    assert said.code == 1
    found = {(row["table"], row["column"], row["stored"]) for row in said.object["rows"]}
    assert {
        ("sessions", "missing_since", "garbage"),
        ("sessions", "synced_at", "garbage"),
        ("session_files", "missing_since", "garbage"),
        ("session_files", "observed_at", "\\xff"),
    } <= found
    assert "damaged" in mirrored("verify").out
    assert mirrored("rebuild").code == 0
    assert mirrored("verify").code == 0
    assert mirrored("sessions").code == 0


@pytest.mark.parametrize("question", ["sessions", "show wall", "query recent"])
def test_a_question_that_meets_a_damaged_value_says_so(mirrored: Ctl, question: str) -> None:
    """It is no accident of the program: the next step is named, and helps."""
    _damage(mirrored, "UPDATE sessions SET topic = x'ff00fe'")
    said = mirrored(*question.split())
    assert said.code == 69
    assert said.err.startswith("sessionctl: a value that is stored is damaged")
    assert "sessionctl rebuild" in said.err
    assert mirrored("rebuild").code == 0
    assert mirrored(*question.split()).code == 0


@pytest.mark.usefixtures("quick")
def test_a_rebuild_believes_what_is_gone_after_two_looks(mirrored: Ctl) -> None:
    """One call looks twice; a mass disappearance is held back, unless it is accepted."""
    shutil.rmtree(mirrored.code / "garden/agents/sessions/wall")
    (counts,) = mirrored.json("rebuild")
    assert (counts["tombstoned"], counts["written"]) == (1, 0)
    assert mirrored("verify").code == 0
    project = mirrored.project("town", {f"s{number}": None for number in range(12)})
    mirrored("sync", project)
    for number in range(11):
        shutil.rmtree(project / f"agents/sessions/s{number}")
    said = mirrored("rebuild", "--json")
    assert (said.object["rows"][0]["tombstoned"], said.object["rows"][0]["held"]) == (0, 11)
    assert "--accept-missing" in said.err
    assert mirrored("verify").code == 1
    (counts,) = mirrored.json("rebuild", "--accept-missing")
    assert (counts["tombstoned"], counts["held"]) == (11, 0)
    assert mirrored("verify").code == 0


@pytest.mark.slow
def test_a_rebuild_waits_as_long_as_a_look_needs(mirrored: Ctl) -> None:
    """With the real clock what is gone is believed by one call."""
    shutil.rmtree(mirrored.code / "garden/agents/sessions/wall")
    assert mirrored.json("rebuild", mirrored.code / "garden")[0]["tombstoned"] == 1


def test_an_emptied_mirror_gets_the_same_ids(mirrored: Ctl) -> None:
    """Rows of others that name sessions name the right ones again, and every derived row is as it was."""
    columns = "project_id, session_id, slug, topic, parts"
    before = mirrored.json("sessions")
    _execute(
        mirrored,
        f"CREATE TABLE scratch AS SELECT {columns} FROM sessions",
        *(f"DELETE FROM {name}" for name in ("session_files", "sessions", "documents", "workspace_roots")),
        *(f"DELETE FROM {name}" for name in ("workspaces", "project_aliases", "projects", "hosts")),
    )
    assert mirrored("rebuild", mirrored.code).code == 0
    database = Database(str(mirrored.environment["SESSIOND_DATABASE_URL"] or ""))
    with database.read() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT count(*) FROM scratch JOIN sessions USING ({columns})"
        ).scalar()
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE scratch")
    database.close()
    assert rows == len(before) == 7
    assert mirrored("verify").code == 0
    assert mirrored.json("rebuild")[0]["rows"] == 0
    assert mirrored("sessions", "--json").object["stale"] is False


def test_a_bar_is_shown_on_a_terminal_only(mirrored: Ctl) -> None:
    """On a terminal a bar runs on standard error; in a pipe there is nothing but the answer."""
    program = [str(Path(sys.executable).parent / "sessionctl"), "verify"]
    leader, follower = pty.openpty()
    done = subprocess.Popen(program, stdout=follower, stderr=follower)
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert done.wait(30) == 0
    assert b"verifying" in shown
    piped = subprocess.run([*program, "--json"], capture_output=True, text=True, check=False, timeout=50)
    assert (piped.returncode, piped.stderr, json.loads(piped.stdout)["rows"]) == (0, "", [])
