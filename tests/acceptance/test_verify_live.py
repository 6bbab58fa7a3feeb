"""Verifying and rebuilding beside a daemon that mirrors what four writers save."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessionlib.db.engine import Database
from sessionlib.state.manager import StateManager
from tests import builders
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.processes import direct, environment, sessionctl

pytestmark = pytest.mark.timeout(300)

RUNS = int(os.environ.get("SESSIOND_TEST_VERIFY_RUNS", "4"))
"""How often everything is verified; the long form sets more."""

Wait = Callable[..., None]


@contextmanager
def writing(folders: list[Path], count: int = 4) -> Iterator[None]:
    """Let writers save sessions as agents do, each several times a second, until the block ends."""
    over = threading.Event()
    steps = iter(range(10**9))

    def write(seed: int) -> None:
        chance = random.Random(seed)
        while not over.wait(0.02):
            folder = chance.choice(folders)
            if chance.random() < 0.5:
                builders.write_json(folder / "state.json", builders.v2_building(topic=f"step {next(steps)}"))
            else:
                StateManager(folder).add_decision(f"step {next(steps)}")

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_what_four_writers_save_is_no_drift(
    tmp_path: Path, database_url: str, start_daemon: StartDaemon, wait_until: Wait
) -> None:
    """However often one looks, what is only under way is never drift; a planted value is, all the while."""
    folders = [
        builders.make_session(tmp_path / f"code/p{number % 2}/agents/sessions", f"s{number:02}")
        for number in range(60)
    ]
    daemon = start_daemon(database_url, tmp_path / "code")
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror", 30)
    environ = environment(database_url, tmp_path / "state")
    with writing(folders[:-1]):
        for _ in range(RUNS):
            said = sessionctl(environ, "verify", "--json")
            assert said.returncode == 0, said.stdout + said.stderr
        _plant(database_url, "s59")
        said = sessionctl(environ, "verify")
        assert said.returncode == 1, said.stdout + said.stderr
        assert "1 session with 1 difference" in said.stdout, said.stdout
        assert sessionctl(environ, "rebuild").returncode == 0
    wait_until(lambda: not daemon.client.status().stale, "a fresh mirror", 30)
    assert sessionctl(environ, "verify").returncode == 0
    (row,) = direct(database_url, "SELECT topic FROM sessions WHERE slug = 's59'")
    assert row == ("Garden wall",)
    assert "Traceback" not in daemon.log


def _plant(url: str, slug: str) -> None:
    database = Database(url)
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE sessions SET topic = 'planted' WHERE slug = '{slug}'")
    database.close()
