"""Folders come, go, move and are replaced: right rows, ids unchanged, no false tombstone, no deaf daemon."""

import pytest

from tests.faults import roots
from tests.faults.ground import Ground

pytestmark = pytest.mark.timeout(180)

# Half of them on each database, worktrees on both; the long form does all of them on both.
WORKTREE = "worktree added and removed"
OTHERS = sorted(roots.CHANGES.keys() - {WORKTREE})


@pytest.mark.parametrize("name", [*OTHERS[::2], WORKTREE])
def test_change(ground: Ground, name: str) -> None:
    """One change under a running daemon, which then hears of what is saved, and leaves nothing to write."""
    assert roots.changed(ground, "sqlite", name).lost == 0


@pytest.mark.postgres
@pytest.mark.parametrize("name", [*OTHERS[1::2], WORKTREE])
def test_change_on_postgresql(ground: Ground, name: str) -> None:
    """The other changes, likewise."""
    assert roots.changed(ground, "postgres", name).lost == 0
