"""The shipped service definitions: what systemd thinks of them, and launchd would; each check can fail."""

import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).parent.parent.parent
UNITS = HOUSE / "systemd"
PROGRAM = Path(sys.executable).parent / "sessiond"
USUAL = {"sessiond.user.service": "%h/.local/bin/sessiond", "sessiond.service": "/usr/local/bin/sessiond"}
USER, SYSTEM = USUAL
DRAIN_DEADLINE = 20
THRESHOLD = 15
"""Ten times the exposure that the system unit may have at most."""


@pytest.fixture(scope="module", name="analyze")
def analyze_fixture(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run systemd-analyze, which needs no running systemd."""
    program = shutil.which("systemd-analyze")
    if program is None:
        if os.environ.get("CI") and any(Path(p, "systemd/systemd").exists() for p in ("/usr/lib", "/lib")):
            pytest.fail("systemd is installed without systemd-analyze")
        pytest.skip("there is no systemd-analyze on this machine")
    runtime = tmp_path_factory.mktemp("runtime")
    environ = os.environ | {"XDG_RUNTIME_DIR": str(runtime), "LC_ALL": "C"}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *map(str, words)], env=environ, capture_output=True, text=True, check=False
        )

    return run


def _copy(folder: Path, name: str, *changes: tuple[str, str]) -> Path:
    """Copy a unit with the real program in it, and planted changes."""
    text = (UNITS / name).read_text()
    assert text.count(f"={USUAL[name]} ") + text.count(f"=-{USUAL[name]} ") == 3
    for before, after in ((USUAL[name], str(PROGRAM)), *changes):
        assert before in text, before
        text = text.replace(before, after)
    path = folder / "sessiond.service"
    path.write_text(text)
    return path


def _verify(analyze: Callable[..., subprocess.CompletedProcess[str]], name: str, unit: Path) -> Any:
    manager = ["--user"] if name == USER else []
    return analyze(*manager, "verify", "--man=no", "--recursive-errors=yes", unit)


@pytest.mark.parametrize("name", USUAL)
def test_systemd_has_nothing_to_say_about_a_unit(analyze: Any, name: str, tmp_path: Path) -> None:
    """The unit is correct in every key, value and program, and silently so."""
    done = _verify(analyze, name, _copy(tmp_path, name))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("WatchdogSec=30s", "WatchdogSecs=30s"),
        ("KillMode=mixed", "KillMode=gentle"),
        ("Type=notify", "Type=notify-reloading"),
        ("\nRestart=on-failure", "\nRestart=on-failure-only"),
        (str(PROGRAM), "/nowhere/sessiond"),
    ],
)
def test_a_planted_error_is_found(analyze: Any, name: str, before: str, after: str, tmp_path: Path) -> None:
    """A misspelt key, a wrong value and a program that is not there each fail the check."""
    assert _verify(analyze, name, _copy(tmp_path, name, (before, after))).returncode != 0


def test_the_system_unit_is_hardened(analyze: Any, tmp_path: Path) -> None:
    """systemd's own measure of exposure stays below the threshold."""
    unit = _copy(tmp_path, SYSTEM)
    done = analyze("security", "--offline=yes", f"--threshold={THRESHOLD}", unit)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "before",
    [
        "CapabilityBoundingSet=\n",
        "RestrictNamespaces=yes\n",
        "SystemCallFilter=@system-service\n",
        "User=sessiond\n",
    ],
)
def test_a_line_less_is_too_much_exposure(analyze: Any, before: str, tmp_path: Path) -> None:
    """The threshold is so close that one of the heavier lines less fails the check."""
    unit = _copy(tmp_path, SYSTEM, (before, ""))
    done = analyze("security", "--offline=yes", f"--threshold={THRESHOLD}", unit)
    assert done.returncode != 0, done.stdout


