"""A round over many sessions roots: what is stored is read at once, and never believed for too long."""

import shutil
from pathlib import Path

import pytest

from sessionlib.sync.reconcile import Report
from tests import builders, mirrors, opens
from tests.mirrors import World
from tests.reconciling import missing, open_findings, vanish

FEW, MANY = 3, 12


@pytest.fixture(name="towns")
def towns_fixture(world: World, tmp_path: Path) -> list[Path]:
    """The sessions roots of many projects with two sessions each, compared and confirmed to be quiet."""
    roots = [
        builders.make_project(tmp_path / f"town-{number:02}", ["one", "two"]) / "agents/sessions"
        for number in range(MANY)
    ]
    for root in roots:
        builders.make_session(root, "planned", None, builders.plan(), {"run": builders.research_run()})
    world.round(*roots)
    world.clock.tick(100)
    assert not any(report.ticket.total for report in world.round(*roots))
    return roots


def statements(world: World, roots: list[Path]) -> int:
    """Return how many statements a round over these roots costs."""
    with mirrors.counted(world.database) as sent:
        reports = world.round(*roots)
    assert [report.total for report in reports] == [3] * len(roots)
    return len(sent)


def test_a_quiet_round_asks_the_same_however_many_roots(world: World, towns: list[Path]) -> None:
    """The number of statements does not grow with the roots; no file is opened and nothing written."""
    before = world.everything()
    folders = [folder for root in towns for folder in opens.below(root)]
    with opens.watched(folders) as opened, mirrors.begun_writes(world.database) as begun:
        few = statements(world, towns[:FEW])
        many = statements(world, towns)
        assert (opened.taken(), begun) == ([], [])
    assert few == many <= 6
    assert world.everything() == before


def test_a_start_looks_many_roots_up_at_once(world: World, towns: list[Path]) -> None:
    """A new process places all roots that lie as they are registered without a transaction for each."""
    with mirrors.begun_writes(world.database) as begun:
        few = statements(world.restarted(), towns[:FEW])
        many = statements(world.restarted(), towns)
    assert few == many <= 12
    assert begun == []


def test_what_differs_is_queued(world: World, towns: list[Path]) -> None:
    """New and changed sessions are found by the picture alone, in their root and in no other."""
    builders.make_session(towns[1], "new")
    builders.write_json(towns[2] / "one" / "state.json", builders.v2(topic="changed"))
    with mirrors.begun_writes(world.database) as begun:
        reports = world.round(*towns)
    assert set(world.queued) == {towns[1] / "new", towns[2] / "one"}
    assert [report.ticket.counts for report in reports[:3]] == [{}, {"written": 1}, {"written": 1}]
    assert len(begun) == 2


def stale_round(world: World, root: Path, meanwhile: str) -> Report:
    """Compare a root with a picture that was drawn before one of its sessions was synced."""
    place = world.place(root)
    picture = world.reconciler.picture([place])
    builders.make_session(root, meanwhile)
    world.sync(root / meanwhile)
    world.queued = []
    return world.reconciler.reconcile(place, picture=picture)


def test_a_session_synced_since_is_looked_at_once_more(world: World, towns: list[Path]) -> None:
    """What the picture does not show yet is queued again, which changes nothing."""
    report = stale_round(world, towns[0], "three")
    assert (world.queued, report.ticket.counts) == ([towns[0] / "three"], {"unchanged": 1})


def test_an_old_picture_makes_no_tombstone(world: World, towns: list[Path]) -> None:
    """A session that was absent, came back and vanished again needs its two looks anew."""
    root = towns[0]
    shutil.rmtree(root / "one")
    (first, *_) = world.round(root)
    assert (first.absent, first.unconfirmed) == (1, 1)
    world.clock.tick()
    place = world.place(root)
    picture = world.reconciler.picture([place])
    builders.make_session(root, "one")
    world.sync(root / "one")
    shutil.rmtree(root / "one")
    second = world.reconciler.reconcile(place, picture=picture)
    assert (second.absent, second.tombstoned, missing(world)) == (1, 0, set())
    world.clock.tick()
    (third, *_) = world.round(root)
    assert (third.tombstoned, missing(world)) == (1, {"one"})


def test_each_absence_says_when_it_can_be_confirmed(world: World, towns: list[Path]) -> None:
    """What goes three seconds later can be confirmed two seconds after what went first."""
    root = towns[0]
    shutil.rmtree(root / "one")
    (first, *_) = world.round(root)
    world.clock.tick(3)
    shutil.rmtree(root / "two")
    (second, *_) = world.round(root)
    world.clock.tick(2)
    (third, *_) = world.round(root)
    assert [(one.absent, one.unconfirmed, one.confirm_in) for one in (first, second, third)] == [
        (1, 1, 5.0),
        (1, 2, 2.0),
        (0, 1, 3.0),
    ]
    world.clock.tick(3)
    (last, *_) = world.round(root)
    assert (third.tombstoned, last.tombstoned, missing(world)) == (1, 1, {"one", "two"})


def test_a_root_that_vanishes_is_marked_and_found_again(world: World, towns: list[Path]) -> None:
    """Nothing is tombstoned; a round over roots that stay missing costs no more than any other."""
    root = towns[0]
    root.rename(root.with_name("away"))
    assert world.round(*towns)[0].missing
    assert world.rows("workspaces", path=str(root.parents[1]))[0]["missing_since"] is not None
    with mirrors.counted(world.database) as sent:
        assert world.round(*towns)[0].missing
    assert len(sent) <= 6
    root.with_name("away").rename(root)
    assert not world.round(*towns)[0].missing
    assert world.rows("workspaces", path=str(root.parents[1]))[0]["missing_since"] is None
    assert missing(world) == set()


def test_a_mass_disappearance_is_held_back_in_a_round(world: World, tmp_path: Path) -> None:
    """What a round holds back it also believes at last, and the finding is closed."""
    root = builders.make_project(tmp_path / "city", [f"s{n:02}" for n in range(20)]) / "agents/sessions"
    world.round(root)
    vanish(root, 15)
    world.round(root)
    world.clock.tick()
    (held,) = world.round(root)
    assert (held.held, held.tombstoned, open_findings(world)) == (15, 0, ["mass_vanish"])
    world.clock.tick()
    (believed,) = world.round(root)
    assert (believed.tombstoned, open_findings(world)) == (15, [])


def test_a_root_of_another_identity_is_noted(world: World, towns: list[Path]) -> None:
    """A root that was replaced by a copy of itself is stored with its new identity."""
    root = towns[0]
    shutil.copytree(root, root.with_name("copy"))
    shutil.rmtree(root)
    root.with_name("copy").rename(root)
    world.round(root)
    (row,) = (
        row for row in world.rows("workspace_roots") if row["workspace_id"] == world.place(root).workspace_id
    )
    assert row["inode"] == root.stat().st_ino


def test_a_project_that_moved_is_known_again(world: World, towns: list[Path]) -> None:
    """What does not lie where it is registered is looked up for itself: it keeps its workspace."""
    before = world.place(towns[0])
    old = towns[0].parents[1]
    old.rename(old.with_name("moved"))
    again = world.restarted()
    again.round(old.with_name("moved") / "agents/sessions", *towns[1:])
    after = again.place(old.with_name("moved") / "agents/sessions")
    assert (after.project_id, after.workspace_id) == (before.project_id, before.workspace_id)
    assert missing(again) == set()
