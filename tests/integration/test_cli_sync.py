"""`sessionctl sync`: one look at the files without a daemon, or beside one; on both databases."""

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sessionlib.cli import syncing
from sessionlib.cli.verbs import sync
from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseUnavailableError
from sessionlib.state.scan import Listing
from sessionlib.sync import absences, reconcile
from sessionlib.sync.mirror import Mirror
from tests import builders
from tests.ctl import Ctl, bare_ctl_fixture, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks need only a moment between them."""
    monkeypatch.setattr(absences, "CONFIRM_AFTER", absences.CONFIRM_AFTER * 0)
    monkeypatch.setattr(sync, "_CONFIRM_AFTER", 0.01)


def _database(ctl: Ctl) -> Database:
    return Database(str(ctl.environment["SESSIOND_DATABASE_URL"] or ""))


def test_a_first_sync_registers_and_mirrors_all_below(ctl: Ctl) -> None:
    """Every project below a folder is registered, each root is told with its counts, and vouched for."""
    ctl.project("one", {"a": None, "b": None})
    ctl.project("deep/er/two", {"c": None})
    rows = ctl.json("sync", ctl.code)
    assert {(row["project"], row["total"], row["written"], row["unchanged"]) for row in rows} == {
        ("one", 2, 2, 0),
        ("two", 1, 1, 0),
    }
    assert {row["slug"] for row in ctl.json("sessions")} == {"a", "b", "c"}
    assert ctl("sessions", "--json").object["stale"] is False


def test_a_second_sync_writes_only_what_changed(mirrored: Ctl) -> None:
    """Nothing changed, nothing written; one file changed, one written. `rescan` is the same verb."""
    assert {(row["written"], row["unchanged"]) for row in mirrored.json("rescan")} == {(0, 6), (0, 1)}
    builders.make_session(
        mirrored.code / "garden/agents/sessions", "wall", builders.v2_building(4, (1, 2, 3))
    )
    rows = {row["project"]: row for row in mirrored.json("sync")}
    assert (rows["garden"]["written"], rows["shop"]["written"]) == (1, 0)
    assert mirrored.json("sessions", "--project", "garden")[0]["checkpoints_completed"] == 3
    said = mirrored("sync")
    assert said.out.splitlines()[0] == "7 sessions in 2 sessions folders, 0 written"


@pytest.mark.parametrize("place", ["", "agents", "agents/sessions", "agents/sessions/a", "src/deep"])
def test_a_path_may_be_a_project_its_sessions_or_one_session(ctl: Ctl, place: str) -> None:
    """Whatever folder of a new project is named, its sessions are found where the path leads to them."""
    project = ctl.project("one", {"a": None})
    (project / "src/deep").mkdir(parents=True)
    said = ctl("sync", project / place)
    if place in {"agents", "src/deep"}:
        assert said.code == 1
        assert "no sessions below" in said.err
        assert "a project keeps them in agents/sessions" in said.err
    else:
        assert said.code == 0
        assert [row["slug"] for row in ctl.json("sessions")] == ["a"]


def test_without_a_path_configured_roots_and_known_workspaces_are_synced(ctl: Ctl) -> None:
    """The roots of the configuration are searched for new projects; those outside are known already."""
    ctl.project("one", {"a": None})
    away = builders.make_project(ctl.home / "away", {"b": None})
    ctl("sync", away)
    config = ctl.home / "config.toml"
    config.write_text(f"[watch]\nroots = ['{ctl.code}']\n")
    rows = ctl.json("sync", "--config", config)
    assert {(row["project"], row["written"]) for row in rows} == {("one", 1), ("away", 0)}


def test_nothing_to_sync_is_said(ctl: Ctl) -> None:
    """Without a path, a configured root or a known project there is nothing to do: exit code 2."""
    said = ctl("sync")
    assert (said.code, said.out) == (2, "")
    assert "hint: name a folder: sessionctl sync PATH" in said.err
    said = ctl("sync", ctl.home / "none")
    assert said.code == 1
    assert "there is no folder" in said.err


def test_unreadable_files_are_named_and_end_with_one(mirrored: Ctl) -> None:
    """A broken file is named with its reason, now and at every later sync, until it is mended."""
    folder = mirrored.code / "shop/agents/sessions/fresh"
    (folder / "state.json").write_text("[]")
    for written in (0, 0):
        said = mirrored("sync", "--json")
        assert said.code == 1
        shop = next(row for row in said.object["rows"] if row["project"] == "shop")
        assert (shop["total"], shop["written"], shop["unchanged"]) == (6, written, 5)
        assert [bad["path"] for bad in shop["unreadable"]] == [str(folder)]
        assert shop["unreadable"][0]["error"]
    said = mirrored("sync")
    assert "1 problem" in said.out
    assert str(folder) in said.out
    builders.write_json(folder / "state.json", builders.v2())
    assert mirrored("sync").code == 0


def test_folders_that_cannot_be_listed_end_with_one(mirrored: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root that cannot be read is a problem, nothing in it is taken for gone, nothing is vouched for."""
    garden = mirrored.code / "garden/agents/sessions"
    real = reconcile.list_sessions

    def refused(root: Path, *more: Any, **options: Any) -> Any:
        if root == garden:
            return Listing({}, (), complete=False, problems=((".", "Permission denied"),), identity=None)
        return real(root, *more, **options)

    monkeypatch.setattr(reconcile, "list_sessions", refused)
    said = mirrored("sync", "--json")
    assert said.code == 1
    row = next(row for row in said.object["rows"] if row["project"] == "garden")
    assert (row["problems"], row["absent"]) == ([[".", "Permission denied"]], 0)
    assert "not vouched for" in said.err
    assert f"{garden}  Permission denied" in mirrored("sync").out
    assert mirrored.json("sessions", "--project", "garden")[0]["missing_since"] is None


