"""Very much happens at once, or while the daemon cannot look: all of it is mirrored."""

import pytest

from tests.faults import bursts, limits
from tests.faults.ground import Ground

pytestmark = pytest.mark.timeout(180)


def test_burst(ground: Ground) -> None:
    """Two thousand new sessions; the long form does it on PostgreSQL, too."""
    assert bursts.burst(ground, "sqlite", 2000).lost == 0


def test_held_process(ground: Ground) -> None:
    """Five thousand writes over five hundred folders while it is held."""
    assert bursts.stopped_process(ground, "sqlite", 5000, 500).lost == 0


@pytest.mark.parametrize("name", sorted(limits.LIMITS))
def test_limit_of_inotify(ground: Ground, name: str) -> None:
    """Fifty folders with twenty watches, and with none: one warning, and everything is mirrored."""
    assert limits.limited(ground, name, 50).lost == 0
