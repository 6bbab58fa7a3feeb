"""Many sessions that vanish at once are held back until they are confirmed or accepted."""

import shutil
from pathlib import Path

from tests.mirrors import World
from tests.reconciling import crowd_fixture, missing, open_findings, root_fixture, vanish  # noqa: F401 - fixtures


def test_a_mass_disappearance_is_held_back_once(world: World, crowd: Path) -> None:
    """More than half of a root gone at once waits for one more confirmation, with a finding meanwhile."""
    world.reconcile(crowd)
    vanish(crowd, 11)
    assert world.reconcile(crowd).absent == 11
    report = world.confirm(crowd)
    assert (report.held, report.tombstoned, len(missing(world))) == (11, 0, 0)
    assert open_findings(world) == ["mass_vanish"]
    world.clock.tick(1)
    report = world.reconcile(crowd)
    assert (report.held, report.tombstoned) == (0, 0)
    assert open_findings(world) == ["mass_vanish"]
    report = world.confirm(crowd)
    assert (report.held, report.tombstoned, len(missing(world))) == (0, 11, 11)
    assert open_findings(world) == []


def test_a_mass_disappearance_can_be_accepted(world: World, crowd: Path) -> None:
    """A person who says so needs no second confirmation."""
    world.reconcile(crowd)
    vanish(crowd, 20)
    world.reconcile(crowd, accept_missing=True)
    assert missing(world) == set()
    report = world.confirm(crowd, accept_missing=True)
    assert (report.held, report.tombstoned) == (0, 20)


def test_what_is_held_can_be_accepted_at_once(world: World, crowd: Path) -> None:
    """Right after it was held back a person can release it: two looks have come before."""
    world.reconcile(crowd)
    vanish(crowd, 15)
    world.reconcile(crowd)
    held = world.confirm(crowd)
    assert (held.held, held.tombstoned) == (15, 0)
    report = world.reconcile(crowd, accept_missing=True)
    assert report.tombstoned == 15
    assert open_findings(world) == []


def test_a_held_mass_that_returns_closes_its_finding(world: World, crowd: Path, tmp_path: Path) -> None:
    """When the sessions are there again nothing is held any more, and nobody is told that it is."""
    world.reconcile(crowd)
    shutil.copytree(crowd, tmp_path / "copy")
    vanish(crowd, 15)
    world.reconcile(crowd)
    world.confirm(crowd)
    assert open_findings(world) == ["mass_vanish"]
    shutil.copytree(tmp_path / "copy", crowd, dirs_exist_ok=True)
    world.confirm(crowd)
    assert open_findings(world) == []
    assert missing(world) == set()
    assert world.confirm(crowd).ticket.total == 0


def test_a_few_or_a_smaller_part_are_no_mass(world: World, crowd: Path, root: Path) -> None:
    """All of a small root, and half of a large one, need no further confirmation."""
    for place, count in ((crowd, 10), (root, 3)):
        world.reconcile(place)
        vanish(place, count)
        world.reconcile(place)
        report = world.confirm(place)
        assert (report.held, report.tombstoned) == (0, count)


def test_a_slow_disappearance_is_a_mass_too(world: World, crowd: Path) -> None:
    """A disk that takes its time to vanish is held back like one that goes at once."""
    world.reconcile(crowd)
    vanish(crowd, 9)
    world.reconcile(crowd)
    vanish(crowd, 9)
    report = world.confirm(crowd)
    assert (report.absent, report.held, report.tombstoned) == (9, 9, 0)
    world.confirm(crowd)
    world.confirm(crowd)
    world.confirm(crowd)
    assert len(missing(world)) == 18
