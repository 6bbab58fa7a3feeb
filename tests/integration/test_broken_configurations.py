"""Broken configurations through every door: one sentence with file, key and what is allowed; exit code 78."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import clearness
from tests.configurations import Broken, cases, odd_files
from tests.forks import Forks

NOWHERE = {"SESSIOND_STATE_DIR": "", "SESSIOND_RUNTIME_DIR": ""}
"""The file alone says where things are; without a folder to watch nothing can start by mistake."""

STARTING = ("password", "a database", "a port that is no number", "a token")

CASES = {case.name: case for case in cases()}


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """Both programs, loaded."""
    with Forks({"LANG": "C.UTF-8"}) as made:
        yield made


@pytest.fixture(autouse=True)
def code(tmp_path: Path) -> Path:
    """A folder to watch."""
    (tmp_path / "code").mkdir()
    return tmp_path / "code"


def written(folder: Path, case: Broken) -> Path:
    """Write the file, for nobody else to read."""
    path = folder / "given.toml"
    path.write_bytes(case.content)
    path.chmod(0o600)
    return path


def groups() -> dict[str, list[Broken]]:
    """Return the cases of each section together, and so many of the others."""
    found: dict[str, list[Broken]] = {}
    for number, case in enumerate(CASES.values()):
        section, dot, _ = case.name.partition(".")
        found.setdefault(section if dot else f"others {number // 10}", []).append(case)
    return found


@pytest.mark.parametrize("name", groups())
def test_no_configuration_is_half_used(forks: Forks, tmp_path: Path, code: Path, name: str) -> None:
    """check-config, and a start, refuse it with 78 and say where and what; nothing is made or left behind."""
    for case in groups()[name]:
        path = written(tmp_path, case)
        for words in (["check-config"], ["run", "--allow-root"]):
            # What only a start looks at is refused there once it has a folder to watch.
            root = [str(code)] if words[0] == "run" and case.name.startswith(STARTING) else []
            said = forks.run(tmp_path, ["sessiond", *words, *root, "--config", str(path)], NOWHERE)
            assert said.code == 78, (case, said)
            assert said.out == ""
            assert str(path) in said.err, (case.name, said)
            assert case.told in said.err, (case.name, said)
            assert not case.secret or case.secret not in said.err.replace(str(path), ""), case.name
            assert "Traceback" not in said.err, case.name
            assert all(line.isprintable() for line in said.err.splitlines()), case.name
            assert len(said.err) < 9000
            if words[0] == "run" and not root:
                clearness.check(said.code, said.err, case.name)
        checked = forks.run(tmp_path, ["sessiond", "check-config", "--json", "--config", str(path)], NOWHERE)
        tree = json.loads(checked.out)
        assert (checked.code, tree["ok"], bool(tree["problems"])) == (78, False, True), case.name
    left = {entry.name for entry in tmp_path.rglob("*") if entry.is_file()}
    assert left <= {"given.toml", "sessiond.lock", "status.json"}, left


def test_there_are_enough_of_them() -> None:
    """Every key is among them."""
    assert len(CASES) > 150


@pytest.mark.parametrize(
    "kind", ["folder", "pipe", "loop", "gone", "dangling", "zeros", "below a file", "a name too long"]
)
def test_what_is_no_file_is_refused_and_not_waited_for(
    forks: Forks, tmp_path: Path, code: Path, kind: str
) -> None:
    """A folder, a pipe, a loop of links, an endless device: 78 from every command, at once."""
    path = str(odd_files(tmp_path)[kind])
    for words in (
        ["sessiond", "check-config"],
        ["sessiond", "run", "--allow-root", str(code)],
        ["sessiond", "stop"],
        ["sessionctl", "sessions"],
        ["sessionctl", "status"],
        ["sessionctl", "sync", str(code)],
    ):
        said = forks.run(tmp_path, [*words, "--config", path], {"SESSIOND_STATE_DIR": ""})
        assert (said.code, said.out) == (78, ""), (words, said)
        assert "Traceback" not in said.err
        assert "given" not in said.err
        assert path[:200] in said.err, words
        if words[1] != "check-config":
            clearness.check(said.code, said.err, words)


def test_marks_and_line_ends_of_other_systems_are_taken(forks: Forks, tmp_path: Path) -> None:
    """A byte order mark, and CRLF, change nothing; an empty file sets nothing."""
    path = tmp_path / "given.toml"
    for content in (b"\xef\xbb\xbf[watch]\r\ndepth = 3\r\n", b"[watch]\r\ndepth = 3\r\n"):
        path.write_bytes(content)
        said = forks.run(tmp_path, ["sessiond", "check-config", "--config", str(path)])
        assert said.code == 0, said
        assert "watch.depth = 3" in said.out
        assert forks.run(tmp_path, ["sessiond", "stop", "--config", str(path)]).code == 3
    path.write_bytes(b"\xef\xbb\xbf[daemon]\r\nstate_dir = '/nowhere/at/all'\r\n")
    said = forks.run(tmp_path, ["sessiond", "stop", "--config", str(path)], {"SESSIOND_STATE_DIR": ""})
    assert (said.code, "/nowhere/at/all" in said.err + said.out) == (3, True)
    for content in (b"", b"\xef\xbb\xbf", b"\n# nothing\n"):
        path.write_bytes(content)
        assert forks.run(tmp_path, ["sessiond", "check-config", "--config", str(path)]).code == 0
    assert forks.run(tmp_path, ["sessiond", "check-config", "--config", os.devnull]).code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o640, 0o666])
def test_a_password_that_others_can_read_is_refused(forks: Forks, tmp_path: Path, mode: int) -> None:
    """The file is named with the way to close it, and the password is not repeated."""
    path = tmp_path / "given.toml"
    path.write_text('[database]\nurl = "postgresql://me:hunter2@localhost/db"\n')
    path.chmod(mode)
    said = forks.run(tmp_path, ["sessiond", "check-config", "--config", str(path)])
    assert said.code == 78
    assert f"chmod 600 {path}" in said.err
    assert "hunter2" not in said.err
