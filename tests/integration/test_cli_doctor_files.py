"""`sessionctl doctor` looks at our own files, their disks, clocks and rivals, and mends what is safe."""

import os
import socket
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from sessionlib.db import bulk, tables
from sessionlib.db.engine import Database
from sessionlib.journal.spool import Spool
from sessionlib.models.base import utc_now
from tests.clinics import HOST, clinic_fixture, examined, levels, ward_fixture  # noqa: F401 - fixtures
from tests.ctl import Ctl, bare_ctl_fixture, ctl_fixture  # noqa: F401 - fixtures

PASSWORD = "canary-4711"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def left_by_a_dead_daemon(state: Path) -> None:
    """Leave what a daemon leaves that was killed: a socket, its lock's text, drafts."""
    (state / "run").mkdir(0o700)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(state / "run" / "control.sock"))
    listener.close()
    (state / "run" / "control.sock").chmod(0o600)
    (state / "sessiond.lock").touch(0o600)
    (state / "sessiond.lock").write_text("4711\n")
    (state / ".status.json.4711").touch(0o600)
    (state / ".canary" / "agents").mkdir(parents=True)


# --- rights --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode", "kept"),
    [
        ("state", 0o755, 0o700),
        ("state/run", 0o710, 0o700),
        ("state/spool", 0o777, 0o700),
        ("state/sessiond.lock", 0o644, 0o600),
        ("state/status.json", 0o640, 0o600),
        ("state/control-token", 0o604, 0o600),
        ("state/mirror.db", 0o664, 0o600),
        ("state/mirror.db-wal", 0o644, 0o600),
        ("state/sessiond.log", 0o644, 0o640),
    ],
)
def test_what_is_open_to_others_is_bad_and_fixed(ward: Ctl, name: str, mode: int, kept: int) -> None:
    """The finding names the command; with --fix it is closed, and well afterwards."""
    path = ward.home / name
    if "." in path.name or "-" in path.name:
        path.touch()
    else:
        path.mkdir(exist_ok=True)
    path.chmod(mode)
    (row,) = examined(ward)["rights"]
    assert (row["level"], f"(mode {mode:04o})" in row["says"]) == ("bad", True)
    assert row["next"].startswith(f"chmod {kept:o} {path}")
    assert mode_of(path) == mode
    fixed = examined(ward, "--fix")
    assert [one["says"] for one in fixed["fixed"]] != []
    assert (fixed["rights"][0]["level"], mode_of(path)) == ("ok", kept)
    assert "fixed" not in examined(ward, "--fix")


