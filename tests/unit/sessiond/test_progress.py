"""Progress: dead is stuck, idle is not, and work that is held for too long is."""

import pytest

from sessiond.progress import Progress

CASES = [
    (Progress("x", alive=True), False),
    (Progress("x", alive=False), True),
    (Progress("x", alive=True, since=5.0), False),
    (Progress("x", alive=True, holding_since=60.0), False),
    (Progress("x", alive=True, holding_since=30.0), True),
    (Progress("x", alive=True, since=80.0, holding_since=30.0), False),
    (Progress("x", alive=True, since=20.0, holding_since=30.0), True),
]


@pytest.mark.parametrize(("progress", "stuck"), CASES)
def test_stuck_is_dead_or_holding_work_without_finishing_any(progress: Progress, stuck: bool) -> None:
    """At 100 s with a limit of 60 s: a thread that finished something since counts as moving."""
    assert progress.is_stuck(100.0, 60.0) is stuck
