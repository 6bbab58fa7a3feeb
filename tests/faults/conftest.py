"""A ground for each test, on the databases that all tests share."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.faults.ground import Ground, Tools
from tests.faults.nursery import Nursery, nursery

SEED = "SESSIOND_TEST_SEED"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database, one after the other."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def daemons() -> Iterator[Nursery]:
    """What starts the daemons of this worker."""
    with nursery() as made:
        yield made


@pytest.fixture
def ground(request: pytest.FixtureRequest, tmp_path: Path, daemons: Nursery) -> Iterator[Ground]:
    """An empty ground; its seed is told when the test fails."""
    servers: list[postgres.PostgresServer] = []

    def own_server() -> postgres.PostgresServer:
        binaries = postgres.find_binaries()
        if binaries is None:
            pytest.skip("no PostgreSQL server binaries")
        servers.append(postgres.PostgresServer(binaries))
        servers[-1].start()
        postgres.execute(servers[-1], "CREATE DATABASE mirror")
        return servers[-1]

    def new_database(kind: str) -> str:
        url: str = request.getfixturevalue(f"{kind}_url")
        return url

    seed = int(os.environ.get(SEED) or random.randrange(2**32))
    print(f"{SEED}={seed}")  # noqa: T201 - shown when it fails
    tools = Tools(daemons, new_database, None, own_server)
    made = Ground(tmp_path, tools, seed)
    yield made
    made.close()
    for server in servers:
        server.remove()
