"""A daemon brings what agents do into its database while they do it, each event once, killed or not."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from sessionlib.db.engine import Database
from sessionlib.hooks import entry
from sessionlib.models.base import utc_now
from tests import builders
from tests.acceptance.processes import Daemon, environment, sessionctl
from tests.ingesting import House, differences, payloads, put_transcripts
from tests.talks import Talk

Wait = Callable[..., None]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Tracked:
    """A daemon with a client beside it.

    Args:
        url: The daemon's database.
        folder: A folder of one's own.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.root = folder / "code"
        self.shop = self.root / "shop"
        builders.make_project(self.shop, {})
        self.config = folder / "client"
        self.config.mkdir()
        self.state = folder / "state"
        self.environment = environment(url, self.state, CLAUDE_CONFIG_DIR=str(self.config))
        self.log = folder / "daemon.log"
        self.database = Database(url)
        self.daemon = Daemon([self.root], self.environment, self.log)

    def start(self) -> None:
        """Start the daemon; it stops by `stop` or `kill`."""
        self.daemon = Daemon([self.root], self.environment, self.log).start()

    def hook(self, body: bytes, event: str = "", **context: str) -> None:
        """Run the hook as a client does."""
        done = subprocess.run(
            [sys.executable, "-I", "-S", entry.__file__, "--spool", str(self.state / "spool"), event],
            input=body,
            env=self.environment | context,
            check=True,
            capture_output=True,
        )
        assert (done.stdout, done.stderr) == (b"", b"")

    def count(self, table: str, where: str = "1 = 1") -> int:
        """Return how many rows a table has."""
        with self.database.read() as connection:
            found: int = connection.scalar(text(f"SELECT count(*) FROM {table} WHERE {where}"))
            return found


@pytest.fixture
def tracked(database_url: str, tmp_path: Path) -> Iterator[Tracked]:
    """A daemon that is not started yet, on each database."""
    made = Tracked(database_url, tmp_path)
    yield made
    made.daemon.stop()
    made.database.close()


def test_hooks_and_transcripts_arrive_while_they_happen(tracked: Tracked, wait_until: Wait) -> None:
    """An event is a row in a moment, and so is a line of a transcript, and of an agent that just began."""
    tracked.start()
    talk = Talk(tracked.config, tracked.shop, "conversation-one", NOON)
    tracked.hook(talk.payload("SessionStart", source="startup"), CLAUDE_PROJECT_DIR=str(tracked.shop))
    began = time.monotonic()
    wait_until(lambda: tracked.count("conversations") == 1, "the conversation")
    assert time.monotonic() - began < 5
    talk.says(1)
    wait_until(lambda: tracked.count("usage_records") == 1, "the first answer")
    talk.says(1, agent="helper")
    wait_until(lambda: tracked.count("agents", "kind = 'spawned'") == 1, "the agent")
    talk.says(1, agent="helper")
    wait_until(lambda: tracked.count("usage_records") == 3, "its second answer")
    status = sessionctl(tracked.environment, "status")
    assert "1 hook event" in status.stdout


def test_the_spool_waits_for_the_daemon(tracked: Tracked, wait_until: Wait) -> None:
    """What hooks say while no daemon runs is stored by the next one, at the time it was said."""
    talk = Talk(tracked.config, tracked.shop, "conversation-one", NOON)
    before = utc_now()
    for number in range(5):
        tracked.hook(talk.payload("PreToolUse", tool_name="Bash", tool_use_id=f"t{number}"))
    after = utc_now()
    tracked.start()
    wait_until(lambda: tracked.count("tool_calls") == 5, "the calls")
    house = House.__new__(House)
    house.database = tracked.database
    assert all(before <= row["called_at"] <= after for row in house.rows("tool_calls"))
    wait_until(lambda: not list((tracked.state / "spool" / "new").iterdir()), "an empty spool")


