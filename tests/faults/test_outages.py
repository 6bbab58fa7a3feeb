"""PostgreSQL goes away and comes back: nothing is lost, and the daemon says how it is."""

import pytest

from tests import postgres
from tests.faults import outages
from tests.faults.ground import Ground
from tests.faults.resetting import resetting
from tests.proxies import proxied

pytestmark = [pytest.mark.timeout(180), pytest.mark.postgres]


def test_stopped(ground: Ground) -> None:
    """Forty seconds without a server: long enough for a reminder; afterwards all is there within 10 s."""
    assert outages.stopped(ground, 40.0).lost == 0


def test_restarted(ground: Ground) -> None:
    """Five restarts without warning: after each all is there within 10 s."""
    assert outages.restarted(ground, 5).lost == 0


def test_hung(ground: Ground, postgres_server: postgres.Server) -> None:
    """It accepts everything and answers nothing: all workers are free within 15 s."""
    with proxied(postgres_server) as proxy:
        assert outages.hung(ground, proxy, 3.0).lost == 0


def test_reset_in_mid_commit(ground: Ground, postgres_server: postgres.Server) -> None:
    """Twelve commits of which the client does not hear whether they were done: each time all is there."""
    with resetting(postgres_server) as proxy:
        assert outages.reset_in_commit(ground, proxy, 12).lost == 0
