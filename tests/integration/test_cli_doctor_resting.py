"""`sessionctl doctor` without a daemon: the roots, their file systems, the limits, and what to do next."""

import json
from pathlib import Path
from typing import Any

import pytest

from sessionlib.cli.checks import resting
from sessionlib.state import mounts
from tests import builders
from tests.clinics import clinic_fixture, examined, ward_fixture  # noqa: F401 - fixtures
from tests.ctl import Ctl, bare_ctl_fixture, ctl_fixture  # noqa: F401 - fixtures

LIMITS = ("max_user_watches", "max_user_instances", "max_queued_events")


def configure(ctl: Ctl, *roots: Path, more: str = "") -> None:
    """Let these roots be configured."""
    path = ctl.home / "config.toml"
    path.touch(0o600)
    path.write_text(f"[watch]\nroots = {json.dumps([str(root) for root in roots])}\n{more}")
    ctl.monkeypatch.setenv("SESSIOND_CONFIG", str(path))


def last_words(ctl: Ctl, *roots: dict[str, Any]) -> None:
    """Leave what a daemon said last of its roots."""
    path = ctl.home / "state" / "status.json"
    path.touch(0o600)
    path.write_text(json.dumps({"state": "stopped", "at": "2026-02-16T09:00:00Z", "roots": roots}))


def told(ctl: Ctl) -> dict[str, dict[str, Any]]:
    """Return what is said of each root; each that is not well has a next step."""
    rows = examined(ctl)["root"]
    assert all(row["level"] == "ok" or row["next"] for row in rows)
    return {row["facts"]["path"]: row for row in rows}


def limit_of(ctl: Ctl, limits: Path, watches: int) -> dict[str, Any]:
    """Return what is said of such a limit."""
    limits.mkdir(exist_ok=True)
    for name in LIMITS:
        (limits / name).write_text(f"{watches if name == LIMITS[0] else 128}\n")
    ctl.monkeypatch.setattr("sessionlib.cli.checks.watching._LIMITS", limits)
    row: dict[str, Any]
    (row,) = examined(ctl)["inotify-limits"]
    return row


def test_configured_roots_are_told_with_their_file_systems(ward: Ctl) -> None:
    """One that is there is well; one that is not has its remedy; neither is said to be watched."""
    configure(ward, ward.code, ward.home / "later")
    found = told(ward)
    there, later = found[str(ward.code)], found[str(ward.home / "later")]
    kind = resting.filesystem_of(ward.code)
    assert kind
    assert (there["level"], there["facts"]["filesystem"], there["facts"]["watches"]) == ("ok", kind, 0)
    assert f"{ward.code} ({kind}), not watched now" in there["says"]
    assert (later["level"], later["next"].startswith("mount or make ")) == ("warn", True)
    assert "watches" not in examined(ward)
    assert "watcher-canary" not in examined(ward)


def test_polling_that_is_configured_is_said(ward: Ctl) -> None:
    """As with a daemon."""
    configure(ward, ward.code, more="force_polling = true\n")
    row = told(ward)[str(ward.code)]
    assert (row["level"], row["facts"]["mode"], "force_polling" in row["next"]) == ("info", "polling", True)


def test_without_any_root_it_says_how_to_name_one(ward: Ctl) -> None:
    """The other checks go on."""
    (row,) = examined(ward)["root"]
    assert (row["level"], "sessiond run ROOT" in row["next"]) == ("warn", True)


@pytest.mark.parametrize(
    ("reason", "level", "step"),
    [
        ("3 folders have no watch: No space left on device", "warn", "max_user_watches="),
        ("there is no inotify instance left: no inotify instance", "warn", "max_user_instances="),
        ("nfs tells of no events", "info", "a local file system"),
        ("the folder is not there; it is looked for", "ok", ""),
        (resting.FORCED, "ok", ""),
    ],
    ids=["watches", "instances", "network", "back", "unforced"],
)
def test_a_root_of_the_command_line_is_known_by_the_last_words(
    ward: Ctl, reason: str, level: str, step: str
) -> None:
    """With what kept it from having events, unless that is otherwise now."""
    kind = resting.filesystem_of(ward.code)
    last_words(
        ward,
        {"path": str(ward.code), "mode": "polling", "reason": reason, "folders": 7, "filesystem": kind},
        {"path": 3, "folders": "x"},
    )
    row = told(ward)[str(ward.code)]
    assert (row["level"], row["facts"]["folders"], step in row["next"]) == (level, 7, True), row


def test_registered_projects_outside_the_roots_are_looked_at(clinic: Ctl, tmp_path: Path) -> None:
    """Those inside are seen with their root."""
    configure(clinic, clinic.code)
    aside = tmp_path / "aside" / "shed"
    builders.make_project(aside, {})
    for project in (aside, clinic.project("shop", {})):
        assert clinic("projects", "add", project).code == 0
    assert told(clinic).keys() == {str(clinic.code), str(aside)}


def test_limits_are_compared_with_the_last_count(ward: Ctl, tmp_path: Path) -> None:
    """Too few watches are a doubt with the lines that raise them, now and for good; unknown is no doubt."""
    configure(ward, ward.code)
    row = limit_of(ward, tmp_path / "inotify", 8192)
    assert (row["level"], row["count"], row["facts"]["folders"]) == ("info", 8192, None)
    assert "sudo sysctl fs.inotify.max_user_watches=524288" in row["next"]
    assert limit_of(ward, tmp_path / "inotify", 1 << 20)["level"] == "ok"
    last_words(ward, {"path": str(ward.code), "mode": "events", "folders": 5000, "filesystem": "x"})
    row = limit_of(ward, tmp_path / "inotify", 8192)
    assert (row["level"], row["facts"]["folders"]) == ("warn", 5000)
    assert "/etc/sysctl.d/" in row["next"]


def test_a_file_system_that_tells_of_no_events_is_named(
    ward: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a daemon would say of it, before there is one."""
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 8:1 / / rw - ext4 /dev/x rw\n2 1 0:9 / {ward.code} rw - nfs4 h:/e rw\n")
    monkeypatch.setattr(mounts, "MOUNTINFO", table)
    configure(ward, ward.code)
    row = told(ward)[str(ward.code)]
    assert (row["level"], row["facts"]["mode"]) == ("info", "polling")
    assert "file system nfs4 does not tell" in row["says"]


def test_the_file_system_is_that_of_the_innermost_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whole names, through links, with the last of several mounts on one point, and blanks in names."""
    lines = [
        *("1 0 8:1 / / rw - ext4 /dev/x rw", f"2 1 0:9 / {tmp_path}/a\\040b rw shared:1 - nfs4 h:/e rw"),
        *(f"3 1 0:8 / {tmp_path}/two rw - xfs a rw", f"4 1 0:7 / {tmp_path}/two rw - tmpfs b rw", "scrap"),
    ]
    table = tmp_path / "mountinfo"
    table.write_text("\n".join(lines))
    monkeypatch.setattr(mounts, "MOUNTINFO", table)
    (tmp_path / "link").symlink_to(tmp_path / "a b")
    expected = {"": "ext4", "a b/c": "nfs4", "a bc": "ext4", "link/c": "nfs4", "two": "tmpfs"}
    assert {name: resting.filesystem_of(tmp_path / name) for name in expected} == expected
    table.unlink()
    assert resting.filesystem_of(tmp_path) is None
