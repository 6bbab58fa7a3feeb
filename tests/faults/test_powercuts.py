"""After a power cut every acknowledged save is there, whole."""

from pathlib import Path

import pytest

from tests import builders
from tests.faults import powercuts
from tests.faults.ground import Ground

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_acknowledged_saves_are_there(ground: Ground, kind: str) -> None:
    """Eight cuts at once after five saves each: none is lost, no file is empty."""
    assert powercuts.cut(ground, kind, 8).lost == 0


@pytest.mark.parametrize("kind", powercuts.KINDS)
def test_cut_in_the_middle_of_saves(ground: Ground, kind: str) -> None:
    """Eight cuts at any moment under a process that saves: what was acknowledged or under way is there."""
    assert powercuts.cut_while_saving(ground, kind, 8).lost == 0


def test_a_process_that_never_syncs_loses_saves(ground: Ground) -> None:
    """Whoever saves without a sync meanwhile is found out."""
    assert powercuts.cut_while_saving(ground, "ext4", 8, careless=True).lost > 0


def test_a_save_without_sync_is_lost(ground: Ground) -> None:
    """The cut is a real one: what a writer has not synced is not there."""

    def careless(session: Path, topic: str) -> None:
        builders.make_session(session.parent, session.name, builders.v2(topic=topic))

    assert powercuts.cut(ground, "ext4", 4, careless).lost > 0
