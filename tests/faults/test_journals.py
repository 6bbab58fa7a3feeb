"""What agents leave behind is stored once each, whatever happens to the daemon, its database, the files."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typing_extensions import override

from sessiond.tracking.journals import Journals
from sessiond.tracking.tracker import Tracker
from sessionlib.config import Config
from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseBusyError
from sessionlib.journal import canary
from sessionlib.journal.spool import DEAD, FULL_MARK
from tests import postgres
from tests.faults import journals, ledger, transcripts
from tests.faults.clients import Desk, turn
from tests.faults.failpoints import JOURNAL_STEPS
from tests.faults.ground import RECOVERY, Ground, until
from tests.ingesting import House
from tests.proxies import proxied

pytestmark = pytest.mark.timeout(180)


def test_killed_at_random_moments(ground: Ground, kind: str) -> None:
    """Four kills on each database under three clients and their hooks: each next start stores all."""
    assert journals.random_kills(ground, kind, 4).lost == 0


def test_killed_at_every_step(ground: Ground, kind: str) -> None:
    """Before or after each named step of reading journals; each next start stores what was left.

    Each on one of the databases: the long form does all of them on both.
    """
    assert len(JOURNAL_STEPS) >= 8
    third = sorted(JOURNAL_STEPS)[::3]
    steps = third if kind == "postgres" else sorted(JOURNAL_STEPS.keys() - set(third))
    assert journals.kills_at_steps(ground, kind, steps, 1).lost == 0


@pytest.mark.postgres
def test_database_stopped(ground: Ground) -> None:
    """Eight seconds without a server."""
    assert journals.stopped(ground, 8.0).lost == 0


@pytest.mark.postgres
def test_database_hung(ground: Ground, postgres_server: postgres.Server) -> None:
    """It accepts everything and answers nothing."""
    with proxied(postgres_server) as proxy:
        assert journals.hung(ground, proxy, 1.0).lost == 0


def test_database_full(ground: Ground) -> None:
    """There is no room for another page."""
    assert journals.database_full(ground, 1.0).lost == 0


def test_spool_full(ground: Ground) -> None:
    """Its limits are reached for real; ten thousand deliveries are left for the daemon to read."""
    assert journals.spool_full(ground, 10_000).lost == 0


def test_spool_on_a_full_disk(ground: Ground) -> None:
    """There is room for half of a delivery."""
    assert journals.spool_disk_full(ground).lost == 0


def test_transcripts_change(ground: Ground) -> None:
    """Three clients rewrite, cut and delete what is read; the long form does it on PostgreSQL, too."""
    assert transcripts.changed(ground, "sqlite", 3).lost == 0


def test_client_on_a_full_disk(ground: Ground) -> None:
    """Half of a line stands in a transcript, and is mended in each way."""
    assert transcripts.client_disk_full(ground, 1).lost == 0


# --- the judge is judged -------------------------------------------------------------------------------

WRONG = {
    "DELETE FROM agent_logs WHERE category = 'response' AND event_key LIKE '%-1'": "is not stored",
    "UPDATE agent_logs SET event_key = 'planted' WHERE category = 'response' AND event_key LIKE '%-1'": (
        "'planted') was never said"
    ),
    "DELETE FROM agent_logs WHERE category = 'hook'": "hook",
    "INSERT INTO agent_logs SELECT project_id, conversation_id, 'again' || event_key, agent_id, category, "
    "event_type, detail, tool_use_id, at, size, digest, body FROM agent_logs WHERE category = 'hook'": (
        "is stored 2 times"
    ),
    "DELETE FROM tool_calls": "call",
    "UPDATE tool_calls SET outcome = 'open'": "is open",
    "UPDATE usage_records SET output_tokens = output_tokens + 1": "tokens, not",
    "UPDATE usage_records SET message_id = 'planted' WHERE message_id LIKE 'msg-%-1'": "was never said",
    "UPDATE usage_records SET phase = 'docs' WHERE session_id IS NOT NULL": "is counted to s0, docs",
    "UPDATE usage_records SET session_id = NULL": "is counted to None",
    "UPDATE usage_totals SET output_tokens = output_tokens + 1": "the sum",
    "UPDATE usage_totals SET messages = 0": "the sum",
    "DELETE FROM usage_totals": "the sum",
    "UPDATE agents SET output_tokens = 0": "the sum",
    "UPDATE journal_cursors SET position = position - 1 WHERE client <> 'sessiond'": "position is",
    "UPDATE journal_cursors SET size = size + 1 WHERE client <> 'sessiond'": "size is",
    "UPDATE journal_cursors SET mtime_ns = 0 WHERE client <> 'sessiond'": "mtime_ns is",
    "UPDATE journal_cursors SET problem = 'planted' WHERE client <> 'sessiond'": "problem is",
    "DELETE FROM journal_cursors WHERE client <> 'sessiond'": "has no cursor",
    "UPDATE conversations SET native_id = 'planted'": "conversation planted",
}


def test_every_planted_wrong_row_is_noticed(ground: Ground) -> None:
    """What is right has no drift; with any one thing changed behind its back it has, in these words."""
    desk = Desk(ground, ground.tools.new_database("sqlite"))
    desk.move()
    talk = desk.talk("conversation-long")
    for number in range(3):
        turn(talk, desk.hooks, number, ground.chance)
    desk.hooks.run(talk.payload("PreToolUse", tool_name="Bash", tool_use_id="last"))
    desk.daemon.start()
    desk.recovered()
    desk.check_clean()
    path = ground.home / "mirror.db"
    right = path.read_bytes()
    for statement, words in WRONG.items():
        before = ledger.digest(desk.daemon.url)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute(statement).rowcount >= 1, statement
            connection.commit()
        assert any(words in one for one in desk.drift()), (statement, desk.drift())
        assert ledger.digest(desk.daemon.url) != before, statement
        for part in ("-wal", "-shm"):
            path.with_name(path.name + part).unlink(missing_ok=True)
        path.write_bytes(right)
    assert desk.drift() == []
    talk.says(1, id="unread")
    assert [one for one in desk.drift() if "is not stored" in one]
    (desk.hooks.spool / "new" / "one").touch()
    assert "1 deliveries wait" in desk.drift()


# --- what these faults have found ----------------------------------------------------------------------


class _Waits(threading.Event):
    """Never waits, and tells for how long it should have; ends after some times."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    @override
    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        if len(self.seconds) == 10:
            self.set()
        return self.is_set()


