"""A clock that is set forward or back, and files whose times say nothing: the rows are right all the same."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from sessionlib.sync.mirror import Outcome
from tests import builders
from tests.mirrors import NOON, World, outcomes
from tests.reconciling import crowd_fixture, missing, root_fixture, vanish  # noqa: F401 - fixtures

YEAR = timedelta(days=365)


def test_a_clock_set_back_delays_a_tombstone_by_seconds(world: World, root: Path) -> None:
    """What went missing before the clock was set back by a year is believed after two more looks."""
    world.reconcile(root)
    world.clock.now = NOON + YEAR
    shutil.rmtree(root / "one")
    assert world.reconcile(root).absent == 1
    world.clock.now = NOON
    assert world.reconcile(root).absent == 1
    assert missing(world) == set()
    assert world.confirm(root).tombstoned == 1
    assert missing(world) == {"one"}


def test_a_clock_set_back_still_holds_a_mass_back(world: World, crowd: Path) -> None:
    """Most of a root that vanished is held back on either side of the jump, and believed when told to."""
    world.reconcile(crowd)
    world.clock.now = NOON + YEAR
    vanish(crowd, 15)
    world.reconcile(crowd)
    assert world.confirm(crowd).held == 15
    world.clock.now = NOON
    assert world.reconcile(crowd).tombstoned == 0
    assert world.confirm(crowd).tombstoned == 0
    assert missing(world) == set()
    assert world.confirm(crowd, accept_missing=True).tombstoned == 15


@pytest.mark.parametrize("jump", [-YEAR, -timedelta(seconds=1), YEAR])
def test_a_save_after_a_jump_is_mirrored(world: World, root: Path, jump: timedelta) -> None:
    """A save is taken whatever the clock says, and the history does not go back in time."""
    folder = root / "one"
    world.reconcile(root)
    for number in range(3):
        world.clock.now += jump
        builders.write_json(folder / "state.json", builders.v2(topic=f"topic {number}"))
        assert outcomes(world, folder) == [Outcome.WRITTEN]
        assert world.session("one")["topic"] == f"topic {number}"
    times = [
        row["at"] for row in world.rows("session_versions", session_id=world.session("one")["session_id"])
    ]
    assert times == sorted(times)


def test_a_session_that_comes_back_after_a_jump_is_no_longer_missing(world: World, root: Path) -> None:
    """A tombstone with a time in the future is taken away like any."""
    world.reconcile(root)
    world.clock.now = NOON + YEAR
    (root / "one").rename(root.parent / "one")
    world.reconcile(root)
    world.confirm(root)
    assert missing(world) == {"one"}
    world.clock.now = NOON
    (root.parent / "one").rename(root / "one")
    world.reconcile(root)
    assert missing(world) == set()


@pytest.mark.parametrize("stamp", [-(10**9), 0, 10**9, 4 * 10**9])
def test_a_change_that_keeps_size_and_time_is_found(world: World, root: Path, stamp: int) -> None:
    """Content swapped in place under an equal size and an equal time is found by a comparison."""
    path = root / "one" / "state.json"
    for topic in ("first", "other", "third"):
        path.write_bytes(b'{"topic": "%s"}' % topic.encode())
        os.utime(path, (stamp, stamp))
        world.reconcile(root)
        assert world.session("one")["topic"] == topic
        assert world.reconcile(root).ticket.total == 0


def test_times_that_only_some_file_systems_hold(world: World, root: Path) -> None:
    """The first and the last time a file system takes are no obstacle, and are compared like any."""
    for stamp in (-(2**31), -(2**62) // 10**9, 2**33, 2**62 // 10**9):
        try:
            os.utime(root / "one" / "state.json", (0, stamp))
        except (OSError, OverflowError):
            continue
        world.reconcile(root)
        assert world.session("one")["error"] is None
        assert world.reconcile(root).ticket.total == 0
