"""Names nobody would choose, under the real daemon: each is a session of its own, and no line is forged."""

import json
import os
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sessionlib.sync.places import stored_name
from tests import builders
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.gardens import Garden, Wait
from tests.acceptance.processes import asked, sessionctl

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="names that other systems refuse"),
]

NAMES = (
    "two\nlines",
    "forged\nts=2026-01-01T00:00:00.000Z level=error event=sessiond.crashed msg=forged",
    "carriage\rreturn",
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07bell",
    "tab\tand\x7fdelete",
    "line\u2028separator\u202eand right to left",
    os.fsdecode(b"latin-\xe9"),
    os.fsdecode(b"\xff\xfe\x80"),
    os.fsdecode(b"surrogate-\xed\xa0\x80"),
    "n" * 255,
    "\N{PILE OF POO}" * 63,
    "-rf",
    "--json",
    "-",
    "%s %(name)s {0} {name}",
    "'; DROP TABLE sessions; --",
    '"quoted" and `backed`',
    "$(touch hacked)",
    "back\\slash \\xff \\n",
    "a*?[b]",
    "~root",
    " spaces around ",
    "dot.",
    "state.json",
    "caf\u00e9",
    "cafe\u0301",
    "Case",
    "case",
    "\u1e9e\u00df\u0130\u0131",
    "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{GIRL}",
    "a=b c",
    "NULL",
    "0",
)
LONGEST_RUN = 250
"""Names as long as this are no ids of research runs."""


@pytest.fixture
def garden(tmp_path: Path, database_url: str, wait_until: Wait) -> Garden:
    """A project that is not mirrored yet."""
    return Garden(tmp_path, database_url, wait_until)


def stored(names: tuple[str, ...] = NAMES) -> dict[str, str]:
    """Return the names as they are stored, each with its topic."""
    return {stored_name(name): f"topic {number}" for number, name in enumerate(names)}


def test_every_name_is_a_session_of_its_own(garden: Garden, start_daemon: StartDaemon) -> None:
    """Made before and while the daemon runs, broken, healed and removed: each row is the right one."""
    half = len(NAMES) // 2
    for name, topic in zip(NAMES[:half], stored().values(), strict=False):
        garden.save(name, topic)
    garden.start(start_daemon, [*stored(NAMES[:half])])
    for name, topic in list(zip(NAMES, stored().values(), strict=True))[half:]:
        garden.save(name, topic)
    garden.wait_for(lambda row: row["topic"] == stored()[row["slug"]], stored())
    for name in NAMES:
        (garden.root / name / "state.json").write_text("[]")
    garden.wait_for(lambda row: "holds a list" in (row["error"] or ""), stored())
    assert garden.topics(stored()) == stored()
    garden.check_alive()
    for number, name in enumerate(NAMES):
        runs = {name: builders.research_run()} if len(os.fsencode(name)) < LONGEST_RUN else {}
        garden.save(name, f"healed {number}", research=runs)
    garden.wait_for(lambda row: row["error"] is None and row["topic"].startswith("healed"), stored())
    assert len(garden.rows()) == len(NAMES) + 1
    runs = garden.tell("SELECT DISTINCT research_id FROM research_runs")
    assert {row[0] for row in runs} == {slug for slug in stored() if len(slug.encode()) < LONGEST_RUN}
    check_answers(garden)
    for name in NAMES[:10]:  # more would be held back
        (garden.root / name).rename(garden.code.parent / name)
    garden.wait_for(lambda row: row["missing_since"] is not None, stored(NAMES[:10]), 30)
    garden.check_alive()


def steering(text: str) -> set[str]:
    """Return the characters that a terminal obeys, but for the ends of lines."""
    kinds = {"Cc", "Zl", "Zp", "Cs"}
    return {char for char in text if unicodedata.category(char) in kinds or char == "\u202e"} - {"\n"}