@pytest.mark.usefixtures("quick")
def test_what_is_gone_needs_two_looks(mirrored: Ctl) -> None:
    """A first look only notes an absence and says so; a second one makes the tombstone."""
    shutil.rmtree(mirrored.code / "shop/agents/sessions/fresh")
    said = mirrored("sync", "--json")
    shop = next(row for row in said.object["rows"] if row["project"] == "shop")
    assert (said.code, shop["absent"], shop["tombstoned"]) == (0, 1, 0)
    assert "a look 5 s or more from now confirms it" in said.err
    assert "fresh" in mirrored("sessions").out
    said = mirrored("sync", "--json")
    shop = next(row for row in said.object["rows"] if row["project"] == "shop")
    assert (shop["absent"], shop["tombstoned"]) == (0, 1)
    assert "confirms" not in said.err
    assert "fresh" not in mirrored("sessions").out


@pytest.mark.usefixtures("quick")
def test_confirm_looks_twice_at_once(mirrored: Ctl) -> None:
    """With --confirm one call waits and looks again."""
    shutil.rmtree(mirrored.code / "shop/agents/sessions/fresh")
    said = mirrored("sync", "--confirm", "--json")
    rows = {row["project"]: row for row in said.object["rows"]}
    assert (rows["shop"]["total"], rows["shop"]["absent"], rows["shop"]["tombstoned"]) == (5, 0, 1)
    assert (rows["garden"]["total"], rows["garden"]["unchanged"]) == (1, 1)
    assert "confirms" not in said.err
    assert len(mirrored.json("sessions")) == 6


@pytest.mark.slow
def test_confirm_waits_as_long_as_a_look_needs(mirrored: Ctl) -> None:
    """With the real clock --confirm takes a little more than five seconds."""
    shutil.rmtree(mirrored.code / "garden/agents/sessions/wall")
    began = time.monotonic()
    rows = {row["project"]: row for row in mirrored.json("sync", "--confirm")}
    assert rows["garden"]["tombstoned"] == 1
    assert time.monotonic() - began > 5


