"""A few ratios that must not drift: our work beside that of bare scripts, in processor time of one run.

The limits are about three times what was measured: they catch what makes the work grow, and no busy
machine.
"""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import bare_import, corpus
from benchmarks.bare_compare import BareComparison
from sessionlib.db.engine import Database
from sessionlib.sync.mirror import Outcome
from tests import mirrors
from tests.mirrors import World

COUNT = 500
GROUP = 50
COMPARISON = 8.0
IMPORT = 7.0
ROUNDS = 3


def cpu_of(call: Callable[[], object]) -> float:
    """Return the seconds of processor time that a call takes of this process."""
    began = time.process_time()
    call()
    return time.process_time() - began


def load(url: str, sessions: Path) -> float:
    """Load all sessions by the bare script; return the processor time that took."""
    kind = "sqlite" if url.startswith("sqlite") else "postgres"
    folders = sorted(sessions.iterdir())
    return cpu_of(lambda: bare_import.load(kind, url, folders))


@pytest.fixture(name="sessions", scope="module")
def sessions_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sessions root of a project with many sessions of the usual size; nobody changes it."""
    project = tmp_path_factory.mktemp("code") / "project"
    corpus.make_sessions(project, COUNT)
    return project / "agents" / "sessions"


def test_a_comparison_stays_near_a_bare_one(database_url: str, sessions: Path) -> None:
    """Comparing unchanged sessions costs a few times what loading signatures, scanning and a stat each do."""
    load(database_url, sessions)
    bare = BareComparison(database_url, [str(sessions)])
    with closing(Database(database_url)) as database, closing(bare):
        world = World(database)
        # What the bare script has loaded is what an import would have: there is nothing to mend.
        assert world.reconcile(sessions).ticket.total == 0
        assert bare.run().same == COUNT
        pairs = [(cpu_of(lambda: world.reconcile(sessions)), cpu_of(bare.run)) for _ in range(9)]
    assert min(ours for ours, _ in pairs) <= COMPARISON * min(least for _, least in pairs)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_an_import_stays_near_a_bare_one(kind: str, sessions: Path, request: pytest.FixtureRequest) -> None:
    """Mirroring new sessions costs a few times what reading, parsing and loading their rows does."""
    url: str = request.getfixturevalue(f"{kind}_url")
    with closing(Database(url)) as database:
        folders = sorted(sessions.iterdir())

        def mirror() -> None:
            world = World(database)
            for start in range(0, COUNT, GROUP):
                outcomes = mirrors.outcomes(world, *folders[start : start + GROUP])
                assert set(outcomes) == {Outcome.WRITTEN}

        ours, bare = [], []
        for _ in range(ROUNDS):
            ours.append(cpu_of(mirror))
            mirrors.empty(database)
            bare.append(load(url, sessions))
            mirrors.empty(database)
    assert min(ours) <= IMPORT * min(bare)
