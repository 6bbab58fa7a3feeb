"""A daemon that has read a real client's hooks and transcripts holds in its tables what the client says."""

import shutil
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from sessionlib.db.engine import Database
from tests.acceptance.processes import Daemon, environment
from tests.e2e_client.conftest import Played, needs
from tests.e2e_client.reported import MAIN, Agent, Call
from tests.e2e_client.stories import NEWEST, STORIES
from tests.e2e_client.test_mirror import (
    billed,
    collapsed,
    reported_agents,
    reported_calls,
    reported_ledgers,
)
from tests.e2e_client.world import World
from tests.ingesting import House

Mirrored = Callable[[World], House]
_STATUS = {"complete": "completed"}


@pytest.fixture
def mirrored(tmp_path: Path, sqlite_url: str) -> Iterator[Mirrored]:
    """Let a daemon read what a world holds; return its tables."""
    database = Database(sqlite_url)
    daemons: list[Daemon] = []

    def mirror(world: World) -> House:
        state = tmp_path / "state"
        shutil.copytree(world.spool.folder, state / "spool")
        config = world.home / ".claude"
        environ = environment(sqlite_url, state, CLAUDE_CONFIG_DIR=str(config))
        daemons.append(Daemon([world.folder / "code"], environ, tmp_path / "daemon.log").start())
        files = len(list((config / "projects").rglob("*.jsonl")))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with database.read() as connection:
                whole = text("SELECT count(*) FROM journal_cursors WHERE position = size AND size > 0")
                if connection.scalar(whole) == files and not list((state / "spool" / "new").iterdir()):
                    break
            time.sleep(0.05)
        else:
            pytest.fail("the daemon has not read everything in 30 s")
        house = House.__new__(House)
        house.database = database
        return house

    yield mirror
    for daemon in daemons:
        daemon.stop()
    database.close()


@pytest.mark.parametrize("story", list(STORIES))
def test_the_tables_hold_what_the_client_says(played: Played, mirrored: Mirrored, story: str) -> None:
    """Conversations, agents with parents, calls with outcome, tokens and cost, to the last digit."""
    world = played(story)
    needs(world, NEWEST)
    house = mirrored(world)
    conversations = {row["conversation_id"]: row["native_id"] for row in house.rows("conversations")}
    assert set(conversations.values()) == set(world.session_ids)
    agents = {row["agent_id"]: row for row in house.rows("agents")}

    def native(agent_id: object) -> str:
        return agents[agent_id]["native_id"] or MAIN  # type: ignore[index, no-any-return]

    calls = {
        row["tool_use_id"]: Call(
            f"mcp__{row['server']}__{row['tool_name']}" if row["server"] else row["tool_name"],
            native(row["agent_id"]),
            row["outcome"],
        )
        for row in house.rows("tool_calls")
    }
    assert calls == reported_calls(world)
    spawned = {
        row["native_id"]: Agent(
            row["agent_type"], native(row["parent_agent_id"]), row["spawned_by"], _STATUS[row["status"]]
        )
        for row in agents.values()
        if row["kind"] == "spawned"
    }
    assert spawned == reported_agents(world)
    sums: dict[str, tuple[int, ...]] = {}
    for row in house.rows("usage_totals"):
        if row["source"] == "messages":
            names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
            before = sums.get(row["model"], (0, 0, 0, 0))
            sums[row["model"]] = tuple(one + row[name] for one, name in zip(before, names, strict=True))
    assert sums == collapsed(billed(world, aside=False))
    forks = {row["native_id"] for row in house.rows("conversations") if row["forked_from"]}
    for native_id, ledger in reported_ledgers(world).items():
        if native_id in forks:
            continue  # it begins with what its original has cost
        cost = sum(
            (
                row["cost_usd"] or Decimal(0)
                for row in house.rows("usage_totals")
                if conversations[row["conversation_id"]] == native_id
            ),
            Decimal(0),
        )
        assert abs(cost - ledger.cost) < Decimal("0.000000005")
