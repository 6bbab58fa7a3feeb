"""The file of a SQLite mirror is locked, full, read-only, replaced, deleted, damaged: nothing is lost."""

import pytest

from tests.faults import files
from tests.faults.ground import Ground

pytestmark = pytest.mark.timeout(180)


def test_locked(ground: Ground) -> None:
    """Another program holds the write lock for fourteen seconds, longer than any of ours waits for it."""
    assert files.locked(ground, 14.0).lost == 0


def test_disk_full(ground: Ground) -> None:
    """There is no room for another page."""
    assert files.full(ground, 1.0).lost == 0


def test_read_only(ground: Ground) -> None:
    """The file system takes no writes."""
    assert files.read_only(ground).lost == 0


def test_replaced(ground: Ground) -> None:
    """An older copy, another mirror's file, an empty and no file stand in its place, one after the other."""
    for figure in files.replaced(ground):
        assert figure.lost == 0


def test_damaged(ground: Ground) -> None:
    """Garbage in its pages, half of it, another kind of file, while nobody has it open."""
    for figure in files.damaged(ground):
        assert figure.lost == 0


def test_damaged_live(ground: Ground) -> None:
    """The same under a daemon that runs, and writers."""
    for figure in files.damaged_live(ground):
        assert figure.lost == 0
