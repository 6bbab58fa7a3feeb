"""Every verb, action and option of both programs with values that hardly any of them takes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import builders, clearness, commands
from tests.commands import HOSTILE, OF_EVERY_VERB, Slot
from tests.ctl import Ctl
from tests.forks import Forks

_EMPTY_PATH = "empty-bin"


@pytest.fixture
def ctl(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Ctl:
    """`sessionctl` with one project and one session, its own home, and no program to call."""
    made = Ctl(sqlite_url, tmp_path, capsys, monkeypatch)
    (tmp_path / _EMPTY_PATH).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    # No service manager of this machine may ever be spoken with.
    monkeypatch.setenv("PATH", str(tmp_path / _EMPTY_PATH))
    project = made.project("garden", {"wall": builders.v2_building(session_id="wall")})
    assert made("sync", made.code).code == 0
    monkeypatch.chdir(project / "agents/sessions/wall")
    return made


def _is_asked(slot: Slot) -> bool:
    """Leave out the options of every verb but for three verbs, which take the three ways there are."""
    return slot.option not in OF_EVERY_VERB or slot.command[1:] in {("sessions",), ("status",), ("sync",)}


@pytest.mark.parametrize("slot", list(filter(_is_asked, commands.slots("sessionctl"))), ids=str)
def test_no_value_breaks_sessionctl(ctl: Ctl, slot: Slot) -> None:
    """Each value is taken, or refused with one sentence, a hint and the right exit code."""
    session = Path("state.json")
    for value in HOSTILE:
        words = slot.words(value)
        if slot.command[1] == "service" and slot.command[-1] not in {"status", "logs"}:
            words.insert(2, "--dry-run")
        said = ctl(*words)
        clearness.check(said.code, said.err, words)
        # Whatever was tried, the session is whole.
        assert isinstance(json.loads(session.read_bytes()), dict), words


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """Both programs, loaded."""
    with Forks({"LANG": "C.UTF-8"}) as made:
        yield made


@pytest.mark.parametrize("slot", commands.slots("sessiond"), ids=str)
def test_no_value_breaks_sessiond(forks: Forks, tmp_path: Path, slot: Slot) -> None:
    """The same for the daemon; without a folder to watch it never starts to."""
    root = ["--allow-root"] if slot.command[-1] == "run" else []
    for value in HOSTILE:
        words = ["sessiond", *slot.words(value), *root]
        said = forks.run(tmp_path, words)
        clearness.check(said.code, said.err, words, with_hint=words[1] != "check-config")
        assert said.code != 0 or slot.command[-1] != "run", words


@pytest.mark.parametrize("root", ["", "~nobody-of-that-name/x", "/dev/null", "x" * 5000, "y/" * 3000])
def test_no_root_breaks_sessiond(forks: Forks, tmp_path: Path, root: str) -> None:
    """What can be no folder is refused before anything starts."""
    said = forks.run(tmp_path, ["sessiond", "run", "--allow-root", root])
    assert said.code in {2, 78}
    clearness.check(said.code, said.err, root[:50])


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["sessionctl", "sesions"], "did you mean: sessions"),
        (
            ["sessionctl", "zzz"],
            "it is one of status, projects, sessions, show, query, conversations, agents",
        ),
        (["sessionctl", "projects", "ad"], "did you mean: add?"),
        (["sessionctl", "sessions", "--phse=build"], "did you mean: `sessionctl sessions --phase`"),
        (["sessionctl", "db", "check", "--jsn"], "did you mean: `sessionctl db check --json`"),
        (["sessionctl", "--jsn", "sessions"], "did you mean: `sessionctl sessions --json`"),
        (["sessionctl", "session", "checkpoint", "strat", "1"], "did you mean: start?"),
        (["sessionctl", "sessions", "--limit"], "`sessionctl sessions --help` tells what it takes"),
        (["sessionctl", "projects", "show"], "`sessionctl projects show --help` tells what it takes"),
        (["sessionctl"], "`sessionctl --help` tells what it takes"),
        (["sessiond"], "`sessiond --help` tells what it takes"),
        (["sessiond", "rum"], "did you mean: run?"),
        (["sessiond", "run", "--detatch"], "did you mean: `sessiond run --detach`"),
        (["sessiond", "run", "--log-level=inof"], "did you mean: info?"),
        (["sessiond", "run", "--log-format=xml"], "it is one of logfmt, json"),
        (["sessiond", "check-config", "--jso"], "did you mean: `sessiond check-config --json`"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_an_unknown_word_names_the_nearest(forks: Forks, tmp_path: Path, words: list[str], hint: str) -> None:
    """Verbs, actions, options and choices: exit code 2, and what was probably meant."""
    said = forks.run(tmp_path, words)
    assert (said.code, said.out) == (2, "")
    clearness.check(said.code, said.err, words)
    assert said.err.splitlines()[-1].startswith(f"  hint: {hint}")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(
    "words",
    [
        ["sessionctl", "--help"],
        ["sessionctl", "--version"],
        ["sessionctl", "query"],
        ["sessionctl", "query", "--json"],
        ["sessionctl", "status"],
        ["sessionctl", "status", "--json"],
        ["sessionctl", "sessions"],
        ["sessionctl", "nonsense"],
        ["sessiond", "--help"],
        ["sessiond", "--version"],
        ["sessiond", "check-config"],
        ["sessiond", "check-config", "--json"],
        ["sessiond", "run", "--allow-root"],
        ["sessiond", "stop"],
    ],
    ids=" ".join,
)
def test_a_full_disk_under_a_stream(forks: Forks, tmp_path: Path, words: list[str], stream: str) -> None:
    """An answer that cannot be written ends with 1 and says so; a complaint that cannot be keeps its code."""
    usual = forks.run(tmp_path, words)
    said = forks.run(tmp_path, words, **{stream: "/dev/full"})
    if stream == "stdout" and usual.out:
        assert said.code == 1, said
        assert "cannot write the answer: No space left on device\n  hint: " in said.err
        assert "Traceback" not in said.err
    else:
        assert (said.code, said.out) == (usual.code, usual.out)


SURROUNDINGS = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
    "no columns": {"COLUMNS": "0", "LINES": "0"},
    "odd columns": {"COLUMNS": "many"},
    "dumb": {"TERM": "dumb"},
    "no terminal": {"TERM": ""},
    "unknown zone": {"TZ": "Nowhere/Here"},
    "empty home": {"HOME": ""},
    "relative home": {"HOME": "here", "SESSIOND_STATE_DIR": "", "XDG_STATE_HOME": "there"},
    "home that is no folder": {"HOME": "/dev/null", "SESSIOND_STATE_DIR": ""},
    "relative places": {"SESSIOND_STATE_DIR": "state", "SESSIOND_RUNTIME_DIR": "run"},
    "places that are no paths": {"SESSIOND_STATE_DIR": "x" * 5000, "SESSIOND_RUNTIME_DIR": "y" * 5000},
    "a wrong host": {"SESSIOND_HOST_ID": "not-a-uuid\x1b[31m"},
    "a wrong database": {"SESSIOND_DATABASE_URL": "nonsense\x1b[31m"},
    "a database with a password": {"SESSIOND_DATABASE_URL": "mysql://me:hunter2@host/x"},
    "a wrong configuration": {"SESSIOND_CONFIG": "/dev/full/nothing"},
    "a wrong session": {"SESSIOND_SESSION": "no\nsuch"},
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_odd_surroundings_break_nothing(ctl: Ctl, name: str) -> None:
    """Locales, terminals, homes and variables of any kind: an answer, or one sentence with what to do."""
    state = os.environ["SESSIOND_STATE_DIR"]
    builders.make_session(ctl.code / "garden/agents/sessions", "jp", builders.v2(topic="日本"))
    assert ctl("sync", ctl.code).code == 0
    environ = {
        variable: os.environ[variable]
        for variable in ("HOME", "PATH", "SESSIOND_DATABASE_URL", "SESSIOND_STATE_DIR", "XDG_CONFIG_HOME")
    }
    with Forks(environ | SURROUNDINGS[name]) as forks:
        for words in (
            ["sessionctl", "sessions"],
            ["sessionctl", "sessions", "--json"],
            ["sessionctl", "show", "jp", "--json"],
            ["sessionctl", "status"],
            ["sessionctl", "status", "--json"],
            ["sessionctl", "session", "show"],
            ["sessionctl", "--help"],
            ["sessiond", "check-config"],
            ["sessiond", "check-config", "--json"],
            ["sessiond", "stop"],
            ["sessiond", "run", "--allow-root"],
        ):
            said = forks.run(ctl.home, words, environ | SURROUNDINGS[name])
            clearness.check(said.code, said.err, words, with_hint=words[1] != "check-config")
            assert "hunter2" not in said.out + said.err
            if "--json" in words and said.out:
                assert "rows" in json.loads(said.out), words
            if name in {"no columns", "odd columns", "dumb", "no terminal", "unknown zone"}:
                assert said.code == {"status": 3, "stop": 3, "run": 2, "session": 2}.get(words[1], 0), words
    assert Path(state, "status.json").exists() is False
