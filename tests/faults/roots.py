"""Folders that come, go, move and are replaced under a running daemon: right rows, and no false tombstone."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sessionlib.state.manager import StateManager
from tests import builders
from tests.faults import oracle
from tests.faults.ground import RECOVERY, Figure, Ground, Keeper, until
from tests.faults.machine import bound, tmpfs

_OFTEN = 1.0
"""Seconds between two comparisons, give or take a quarter, while a change is done."""
_CONFIG = "[watch]\nreconcile_interval = {}\n"
_COUNT = 6
_LOOKED = 8.0
"""Seconds after which whatever is believed to be gone would have its tombstone."""


class Town:
    """A project under a running daemon, and what its rows were.

    Args:
        ground: Where.
        kind: Of database.
        mounts: What is mounted stays until it is closed, behind the last look.
    """

    def __init__(self, ground: Ground, kind: str, mounts: ExitStack) -> None:
        self.ground = ground
        self.mounts = mounts
        self.root = ground.project(count=_COUNT)
        self.daemon: Keeper = ground.keeper(ground.tools.new_database(kind), config=_CONFIG.format(_OFTEN))
        self.daemon.start()
        self.daemon.recovered()
        self.ids = self.shown("session_id")

    def shown(self, column: str) -> dict[str, Any]:
        """Return a column of the sessions' rows by slug."""
        rows = oracle.Mirror(self.daemon.url).rows(f"SELECT slug, {column} AS found FROM sessions")
        return {row["slug"]: row["found"] for row in rows}

    def no_tombstone(self, seconds: float) -> None:
        """Look for so long whether any session has a tombstone."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            gone = {slug for slug, since in self.shown("missing_since").items() if since is not None}
            assert not gone, (gone, self.daemon.tail())
            time.sleep(0.2)

    def kept(self) -> None:
        """The rows that were there have their ids still."""
        now = self.shown("session_id")
        assert {slug: now.get(slug) for slug in self.ids} == self.ids

    def recovered_without(self, gone: Path) -> None:
        """Wait until the mirror equals the files, but for a checkout that is gone: its rows stay."""
        kept = [f"({str(gone)!r}, 's{number}'): is gone and has no tombstone" for number in range(_COUNT)]
        until(lambda: self.daemon.drift() == kept, "the others to be right", RECOVERY, self.daemon.tail)

    def edit(self, topic: str) -> None:
        """Save all sessions that are there, and wait until that is mirrored."""
        for file in sorted(self.root.glob("*/state.json")):
            StateManager(file.parent).set_details(topic=topic)
        self.daemon.recovered(time.monotonic())

    def hears(self) -> None:
        """What is saved now is mirrored though nothing is compared: the daemon has heard of it."""
        assert self.daemon.child is not None
        Path(self.daemon.environ["SESSIOND_CONFIG"]).write_text(_CONFIG.format(3600.0))
        self.daemon.child.send_signal(signal.SIGHUP)
        self.daemon.wait_for("event=config.reloaded ")
        # One more had its time already.
        time.sleep(1.5 * _OFTEN)
        self.edit("heard of")


def _removed_and_made_again(town: Town) -> None:
    shutil.copytree(town.root, town.ground.home / "kept")
    shutil.rmtree(town.root)
    town.no_tombstone(_LOOKED)
    shutil.copytree(town.ground.home / "kept", town.root)
    town.daemon.recovered(time.monotonic())


def _replaced_by_a_link(town: Town) -> None:
    aside = town.ground.home / "aside"
    town.root.rename(aside)
    town.root.symlink_to(aside)
    town.no_tombstone(_LOOKED)
    town.root.unlink()
    aside.rename(town.root)
    town.daemon.recovered(time.monotonic())


def _unmounted_and_mounted_again(town: Town) -> None:
    aside = town.mounts.enter_context(tmpfs(town.ground.home / "store", "8m")) / "sessions"
    shutil.copytree(town.root, aside)
    shutil.rmtree(town.root)
    town.root.mkdir()
    with bound(aside, town.root):
        town.daemon.recovered(time.monotonic())
        town.edit("while it is mounted")
    town.no_tombstone(_LOOKED)
    town.mounts.enter_context(bound(aside, town.root))
    town.daemon.recovered(time.monotonic())


def _session_renamed(town: Town) -> None:
    (town.root / "s0").rename(town.root / "renamed")
    until(lambda: town.shown("missing_since").get("s0"), "the tombstone", 15.0, town.daemon.tail)
    now = town.shown("session_id")
    assert now["renamed"] not in town.ids.values()
    others = {slug for slug, since in town.shown("missing_since").items() if since is not None}
    assert others == {"s0"}


def _project_moved(town: Town) -> None:
    moved = town.ground.code / "deeper" / "moved"
    moved.parent.mkdir()
    town.root.parents[1].rename(moved)
    town.root = moved / oracle.SESSIONS
    where = f"SELECT 1 AS found FROM workspaces WHERE path = '{moved}'"
    until(lambda: oracle.Mirror(town.daemon.url).rows(where), "the new path", 15.0, town.daemon.tail)
    town.edit("after the move")
    town.no_tombstone(_LOOKED)


def _git(folder: Path, *arguments: str) -> None:
    names = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


def _checkout_bursts(town: Town) -> None:
    project = town.root.parents[1]
    _git(project, "init", "-q", "-b", "main")
    _git(project, "add", "-A")
    _git(project, "commit", "-qm", "main")
    _git(project, "checkout", "-qb", "other")
    town.edit("on the other branch")
    builders.make_session(town.root, "only-there")
    _git(project, "add", "-A")
    _git(project, "commit", "-qm", "other")
    for number in range(21):
        _git(project, "checkout", "-q", "main" if number % 2 else "other")
    town.daemon.recovered(time.monotonic())


def _worktree(town: Town) -> None:
    """A project becomes a repository under the daemon, and gets a worktree that comes and goes twice."""
    project, tree = town.root.parents[1], town.ground.code / "a-tree"
    _git(project, "init", "-q", "-b", "main")
    _git(project, "add", "-A")
    _git(project, "commit", "-qm", "first")
    for number, remove in enumerate((_removed_by_git, _removed_by_hand)):
        _git(project, "worktree", "add", "-q", "-B", "side", str(tree))
        _one_project(town, tree)
        _dated(town.root, f"main {number}", 4 * number)
        _dated(tree / oracle.SESSIONS, f"tree {number}", 4 * number + 1)
        town.daemon.recovered(time.monotonic())
        assert set(town.shown("topic").values()) == {f"tree {number}"}
        remove(project, tree)
        until(
            lambda: set(town.shown("topic").values()) == {f"main {number}"},  # noqa: B023 - asked here
            "the copies that are left to be shown",
            15.0,
            town.daemon.tail,
        )
        town.no_tombstone(_LOOKED)
        town.recovered_without(tree)
    # The same place once more, and the main checkout has gone on.
    _git(project, "worktree", "add", "-q", "-B", "side", str(tree))
    _dated(town.root, "main again", 20)
    town.daemon.recovered(time.monotonic())
    _one_project(town, tree)
    assert set(town.shown("topic").values()) == {"main again"}


def _removed_by_git(project: Path, tree: Path) -> None:
    _git(project, "worktree", "remove", "--force", str(tree))


def _removed_by_hand(project: Path, tree: Path) -> None:
    shutil.rmtree(tree)
    _git(project, "worktree", "prune")


def _dated(root: Path, topic: str, hours: int) -> None:
    """Save all sessions of a checkout with a time of their own, which tells whose copy is the freshest."""
    for number in range(_COUNT):
        document = builders.v2_building(session_id=f"s{number}", topic=topic, updated_at=builders.at(hours))
        builders.make_session(root, f"s{number}", document)


def _one_project(town: Town, tree: Path) -> None:
    """Wait until a worktree is registered; it is one of the same project, and always the same one."""
    mirror = oracle.Mirror(town.daemon.url)
    where = f"SELECT workspace_id FROM workspaces WHERE path = '{tree}'"
    until(lambda: mirror.rows(where), "the worktree", 15.0, town.daemon.tail)
    assert len(mirror.rows("SELECT 1 AS found FROM projects")) == 1, town.daemon.tail()
    assert len(mirror.rows("SELECT 1 AS found FROM workspaces")) == 2, town.daemon.tail()


CHANGES: dict[str, Callable[[Town], None]] = {
    "removed and made again": _removed_and_made_again,
    "replaced by a link": _replaced_by_a_link,
    "unmounted and mounted again": _unmounted_and_mounted_again,
    "session folder renamed": _session_renamed,
    "project moved": _project_moved,
    "bursts of checkouts": _checkout_bursts,
    "worktree added and removed": _worktree,
}


def changed(ground: Ground, kind: str, name: str) -> Figure:
    """Do one of these changes: the rows are right, what is saved is heard of, a pass writes nothing."""
    with ExitStack() as mounts:
        town = Town(ground, kind, mounts)
        CHANGES[name](town)
        town.daemon.recovered(time.monotonic())
        town.hears()
        town.kept()
        assert "Traceback" not in town.daemon.log, town.daemon.tail()
        town.daemon.check_clean()
    return Figure("folders", f"{kind}, {name}", 1)
