"""Other connections to the same database, while it is in use."""

from pathlib import Path

import psycopg
import pytest

from sessionlib.db.engine import Database
from sessionlib.errors import ConfigError, DatabaseError


@pytest.mark.postgres
def test_another_role_takes_over(postgres_url: str) -> None:
    """After a reconnect new transactions run as the other role; one that is open ends on its own."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS sessiond_other")
        admin.execute("CREATE ROLE sessiond_other LOGIN SUPERUSER PASSWORD 'first'")
    database = Database(postgres_url)
    user = database.url.username
    other = database.url.set(username="sessiond_other", password="first")
    try:
        with database.read() as connection:
            database.reconnect(other, pool_size=3)
            assert connection.exec_driver_sql("SELECT current_user").scalar() == user
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT current_user").scalar() == "sessiond_other"
        assert "first" not in database.name
    finally:
        database.reconnect(postgres_url, pool_size=3)
        with database.write() as connection:
            connection.exec_driver_sql("DROP ROLE sessiond_other")
        database.close()


@pytest.mark.postgres
def test_a_url_that_does_not_work_changes_nothing(postgres_url: str) -> None:
    """The old connections stay in use when the new ones cannot be made."""
    database = Database(postgres_url)
    try:
        with pytest.raises(DatabaseError):
            database.reconnect(database.url.set(database="no_such_database"), pool_size=3)
        database.probe()
    finally:
        database.close()


def test_another_kind_of_database_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    """From SQLite to PostgreSQL wants a restart; another pool size does not."""
    database = Database(sqlite_url)
    try:
        with pytest.raises(ConfigError, match="restart"):
            database.reconnect("postgresql://u@localhost/x", pool_size=3)
        database.reconnect(sqlite_url, pool_size=2)
        database.probe()
    finally:
        database.close()
