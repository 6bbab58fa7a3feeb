"""The tracker where something goes wrong: folders that are replaced, watches that are refused, kills."""

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from watchdog.events import DirCreatedEvent

from sessiond.shortage import Shortage
from sessiond.tracking.bells import Bells, Covered
from sessiond.tracking.settling import Settling
from sessionlib.db import execution
from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseBusyError, SchemaMismatchError
from sessionlib.models.base import utc_now
from sessionlib.sync.ingest import upkeep
from tests import builders
from tests.conftest import Wait
from tests.ingesting import House
from tests.mirrors import HOST, Clock, World
from tests.shops import TWO, Shop
from tests.talks import Talk, stamp, total
from tests.trackers import Trackers, start_fixture  # noqa: F401 - a fixture


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """An empty shop, on each database."""
    return Shop(database, tmp_path)


def tokens(house: House) -> int:
    """Return how many tokens of output are stored."""
    found: int = total(house.rows("usage_records"), "output_tokens")
    return found


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_a_folder_that_is_replaced_is_watched(
    shop: Shop, start: Trackers, wait_until: Wait, how: str
) -> None:
    """What is written into the new one is stored in a moment, not with the next look at everything."""
    shop.talk().says(1)
    start(shop)
    wait_until(lambda: tokens(shop) == 1, "the first answer")
    folder = shop.config / "projects"
    if how == "moved":
        folder.rename(shop.config / "aside")
    else:
        shutil.rmtree(folder)
    folder.mkdir()
    shop.talk(TWO).says(2)
    wait_until(lambda: tokens(shop) == 3, "what stands in the new folder", 8)
    shop.talk(TWO).later(hours=1).says(4, id="another")
    wait_until(lambda: tokens(shop) == 7, "what is added to it", 4)


