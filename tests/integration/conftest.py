"""Fixtures of the integration tests: one PostgreSQL database for many tests, emptied before each."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from sessionlib.config import Config, DaemonConfig, DatabaseConfig
from sessionlib.db.engine import Database
from tests import builders, mirrors, postgres
from tests.watching import Listener


@pytest.fixture(scope="session")
def _shared_postgres(postgres_server: postgres.Server) -> Iterator[Database]:
    # Making a database for each test would take longer than all the tests.
    name = mirrors.shared_name()
    postgres.execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE {mirrors.template_name()}")
    database = Database(postgres_server.url(name))
    yield database
    database.close()
    postgres.execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def mirror_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database with the newest schema, once of each kind; not fresh, but emptied."""
    if request.param == "postgres":
        shared: Database = request.getfixturevalue("_shared_postgres")
        mirrors.empty(shared)
        yield shared
        return
    database = Database(request.getfixturevalue("sqlite_url"))
    yield database
    database.close()


@pytest.fixture
def world(mirror_database: Database) -> mirrors.World:
    """A mirror driven by hand, on an empty database of each kind."""
    return mirrors.World(mirror_database)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The sessions root of an empty project outside git."""
    return builders.make_project(tmp_path / "garden") / "agents/sessions"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A watch root."""
    top = tmp_path / "watched"
    top.mkdir()
    return top


@pytest.fixture
def listener() -> Listener:
    """Remembers what rang."""
    return Listener()


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """A database without any schema, once of each kind."""
    if database_url.startswith("sqlite"):
        opened = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    else:
        opened = Database(database_url)
        with opened.write() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
    yield opened
    opened.close()


@pytest.fixture
def config(mirror_database: Database, tmp_path: Path) -> Config:
    """Settings for the test's database, on a host of its own."""
    url = mirror_database.url.render_as_string(hide_password=False)
    return Config(
        database=DatabaseConfig(url=url),
        daemon=DaemonConfig(state_dir=tmp_path / "state", host_id=UUID(int=1)),
    )
