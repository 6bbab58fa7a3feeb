"""PostgreSQL answers and refuses; mended, it has everything within ten seconds."""

import pytest

from tests.faults import refusals
from tests.faults.ground import Ground

pytestmark = [pytest.mark.timeout(180), pytest.mark.postgres]


def test_refused_in_every_way(ground: Ground) -> None:
    """Read-only, a right that is lost, another password, a column that is gone: one after the other."""
    names = list(refusals.REFUSALS)
    ground.chance.shuffle(names)
    for figure in refusals.refused(ground, names, 1.0):
        assert figure.lost == 0


def test_out_of_disk(ground: Ground) -> None:
    """The tablespace of the mirror is full."""
    assert refusals.full(ground, 1.0).lost == 0


def test_newer_schema(ground: Ground) -> None:
    """Another program has upgraded the schema."""
    assert refusals.newer(ground).lost == 0


def test_schema_upgraded_under_a_daemon(ground: Ground, kind: str) -> None:
    """Another program upgrades the schema while the daemon runs."""
    assert refusals.upgraded(ground, kind, 2.0).lost == 0
