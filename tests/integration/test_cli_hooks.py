"""`sessionctl hooks`: the recorder in a client's settings file, on the real file."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sessionlib.cli import hooking
from sessionlib.journal.spool import Spool
from tests.ctl import Ctl, bare_ctl_fixture  # noqa: F401 - fixtures

NEW = "--client-version=2.1.330"
OTHER = {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "bell"}]}]}, "model": "opus"}


@pytest.fixture
def ctl(bare_ctl: Ctl) -> Ctl:
    """`sessionctl` with a home of its own, and no client in the search path."""
    (bare_ctl.home / "bin").mkdir()
    for name, value in (("HOME", bare_ctl.home), ("PATH", bare_ctl.home / "bin")):
        bare_ctl.monkeypatch.setenv(name, str(value))
    bare_ctl.monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    return bare_ctl


@pytest.fixture
def settings(ctl: Ctl) -> Path:
    """The user's settings file, which is not there yet."""
    return ctl.home / ".claude" / "settings.json"


def write(path: Path, tree: Any) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree, indent=4))
    return path.read_bytes()


def test_the_registered_command_leaves_a_delivery(ctl: Ctl, settings: Path) -> None:
    """What stands in the settings, run as the client runs it, fills the spool that the daemon will read."""
    said = ctl("hooks", "install", NEW)
    assert (said.code, said.out) == (0, f"registered 18 events in {settings}\n")
    assert settings.stat().st_mode & 0o777 == 0o600
    (handler,) = json.loads(settings.read_text())["hooks"]["PreToolUse"][0]["hooks"]
    subprocess.run([handler["command"], *handler["args"]], input=b'{"session_id": "x"}', env={}, check=True)
    spool = Spool(ctl.home / "state" / "spool")
    (name,) = spool.names(10)
    assert (spool.read(name).event, spool.read(name).body) == ("PreToolUse", b'{"session_id": "x"}')


def test_the_shell_form_of_older_clients_does_the_same(ctl: Ctl, settings: Path) -> None:
    """Without a version the command is a line for a shell."""
    said = ctl("hooks", "install")
    assert "no client was found" in said.err
    (handler,) = json.loads(settings.read_text())["hooks"]["Stop"][0]["hooks"]
    subprocess.run(["/bin/sh", "-c", handler["command"]], input=b"{}", env={}, check=True)
    assert len(Spool(ctl.home / "state" / "spool").names(10)) == 1


def test_what_stood_there_stays_and_comes_back(ctl: Ctl, settings: Path) -> None:
    """Others' hooks and keys survive; uninstalling leaves what was there, and a copy is kept beside it."""
    before = write(settings, OTHER)
    settings.chmod(0o640)
    assert ctl("hooks", "install", NEW).code == 0
    made = json.loads(settings.read_text())
    assert (made["model"], made["hooks"]["Stop"][0]) == ("opus", OTHER["hooks"]["Stop"][0])  # type: ignore[index]
    assert settings.stat().st_mode & 0o777 == 0o640
    assert settings.with_name(settings.name + hooking.BACKUP_ENDING).read_bytes() == before
    said = ctl("hooks", "uninstall")
    assert said.out == f"took the recorder out of {settings}\n"
    assert json.loads(settings.read_text()) == OTHER
    assert ctl("hooks", "uninstall").out == f"nothing of ours in {settings}\n"


def test_a_second_installation_writes_nothing(ctl: Ctl, settings: Path) -> None:
    """The client reads the file again whenever it is written, so it is not written for nothing."""
    ctl("hooks", "install", NEW)
    before = settings.stat()
    said = ctl("hooks", "install", NEW)
    assert said.out == f"already registered in {settings}\n"
    assert (settings.stat().st_mtime_ns, settings.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_dry_run_writes_nothing(ctl: Ctl, settings: Path) -> None:
    """It says what it would do."""
    assert ctl("hooks", "install", NEW, "--dry-run").out == f"would register 18 events in {settings}\n"
    assert not settings.exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"model": ', "it is not JSON"),
        ("[1]", "it is not a JSON object"),
        ('{"hooks": []}', "its hooks are no object"),
        ('{"hooks": {"Stop": 3}}', "its hooks for Stop are no list"),
        ("[" * 100_000, "it is "),
        ('"' + "x" * 9_000_000 + '"', "it is too large"),
    ],
    ids=["half", "list", "hooks", "event", "deep", "large"],
)
@pytest.mark.parametrize("action", ["install", "uninstall"])
def test_a_file_that_cannot_be_understood_is_left(
    ctl: Ctl, settings: Path, action: str, content: str, why: str
) -> None:
    """One sentence, exit code 1, and the file as it was: what it holds may be dear to somebody."""
    before = write(settings, content)
    said = ctl("hooks", action, NEW)
    assert said.code == 1
    assert f"{settings} is left as it is: {why}" in said.err
    assert settings.read_bytes() == before
    assert list(settings.parent.iterdir()) == [settings]


