"""Upkeep of one entry, with a kernel that refuses what it is told to."""

import errno
import os

import pytest

from sessiond.shortage import Shortage
from sessiond.watch.inotify import Inotify
from sessiond.watch.rings import Rings
from sessiond.watch.tree import Tree
from sessiond.watch.upkeep import Upkeep
from sessiond.watch.watches import Watches
from sessionlib.state.scan import FinderOptions
from tests.watching import make_session, save, sessions_root


class _Refusing(Inotify):
    """Refuses to watch the paths in `refused`, with the errno given."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, int] = {}

    def watch(self, path: str, mask: int) -> int:
        if path in self.refused:
            number = self.refused[path]
            raise OSError(number, os.strerror(number), path)
        return super().watch(path, mask)


@pytest.fixture
def kernel():
    """An instance that refuses on demand."""
    kernel = _Refusing()
    yield kernel
    kernel.close()


@pytest.fixture
def watches(kernel):
    """The watches on that instance."""
    watches = Watches(Shortage())
    watches._inotify = kernel
    return watches


@pytest.fixture
def root(tmp_path):
    """The sessions root of a project below the watch root."""
    return sessions_root(tmp_path / "project")


@pytest.fixture
def session(root):
    """A session with a research run."""
    session = make_session(root)
    (session / "research" / "run").mkdir(parents=True)
    return session


@pytest.fixture
def upkeep(tmp_path, watches, session):
    """The upkeep of the watch root, not started."""
    tree = Tree(str(tmp_path), under=True, watches=watches, options=FinderOptions(), forced=None)
    return Upkeep(tree, watches, poll_interval=0.0)


def _tick(upkeep, *, retry=False):
    rings = Rings()
    upkeep.tick(rings, retry=retry)
    return [getattr(hint, "reason", None) or hint.session_dir for hint in rings.hints()]


def test_nothing_to_say(upkeep):
    """A round over a tree that is in order says nothing."""
    upkeep.start()
    assert _tick(upkeep) == []
    assert upkeep.tree.watched == 4 + 3
    assert not upkeep.tree.unwatched


@pytest.mark.parametrize("below", ["", "research", "research/run"])
def test_closed_folder(upkeep, kernel, session, below):
    """A folder that may not be watched is polled with its session, and watched when it opens."""
    closed = str(session / below).rstrip("/")
    kernel.refused[closed] = errno.EACCES
    upkeep.start()
    assert {folder.path for folder in upkeep.tree.unwatched} == {closed}
    save(session / "research" / "run", "{1}")
    assert _tick(upkeep) == [session]
    kernel.refused.clear()
    assert session in _tick(upkeep)
    assert not upkeep.tree.unwatched
    assert upkeep.tree.watched == 4 + 3


def test_limit_is_tried_again_when_told(upkeep, kernel, session, caplog):
    """What was refused for the limit is tried again only when it is time to; there is one warning."""
    kernel.refused = {str(session): errno.ENOSPC, str(session / "research"): errno.ENOSPC}
    upkeep.start()
    kernel.refused.clear()
    _tick(upkeep)
    assert upkeep.tree.unwatched
    assert session in _tick(upkeep, retry=True)
    assert not upkeep.tree.unwatched
    assert [record.event for record in caplog.records] == ["watch.limit"]


def test_closed_sessions_root(upkeep, kernel, root, session):
    """A sessions root that may not be watched is listed, so that its sessions come and go all the same."""
    kernel.refused[str(root)] = errno.EACCES
    upkeep.start()
    new = make_session(root, "new")
    assert _tick(upkeep) == [new]
    kernel.refused.clear()
    assert "replaced" in _tick(upkeep) or not upkeep.tree.unwatched


def test_closed_chain(upkeep, kernel, tmp_path, root, session):
    """A closed folder of the chain is asked again every round, and what is below it is taken in."""
    kernel.refused[str(tmp_path / "other")] = errno.EACCES
    (tmp_path / "other").mkdir()
    upkeep.start()
    other = sessions_root(tmp_path / "other")
    assert str(other) not in upkeep.tree.roots
    kernel.refused.clear()
    assert _tick(upkeep) == ["appeared", "appeared"]
    assert set(upkeep.tree.roots) == {str(root), str(other)}


def test_limited_chain(upkeep, kernel, tmp_path):
    """Where a folder of the chain has no watch for the limit, projects are looked for every round."""
    kernel.refused[str(tmp_path)] = errno.ENOSPC
    upkeep.start()
    other = sessions_root(tmp_path / "other")
    assert _tick(upkeep) == ["appeared", "appeared"]
    assert str(other) in upkeep.tree.roots


def test_closed_upkeep_does_nothing(upkeep, watches):
    """After close there is no watch, and a round that comes late makes none."""
    upkeep.start()
    upkeep.close()
    assert len(watches) == 0
    assert _tick(upkeep) == []
    upkeep.tree.sync(Rings(), "late")
    assert len(watches) == 0


def test_missing_entry_is_told_to_the_log(upkeep, tmp_path, caplog):
    """An entry that goes and comes back is logged once each."""
    caplog.set_level("INFO", "sessiond.watch")
    upkeep.start()
    tmp_path.rename(tmp_path.with_name("parked"))
    assert set(_tick(upkeep)) == {"vanished"}
    assert _tick(upkeep) == []
    tmp_path.with_name("parked").rename(tmp_path)
    assert set(_tick(upkeep)) == {"appeared"}
    assert [record.event for record in caplog.records] == ["watch.missing", "watch.found"]
