"""The link to PostgreSQL dies without a word: the workers are free in time, and nothing is lost."""

import pytest

from sessionlib.db.engine import Database
from tests import postgres
from tests.faults import links
from tests.faults.ground import Ground
from tests.faults.outages import FREED

pytestmark = [pytest.mark.timeout(180), pytest.mark.postgres]


@pytest.mark.parametrize(
    ("way", "moment"),
    [
        ("far end down", "under writers"),
        ("frames lost", "while idle"),
        ("frames lost", "while a statement waits"),
    ],
)
def test_dead_link(ground: Ground, way: str, moment: str) -> None:
    """What is sent is not acknowledged, or all of it was and no answer comes: the workers are free."""
    assert links.dead(ground, way, moment, 1.0).lost == 0


def test_settings_free_a_worker_in_time(postgres_server: postgres.Server) -> None:
    """With what connections are opened with, a dead link is found out in time whatever is under way."""
    database = Database(postgres_server.url("postgres"))
    with database.read() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        told = {name: int(value) for name, value in driver.info.get_parameters().items() if value.isdigit()}
        patience = driver.patience
    database.close()
    # What was sent before is not acknowledged, and then neither is who wants to connect; or it was.
    assert told["tcp_user_timeout"] / 1000 + told["connect_timeout"] < FREED
    assert patience < FREED