def test_a_link_is_written_where_it_leads(ctl: Ctl, settings: Path) -> None:
    """People keep their settings elsewhere and link to them; the link stays one."""
    there = ctl.home / "dotfiles" / "claude.json"
    write(there, OTHER)
    settings.parent.mkdir()
    settings.symlink_to(there)
    assert ctl("hooks", "install", NEW).code == 0
    assert settings.is_symlink()
    assert "PreToolUse" in json.loads(there.read_text())["hooks"]


def test_a_change_behind_our_back_wins(ctl: Ctl, settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client writes into the file as well: what it wrote meanwhile is not overwritten."""
    write(settings, OTHER)
    real = os.fsync

    def meanwhile(descriptor: int) -> None:
        real(descriptor)
        write(settings, {"permissions": {"allow": ["Bash"]}})

    monkeypatch.setattr(os, "fsync", meanwhile)
    said = ctl("hooks", "install", NEW)
    assert said.code == 1
    assert "was changed meanwhile" in said.err
    assert json.loads(settings.read_text()) == {"permissions": {"allow": ["Bash"]}}
    assert not [path for path in settings.parent.iterdir() if path.name.startswith(".")]


def test_a_projects_settings_are_those_of_this_machine_at_its_top(ctl: Ctl) -> None:
    """Below a repository the client reads the file at its top, so that one is written, not the shared one."""
    below = ctl.code / "shop" / "src"
    below.mkdir(parents=True)
    (ctl.code / "shop" / ".git").mkdir()
    local = ctl.code / "shop" / ".claude" / "settings.local.json"
    assert ctl("hooks", "install", NEW, "--project", below).out == f"registered 18 events in {local}\n"
    ctl.monkeypatch.chdir(below)
    assert ctl("hooks", "status", NEW, "--project").code == 0
    assert not local.with_name("settings.json").exists()
    said = ctl("hooks", "install", "--project", ctl.code / "nowhere")
    assert (said.code, "there is no folder" in said.err) == (2, True)


LINKS = {
    "folder": (".claude", "{away}"),
    "folder that is not there": (".claude", "{away}/later"),
    "relative folder": (".claude", "../../away"),
    "file": (".claude/settings.local.json", "{away}/settings.local.json"),
    "file that is not there": (".claude/settings.local.json", "{away}/later.json"),
    "link to a link": (".claude/settings.local.json", "../near.json"),
}


@pytest.mark.parametrize("action", ["install", "uninstall"])
@pytest.mark.parametrize("kind", LINKS)
def test_a_projects_link_out_of_it_is_refused(ctl: Ctl, kind: str, action: str) -> None:
    """Whoever has made the project would else say which of our files is written; nothing is."""
    away, top = ctl.home / "away", ctl.code / "shop"
    before = write(away / "settings.local.json", OTHER)
    name, leads = LINKS[kind]
    (top / name).parent.mkdir(parents=True, exist_ok=True)
    (top / name).symlink_to(leads.format(away=away))
    (top / "near.json").symlink_to(away / "settings.local.json")
    for more in ((), ("--dry-run",)):
        said = ctl("hooks", action, NEW, "--project", top, *more)
        assert said.code == 1
        local = top / ".claude" / "settings.local.json"
        assert f"{local} is left as it is: a link leads out of the project, to {away}/" in said.err
        assert "hint: put a file and a folder in the place of links" in said.err
    assert (away / "settings.local.json").read_bytes() == before
    assert list(away.iterdir()) == [away / "settings.local.json"]


@pytest.mark.parametrize("leads", ["../config", "{top}/config"])
def test_a_projects_link_within_it_is_followed(ctl: Ctl, leads: str) -> None:
    """It stays one, also where the way to the project is one, and what is below it is written."""
    top = ctl.code / "real"
    (top / ".git").mkdir(parents=True)
    (top / "config").mkdir()
    (ctl.code / "shop").symlink_to(top)
    (top / ".claude").symlink_to(leads.format(top=top).removeprefix("../"))
    assert ctl("hooks", "install", NEW, "--project", ctl.code / "shop").code == 0
    assert (top / ".claude").is_symlink()
    there = top / "config" / "settings.local.json"
    assert "PreToolUse" in json.loads(there.read_text())["hooks"]
    assert ctl("hooks", "uninstall", "--project", ctl.code / "shop").code == 0
    assert json.loads(there.read_text()) == {}


def test_links_in_circles_are_told(ctl: Ctl) -> None:
    """They lead nowhere, and nothing is written."""
    (ctl.code / "shop").mkdir()
    (ctl.code / "shop" / ".claude").symlink_to(".claude")
    said = ctl("hooks", "install", NEW, "--project", ctl.code / "shop")
    assert (said.code, "Too many levels of symbolic links" in said.err) == (1, True)


def test_the_copy_that_is_kept_is_not_written_into_a_link(ctl: Ctl) -> None:
    """A link of its name is replaced: what it leads to is nobody's copy."""
    local = ctl.code / "shop" / ".claude" / "settings.local.json"
    before = write(local, OTHER)
    precious = ctl.home / "precious"
    precious.write_text("kept")
    copy = local.with_name(local.name + hooking.BACKUP_ENDING)
    copy.symlink_to(precious)
    assert ctl("hooks", "install", NEW, "--project", ctl.code / "shop").code == 0
    assert precious.read_text() == "kept"
    assert (copy.is_symlink(), copy.read_bytes()) == (False, before)


def test_the_clients_own_folder_is_heeded(ctl: Ctl) -> None:
    """Its variable moves all that is the client's."""
    ctl.monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(ctl.home / "moved"))
    assert ctl("hooks", "install", NEW).code == 0
    assert (ctl.home / "moved" / "settings.json").exists()