@pytest.fixture
def house(sqlite_url: str, tmp_path: Path) -> Iterator[House]:
    """Journals in this process."""
    made = House(Database(sqlite_url), tmp_path)
    yield made
    made.database.close()


def _tracker(house: House) -> Tracker:
    read = Journals(house.spool, {}, house.ingester, house.deliveries, house.transcripts)
    return Tracker(house.database, house.host.host_id, read, Config())


def test_a_database_that_is_back_is_found_soon(house: House) -> None:
    """However long it was away, the next try is less than half of a recovery away."""
    tracker = _tracker(house)

    def away() -> None:
        raise DatabaseBusyError("away")

    tracker._turn = away  # type: ignore[method-assign]
    tracker._stopping = waits = _Waits()
    tracker.start()
    until(lambda: len(waits.seconds) == 10, "ten tries", RECOVERY)
    tracker.stop(10.0)
    assert max(waits.seconds) < RECOVERY / 2


def test_hooks_keep_all_again_as_soon_as_the_spool_is_empty(house: House) -> None:
    """Not only after the next look at everything, up to a minute later."""
    tracker = _tracker(house)
    mark = house.spool.folder / FULL_MARK
    mark.write_text("none")
    tracker.start()
    try:
        until(lambda: not mark.exists(), "the first look", RECOVERY)
        mark.write_text("none")
        house.deliver(canary.song(canary.hatch(), "/"))
        until(lambda: not mark.exists(), "the mark to go", RECOVERY)
    finally:
        tracker.stop(10.0)


def test_what_cannot_be_put_aside_keeps_nobody_waiting(house: House) -> None:
    """On a full disk no folder can be made for it; it waits where it is, and is put aside later."""
    grave = house.spool.folder / DEAD
    grave.write_text("no folder can be made here")
    house.deliver(b"no JSON", 0)
    house.deliver(canary.song(canary.hatch(), "/"), 1)
    assert house.drain() == 1
    assert [house.spool.read(name).body for name in house.spool.names(10)] == [b"no JSON"]
    grave.unlink()
    house.deliveries.look_again()
    assert house.drain() == 1
    assert (house.spool.names(10), len(house.spool.buried())) == ([], 1)
