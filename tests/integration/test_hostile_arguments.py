"""Hostile values in every place, drawn with fixed dice: without a daemon, beside one, in real processes.

``SESSIOND_TEST_ARGUMENTS`` says how many values each place gets (8), ``SESSIOND_TEST_SEED`` which ones.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionlib.cli import live
from sessionlib.db.engine import Database
from sessionlib.db.questions import QUESTIONS
from tests import arguments, builders, clearness
from tests.arguments import Way
from tests.controls import house
from tests.ctl import Ctl, Said
from tests.forks import Forks
from tests.hostile.attack import ReadyDaemon

COUNT = int(os.environ.get("SESSIOND_TEST_ARGUMENTS", "8"))
SEED = os.environ.get("SESSIOND_TEST_SEED", "fixed")
BIN = Path(sys.executable).parent

GROUPS = 24
WORK = ("conversations", "agents", "cost", "tools", "mcp", "logs", "timeline", "todos")
ASKING = ("sessions", "show", "query", "projects", *WORK, "status", "rescan", "reload")
"""Verbs that a daemon answers, or helps to."""


def grouped(program: str) -> list[list[Way]]:
    """Return the ways to give a value, dealt to so many tests."""
    found = arguments.ways(program)
    return [found[number::GROUPS] for number in range(min(GROUPS, len(found)))]


def values(way: Way, places: tuple[str, ...], count: int = COUNT) -> Iterator[str]:
    """Yield the values that a place gets."""
    return arguments.drawn(random.Random(f"{SEED}/{way[0]}"), places, count)


def check(said: Said, words: list[str]) -> None:
    """See that a call ended in order, and that nothing a terminal obeys was printed."""
    clearness.check(said.code, said.err, words, with_hint=words[:1] != ["check-config"])
    shown = [line for line in said.out.splitlines() if not clearness.is_harmless(line.replace("\t", ""))]
    assert not shown, (words, shown)


@pytest.fixture
def ctl(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Ctl:
    """`sessionctl` with one project and one session, its own home, and no program to call."""
    made = Ctl(sqlite_url, tmp_path, capsys, monkeypatch)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    # No service manager of this machine may ever be spoken with.
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    project = made.project("garden", {"wall": builders.v2_building(session_id="wall")})
    assert made("sync", made.code).code == 0
    monkeypatch.chdir(project / "agents/sessions/wall")
    return made


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, ...]:
    """Things that are no proper files."""
    (tmp_path / "odd").mkdir()
    return arguments.odd_places(tmp_path / "odd")


def harmless(words: list[str]) -> list[str]:
    """Return the call with no effect on a service of this machine, or on a client's settings."""
    if words[:1] in (["service"], ["hooks"]) and words[1] not in {"status", "logs"}:
        return [*words[:2], "--dry-run", *words[2:]]
    return words


@pytest.mark.timeout(120 + COUNT)
@pytest.mark.parametrize("group", range(GROUPS))
def test_sessionctl_takes_or_refuses(ctl: Ctl, places: tuple[str, ...], group: int) -> None:
    """A known exit code, one sentence with a hint, and a session that is whole."""
    for way in grouped("sessionctl")[group]:
        for value in values(way, places):
            words = harmless(way[1](value))
            check(ctl(*words), words)
            assert isinstance(json.loads(Path("state.json").read_bytes()), dict), words


@pytest.mark.timeout(120 + COUNT)
@pytest.mark.parametrize("verb", ASKING)
def test_beside_a_daemon_it_is_no_different(
    ctl: Ctl, places: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """What a daemon answers ends with the same code as what the database answers, and as clearly."""
    monkeypatch.setattr(live, "MOST_WAITING", 0.05)
    database = Database(str(ctl.environment["SESSIOND_DATABASE_URL"]))
    daemon = ReadyDaemon(database)
    daemon.database_name = database.name
    found = [way for way in arguments.ways("sessionctl") if way[0].split()[1] == verb]
    found += questions() if verb == "query" else []
    with house(daemon) as made:
        for way in found:
            for value in values(way, places):
                words = way[1](value)
                monkeypatch.setenv("SESSIOND_RUNTIME_DIR", str(made.socket.parent))
                beside = ctl(*words)
                check(beside, words)
                if verb in {"sessions", "show", "query", "projects", *WORK} and "--max-age" not in way[0]:
                    monkeypatch.setenv("SESSIOND_RUNTIME_DIR", str(made.folder / "nobody"))
                    assert ctl(*words).code == beside.code, words
    database.close()


def questions() -> list[Way]:
    """Return the places in every named question."""
    options = ("days", "limit", "project", "session", "sha", "text")
    return [
        (f"sessionctl query {question.name} --{option}", _asking(question.name, option))
        for question in QUESTIONS
        for option in options
    ]


def _asking(name: str, option: str) -> "arguments.Callable[[str], list[str]]":
    return lambda value: ["query", name, f"--{option}={value}"]


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """Both programs, loaded."""
    with Forks({"LANG": "C.UTF-8"}) as made:
        yield made


@pytest.mark.timeout(120 + COUNT)
@pytest.mark.parametrize("group", range(len(grouped("sessiond"))))
def test_sessiond_takes_or_refuses(forks: Forks, tmp_path: Path, places: tuple[str, ...], group: int) -> None:
    """The same for the daemon, which never starts: it gets no folder to watch but one that is none."""
    for way in grouped("sessiond")[group]:
        for value in values(way, places):
            words = ["sessiond", *way[1](value)]
            if words[1] == "run" and "[roots]" in way[0] and is_folder(value, tmp_path):
                continue
            words[2:2] = ["--allow-root"] if words[1] == "run" else []
            said = forks.run(tmp_path, words)
            check(Said(*said), words[1:])
            assert said.code != 0 or words[1] != "run", words


def is_folder(value: str, home: Path) -> bool:
    """Tell whether a value names a folder, or one that may come."""
    try:
        return (home / value).is_dir() or not (home / value).exists()
    except OSError:
        return False


def test_real_processes_end_the_same(ctl: Ctl, places: tuple[str, ...]) -> None:
    """Some of all that, through the shell's door: bytes that are no text reach the program as they are."""
    dice = random.Random(SEED)
    for program in ("sessionctl", "sessiond"):
        for way in dice.sample(arguments.ways(program), 7):
            words = harmless(way[1](next(values(way, places))))
            if words[0] == "run":
                continue
            done = subprocess.run(
                [BIN / program, *map(os.fsencode, words)],
                capture_output=True,
                timeout=60,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            said = Said(done.returncode, *(text.decode() for text in (done.stdout, done.stderr)))
            check(said, words)
    assert ctl.code.exists()
