"""A daemon that has read a real client's hooks and transcripts holds in its tables what the client says."""

from decimal import Decimal

import pytest

from tests.e2e_client.conftest import Mirrored, Played, needs
from tests.e2e_client.reported import MAIN, Agent, Call
from tests.e2e_client.stories import NEWEST, STORIES
from tests.e2e_client.test_mirror import (
    billed,
    collapsed,
    reported_agents,
    reported_calls,
    reported_ledgers,
)

_STATUS = {"complete": "completed"}


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
