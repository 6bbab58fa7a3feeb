"""Deliveries are stored once each although the daemon is killed again and again while it stores them.

``SESSIOND_TEST_EVENTS=100000 SESSIOND_TEST_KILLS=100`` is the long form, which takes some minutes.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from sessionlib.db.engine import Database
from tests import builders
from tests.acceptance.processes import Daemon, environment
from tests.ingesting import House

EVENTS = int(os.environ.get("SESSIOND_TEST_EVENTS", "3000"))
KILLS = int(os.environ.get("SESSIOND_TEST_KILLS", "6"))
CONVERSATIONS = 50

pytestmark = pytest.mark.timeout(120 + EVENTS // 50 + 10 * KILLS)

Wait = Callable[..., None]


def body_of(number: int, cwd: Path) -> bytes:
    """Return what a hook says of one call."""
    return (
        f'{{"session_id": "conversation-{number % CONVERSATIONS:03}", "hook_event_name": "PreToolUse", '
        f'"cwd": "{cwd}", "tool_name": "Bash", "tool_use_id": "call-{number}", '
        f'"tool_input": {{"n": {number}}}}}'
    ).encode()


def test_each_delivery_is_stored_once(database_url: str, tmp_path: Path, wait_until: Wait) -> None:
    """Of so many events with so many kills at random moments none is lost and none is there twice."""
    seed = int(os.environ.get("SESSIOND_TEST_SEED", str(random.randrange(2**32))))
    order = random.Random(seed)
    print(f"SESSIOND_TEST_SEED={seed}")  # noqa: T201 - shown when it fails
    shop = tmp_path / "code" / "shop"
    builders.make_project(shop, {})
    state = tmp_path / "state"
    environ = environment(database_url, state, CLAUDE_CONFIG_DIR=str(tmp_path / "client"))
    house = House.__new__(House)
    spool = state / "spool" / "new"
    spool.mkdir(parents=True)
    house.spool = type("Inbox", (), {"inbox": spool})()
    database = Database(database_url)
    writer = threading.Thread(target=deliver, args=(house, shop))
    writer.start()
    stored = 0
    for number in range(KILLS):
        daemon = Daemon([tmp_path / "code"], environ, tmp_path / "daemon.log").start()
        # Until it stores something, then a moment more.
        share = EVENTS * (number + 1) // (KILLS + 2)
        wait_until(lambda: count(database, "agent_logs") > min(stored, share), "some rows", 60)  # noqa: B023
        time.sleep(order.random() * 0.3)
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
        stored = count(database, "agent_logs")
        if not writer.is_alive() and not any(spool.iterdir()):
            break
    writer.join()
    daemon = Daemon([tmp_path / "code"], environ, tmp_path / "daemon.log").start()
    try:
        wait_until(lambda: not any(spool.iterdir()), "an empty spool", 60 + EVENTS / 100)
    finally:
        daemon.stop()
    found = [count(database, name) for name in ("agent_logs", "tool_calls", "conversations")]
    assert found == [EVENTS, EVENTS, CONVERSATIONS]
    assert not (state / "spool" / "dead").exists()
    database.close()


def deliver(house: House, shop: Path) -> None:
    """Leave all events in the spool, a little faster than a daemon takes them."""
    for number in range(EVENTS):
        house.deliver(body_of(number, shop), number)
        if number % 100 == 0:
            time.sleep(0.001)


def count(database: Database, table: str) -> int:
    """Return how many rows a table has; none while the daemon has not made it yet."""
    with database.read() as connection:
        found: int = connection.scalar(text(f"SELECT count(*) FROM {table}"))
        return found
