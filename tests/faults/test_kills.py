"""The daemon is killed, again and again: afterwards the mirror equals the files."""

from importlib import import_module
from operator import attrgetter

import pytest

from tests.faults import kills
from tests.faults.failpoints import JOURNAL_STEPS, STEPS
from tests.faults.ground import Ground

pytestmark = pytest.mark.timeout(180)


def test_at_random_moments(ground: Ground, kind: str) -> None:
    """Fifteen kills on each database while four agents write: after each the next start has all in 10 s."""
    assert kills.random_kills(ground, kind, 15).lost == 0


def test_at_every_step_of_a_sync(ground: Ground, kind: str) -> None:
    """Killed before or after each of the named steps: each next start mends what was left half done."""
    assert len(STEPS) >= 25
    # Half of them on each database, and on both what a removal brings about; the long form does all on both.
    half = sorted(STEPS)[kind == "postgres" :: 2]
    assert kills.kills_at_steps(ground, kind, half, 1).lost == 0


@pytest.mark.parametrize("target", [*STEPS.values(), *JOURNAL_STEPS.values()])
def test_every_step_is_there(target: str) -> None:
    """What a daemon is killed at is a function of it; one that was renamed would never be reached."""
    module, _, path = target.partition(":")
    assert callable(attrgetter(path)(import_module(module)))
