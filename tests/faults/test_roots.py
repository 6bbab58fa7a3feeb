"""Folders come, go, move and are replaced: right rows, ids unchanged, and no false tombstone."""

import pytest

from tests.faults import roots
from tests.faults.ground import Ground

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("name", sorted(roots.CHANGES))
def test_change(ground: Ground, name: str) -> None:
    """One change under a running daemon."""
    assert roots.changed(ground, "sqlite", name).lost == 0


@pytest.mark.postgres
def test_worktree_on_postgres(ground: Ground) -> None:
    """A worktree that comes and goes, on the other database."""
    assert roots.changed(ground, "postgres", "worktree added and removed").lost == 0