def check_answers(garden: Garden) -> None:
    """Every way of asking gives the names as they are stored, and prints none of them raw."""
    listed = asked(garden.daemon.environment, "sessions", "--limit", "500")
    assert {row["slug"] for row in listed} == {*stored(), "neighbour"}
    told = sessionctl(garden.daemon.environment, "sessions", "--limit", "500")
    assert told.returncode == 0, told.stderr
    assert steering(told.stdout) == set()
    assert len(told.stdout.splitlines()) < 2 * len(NAMES) + 10
    for slug in list(stored())[::4]:
        shown = sessionctl(garden.daemon.environment, "show", "--json", "--", slug)
        assert shown.returncode == 0, (slug, shown.stderr)
        assert [row["session"]["slug"] for row in json.loads(shown.stdout)["rows"]] == [slug]
        assert "\x1b" not in shown.stderr
    status = sessionctl(garden.daemon.environment, "status", "--json")
    assert json.loads(status.stdout)["rows"]
    verified = sessionctl(garden.daemon.environment, "verify", "--json")
    assert verified.returncode in {0, 2}, verified.stdout


def deep(top: Path, length: int) -> Path:
    """Return a path of about this many bytes."""
    path = top
    while len(os.fsencode(path)) < length - 210:
        path /= "d" * 200
    return path / ("e" * (length - len(os.fsencode(path)) - 1))


def test_projects_with_hostile_names(garden: Garden, start_daemon: StartDaemon) -> None:
    """Project folders of such names are found, followed and told in one line each."""
    names = [name for name in NAMES if name != "~root"]
    for number, name in enumerate(names):
        builders.make_project(garden.code / name, {f"s{number}": builders.v2(topic="good")})
    slugs = [f"s{number}" for number in range(len(names))]
    garden.start(start_daemon, slugs)
    for number, name in enumerate(names):
        builders.make_session(garden.code / name / "agents/sessions", f"s{number}", builders.v2(topic="new"))
    garden.wait_for(lambda row: row["topic"] == "new", slugs)
    paths = {row[0] for row in garden.tell("SELECT path FROM workspaces")}
    assert {stored_name(str(garden.code / name)) for name in names} < paths
    assert steering(answers(garden, "projects")) == set()
    garden.check_alive()


def answers(garden: Garden, *arguments: str) -> str:
    """Return what a command prints."""
    done = sessionctl(garden.daemon.environment, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_paths_near_the_longest(tmp_path: Path, garden: Garden, start_daemon: StartDaemon) -> None:
    """A project near PATH_MAX is mirrored as far as its paths can be named; the rest is told, and no more."""
    limit = os.pathconf("/", "PC_PATH_MAX") - 1
    tail = len("/agents/sessions/one/state.json")
    projects = {"fits": limit - tail - 40, "over": limit - tail + 12}
    made = {}
    for name, length in projects.items():
        top = garden.code / name
        made[name] = deep(top, length)
        make_below(made[name], "agents/sessions/one", {"topic": name})
    garden.start(start_daemon, [])
    for name, path in made.items():
        done = sessionctl(garden.daemon.environment, "projects", "add", str(path))
        assert done.returncode in {0, 1, 2, 69}, (name, done)
        assert "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) <= 2
    garden.wait_until(lambda: garden.rows().get("one", {}).get("topic") == "fits", "the long path", 20)
    make_below(made["fits"], "agents/sessions/one", {"topic": "changed"})
    garden.wait_until(lambda: garden.rows()["one"]["topic"] == "changed", "its change", 20)
    garden.check_alive()


def make_below(path: Path, tail: str, document: dict[str, Any]) -> None:
    """Write a state.json where its whole path may be too long to be named at once."""
    at = os.open("/", os.O_RDONLY)
    for part in (*path.parts[1:], *tail.split("/")):
        with suppress(FileExistsError):
            os.mkdir(part, dir_fd=at)
        below = os.open(part, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    data = json.dumps(builders.v2(**document)).encode()
    file = os.open(".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=at)
    os.write(file, data)
    os.close(file)
    os.rename(".new", "state.json", src_dir_fd=at, dst_dir_fd=at)
    os.close(at)
