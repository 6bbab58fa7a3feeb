"""Several write the same mirror: they converge, and none undoes what another did."""

import pytest

from tests.faults import doubles
from tests.faults.ground import Ground

pytestmark = pytest.mark.timeout(180)


@pytest.mark.postgres
def test_two_hosts(ground: Ground) -> None:
    """Two daemons on one PostgreSQL over one tree, under four writers: then neither writes any more."""
    assert doubles.two_hosts(ground, 2.0).lost == 0


def test_commands_beside_a_daemon(ground: Ground, kind: str) -> None:
    """Six commands that sync, one after the other, beside a daemon and four writers."""
    assert doubles.beside_a_daemon(ground, kind, 6).lost == 0


def test_queues_beside_a_daemon(ground: Ground, kind: str) -> None:
    """Four hundred saves by four programs with queues, beside a daemon: no deadlock, no ping-pong."""
    assert doubles.queues_beside_a_daemon(ground, kind, 100).lost == 0