def _settings(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        if line and line[0] not in "#[":
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", USUAL)
def test_a_unit_keeps_the_promises_of_the_daemon(name: str) -> None:
    """Notification, watchdog, exit codes, times, folders and modes are those the daemon is made for."""
    found = _settings(name)
    program = USUAL[name]
    assert (found["Type"], found["NotifyAccess"], found["WatchdogSec"]) == (["notify"], ["main"], ["30s"])
    # Without the dash a bad configuration would be tried ten times: systemd looks at the main process only.
    assert found["ExecStartPre"] == [f"-{program} check-config"]
    assert found["ExecStart"] == [f"{program} run"]
    assert found["ExecReload"] == [f"{program} check-config", "/bin/kill -HUP $MAINPID"]
    assert found["Restart"] == ["on-failure"]
    assert found["RestartPreventExitStatus"] == ["2 64 75 78"]
    assert int(found["TimeoutStopSec"][0].removesuffix("s")) > DRAIN_DEADLINE
    assert found["RuntimeDirectoryMode"] == ["0700"]
    assert found["UMask"] == ["0077"]
    assert "Requires" not in found
    assert not any("reload" in value for value in found["Type"])


def test_only_the_system_unit_has_a_state_directory() -> None:
    """A user's StateDirectory is in ~/.config up to systemd 253, so the daemon makes its own there."""
    system, user = _settings(SYSTEM), _settings(USER)
    assert (system["StateDirectory"], system["StateDirectoryMode"]) == (["sessiond"], ["0700"])
    assert "StateDirectory" not in user
    assert user["RuntimeDirectoryPreserve"] == ["yes"]
    assert "User" not in user
    assert "Environment" not in user
    assert system["Environment"][:2] == [
        "SESSIOND_STATE_DIR=%S/sessiond",
        "SESSIOND_RUNTIME_DIR=%t/sessiond",
    ]


def test_a_user_unit_has_no_sandbox_that_does_nothing() -> None:
    """Path sandboxing is silently ignored in a user unit without PrivateUsers=yes, so it is not pretended."""
    idle = re.compile(r"Protect|Private|ReadOnlyPaths|ReadWritePaths|InaccessiblePaths|CapabilityBoundingSet")
    assert not [key for key in _settings(USER) if idle.match(key)]


SCHEMA: dict[str, type] = {
    "Label": str,
    "ProgramArguments": list,
    "RunAtLoad": bool,
    "KeepAlive": dict,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "Umask": int,
    "ProcessType": str,
    "WorkingDirectory": str,
    "StandardErrorPath": str,
}


def _problems(text: str) -> list[str]:
    """Return what launchd would not take, or not as we mean it."""
    try:
        tree = plistlib.loads(text.encode())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no property list
        return [f"no property list: {error}"]
    found = [f"unknown key {key}" for key in tree.keys() - SCHEMA.keys()]
    found += [f"no {key}" for key in SCHEMA.keys() - tree.keys()]
    found += [f"{key} is of the wrong type" for key in tree if type(tree[key]) is not SCHEMA.get(key)]
    if found:
        return found
    rules = {
        "the label is the file's name": tree["Label"] == "org.sessiond.sessiond",
        "the program is absolute": tree["ProgramArguments"][0].startswith("/"),
        "it runs in the foreground": tree["ProgramArguments"][1:] == ["run"],
        "every path is absolute": all(
            tree[key][0] == "/" for key in ("WorkingDirectory", "StandardErrorPath")
        ),
        "nothing needs expansion": not re.search(r"[~$]", "".join(map(str, tree.values()))),
        "a clean stop is the end": tree["KeepAlive"] == {"SuccessfulExit": False},
        "a stop may drain": tree["ExitTimeOut"] > DRAIN_DEADLINE,
        "the umask is 077": tree["Umask"] == 0o077,
        "it does not spin": tree["ThrottleInterval"] >= 10,
        "the process type is known": tree["ProcessType"]
        in {"Background", "Standard", "Adaptive", "Interactive"},
    }
    return [rule for rule, kept in rules.items() if not kept]


PLIST = UNITS / "org.sessiond.sessiond.plist"


def test_the_property_list_is_what_launchd_takes() -> None:
    """Keys, types and values are right."""
    assert _problems(PLIST.read_text()) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<integer>63</integer>", "<integer>077</integer>"),
        ("<integer>63</integer>", "<string>63</string>"),
        ("<integer>45</integer>", "<integer>20</integer>"),
        ("<integer>30</integer>", "<integer>1</integer>"),
        ("/usr/local/bin/sessiond", "~/bin/sessiond"),
        ("/usr/local/bin/sessiond", "sessiond"),
        ("<string>run</string>", "<string>run</string><string>--detach</string>"),
        ("<false/>", "<true/>"),
        ("<key>RunAtLoad</key>\n  <true/>", "<key>RunAtLoad</key>\n  <string>true</string>"),
        ("<key>ExitTimeOut</key>", "<key>ExitTimeout</key>"),
        ("Background", "Backgrounded"),
        ("org.sessiond.sessiond<", "sessiond<"),
        ("/usr/local/var/log", "$HOME/log"),
        ("<!-- Decimal", "<!-- R&D -- decimal"),
        ("<string>run</string>", "<string>R&D</string>"),
        ("</dict>\n</plist>", "</plist>"),
    ],
)
def test_a_planted_error_in_the_property_list_is_found(before: str, after: str) -> None:
    """Wrong keys, types, values and markup each fail the check."""
    text = PLIST.read_text()
    assert before in text
    assert _problems(text.replace(before, after)) != []
