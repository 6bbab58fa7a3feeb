"""A save is killed or refused at each of its system calls: the file is the old one or the new one."""

import pytest

from tests.faults import saves
from tests.faults.ground import Ground

pytestmark = pytest.mark.timeout(180)


def test_killed_at_every_system_call(ground: Ground) -> None:
    """Whichever call is its last, the file is whole and the next save works."""
    assert saves.killed_at_every_call(ground).times > 30


def test_refused_at_every_system_call(ground: Ground) -> None:
    """Whatever the system refuses, the file is whole, the caller is told, and no temp file is left."""
    assert saves.refused_at_every_call(ground).times > 30


def test_lock_holders_are_killed(ground: Ground) -> None:
    """Eight processes count in one session while others of them are killed: no update is lost."""
    assert saves.locked_counts(ground, 8, 150, 12).lost == 0


def test_full_disk(ground: Ground) -> None:
    """The disk takes a part of the write and no more: the old file stays, and no temp file."""
    assert saves.on_a_full_disk(ground, 3).lost == 0
