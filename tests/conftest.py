"""Fixtures every test may use: databases of both kinds, and waiting without sleeping longer than needed."""

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from sessionlib.db import schema
from sessionlib.db.engine import Database
from tests import postgres

# Helpers that assert tell as much about a failure as the tests themselves.
pytest.register_assert_rewrite("tests.edits", "tests.queues", "tests.states")

# An example takes as long as a busy machine needs for it.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_NUMBERS = itertools.count()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give each worker a temporary folder with a short name: sockets lie in there, with a limit on theirs."""
    # Daemons of tests must not read what the clients of whoever runs them have left.
    os.environ["CLAUDE_CONFIG_DIR"] = str(Path(tempfile.gettempdir()) / "no-client-of-any-test")
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        given = Path(config.option.basetemp)
        config.option.basetemp = given.with_name(given.name.removeprefix("popen-"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """The PostgreSQL server of this test run, with an upgraded template database."""
    with postgres.running_server() as server:
        if server is None:
            message = "no PostgreSQL: install one, or set SESSIOND_TEST_POSTGRES_URL"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        template = f"sessiond_template_{os.getpid()}"
        postgres.execute(server, f"CREATE DATABASE {template}")
        database = Database(server.url(template))
        schema.upgrade(database)
        database.close()
        yield server
        postgres.execute(server, f"DROP DATABASE {template} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database with the newest schema."""
    name = f"sessiond_test_{os.getpid()}_{next(_NUMBERS)}"
    postgres.execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE sessiond_template_{os.getpid()}")
    yield postgres_server.url(name)
    postgres.execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An upgraded, empty SQLite database, as bytes to copy."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    database.close()
    return path.read_bytes()


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: bytes) -> str:
    """The URL of a fresh SQLite database with the newest schema."""
    path = tmp_path / "mirror.db"
    path.touch(0o600)  # as a daemon makes it
    path.write_bytes(sqlite_template)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database, once of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database with the newest schema, once of each kind."""
    opened = Database(database_url)
    yield opened
    opened.close()


Wait = Callable[..., None]


@pytest.fixture
def wait_until() -> Wait:
    """Wait until a condition holds, looking every few milliseconds; fail with its name after a deadline."""

    def wait(condition: Callable[[], object], what: str = "the condition", seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {seconds} s for {what}")
            time.sleep(0.005)

    return wait
