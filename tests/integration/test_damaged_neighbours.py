"""A damaged value in SQLite holds up its own session alone, and says what mends it."""

import sqlite3
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from sessionlib.config import Config
from sessionlib.db.queries import session_lists
from sessionlib.db.queries.session_lists import SessionFilter
from sessionlib.errors import DamagedValueError
from sessionlib.runtime import Runtime
from sessionlib.state.manager import StateManager
from sessionlib.sync.queue import SyncQueue
from sessionlib.sync.results import Outcome
from tests import mirrors, verifying
from tests.mirrors import World
from tests.verifying import NoText

pytestmark = pytest.mark.parametrize("mirror_database", ["sqlite"], indirect=True)

ROWS = [
    (*place, value)
    for place in verifying.STORED
    if place[0] in {"session_files", "sessions"}
    for value in verifying.damages(*place)
]


@pytest.fixture
def mirrored(world: World, root: Path) -> World:
    """Two sessions that are mirrored."""
    world.sync(verifying.make(root, "one"), verifying.make(root, "two"))
    world.reconcile(root)
    world.clock.tick()
    return world


def _queued(world: World, *folders: Path) -> dict[Path, str]:
    """Sync folders together as a daemon does; return what is owed."""
    queue = SyncQueue(lambda paths, _: world.sync(*paths), probe=world.database.probe)
    queue.submit_batch(folders)
    queue.start()
    assert queue.drain(10.0) == 0
    queue.close()
    return queue.owed


@pytest.mark.parametrize(("table", "column", "value"), ROWS, ids=str)
def test_what_is_saved_beside_it_is_mirrored(
    mirrored: World, root: Path, table: str, column: str, value: object
) -> None:
    """Both sessions are saved and synced in one batch: the sound one arrives; a rebuild brings the other."""
    for slug in ("one", "two"):
        StateManager(root / slug).set_details(topic="Saved")
    verifying.damage(mirrored, table, column, value, slug="one")
    owed = _queued(mirrored, root / "one", root / "two")
    assert set(owed) <= {root / "one"}
    assert verifying.drifts(mirrored, root / "two") == []
    assert mirrored.rows("sessions", slug="two")[0]["topic"] == "Saved"
    assert mirrored.reconcile(root).missing is False
    verifying.rebuilt(mirrored)
    assert mirrored.session("one")["topic"] == "Saved"
    assert verifying.drifts(mirrored) == []


def test_what_was_written_beside_it_is_told(
    mirrored: World, root: Path, config: Config, database_url: str
) -> None:
    """The group is tried anew for the damaged one alone: those who listen hear that the other was written."""
    runtime = Runtime(config, mirrored.database)
    for slug in ("one", "two"):
        StateManager(root / slug).set_details(topic="Saved")
    verifying.damage(mirrored, "session_files", "observed_at", "garbage", slug="one")
    results = runtime._sync([root / "one", root / "two"], frozenset())
    assert [result.outcome for result in results] == [Outcome.REJECTED, Outcome.WRITTEN]


@pytest.mark.parametrize("value", ["garbage", b"\xff", NoText()], ids=str)
def test_a_question_that_meets_it_says_what_mends_it(mirrored: World, value: object) -> None:
    """One sentence with a next command, and nothing of the value."""
    verifying.damage(mirrored, "sessions", "content_changed_at", value, slug="one")
    with pytest.raises(DamagedValueError) as caught, mirrored.database.read() as connection:
        session_lists.sessions(connection, SessionFilter())
    assert caught.value.message == "a value that is stored is damaged and cannot be read"
    assert caught.value.hint == "sessionctl verify names it, sessionctl rebuild mends the mirror"
    assert caught.value.exit_code == 69


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_lost_document_of_one_copy_is_laid_to_that_copy(
    world: World, tmp_path: Path, *, is_gone: bool
) -> None:
    """The fresher of two copies is broken, and its last good content damaged: it alone is named."""
    old, new = mirrors.worktree(tmp_path)
    for root, slug in product((old, new), ("one", "two")):
        verifying.make(root, slug)
    StateManager(new / "one").set_details(topic="Fresher")
    for root in (old, new):
        world.sync(root / "one", root / "two")
    good = world.session("one")
    assert good["topic"] == "Fresher"
    (new / "one/state.json").write_bytes(b"[]")
    verifying.aged(new / "one")
    world.sync(new / "one")
    if is_gone:
        with closing(sqlite3.connect(str(world.database.url.database))) as connection, connection:
            connection.execute("DELETE FROM documents WHERE content_hash = ?", (good["content_hash"],))
    else:
        verifying.damage(world, "documents", "body", "{bad", content_hash=good["content_hash"])
    found = verifying.drifts(world)
    assert {Path(drift.path).name for drift in found} == {"one"}
    done = verifying.rebuilt(world)
    assert str(new / "one") in {path for path, _ in [*done.rejected, *done.unreadable]}
    assert str(old / "one") not in {path for path, _ in [*done.rejected, *done.unreadable]}
