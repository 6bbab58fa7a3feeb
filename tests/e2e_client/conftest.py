"""Worlds with a real client in them; without one every test of this folder is skipped."""

import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from sessionlib.db.engine import Database
from sessionlib.journal.claude_code.events import Version
from tests.acceptance.processes import Daemon, environment
from tests.e2e_client.stories import STORIES
from tests.e2e_client.world import World
from tests.ingesting import House

_VARIABLE = "SESSIOND_TEST_CLAUDE"
_HOW = (
    f"no client: npm install --prefix DIR @anthropic-ai/claude-code-linux-x64@2.1.330, then set {_VARIABLE} "
    "to DIR/node_modules/@anthropic-ai/claude-code-linux-x64/claude (tests/e2e_client/README.md)"
)


# A story may be played by the first test that looks at it, on a machine that is busy with others.
_PATIENCE = 240


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give the tests of this folder their time."""
    item.add_marker(pytest.mark.timeout(_PATIENCE))


def pytest_runtest_setup() -> None:
    """Skip them without a client; from here, so that it is told once."""
    if not os.environ.get(_VARIABLE):
        pytest.skip(_HOW)


def needs(world: World, since: Version) -> None:
    """Skip a test with a client that is older than what it looks at."""
    if world.version < since:
        pytest.skip(f"clients before {'.'.join(map(str, since))} do or say less")


@pytest.fixture(scope="session")
def client() -> Path:
    """The client's program."""
    named = os.environ[_VARIABLE]
    path = Path(named).expanduser().resolve()
    if not path.is_file():
        pytest.fail(f"{_VARIABLE} names no file: {named}")
    return path


@pytest.fixture
def world(client: Path, tmp_path: Path) -> World:
    """A world in which nothing has happened yet, with our hooks installed."""
    return World(client, tmp_path / "w")


Played = Callable[[str], World]


@pytest.fixture(scope="session")
def played(client: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The world at the end of a story, played once for all tests: they only look at it."""

    @functools.cache
    def play(name: str) -> World:
        world = World(client, tmp_path_factory.mktemp("story") / "w")
        needs(world, STORIES[name].since)
        STORIES[name].play(world)
        return world

    return play


Mirrored = Callable[[World], House]


@pytest.fixture
def mirrored(tmp_path: Path, sqlite_url: str) -> Iterator[Mirrored]:
    """Let a daemon read what a world holds; return its tables."""
    database = Database(sqlite_url)
    daemons: list[Daemon] = []

    def mirror(world: World) -> House:
        state = tmp_path / "state"
        shutil.copytree(world.spool.folder, state / "spool")
        config = world.home / ".claude"
        environ = environment(sqlite_url, state, CLAUDE_CONFIG_DIR=str(config))
        daemons.append(Daemon([world.folder / "code"], environ, tmp_path / "daemon.log").start())
        files = len(list((config / "projects").rglob("*.jsonl")))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with database.read() as connection:
                whole = text("SELECT count(*) FROM journal_cursors WHERE position = size AND size > 0")
                if connection.scalar(whole) == files and not list((state / "spool" / "new").iterdir()):
                    break
            time.sleep(0.05)
        else:
            pytest.fail("the daemon has not read everything in 30 s")
        house = House.__new__(House)
        house.database = database
        return house

    yield mirror
    for daemon in daemons:
        daemon.stop()
    database.close()
