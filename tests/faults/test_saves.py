"""A save is killed or refused at each of its system calls: the file is the old one or the new one."""

import pytest

from tests.faults import holders, saves
from tests.faults.ground import Ground

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("verb", ["save", "create"])
def test_killed_at_every_system_call(ground: Ground, verb: str) -> None:
    """Whichever call is its last, the file is whole, or not there yet, and the next try works."""
    assert saves.killed_at_every_call(ground, verb).times > 30


@pytest.mark.parametrize(("verb", "errors"), [("save", 5), ("create", 2)])
def test_refused_at_every_system_call(ground: Ground, verb: str, errors: int) -> None:
    """Whatever the system refuses, the file is whole, the caller is told, and no temp file is left."""
    assert saves.refused_at_every_call(ground, verb, errors).times > 30


def test_temp_file_that_cannot_be_removed(ground: Ground) -> None:
    """The caller hears why the save failed, not that it could not be tidied up after."""
    assert saves.undeletable(ground).lost == 0


def test_content_taken_in_parts(ground: Ground) -> None:
    """Whatever part of the content the system takes at first, the file is whole."""
    assert saves.taken_in_parts(ground, [1, 100, 500]).lost == 0


def test_lock_holders_are_killed(ground: Ground) -> None:
    """Eight processes count in one session while holders of its lock are killed: no update is lost."""
    assert holders.locked_counts(ground, 8, 150, 12).times == 12


def test_full_disk(ground: Ground) -> None:
    """The disk takes a part of the write and no more: the old file stays, and no temp file."""
    assert saves.on_a_full_disk(ground, 3).lost == 0