def test_prices_are_tried_again(
    shop: Shop, start: Trackers, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the database fails in the middle of it, the next turn prices what has no price."""
    shop.ingester.use_prices(lambda row: row)
    shop.talk().says(1)
    shop.read()
    assert shop.rows("usage_records")[0]["cost_usd"] is None
    shop.open()
    real = execution.unpriced
    tries = []

    def fail_once(*given: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise DatabaseBusyError("busy")
        return real(*given)

    monkeypatch.setattr(execution, "unpriced", fail_once)
    start(shop)
    wait_until(lambda: shop.rows("usage_records")[0]["cost_usd"] is not None, "the price")
    assert len(tries) == 2


def test_a_database_brought_back_is_caught_up_with(shop: Shop, start: Trackers, wait_until: Wait) -> None:
    """The tracker that reads it on also prices anew what is in it."""
    talk = shop.talk().says(1)
    tracker = start(shop)
    wait_until(lambda: tokens(shop) == 1, "the first answer")
    wait_until(lambda: any(row["path"] == "prices" for row in shop.rows("journal_cursors")), "the mark")
    with shop.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM conversations")
        connection.exec_driver_sql("DELETE FROM journal_cursors")
    talk.says(2)
    wait_until(lambda: tokens(shop) == 3, "both answers")
    wait_until(lambda: any(row["path"] == "prices" for row in shop.rows("journal_cursors")), "the mark")
    assert tracker.status().error is None


# --- counting anew after a kill ------------------------------------------------------------------------


def test_a_kill_between_a_commit_and_the_count(database: Database, tmp_path: Path) -> None:
    """A session that was written but not counted is counted by the next start, whatever the heart says."""
    project = tmp_path / "shop"
    root = project / "agents" / "sessions"
    root.mkdir(parents=True)
    world = World(database, clock=Clock(utc_now()))
    shop = House(database, tmp_path, registrar=world.registrar, host=HOST)
    before = Settling(database, shop.ingester, HOST.host_id, lambda: None)
    before.load()
    before.note()
    talk = Talk(shop.config, project, TWO, utc_now() - timedelta(minutes=5)).says(1)
    shop.read()
    link = {"client": "claude-code", "native_id": talk.native_id, "linked_at": stamp(talk.at)}
    builders.make_session(root, "one", builders.v2(conversations=[link]))
    world.reconcile(root)
    # Killed here: nobody has told the tracker, and meanwhile the heart has beaten on.
    shop.open()
    after = Settling(database, shop.ingester, HOST.host_id, lambda: utc_now() + timedelta(hours=1))
    after.load()
    assert after.due_at is not None
    assert sum(after.settle()) >= 1
    assert [row["session_id"] is not None for row in shop.rows("usage_records")] == [True]


def test_sessions_whose_count_failed_wait_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is noted as settled."""
    settling = Settling(shop.database, shop.ingester, shop.host.host_id, lambda: None)
    shop.talk().says(1)
    shop.read()
    settling.add(shop.conversation()["project_id"], [shop.host.host_id])
    with monkeypatch.context() as broken:

        def refuse(*_: Any, **__: Any) -> None:
            raise DatabaseBusyError("busy")

        broken.setattr("sessionlib.db.attributing.conversations_touching", refuse)
        with pytest.raises(DatabaseBusyError):
            list(settling.settle())
    assert settling.is_due(), "the next turn must meet the same fault"
    settling.note()
    assert [row["path"] for row in shop.rows("journal_cursors") if row["client"] == "sessiond"] == []
    list(settling.settle())
    assert settling.due_at is None
    assert [row["path"] for row in shop.rows("journal_cursors") if row["client"] == "sessiond"] == ["settled"]


def test_a_refusal_that_lasts_is_told_once(
    shop: Shop, start: Trackers, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """A turn in which the refused statement does not come up is no recovery from it."""
    caplog.set_level(logging.INFO, "sessiond.tracking")
    tries = []
    real = upkeep.note_settled

    def refuse(*given: Any) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise DatabaseBusyError("permission denied for table journal_cursors")
        real(*given)

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(upkeep, "note_settled", refuse)
        shop.talk().says(1)
        shop.read()
        tracker = start(shop)
        tracker.sessions_changed(shop.conversation()["project_id"], [shop.host.host_id])
        wait_until(lambda: len(tries) >= 4, "all tries", 20)
        wait_until(lambda: caplog.records[-1].getMessage() == "tracking goes on", "the end of it")
    assert [record.getMessage() for record in caplog.records] == ["tracking waits", "tracking goes on"]


def test_nothing_is_written_under_a_newer_schema(shop: Shop, start: Trackers, wait_until: Wait) -> None:
    """Until that is mended; then what came meanwhile is stored."""
    newer = threading.Event()

    def refuse() -> None:
        if newer.is_set():
            raise SchemaMismatchError("the schema is newer")

    shop.talk().says(1)
    tracker = start(shop, refuse=refuse)
    wait_until(lambda: tokens(shop) == 1, "the first answer")
    newer.set()
    shop.talk(TWO).says(2)
    wait_until(lambda: tracker.status().error == "the schema is newer", "the refusal")
    assert tokens(shop) == 1
    newer.clear()
    wait_until(lambda: tokens(shop) == 3, "what came meanwhile")
    wait_until(lambda: tracker.status().error is None, "the end of it")


# --- watches -------------------------------------------------------------------------------------------


@pytest.fixture
def rung() -> list[Path]:
    """What rang."""
    return []


@pytest.fixture
def bells(rung: list[Path]) -> Iterator[Bells]:
    """Bells that are stopped at the end."""
    made = Bells(rung.append, lambda: None, Shortage())
    yield made
    made.stop(5.0)


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_the_bells_tell_of_a_folder_that_comes_in_place_of_a_watched_one(
    bells: Bells, rung: list[Path], tmp_path: Path, wait_until: Wait, how: str
) -> None:
    """Also if it has the same inode as the one before; what comes beside it rings nothing."""
    folder = tmp_path / "client" / "projects"
    folder.mkdir(parents=True)
    assert bells.cover(folder, recursive=True) is Covered.NOW
    assert bells.cover(folder, recursive=True) is Covered.BEFORE
    (folder.parent / "beside").mkdir()
    (folder / "first").touch()
    wait_until(lambda: folder / "first" in rung, "the first file")
    assert folder.parent / "beside" not in rung
    if how == "moved":
        folder.rename(folder.parent / "aside")
    else:
        shutil.rmtree(folder)
    folder.mkdir()
    wait_until(lambda: folder in rung, "the new folder")
    wait_until(lambda: bells.cover(folder, recursive=True) is Covered.BEFORE, "a watch of it")
    (folder / "second").touch()
    wait_until(lambda: folder / "second" in rung, "a file in it")


def test_a_folder_that_may_have_been_replaced_is_watched_anew(bells: Bells, tmp_path: Path) -> None:
    """Although it looks as before: the end of the watch of the old one may be heard of later."""
    folder = tmp_path / "projects"
    folder.mkdir()
    assert bells.cover(folder, recursive=True) is Covered.NOW
    bells._above.dispatch(DirCreatedEvent(str(folder)))
    assert bells.cover(folder, recursive=True) is Covered.NOW
    assert bells.cover(folder, recursive=True) is Covered.BEFORE


def test_the_bells_tell_of_a_folder_that_comes_at_last(
    bells: Bells, rung: list[Path], tmp_path: Path, wait_until: Wait
) -> None:
    """One that was not there when it was to be watched, in a folder that was."""
    folder = tmp_path / "projects"
    assert bells.cover(folder, recursive=True) is Covered.NOT
    folder.mkdir()
    wait_until(lambda: folder in rung, "the folder")
    assert bells.cover(folder, recursive=True) is Covered.NOW


_NO_WATCHES = """
import logging, sys, time
from pathlib import Path
from sessiond.shortage import Shortage
from sessiond.tracking.bells import Bells, Covered

folder, records, rung = Path(sys.argv[1]), [], []
class Keep(logging.Handler):
    def emit(self, record):
        records.append(record.event)
        assert record.fields["remedy"].startswith("sysctl fs.inotify.max_user_watches=")
logging.getLogger("sessiond.tracking").addHandler(Keep())
logging.getLogger("sessiond.tracking").setLevel(logging.INFO)

def limit(value):
    Path("/proc/sys/user/max_inotify_watches").write_text(str(value))

limit(0)
bells = Bells(rung.append, lambda: None, Shortage())
for again in (True, True, False, True):
    assert bells.cover(folder, recursive=True, again=again) is Covered.REFUSED
assert records == ["tracking.unwatched"], records
limit(1000)
assert bells.cover(folder, recursive=True, again=False) is Covered.REFUSED
assert bells.cover(folder, recursive=True) is Covered.NOW
(folder / "file").touch()
ends = time.monotonic() + 10
while folder / "file" not in rung:
    assert time.monotonic() < ends
    time.sleep(0.01)
assert records == ["tracking.unwatched"], records
bells.stop(5.0)
print("passed")
"""


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("unshare") is None, reason="needs limits of one's own"
)
def test_without_watches_one_warning_is_enough(tmp_path: Path) -> None:
    """What cannot be watched is tried again only when that is asked for, and said once."""
    probe = ["unshare", "-Ur", "test", "-w", "/proc/sys/user/max_inotify_watches"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not permitted here")
    folder = tmp_path / "client" / "projects"
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["unshare", "-Ur", sys.executable, "-c", _NO_WATCHES, str(folder)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.stdout.strip() == "passed", done.stderr


def test_a_tracker_without_watches_sleeps_between_looks(
    shop: Shop, start: Trackers, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not try again every few seconds."""
    tries = []
    monkeypatch.setattr("sessiond.tracking.tracker._COME", 0.05)

    def refused(_bells: Bells, folder: Path, *, recursive: bool, again: bool) -> Covered:
        tries.append(threading.current_thread().name)
        return Covered.REFUSED

    monkeypatch.setattr(Bells, "cover", refused)
    shop.talk().says(1)
    start(shop)
    wait_until(lambda: tokens(shop) == 1, "the first look")
    threading.Event().wait(0.5)
    assert len(tries) <= 6
