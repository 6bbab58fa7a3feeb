"""The daemon is told to stop at random moments: it leaves in time, with 0, and nothing is lost."""

import pytest

from tests import postgres
from tests.faults import stops
from tests.faults.ground import Ground
from tests.proxies import proxied

pytestmark = pytest.mark.timeout(180)


def test_at_random_moments_on_sqlite(ground: Ground) -> None:
    """Ten times under four writers; after each the next start has all of it within 10 s."""
    assert stops.random_stops(ground, "sqlite", 10).lost == 0


@pytest.mark.postgres
def test_at_random_moments_on_postgresql_that_may_hang(
    ground: Ground, postgres_server: postgres.Server
) -> None:
    """Likewise; every third time the database hangs first."""
    with proxied(postgres_server) as proxy:
        assert stops.random_stops(ground, "postgres", 10, proxy).lost == 0
