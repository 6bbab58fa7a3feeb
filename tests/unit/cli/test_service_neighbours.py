"""Who holds a state folder, and which other definitions there are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessiond.lock import InstanceLock
from sessionlib.cli.service import neighbours


def test_the_holder_of_a_lock_is_named(tmp_path: Path) -> None:
    """While another process holds the lock it is named; afterwards, still noted, it is not."""
    code = (
        "import sys; from pathlib import Path; from sessiond.lock import InstanceLock\n"
        f"with InstanceLock(Path({str(tmp_path)!r})):\n    print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        assert neighbours.holder(tmp_path) == process.pid
        process.stdin.close()
    assert neighbours.holder(tmp_path) is None


@pytest.mark.parametrize("noted", ["", "x", "0", "-1", "99999999999999999999", "999999999", "mine"])
def test_a_note_without_a_lock_names_nobody(tmp_path: Path, noted: str) -> None:
    """What stands in the file is no proof: not garbage, not a process that has gone, not one that exists."""
    (tmp_path / "sessiond.lock").write_text(noted.replace("mine", str(os.getpid())))
    assert neighbours.holder(tmp_path) is None


@pytest.mark.parametrize("kind", ["nothing", "folder", "fifo", "link"])
def test_something_else_in_its_place_names_nobody(tmp_path: Path, kind: str) -> None:
    """Nothing there, or no regular file there, neither hangs nor fails."""
    path = tmp_path / "sessiond.lock"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    assert neighbours.holder(tmp_path) is None


def test_looking_does_not_disturb_the_holder_or_the_next(tmp_path: Path) -> None:
    """A look leaves no lock behind."""
    with InstanceLock(tmp_path):
        assert neighbours.holder(tmp_path) == os.getpid()
    assert neighbours.holder(tmp_path) is None
    with InstanceLock(tmp_path):
        pass


def test_other_definitions_are_all_but_the_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of the user and the machine and launch agents are found, also masked ones, and none twice."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative-is-ignored")
    monkeypatch.setattr(neighbours, "SYSTEM_UNITS", tmp_path / "etc")
    monkeypatch.setattr(neighbours, "SHIPPED_UNITS", (tmp_path / "etc", tmp_path / "usr"))
    monkeypatch.setattr(neighbours, "SHARED_AGENTS", ())
    own = tmp_path / ".config/systemd/user/sessiond.service"
    others = [
        tmp_path / "etc/sessiond.service",
        tmp_path / "usr/sessiond.service",
        tmp_path / "Library/LaunchAgents/org.sessiond.sessiond.plist",
    ]
    assert neighbours.other_definitions(own) == []
    for path in (own, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to("/dev/null")
    assert neighbours.other_definitions(own) == others
    assert neighbours.other_definitions(others[0]) == [own, *others[1:]]