def test_an_idle_tracker_is_idle(tracked: Tracked, wait_until: Wait) -> None:
    """Reading raises no event: once everything is read, the daemon does nothing."""
    put_transcripts(tracked.config)
    tracked.start()
    wait_until(
        lambda: tracked.count("journal_cursors", "client = 'claude-code'") == 40, "all transcripts", 60
    )
    # What it does last in a turn.
    wait_until(lambda: tracked.count("journal_cursors", "path = 'settled'") == 1, "the end of its turn")
    time.sleep(1)
    before = cpu_of(tracked.daemon)
    time.sleep(3)
    assert cpu_of(tracked.daemon) - before < 0.15


def cpu_of(daemon: Daemon) -> float:
    """Return the seconds of processor time that a daemon has used."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.timeout(180)
def test_killed_at_any_moment_each_event_is_stored_once(
    tracked: Tracked, tmp_path: Path, sqlite_template: bytes, wait_until: Wait
) -> None:
    """Deliveries and transcripts come while the daemon is killed again and again."""
    seed = random.randrange(2**32)
    order = random.Random(seed)
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin" / "mirror.db").write_bytes(sqlite_template)
    twin = House(Database(f"sqlite:///{tmp_path}/twin/mirror.db"), tmp_path / "twin")
    house = House(Database(f"sqlite:///{tmp_path}/twin/mirror.db"), tmp_path / "unused")
    house.spool.folder = tracked.state / "spool"
    house.spool.prepare()
    files = {path: path.read_bytes() for path in put_transcripts(tracked.config)}
    for path in files:
        path.write_bytes(b"")
    bodies = [*enumerate(payloads())] * 3
    order.shuffle(bodies)
    writes = list(files.items())
    for _ in range(int(os.environ.get("SESSIOND_TEST_KILLS", "8"))):
        tracked.start()
        for number, body in bodies[: len(payloads()) // 3]:
            house.deliver(body, number * 100, CLAUDE_PID="4711")
        del bodies[: len(payloads()) // 3]
        for path, content in writes[:6]:
            path.write_bytes(content)
        del writes[:6]
        time.sleep(order.random() * 0.6)
        tracked.daemon.process.send_signal(signal.SIGKILL)
        tracked.daemon.process.wait()
    for number, body in bodies:
        house.deliver(body, number * 100, CLAUDE_PID="4711")
    for path, content in writes:
        path.write_bytes(content)
    tracked.start()
    spool = tracked.state / "spool" / "new"
    wait_until(lambda: not list(spool.iterdir()), "an empty spool", 60)
    whole = "position = size AND size > 0"
    wait_until(lambda: tracked.count("journal_cursors", whole) == len(files), "all transcripts", 60)
    tracked.daemon.stop()
    shutil.copytree(tracked.config, twin.config, dirs_exist_ok=True)
    for number, body in enumerate(payloads()):
        twin.deliver(body, number * 100, CLAUDE_PID="4711")
    twin.drain()
    twin.read()
    daemon = House.__new__(House)
    daemon.database, daemon.config = tracked.database, tracked.config
    found = differences(neutral(daemon.everything()), neutral(twin.everything()))
    assert found == [], "\n".join(found[:20])


NOT_COMPARED: dict[str, tuple[str, ...]] = {
    # Abandoned by the daemon, which knows what time it is; on another host, with other prices.
    "conversations": (
        *("status", "ended_at", "end_reason", "end_estimated", "observed"),
        *("host_id", "workspace_id"),
    ),
    "agents": ("status", "ended_at", "end_estimated", "cost_usd", "unpriced"),
    "usage_records": ("cost_usd", "cost_source", "price_version"),
    "usage_totals": ("cost_usd", "unpriced"),
}


def neutral(result: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return rows without what differs between two hosts."""
    result["usage_totals"] = [row for row in result["usage_totals"] if row["source"] == "messages"]
    for table, rows in result.items():
        for row in rows:
            row["project_id"] = "the project"
            for name in NOT_COMPARED.get(table, ()):
                del row[name]
    return result
