"""Fixtures of the tests of the database side: the small world that all questions are asked of."""

import os
from collections.abc import Iterator

import pytest

from sessionlib.db import schema
from sessionlib.db.engine import Database
from tests import postgres
from tests.gardens import World, stop_clock


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, Database]]:
    """The world in a database of each kind, written once for all tests that only read."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("world") / "mirror.db"
        database = Database(f"sqlite:///{path}")
    else:
        server: postgres.Server = request.getfixturevalue("postgres_server")
        name = f"sessiond_world_{os.getpid()}"
        postgres.execute(server, f"CREATE DATABASE {name}")
        database = Database(server.url(name))
    schema.upgrade(database)
    with database.write() as connection:
        made = World(connection)
    yield made, database
    database.close()
    if request.param == "postgres":
        postgres.execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def world(shared: tuple[World, Database], monkeypatch: pytest.MonkeyPatch) -> tuple[World, Database]:
    """The world, not to be written to, with the clock standing at `NOW`."""
    stop_clock(monkeypatch)
    return shared
