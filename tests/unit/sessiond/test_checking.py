"""`sessiond check-config`: what it finds, what it shows, and what it leaves alone."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sessiond.main import main

SECRET = "c4nary"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any configuration."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in list(os.environ):
        if name.startswith(("SESSIOND_", "XDG_", "PG")) or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file that watches one folder."""
    (tmp_path / "code").mkdir()
    path = tmp_path / "given.toml"
    path.write_text('[watch]\nroots = ["~/code"]\n')
    return path


def check(*arguments: str) -> int:
    """Run the verb as the daemon's command line does."""
    return main(["check-config", *arguments])


def test_what_can_be_used(file: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is named, and each setting that is not the default with what gave it."""
    assert check("--config", str(file)) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        f"{file} can be used",
        "other than the defaults:",
        f'  watch.roots = ["{home}/code"]  from {file}',
    ]
    assert told.err == ""


def test_nothing_is_configured(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file the defaults can be used; that nothing is watched is a warning."""
    assert check() == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == ["there is no configuration file", "every setting has its default"]
    assert told.err.startswith("warning: watch.roots: no folder is named")


def test_every_problem_has_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is wrong is told at once, each with its hint; the exit code is 78."""
    file.write_text("[watch]\nroot = []\ndepth = 99\n[log]\nlevel = 'loud'\n")
    assert check("--config", str(file)) == 78
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{file}: ") for line in lines)
    assert any("unknown key watch.root (did you mean roots?)" in line for line in lines)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"mysql://ann:{SECRET}@host/name", "databases of the kind 'mysql' are not supported"),
        (f"postgresql://ann:x@{SECRET}@host/name", "has an @ too many"),
        (f"ann:{SECRET}@host/name", "cannot be read"),
        (f"postgresql://ann:{SECRET}@host:{SECRET}/name", "cannot be read"),
        ("sqlite://", "would be lost at once"),
    ],
)
def test_database_url_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, reason: str
) -> None:
    """It is found before the start, with what gave it, and without its password."""
    monkeypatch.setenv("SESSIOND_DATABASE_URL", url)
    assert check() == 78
    told = capsys.readouterr().err
    assert told.startswith("SESSIOND_DATABASE_URL: database.url: ")
    assert reason in told
    assert SECRET not in told


def test_what_else_would_stop_the_start(file: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A root that is no folder and a token that cannot be read are problems too."""
    (home / "code").rmdir()
    (home / "code").write_text("x")
    file.write_text(f'{file.read_text()}[control]\nlisten = "localhost:7717"\ntoken_file = "~/token"\n')
    assert check("--config", str(file)) == 78
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{file}: watch.roots: {home}/code is not a folder"
    assert lines[1].startswith(
        f"{file}: control.token_file: the token in {home}/token cannot be used: No such"
    )
    assert len(lines) == 2


def test_warnings(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What works but may not be meant is a warning each, and no reason to fail."""
    monkeypatch.setenv("SESSIOND_DATABASE_URL", "postgresql:///name")
    file.write_text('[watch]\nroots = ["~/gone", "~/given.toml/x"]\n[control]\nlisten = "localhost:7717"\n')
    assert check("--config", str(file)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("warning: ") for line in lines)
    expected = [
        f"{file}: watch.roots: {home}/gone is not there",
        f"{file}: watch.roots: {home}/given.toml/x is not there",
        "SESSIOND_DATABASE_URL: database.url: it names no host",
        "control.listen: control.origins is empty",
    ]
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(f"warning: {start}")
    file.write_text('[watch]\nroots = ["~"]\n[control]\norigins = ["http://localhost"]\n[database]\nurl=""\n')
    monkeypatch.delenv("SESSIOND_DATABASE_URL")
    assert check("--config", str(file)) == 0
    assert capsys.readouterr().err.startswith("warning: control.origins: without control.listen")


@pytest.mark.parametrize(
    ("hooks", "listen", "missing"),
    [
        ("true", "localhost:7717", None),
        ("true", "", "control.listen"),
        ("false", "localhost:7717", "tracking.hooks"),
        ("false", "", "tracking.hooks and control.listen"),
    ],
)
def test_telemetry_needs_both_its_ends(
    file: Path, capsys: pytest.CaptureFixture[str], hooks: str, listen: str, missing: str | None
) -> None:
    """A warning names what is missing; with all there is none, nor one that no web page can use the port."""
    control = f'[control]\nlisten = "{listen}"\n'
    file.write_text(f"{file.read_text()}[tracking]\ntelemetry = true\nhooks = {hooks}\n{control}")
    assert check("--config", str(file)) == 0
    told = capsys.readouterr().err
    expected = f"warning: tracking.telemetry: without {missing} nothing is taken from any client\n"
    assert told == ("" if missing is None else expected)


def test_root_that_cannot_be_looked_at(file: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever else the system says about a folder is a warning."""
    (home / "loop").symlink_to("loop")
    file.write_text('[watch]\nroots = ["~/loop"]\n')
    assert check("--config", str(file)) == 0
    assert "cannot be looked at: Too many levels of symbolic links" in capsys.readouterr().err


def test_json(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object holds every setting with its source; a password is masked."""
    monkeypatch.setenv("SESSIOND_DATABASE_URL", f"postgresql://ann:{SECRET}@host/name")
    assert check("--config", str(file), "--json") == 0
    told = capsys.readouterr()
    assert SECRET not in told.out
    answer: dict[str, Any] = json.loads(told.out)
    assert (answer["ok"], answer["source"], answer["problems"]) == (True, str(file), [])
    rows = {row["key"]: row for row in answer["rows"]}
    assert rows["watch.roots"] == {
        "key": "watch.roots",
        "value": [f"{home}/code"],
        "default": [],
        "origin": str(file),
        "changed": True,
    }
    assert rows["database.url"]["value"] == "postgresql://ann:***@host/name"
    assert rows["watch.depth"]["changed"] is False
    file.write_text("[watch]\nzzz = 1\nyyy = 2\n")
    assert check("--config", str(file), "--json") == 78
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["source"], answer["rows"]) == (False, None, [])
    assert [line.split(" (")[0] for line in answer["problems"]] == [
        f"{file}: unknown key watch.zzz",
        f"{file}: unknown key watch.yyy",
    ]


def test_hostile_names_cannot_speak_to_the_terminal(
    file: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A control character in a path is shown, not obeyed; a byte that is no UTF-8 stops nothing."""
    strange = home / "a\x1b[31m\udcff"
    strange.mkdir()
    path = strange / "given.toml"
    path.write_text('[watch]\nroots = ["~/gone\\u001b[2J"]\n')
    assert check("--config", str(path)) == 0
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err
    assert "\\x1b[31m\\udcff" in told.out
    assert "\\x1b[2J" in told.err


def test_it_makes_and_opens_nothing(file: Path, home: Path) -> None:
    """After a check of a whole configuration the disk is as it was, and the files have their modes."""
    file.write_text(
        '[watch]\nroots = ["~/code"]\n[control]\nlisten = "localhost:7717"\n[log]\nfile = "~/log/x.log"\n'
        '[daemon]\nstate_dir = "~/state"\nruntime_dir = "~/run"\n'
    )
    before = {path: path.stat() for path in home.rglob("*")}
    assert check("--config", str(file)) == 0
    after = {path: path.stat() for path in home.rglob("*")}
    assert set(after) == set(before)
    for path, seen in after.items():
        assert stat.S_IMODE(seen.st_mode) == stat.S_IMODE(before[path].st_mode)
        assert seen.st_mtime_ns == before[path].st_mtime_ns


def test_answer_on_a_terminal_of_another_encoding(file: Path, home: Path) -> None:
    """Letters that the stream cannot carry are escaped."""
    (home / "größe").mkdir()
    file.write_text('[watch]\nroots = ["~/größe"]\n')
    done = subprocess.run(
        [sys.executable, "-m", "sessiond", "check-config", "--config", str(file)],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "gr\\xf6\\xdfe" in done.stdout


def test_a_place_that_is_taken(file: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A state or runtime folder that is a file, and a log file that is a folder, are told beforehand."""
    (home / "taken").write_text("")
    text = '[watch]\nroots = ["~/code"]\n[log]\nfile = "~/code"\n[daemon]\nruntime_dir = "~/taken"\n'
    file.write_text(f'{text}state_dir = "~/taken"\n')
    assert check("--config", str(file)) == 78
    told = capsys.readouterr().err
    for key in ("daemon.state_dir", "daemon.runtime_dir", "log.file"):
        assert key in told