def test_a_log_for_a_group_of_readers_is_no_fault(ward: Ctl) -> None:
    """Rotation often gives it to a group; a configuration without a secret may be read by everybody."""
    (ward.home / "state" / "sessiond.log").touch()
    (ward.home / "state" / "sessiond.log").chmod(0o640)
    config = ward.home / "config.toml"
    config.write_text("[log]\nlevel = 'debug'\n")
    config.chmod(0o644)
    ward.monkeypatch.setenv("SESSIOND_CONFIG", str(config))
    assert levels(ward, "rights") == ["ok"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_a_file_of_another_user_is_bad_and_left_alone(ward: Ctl) -> None:
    """Neither closed nor given back: whose it is must be decided by a person."""
    path = ward.home / "state" / "status.json"
    path.touch(0o644)
    os.chown(path, 12345, -1)
    rows = examined(ward, "--fix")
    assert ("uid 12345" in rows["rights"][0]["says"], path.stat().st_uid) == (True, 12345)
    assert "chown" in rows["rights"][0]["next"]
    assert "fixed" not in rows


def test_a_link_in_our_folder_is_not_followed_by_the_mending(ward: Ctl) -> None:
    """What a link leads to is told of, and its mode is left as it is."""
    target = ward.home / "elsewhere"
    target.touch(0o644)
    target.chmod(0o644)
    (ward.home / "state" / "status.json").symlink_to(target)
    assert "fixed" not in examined(ward, "--fix")
    assert mode_of(target) == 0o644


# --- what a daemon has left ----------------------------------------------------------------------


def test_what_a_dead_daemon_left_is_removed(ward: Ctl) -> None:
    """Socket, drafts and the number in the lock; the lock itself stays, and strangers' files do."""
    state = ward.home / "state"
    left_by_a_dead_daemon(state)
    (state / "notes.txt").touch(0o600)
    said = [row["says"] for row in examined(ward, "--fix")["fixed"]]
    assert len(said) == 4, said
    assert sorted(path.name for path in state.iterdir()) == ["notes.txt", "run", "sessiond.lock"]
    assert list((state / "run").iterdir()) == []
    assert (state / "sessiond.lock").read_text() == ""


def test_nothing_of_a_living_daemon_is_touched(ward: Ctl) -> None:
    """Whoever holds the lock keeps all of it."""
    state = ward.home / "state"
    left_by_a_dead_daemon(state)
    script = (
        "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, state / "sessiond.lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert "fixed" not in examined(ward, "--fix")
        holder.kill()
    assert (state / "run" / "control.sock").exists()
    assert (state / ".status.json.4711").exists()


def test_marks_of_the_spool_that_are_over_are_taken_away(ward: Ctl) -> None:
    """It is full no longer; what was lost is said once; only what is half written for long goes."""
    spool = Spool(ward.home / "state" / "spool")
    spool.prepare()
    spool.folder.chmod(0o700)
    (spool.folder / "full").write_text("headers")
    (spool.folder / "dropped").write_text("..")
    (spool.folder / "tmp" / "young").touch()
    old = spool.folder / "tmp" / "old"
    old.touch()
    then = time.time() - 7200  # noqa: TID251 - as the file system counts
    os.utime(old, (then, then))
    rows = examined(ward, "--fix")
    assert len(rows["fixed"]) >= 2
    assert any("2 deliveries were lost" in row["says"] for row in rows["fixed"])
    assert not {"spool-full", "spool-dropped"} & rows.keys()
    assert [path.name for path in (spool.folder / "tmp").iterdir()] == ["young"]


# --- disks, clocks, rivals -----------------------------------------------------------------------


def test_little_room_is_told(ward: Ctl) -> None:
    """Each file system once, with what lies on it; little room is a doubt, none is bad."""
    (row,) = examined(ward)["space"]
    assert row["facts"]["for"] == "state folder, spool, database"
    ward.monkeypatch.setattr("sessionlib.cli.checks.space.LITTLE", row["count"] * 4)
    assert levels(ward, "space") == ["warn"]
    ward.monkeypatch.setattr("sessionlib.cli.checks.space.LEAST", row["count"] * 3)
    (row,) = examined(ward)["space"]
    assert (row["level"], row["next"].startswith("make room: df -h ")) == ("bad", True)


def test_the_database_tells_its_size_and_its_clock(clinic: Ctl, mirror_database: Database) -> None:
    """Bytes and schema; a clock that is off, and a heartbeat of tomorrow, are doubts."""
    rows = examined(clinic)
    assert "schema is current (0" in rows["database"][0]["says"]
    assert rows["database-size"][0]["count"] > 100_000
    assert [row["level"] for row in rows["clock"]] == ["ok"]
    with mirror_database.write() as connection:
        tomorrow = utc_now() + timedelta(days=1)
        bulk.upsert(connection, tables.hosts, [(HOST, "here", tomorrow, tomorrow)], keep=frozenset())
    assert levels(clinic, "clock") == ["warn"]
    if mirror_database.is_postgres:
        ahead = timedelta(seconds=9)
        clinic.monkeypatch.setattr("sessionlib.cli.checks.clock.utc_now", lambda: utc_now() + ahead)
        (first, _) = examined(clinic)["clock"]
        assert first["says"].startswith("the database's clock is 9 s behind ours") or "8 s" in first["says"]


def test_two_services_that_fight_are_told(ward: Ctl, tmp_path: Path) -> None:
    """One definition is well, one of each kind a doubt, and bad when both start."""
    machine, mine = tmp_path / "etc" / "systemd" / "system", tmp_path / "config" / "systemd" / "user"
    for folder in (machine, mine):
        folder.mkdir(parents=True)
    ward.monkeypatch.setattr("sessionlib.cli.service.neighbours.SYSTEM_UNITS", machine)
    ward.monkeypatch.setattr("sessionlib.cli.service.neighbours.SHIPPED_UNITS", (machine,))
    ward.monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert levels(ward, "definitions") == ["info"]
    (mine / "sessiond.service").write_text("[Service]\n")
    assert levels(ward, "definitions") == ["ok"]
    (machine / "sessiond.service").write_text("[Service]\n")
    (row,) = examined(ward)["definitions"]
    assert (row["level"], row["count"], "service uninstall" in row["next"]) == ("warn", 2, True)
    for folder, target in ((machine, "multi-user"), (mine, "default")):
        (folder / f"{target}.target.wants").mkdir()
        (folder / f"{target}.target.wants" / "sessiond.service").symlink_to(folder / "sessiond.service")
    assert levels(ward, "definitions") == ["bad"]


def test_a_delivery_that_was_put_aside_is_named_with_its_reason(ward: Ctl) -> None:
    """Not only how many there are."""
    spool = Spool(ward.home / "state" / "spool")
    spool.prepare()
    (spool.inbox / "00000000000000000001.1.a,S=7").write_text("content")
    spool.bury("00000000000000000001.1.a,S=7")
    (row,) = examined(ward)["spool-buried"]
    assert (row["count"], row["examples"]) == (1, ["00000000000000000001.1.a,S=7: it has no header"])
    assert row["level"] == "warn"
    assert row["next"].endswith(f"delete what you do not need: {spool.folder / 'dead'}")


def test_everything_that_is_not_well_says_what_to_do(ward: Ctl) -> None:
    """Without daemon, database and hooks, and with open files: each finding has a next step."""
    left_by_a_dead_daemon(ward.home / "state")
    (ward.home / "state").chmod(0o755)
    for rows in examined(ward).values():
        assert [row for row in rows if row["level"] != "ok" and not row["next"]] == []


def test_hosts_are_compared_by_their_own_heartbeat(clinic: Ctl, mirror_database: Database) -> None:
    """Another machine's clock is its own affair."""
    with mirror_database.write() as connection:
        at = utc_now() + timedelta(days=1)
        bulk.insert_new(connection, tables.hosts, [(UUID(int=7), "there", at, at)])
    assert levels(clinic, "clock") == ["ok"]
