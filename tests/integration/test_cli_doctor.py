"""`sessionctl doctor`: real settings files, the real hook, a real spool, and both databases."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sessionlib.cli import hooking
from sessionlib.db import bulk, tables
from sessionlib.db.engine import Database
from sessionlib.db.queries import heard
from sessionlib.journal.spool import Spool
from sessionlib.models.base import utc_now
from tests import deeds, worlds
from tests.clinics import HOST, clinic_fixture, examined, levels, ward_fixture  # noqa: F401 - fixtures
from tests.ctl import Ctl, bare_ctl_fixture, ctl_fixture  # noqa: F401 - fixtures
from tests.deeds import Deeds
from tests.mirrors import counted

NEW = "--client-version=2.1.330"


@pytest.fixture
def settings(ward: Ctl) -> Path:
    """The user's settings file, with the hooks in it."""
    assert ward("hooks", "install", NEW).code == 0
    return ward.home / ".claude" / "settings.json"


def edit(path: Path, **changed: Any) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(tree | changed))
    return tree


def of_all(path: Path, handler: dict[str, Any]) -> None:
    """Let every event that is registered run something else."""
    hooks = json.loads(path.read_text())["hooks"]
    text = json.dumps(handler)
    edit(path, hooks={name: [{"hooks": [json.loads(text.replace("EVENT", name))]}] for name in hooks})


def test_what_is_installed_arrives(ward: Ctl, settings: Path) -> None:
    """The registered line is run, its delivery is seen in the spool, and taken out again: nobody needs it."""
    rows = examined(ward)
    (canary,) = rows["canary"]
    assert canary["level"] == "ok"
    assert f"{settings} runs, and what it says arrives in {ward.home / 'state' / 'spool'}" in canary["says"]
    assert [row["level"] for row in rows["hooks"] + rows["hook-command"]] == ["ok", "ok"]
    assert Spool(ward.home / "state" / "spool").names(10) == []


def test_the_shell_form_of_older_clients_is_run_by_a_shell(ward: Ctl) -> None:
    """As the client does it."""
    (ward.home / "bin" / "claude").write_text("#!/bin/sh\necho 2.0.76\n")
    ward("hooks", "install")
    rows = examined(ward)
    assert [row["level"] for row in rows["canary"]] == ["ok"]
    assert [row["level"] for row in rows["hook-command"]] == ["ok"]


def test_without_daemon_and_database_it_still_looks_at_the_rest(ward: Ctl) -> None:
    """Each is named, with what to do, and it ends with 1."""
    rows = examined(ward)
    assert rows["daemon"][0]["level"] == rows["database"][0]["level"] == "bad"
    assert all(row["next"] for row in rows["daemon"] + rows["database"])
    assert rows["hooks"][0]["level"] == "bad"
    assert rows["hooks"][0]["next"] == "sessionctl hooks install"
    said = ward("doctor")
    assert (said.code, "bad   daemon: not running" in said.out) == (1, True)
    (ward.home / ".claude").rmdir()
    assert levels(ward, "hooks") == ["warn"]


@pytest.mark.parametrize("name", ["disableAllHooks", "allowManagedHooksOnly"])
@pytest.mark.parametrize("where", ["user", "local", "shared"])
def test_silenced_hooks_are_bad_wherever_it_is_said(ward: Ctl, settings: Path, name: str, where: str) -> None:
    """One setting in any file that counts keeps every hook from running."""
    project = ward.code / "shop"
    (project / ".claude").mkdir(parents=True)
    local = project / ".claude" / "settings.local.json"
    path = {"user": settings, "local": local, "shared": local.with_name("settings.json")}[where]
    assert "hooks-silenced" not in examined(ward, project)
    edit(path, **{name: True})
    (row,) = examined(ward, project)["hooks-silenced"]
    assert (row["level"], row["next"]) == ("bad", f"take {name} out of {path}")


def test_missing_doubled_and_misplaced_events_are_named(ward: Ctl, settings: Path) -> None:
    """Each with the events it is about."""
    tree = json.loads(settings.read_text())
    del tree["hooks"]["PostToolBatch"]
    settings.write_text(json.dumps(tree))
    (row,) = examined(ward)["hooks-missing"]
    assert row["says"] == "1 of 18 events not registered: PostToolBatch"
    ward("hooks", "install", NEW)
    project = ward.code / "shop"
    local = project / ".claude" / "settings.local.json"
    one = tree["hooks"]["Stop"][0]["hooks"][0]
    extra = one | {"args": [*one["args"][:-1], "--client=claude-code", "Stop"]}
    project.mkdir()
    edit(local, hooks={"Stop": [{"hooks": [extra]}]})
    (row,) = examined(ward, project)["hooks-twice"]
    assert row["says"].endswith("Stop")
    edit(local, hooks={"Stop": [{"hooks": [one]}]})
    assert "hooks-twice" not in examined(ward, project)
    local.rename(local.with_name("hooks.json"))
    (row,) = examined(ward, project)["hooks-misplaced"]
    assert (row["level"], "does not read" in row["says"]) == ("bad", True)


