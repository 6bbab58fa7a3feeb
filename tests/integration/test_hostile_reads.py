"""Disks that fail in the middle of a reading, and links in place of folders: no row is lost, and all heal."""

import errno
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionlib.errors import StateNotFoundError
from sessionlib.state.looks import MAX_RUNS
from sessionlib.sync.mirror import Outcome
from tests import builders
from tests.mirrors import World, outcomes
from tests.refusals import refuse

CODES = (errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ETIMEDOUT, errno.EOVERFLOW)
CALLS: dict[str, Callable[[str], bool]] = {
    "read": lambda _: True,
    "open": lambda path: path.endswith("state.json"),
    "stat": lambda path: path.endswith("state.json"),
    "lstat": lambda path: path.endswith("state.json"),
}


@pytest.mark.parametrize(("call", "code"), list(itertools.product(CALLS, CODES)))
def test_a_reading_that_fails_keeps_the_row(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """Whatever the system says while a file is read is on the row in its words, and gone when it is over."""
    folder = builders.make_session(root, "one", builders.v2(topic="good"))
    beside = builders.make_session(root, "beside", builders.v2(topic="good"))
    world.sync(folder, beside)
    before = world.session("one")
    builders.write_json(folder / "state.json", builders.v2(topic="changed"))
    with monkeypatch.context() as patch:
        refuse(patch, call, code, CALLS[call])
        result = world.sync(folder)[0]
    assert result.outcome is Outcome.UNREADABLE
    assert os.strerror(code) in (result.error or "")
    assert world.session("one") == before | {"error": result.error}
    world.reconcile(root)
    row = world.session("one")
    assert (row["topic"], row["error"]) == ("changed", None)


@pytest.mark.parametrize("part", ["agents", "agents/sessions"])
def test_a_root_behind_a_link_is_missing(world: World, root: Path, part: str) -> None:
    """A link in place of a root is not followed, whatever it leads to, and nothing is registered anew."""
    builders.make_session(root, "one", builders.v2(topic="good"))
    world.reconcile(root)
    before = world.rows("sessions")
    project = root.parent.parent
    elsewhere = builders.make_project(project.parent / "other", {"one": builders.v2(topic="outside")})
    (project / part).rename(project.parent / "parked")
    for target in (elsewhere / part, project.parent / "parked", project / "nowhere", project / part):
        (project / part).symlink_to(target)
        for place in (world, world.restarted()):
            assert place.reconcile(root).missing
            assert [r.outcome for r in place.sync(root / "one")] == [Outcome.ABSENT]
        (project / part).unlink()
    assert len(world.rows("projects")) == len(world.rows("workspaces")) == 1
    (project.parent / "parked").rename(project / part)
    assert not world.reconcile(root).missing
    assert [row["topic"] for row in world.rows("sessions")] == [row["topic"] for row in before]
    assert world.rows("sessions")[0]["missing_since"] is None


def test_runs_without_end_are_cut_off(world: World, root: Path) -> None:
    """A research folder with too many runs gives the first of them, and says so until some go."""
    research = {f"r{number:04}": builders.research_run() for number in range(MAX_RUNS + 20)}
    folder = builders.make_session(root, "one", builders.v2(topic="good"), research=research)
    assert outcomes(world, folder) == [Outcome.WRITTEN]
    assert len(world.rows("research_runs")) == MAX_RUNS
    assert "holds more than 1,000 runs" in str(world.session("one")["warnings"])
    assert world.reconcile(root).ticket.total == 0
    for number in range(20):
        shutil.rmtree(folder / "research" / f"r{number:04}")
    world.reconcile(root)
    names = {row["research_id"] for row in world.rows("research_runs")}
    assert (len(names), min(names), max(names)) == (MAX_RUNS, "r0020", f"r{MAX_RUNS + 19:04}")
    assert "runs" not in str(world.session("one")["warnings"])


def test_a_root_that_was_always_a_link_is_none(world: World, root: Path) -> None:
    """A link named like a sessions root of an unknown project is refused in words."""
    project = root.parent.parent.parent / "linked"
    project.mkdir()
    (project / "agents").symlink_to(root.parent)
    with pytest.raises(StateNotFoundError):
        world.place(project / "agents/sessions")
    assert world.rows("workspaces") == []


def test_a_project_behind_a_link_is_followed(world: World, root: Path) -> None:
    """Whoever names a project by a link means the project; so does a project whose folder became one."""
    project = root.parent.parent
    builders.make_session(root, "one", builders.v2(topic="good"))
    link = project.parent / "link"
    link.symlink_to(project)
    assert not world.reconcile(link / "agents/sessions").missing
    assert world.session("one")["topic"] == "good"
    project.rename(project.parent / "moved")
    project.symlink_to(project.parent / "moved")
    builders.make_session(root, "one", builders.v2(topic="moved"))
    assert outcomes(world, root / "one") == [Outcome.WRITTEN]
    assert world.session("one")["topic"] == "moved"
    assert len(world.rows("projects")) == 1
