"""A PostgreSQL that takes a statement and never answers: whoever waits is free again after a while."""
# ruff: noqa: PT012 - what is waited for may be the commit, so the transaction stands in the block

import time
from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import text

from sessionlib.db import bulk, tables
from sessionlib.db.engine import Database, take_time
from sessionlib.db.patience import AT_REST
from sessionlib.errors import DatabaseError, DatabaseUnavailableError
from sessionlib.models.base import utc_now
from tests import postgres
from tests.proxies import Proxy, proxied

pytestmark = pytest.mark.postgres

SERVER_S, PATIENCE = 1.0, 3.0


@pytest.fixture
def proxy(postgres_server: postgres.Server) -> Iterator[Proxy]:
    """A proxy before the tests' server."""
    with proxied(postgres_server) as made:
        yield made


@pytest.fixture
def database(proxy: Proxy, postgres_url: str) -> Iterator[Database]:
    """A database whose server ends a statement after a second."""
    url = proxy.url(postgres_url)
    sign = "&" if "?" in url else "?"
    made = Database(f"{url}{sign}options=-c%20statement_timeout%3D{SERVER_S:.0f}s")
    made.probe()
    yield made
    made.close()


def test_a_silent_server_is_given_up(database: Database, proxy: Proxy) -> None:
    """After what the server itself would allow and two seconds; then all is as if the link were lost."""
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError), database.write() as connection:
        connection.execute(text("SELECT 1"))
        proxy.set("blackhole")
        connection.execute(text("SELECT 2"))
    assert PATIENCE <= time.monotonic() - began < PATIENCE + 2
    proxy.set("pass")
    with database.read() as connection:
        assert connection.execute(text("SELECT 3")).scalar_one() == 3


def test_a_commit_is_not_waited_for_either(database: Database, proxy: Proxy) -> None:
    """Whether it was done, nobody knows; the error says that the database does not answer."""
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError), database.write() as connection:
        connection.execute(text("CREATE TEMP TABLE of_mine (id int)"))
        proxy.set("blackhole")
    assert time.monotonic() - began < PATIENCE + 2


def test_a_server_that_answers_is_not_given_up(database: Database) -> None:
    """The server's own limit comes first; who takes time has none, and the next transaction has it again."""
    with pytest.raises(DatabaseError) as caught, database.read() as connection:
        connection.execute(text("SELECT pg_sleep(10)"))
    assert not isinstance(caught.value, DatabaseUnavailableError)
    with database.read() as connection:
        take_time(connection)
        connection.execute(text(f"SELECT pg_sleep({PATIENCE + 1})"))
    with pytest.raises(DatabaseError) as caught, database.read() as connection:
        connection.execute(text("SELECT pg_sleep(10)"))
    assert not isinstance(caught.value, DatabaseUnavailableError)


def test_a_pipeline_may_take_longer_than_a_statement(database: Database) -> None:
    """Each of its statements is answered for itself; a server that is slow is not one that hangs."""
    with database.write() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END'"
            )
        )
        connection.execute(
            text("CREATE TRIGGER naps BEFORE INSERT ON hosts FOR EACH ROW EXECUTE FUNCTION nap()")
        )
        with bulk.pipelined(connection):
            for number in range(8):
                bulk.upsert(connection, tables.hosts, [(UUID(int=number), "x", None, utc_now())])
        assert connection.execute(text("SELECT count(*) FROM hosts")).scalar_one() == 8
        connection.rollback()


def test_a_connection_at_rest_shows_soon_that_it_is_alive(proxy: Proxy, postgres_url: str) -> None:
    """Else whoever takes it would wait for it, and then for a new one."""
    made = Database(proxy.url(postgres_url))
    made.probe()
    proxy.set("blackhole")
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError):
        made.probe()
    assert time.monotonic() - began < AT_REST + 5 + 2
    made.close()


def test_the_usual_patience(postgres_url: str) -> None:
    """Without options of one's own an answer is waited for a little longer than the server allows."""
    made = Database(postgres_url)
    with made.read() as connection:
        driver = connection.connection.driver_connection
        assert (driver.patience, connection.execute(text("SHOW statement_timeout")).scalar_one()) == (
            13.0,
            "11s",
        )
    made.close()


def test_a_server_without_a_limit_is_waited_for(postgres_url: str) -> None:
    """Who switches the server's limit off in the URL waits as long as it takes."""
    sign = "&" if "?" in postgres_url else "?"
    made = Database(f"{postgres_url}{sign}options=-c%20statement_timeout%3D0")
    with made.read() as connection:
        assert connection.connection.driver_connection.patience is None
    made.close()


def test_options_of_a_url_leave_the_other_limits(postgres_url: str) -> None:
    """What a URL says about a setting holds; of the others it says nothing."""
    sign = "&" if "?" in postgres_url else "?"
    made = Database(f"{postgres_url}{sign}options=-c%20lock_timeout%3D7s%20-c%20work_mem%3D5MB")
    with made.read() as connection:
        shown = [
            connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("lock_timeout", "work_mem", "statement_timeout", "jit", "TimeZone")
        ]
    made.close()
    assert shown == ["7s", "5MB", "11s", "off", "UTC"]