def test_a_client_that_is_too_old_for_an_event_loses_its_settings(ward: Ctl, settings: Path) -> None:
    """One event that it does not know makes it ignore the whole file."""
    (ward.home / "bin" / "claude").write_text("#!/bin/sh\necho 2.1.80\n")
    (row,) = examined(ward)["hooks-unknown"]
    assert (row["level"], "PostToolBatch" in row["says"]) == ("bad", True)


def test_a_command_that_is_gone_is_named(ward: Ctl, settings: Path) -> None:
    """The program, or the file that it runs; nothing is tried then."""
    whole = json.loads(settings.read_text())["hooks"]["Stop"][0]["hooks"][0]
    gone = str(ward.home / "old" / "sessionlib" / "hooks" / "entry.py")
    of_all(settings, whole | {"args": ["-I", "-S", gone, "EVENT"]})
    rows = examined(ward)
    assert f"registers {gone}, which is not there" in rows["hook-command"][0]["says"]
    assert "canary" not in rows
    of_all(settings, {"type": "command", "command": f"{gone} EVENT"})
    (row,) = examined(ward)["canary"]
    assert (row["level"], "ended with 127" in row["says"]) == ("bad", True)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 0", "runs, but nothing arrives in"),
        ("cat > /dev/null; echo hello", "printed: hello"),
        ("cat > /dev/null; exit 2", "ended with 2"),
        ("exec sleep 60", "did not end within"),
    ],
    ids=["silent", "loud", "failing", "hanging"],
)
def test_a_hook_that_does_not_do_its_work_is_found(
    ward: Ctl, settings: Path, script: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, it is registered, and yet it is no good."""
    monkeypatch.setattr("sessionlib.cli.checks.singing._TIME", 1.0)
    ward.monkeypatch.setenv("PATH", f"{ward.home / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    program = ward.home / "session-hook"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    of_all(settings, {"type": "command", "command": str(program), "args": ["EVENT"]})
    (row,) = examined(ward)["canary"]
    assert (row["level"], why in row["says"]) == ("bad", True), row


def test_a_hook_that_writes_elsewhere_is_found(ward: Ctl, settings: Path) -> None:
    """Another state folder than the daemon's: everything seems well, and nothing comes."""
    whole = json.loads(settings.read_text())["hooks"]["Stop"][0]["hooks"][0]
    words = [word.replace(str(ward.home / "state"), str(ward.home / "other")) for word in whole["args"]]
    of_all(settings, whole | {"args": [*words[:-1], "EVENT"]})
    rows = examined(ward)
    assert [row["level"] for row in rows["hook-command"]] == ["warn"]
    assert "another spool" in rows["canary"][0]["next"]
    assert len(Spool(ward.home / "other" / "spool").names(10)) == 1


def test_what_a_project_registers_is_only_run_if_it_is_ours(ward: Ctl) -> None:
    """Whoever writes into a project must not have something run by us that the client would ask about."""
    project = ward.code / "shop"
    project.mkdir()
    ward("hooks", "install", NEW, "--project", project)
    assert levels(ward, "canary", project) == ["ok"]
    trap = project / "session-hook"
    trap.write_text(f"#!/bin/sh\n: > {project / 'sprung'}\n")
    trap.chmod(0o755)
    local = project / ".claude" / "settings.local.json"
    of_all(local, {"type": "command", "command": str(trap), "args": ["EVENT"]})
    assert levels(ward, "canary", project) == ["info"]
    assert not (project / "sprung").exists()


def test_settings_that_cannot_be_read_are_bad(ward: Ctl, settings: Path) -> None:
    """The client ignores them, too."""
    settings.write_text("{")
    (row,) = examined(ward)["hook-settings"]
    assert (row["level"], str(settings) in row["says"]) == ("bad", True)


def test_the_spool_tells_what_waits_and_what_was_lost(ward: Ctl, settings: Path) -> None:
    """Counts, the age of the oldest, and marks of trouble."""
    spool = Spool(ward.home / "state" / "spool")
    spool.prepare()
    name = f"{(utc_now() - timedelta(hours=3)).timestamp() * 1e9:020.0f}.1.a,S=7"
    (spool.inbox / name).write_text("content")
    (row,) = examined(ward)["spool"]
    assert (row["level"], row["says"]) == ("info", "1 delivery (7 bytes), the oldest for 3 h")
    spool.bury(name)
    (spool.folder / "dropped").write_text("..")
    (spool.folder / "full").write_text("headers")
    rows = examined(ward)
    assert rows["spool"][0]["level"] == "ok"
    assert [rows[f"spool-{kind}"][0]["level"] for kind in ("full", "dropped", "buried")] == [
        *("bad", "warn", "warn")
    ]


def test_a_folder_that_is_none_is_refused(ward: Ctl) -> None:
    """A usage error, as everywhere."""
    said = ward("doctor", ward.home / "nowhere")
    assert (said.code, "there is no folder" in said.err) == (2, True)


# --- what was heard --------------------------------------------------------------------------------


def worked(database: Database, *events: str, host: UUID = HOST, ago: float = 1) -> None:
    """Write a conversation of a host in which a tool was called and an agent spawned, with these events."""
    at = utc_now() - timedelta(minutes=ago)
    with database.write() as connection:
        place = worlds.add_place(connection)
        bulk.insert_new(connection, tables.hosts, [(host, "here", None, at)])
        place = place._replace(host_id=host, workspace_id=None)
        talk = deeds.conversation(place, started_at=at, last_activity_at=at)
        main, scout = deeds.agent(talk), deeds.agent(talk, "scout", started_at=at)
        logs = [
            deeds.log(main, name, 0)._replace(at=at + timedelta(seconds=number), event_type=name)
            for number, name in enumerate(events)
        ]
        call = deeds.call(main, "1", called_at=at)
        deeds.write(connection, Deeds([talk], agents=[main, scout], logs=logs, calls=[call]))


def long_installed(ctl: Ctl) -> None:
    """Install the hooks, two days ago."""
    ctl("hooks", "install", NEW)
    then = (utc_now() - timedelta(days=2)).timestamp()
    os.utime(ctl.home / ".claude" / "settings.json", (then, then))


def test_the_last_of_each_event_is_told(clinic: Ctl, mirror_database: Database) -> None:
    """The newest first; those that should have come and did not are a doubt."""
    long_installed(clinic)
    assert "hooks-heard" not in examined(clinic)
    worked(mirror_database, "SessionStart", "UserPromptSubmit", "PreToolUse", "SubagentStart")
    rows = examined(clinic)
    (told,) = rows["hooks-heard"]
    assert (told["level"], told["count"]) == ("info", 4)
    assert told["examples"][0].startswith("SubagentStart: ")
    (never,) = rows["hooks-never"]
    assert never["level"] == "warn"
    assert never["says"].endswith("something to tell: PostToolUse, SubagentStop, Stop")


def test_hooks_that_never_tell_anything_are_bad(clinic: Ctl, mirror_database: Database) -> None:
    """Agents work, hooks are registered, nothing comes."""
    long_installed(clinic)
    worked(mirror_database)
    assert levels(clinic, "hooks-heard") == ["bad"]


def test_what_other_machines_do_says_nothing_of_this_one(clinic: Ctl, mirror_database: Database) -> None:
    """Neither their events nor their agents."""
    long_installed(clinic)
    worked(mirror_database, "SessionStart", host=UUID(int=9))
    rows = examined(clinic)
    assert not {"hooks-heard", "hooks-never"} & rows.keys()


def test_hooks_that_were_installed_just_now_have_missed_nothing(
    clinic: Ctl, mirror_database: Database
) -> None:
    """What was done before nobody could have told."""
    worked(mirror_database, ago=30)
    clinic("hooks", "install", NEW)
    assert "hooks-heard" not in examined(clinic)


def test_the_look_at_the_log_is_bounded(clinic: Ctl, mirror_database: Database) -> None:
    """However long the log is, only its newest rows are read, by their index."""
    long_installed(clinic)
    worked(mirror_database, "Stop")
    with counted(mirror_database) as sent, mirror_database.read() as connection:
        assert heard.last_heard(connection, HOST, utc_now() - timedelta(days=7)).keys() == {"Stop"}
        assert any("agent_logs" in statement and "LIMIT" in statement for statement in sent)
        if not mirror_database.is_postgres:
            plan = connection.execute(
                text(
                    "EXPLAIN QUERY PLAN SELECT event_type FROM agent_logs "
                    "WHERE at >= 'x' ORDER BY at DESC LIMIT 9"
                )
            ).all()
            assert "ix_agent_logs_recent" in str(plan)


def test_the_hook_that_is_registered_is_this_one(ward: Ctl, settings: Path) -> None:
    """The command line that is shown is the whole one, without the event."""
    (row,) = examined(ward)["hook-command"]
    assert row["examples"] == [" ".join(hooking.command(ward.home / "state" / "spool"))]