def test_status_tells_what_is_wrong(ctl: Ctl, settings: Path) -> None:
    """Missing, foreign, doubled and silenced hooks are told apart; only a whole registration ends with 0."""
    assert ctl("hooks", "status", NEW).code == 1
    ctl("hooks", "install", NEW)
    assert {row["state"] for row in ctl.json("hooks", "status", NEW)} == {"registered"}
    tree = json.loads(settings.read_text())
    tree["hooks"]["Stop"] *= 2
    tree["hooks"]["SessionEnd"][0]["hooks"][0]["args"][2] = "/old/sessionlib/hooks/entry.py"
    del tree["hooks"]["PreCompact"]
    write(settings, tree | {"disableAllHooks": True})
    said = ctl("hooks", "status", NEW, "--json")
    assert said.code == 1
    states = {row["event"]: row["state"] for row in said.object["rows"]}
    assert states["Stop"] == "registered twice"
    assert states["SessionEnd"] == "registered by another installation"
    assert states["PreCompact"] == "missing"
    assert states["PreToolUse"] == "registered"
    assert "disableAllHooks" in ctl("hooks", "status", NEW).err


@pytest.mark.parametrize(
    ("told", "events"),
    [("echo '2.1.330 (Claude Code)'", 18), ("echo 1.0.62", 8), ("exit 1", 11), ("echo sorry >&2", 11)],
)
def test_the_client_is_asked_for_its_version(ctl: Ctl, settings: Path, told: str, events: int) -> None:
    """Only events that it knows are registered; a client that says nothing gets those of an old one."""
    program = ctl.home / "bin" / "claude"
    program.write_text(f"#!/bin/sh\n{told}\n")
    program.chmod(0o755)
    assert ctl("hooks", "install").out == f"registered {events} events in {settings}\n"


def test_a_version_that_is_none_is_refused(ctl: Ctl) -> None:
    """The command line's fault is told as such."""
    said = ctl("hooks", "install", "--client-version", "newest")
    assert (said.code, "is no version" in said.err) == (2, True)


def test_without_a_home_it_says_where_to_turn(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no settings file to be found then."""
    monkeypatch.setattr(Path, "expanduser", _homeless)
    said = ctl("hooks", "status")
    assert (said.code, "--project" in said.err) == (2, True)


def _homeless(self: Path) -> Path:
    raise RuntimeError("Could not determine home directory.")
