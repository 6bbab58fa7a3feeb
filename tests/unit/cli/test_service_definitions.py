"""Definitions filled in for a launch: only what the launch says differs from what is shipped."""

import difflib
import plistlib
from pathlib import Path

import pytest

from sessionlib.cli.service import definitions
from sessionlib.cli.service.definitions import MARKER, PLIST_TEMPLATE, SYSTEM_TEMPLATE, USER_TEMPLATE, shipped
from sessionlib.cli.service.launch import Launch
from sessionlib.cli.service.plist import plist_text
from sessionlib.cli.service.unit import unit_text
from sessionlib.errors import SessionlibError, UsageError

PROGRAM = Path("/opt/venv/bin/sessiond")


def _changes(before: str, after: str) -> list[str]:
    return [
        line
        for line in difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]


@pytest.mark.parametrize(
    ("template", "usual", "edit"),
    [
        (USER_TEMPLATE, "%h/.local/bin/sessiond", "systemctl --user edit sessiond"),
        (SYSTEM_TEMPLATE, "/usr/local/bin/sessiond", "systemctl edit sessiond"),
    ],
)
def test_a_plain_launch_changes_the_program_alone(template: str, usual: str, edit: str) -> None:
    """Without options the unit is the shipped one with the real program, below a line on who wrote it."""
    text = unit_text(Launch(PROGRAM), system=template == SYSTEM_TEMPLATE)
    mark, rest = text.split("\n", 1)
    assert mark == f"# {MARKER}. Keep changes of your own in a drop-in: {edit}"
    assert rest == shipped(template).replace(usual, str(PROGRAM))
    assert rest.count(str(PROGRAM)) == 3


def test_a_launch_puts_in_roots_variables_and_times() -> None:
    """Roots and options go to the start alone; variables and a longer stop are added; all is quoted."""
    launch = Launch(
        Path("/o p/sessiond"),
        roots=(Path("/code"), Path("/more code")),
        environment={"SESSIOND_STATE_DIR": "/s %1", "SESSIOND_CONFIG": "/c.toml"},
        stop_timeout=99,
        allow_root=True,
    )
    plain = unit_text(Launch(Path("/o p/sessiond")), system=False)
    assert _changes(plain, unit_text(launch, system=False)) == [
        '-ExecStart="/o p/sessiond" run',
        '+ExecStart="/o p/sessiond" run --allow-root /code "/more code"',
        "+Environment=SESSIOND_CONFIG=/c.toml",
        '+Environment="SESSIOND_STATE_DIR=/s %%1"',
        "-TimeoutStopSec=45s",
        "+TimeoutStopSec=99s",
    ]


def test_the_property_list_has_the_launch_in_it() -> None:
    """Paths, variables and times are the launch's, all else is as shipped."""
    launch = Launch(
        PROGRAM,
        roots=(Path("/a & <b>"),),
        environment={"SESSIOND_STATE_DIR": "/s"},
        stop_timeout=70,
        log=Path("/home/me/Library/Logs/sessiond.log"),
    )
    text = plist_text(launch)
    assert definitions.is_ours(text)
    before, after = plistlib.loads(shipped(PLIST_TEMPLATE).encode()), plistlib.loads(text.encode())
    assert after == before | {
        "ProgramArguments": [str(PROGRAM), "run", "/a & <b>"],
        "EnvironmentVariables": {"SESSIOND_STATE_DIR": "/s"},
        "ExitTimeOut": 70,
        "StandardErrorPath": "/home/me/Library/Logs/sessiond.log",
    }
    assert "EnvironmentVariables" not in plist_text(Launch(PROGRAM))


@pytest.mark.parametrize("root", ["/a\x07", "/a\udcff"])
def test_a_path_that_no_property_list_holds_is_refused(root: str) -> None:
    """A control character or a path that is no text ends in a sentence."""
    with pytest.raises(UsageError, match="has no place in a property list"):
        plist_text(Launch(PROGRAM, roots=(Path(root),)))


def test_a_marker_counts_in_the_first_lines_only() -> None:
    """The shipped files are not taken for written ones, nor is one that quotes the words further down."""
    assert definitions.is_ours(f"# {MARKER}\n[Unit]\n")
    assert not definitions.is_ours("[Unit]\n" * 6 + f"# {MARKER}\n")
    assert not any(
        definitions.is_ours(shipped(name)) for name in (USER_TEMPLATE, SYSTEM_TEMPLATE, PLIST_TEMPLATE)
    )


def test_packaged_definitions_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation has them as package data; without them there is a sentence."""
    monkeypatch.setattr(definitions, "_CHECKOUT", tmp_path / "none")
    monkeypatch.setattr(definitions, "_PACKAGED", tmp_path)
    (tmp_path / USER_TEMPLATE).write_text("[Unit]\n")
    assert shipped(USER_TEMPLATE) == "[Unit]\n"
    with pytest.raises(SessionlibError, match="is not in this installation"):
        shipped(SYSTEM_TEMPLATE)