@pytest.mark.usefixtures("quick")
def test_a_mass_disappearance_is_held_back(ctl: Ctl) -> None:
    """When most of a root is gone it takes one look more, or --accept-missing."""
    project = ctl.project("one", [f"s{number}" for number in range(12)])  # type: ignore[arg-type]
    ctl("sync", project)
    for number in range(11):
        shutil.rmtree(project / f"agents/sessions/s{number}")
    ctl("sync")
    said = ctl("sync", "--json")
    assert (said.object["rows"][0]["held"], said.object["rows"][0]["tombstoned"]) == (11, 0)
    assert "--accept-missing" in said.err
    assert ctl.json("query", "findings")[0]["kind"] == "mass_vanish"
    assert len(ctl.json("sessions")) == 12
    (row,) = ctl.json("sync", "--accept-missing")
    assert (row["held"], row["tombstoned"]) == (0, 11)
    assert len(ctl.json("sessions")) == 1
    assert ctl.json("query", "findings") == []


def test_a_root_that_is_gone_keeps_its_sessions(mirrored: Ctl) -> None:
    """A workspace that cannot be found is missing, not empty."""
    (mirrored.code / "garden").rename(mirrored.home / "moved-away")
    said = mirrored("sync", "--json")
    garden = next(row for row in said.object["rows"] if row["path"].endswith("garden/agents/sessions"))
    assert (said.code, garden["missing"], garden["tombstoned"]) == (0, True, 0)
    assert "is not there; its sessions are kept" in said.err
    assert mirrored.json("sessions", "--text", "wall")[0]["missing_since"] is None


def test_only_a_look_at_everything_vouches_for_the_mirror(mirrored: Ctl) -> None:
    """A sync of one project of two does not make the other one fresh."""
    database = _database(mirrored)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE hosts SET heartbeat_at = NULL")
    database.close()
    said = mirrored("sync", mirrored.code / "garden")
    assert said.code == 0
    assert "only a part of the mirror was looked at" in said.err
    assert mirrored("sessions", "--json").object["as_of"] is None
    assert mirrored("sync", mirrored.code / "garden", mirrored.code / "shop").code == 0
    assert mirrored("sessions", "--json").object["stale"] is False


def test_waiting_ends_with_the_timeout(mirrored: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not written in time is counted, not vouched for, and ends with 1."""
    real = Mirror.sync

    counted = threading.Event()
    rows = syncing.Pass.rows

    def slow(*arguments: object, **more: object) -> object:
        counted.wait(30)
        return real(*arguments, **more)  # type: ignore[arg-type]

    def counting(done: syncing.Pass) -> object:
        try:
            return rows(done)
        finally:
            counted.set()

    builders.make_session(mirrored.code / "garden/agents/sessions", "new")
    monkeypatch.setattr(Mirror, "sync", slow)
    monkeypatch.setattr(syncing.Pass, "rows", counting)
    said = mirrored("sync", "--timeout", "0.1", "--json")
    garden = next(row for row in said.object["rows"] if row["project"] == "garden")
    assert (said.code, garden["left"], garden["written"]) == (1, 1, 0)
    assert "1 session could not be written; the next sync tries again" in said.err
    assert "not vouched for" in said.err
    monkeypatch.undo()


def test_a_database_that_goes_away_ends_the_waiting(mirrored: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the database is down for as long as we would wait, that is what the one line says."""

    def down(*_: object, **__: object) -> None:
        raise DatabaseUnavailableError("the database does not answer")

    builders.make_session(mirrored.code / "garden/agents/sessions", "new")
    monkeypatch.setattr(Mirror, "sync", down)
    said = mirrored("sync", "--timeout", "2")
    monkeypatch.undo()
    assert (said.code, said.out) == (69, "")
    line, hint = said.err.splitlines()
    assert line == "sessionctl: gave up waiting: the database does not answer"
    assert hint.startswith("  hint: ")


def test_sync_makes_its_own_database(bare_ctl: Ctl) -> None:
    """The first sync on a machine makes the SQLite file and answers the first question."""
    bare_ctl.project("one", {"a": builders.v2_building()})
    assert bare_ctl("sync", "code").code == 0
    assert (bare_ctl.home / "state/mirror.db").exists()
    assert [row["slug"] for row in bare_ctl.json("query", "in-build")] == ["a"]


def test_verbose_shows_the_library_s_log(ctl: Ctl) -> None:
    """-v tells what happens on standard error, without it nothing is logged there."""
    ctl.project("one", {"a": None})
    assert "info: project registered project=one" in ctl("sync", ctl.code, "-v").err
    ctl.project("two", {"a": None})
    assert "registered" not in ctl("sync", ctl.code).err
