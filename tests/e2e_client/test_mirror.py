"""What we have read of a real client's work is what the client itself says of it.

Facts of hooks and transcripts are compared here; what they come to in a database is compared with the same.
"""

from collections.abc import Iterable, Mapping
from operator import add

import pytest

from sessionlib.journal.facts import CopiedFrom, Spent
from tests.e2e_client.api import ASIDE
from tests.e2e_client.conftest import Played, needs
from tests.e2e_client.folded import Folded, fold, tokens_by_model
from tests.e2e_client.reported import Agent, Call, Ledger, Tokens, agents_of_files
from tests.e2e_client.stories import NEWER, NEWEST, STORIES
from tests.e2e_client.world import World

each_story = pytest.mark.parametrize("story", list(STORIES))
_STATUS = {"complete": "completed"}
_BY_HOOKS = {"impossible": "denied", "killed": "open"}
"""Outcomes that hooks alone cannot tell as transcripts do."""


def reported_calls(world: World) -> dict[str, Call]:
    """Return the tool calls of all runs, as the client says them."""
    return {call: one for run in world.runs for call, one in run.reported.calls.items()}


def reported_agents(world: World) -> dict[str, Agent]:
    """Return the agents that were spawned in all runs, as the client says them."""
    return {agent: one for run in world.runs for agent, one in run.reported.agents.items()}


def reported_ledgers(world: World) -> dict[str, Ledger]:
    """Return the ledger of each conversation, as the client has said it last."""
    return {one: ledger for run in world.runs for one, ledger in run.reported.ledgers.items()}


def billed(world: World, *, aside: bool) -> dict[str, Tokens]:
    """Return what the API has charged for each model; with or without the client's own requests."""
    sums: dict[str, Tokens] = {}
    for one in (one for run in world.runs for one in run.billed if aside or one.script != ASIDE):
        tokens = Tokens(one.input, one.output, one.cache_read, one.cache_write_5m, one.cache_write_1h)
        sums[one.model] = sums.get(one.model, Tokens()).plus(tokens)
    return sums


def sums_of(ledgers: Iterable[Mapping[str, Spent]]) -> dict[str, tuple[int, ...]]:
    """Return the tokens of ledgers as we have read them, by model: in, out, from the cache and into it."""
    sums: dict[str, tuple[int, ...]] = {}
    for one in (one for ledger in ledgers for one in ledger.values()):
        tokens = one.input_tokens, one.output_tokens, one.cache_read_tokens, one.cache_write_tokens
        sums[one.model] = tuple(map(add, sums.get(one.model, (0,) * 4), tokens))
    return sums


def collapsed(sums: Mapping[str, Tokens]) -> dict[str, tuple[int, ...]]:
    """Return tokens as a ledger has them, which does not tell how long a cache is kept."""
    return {model: (*one[:3], one.cache_write_5m + one.cache_write_1h) for model, one in sums.items()}


def calls_of(found: dict[str, Folded]) -> dict[str, Call]:
    """Return the calls of all conversations; one that a fork has copied is one call."""
    return {call: one for folded in found.values() for call, one in folded.calls().items()}


@each_story
def test_tool_calls_are_those_of_the_client(played: Played, story: str) -> None:
    """Names, servers, whose they were and how they ended."""
    world = played(story)
    assert calls_of(fold(world)) == reported_calls(world)


@each_story
def test_hooks_alone_and_transcripts_alone_tell_the_same_calls(played: Played, story: str) -> None:
    """Each source by itself knows every call, and how it ended where it can."""
    world = played(story)
    needs(world, NEWER)
    expected = reported_calls(world)
    assert calls_of(fold(world, hooks=False)) == expected
    by_hooks = calls_of(fold(world, transcripts=False))
    if (outcome := _BY_HOOKS.get(story)) is not None:
        expected = {call: one._replace(outcome=outcome) for call, one in expected.items()}
    assert by_hooks == expected


@each_story
def test_agents_are_those_of_the_client(played: Played, story: str) -> None:
    """Kinds, parents, the calls that spawned them, and how they ended; the small files say the same."""
    world = played(story)
    needs(world, NEWER)
    reported = reported_agents(world)
    agents = {agent: one for found in fold(world).values() for agent, one in found.agents().items()}
    assert {key: one._replace(status=_STATUS[one.status]) for key, one in agents.items()} == reported
    on_disk = agents_of_files(world.home / ".claude" / "projects")
    assert on_disk == {key: one._replace(status="") for key, one in reported.items()}


@each_story
def test_tokens_are_what_the_api_has_charged(played: Played, story: str) -> None:
    """Each response counts once, over all conversations; what the client asks of its own stands nowhere."""
    world = played(story)
    needs(world, NEWER)
    assert tokens_by_model(fold(world, hooks=False).values()) == billed(world, aside=False)


@each_story
def test_the_ledger_in_the_transcript_is_the_clients(played: Played, story: str) -> None:
    """To the last digit what it prints, and all that the API has charged, its own requests included."""
    world = played(story)
    needs(world, NEWEST)
    found = {native_id: folded.ledger() for native_id, folded in fold(world, hooks=False).items()}
    printed = reported_ledgers(world)
    for native_id, ledger in printed.items():
        spent = found[native_id]
        assert {model: one.cost_usd for model, one in spent.items()} == ledger.costs()
        assert sum(ledger.costs().values()) == pytest.approx(ledger.cost)
    # Killed in its first turn it prints no ledger, but writes it.
    assert set(found) - set(printed) == (set(found) if story == "killed" else set())
    # A fork's goes on from its original's.
    last = [found[world.session_ids[-1]]] if story == "forked" else found.values()
    assert sums_of(last) == collapsed(billed(world, aside=True))


def test_a_compaction_costs_more_than_its_lines_tell(played: Played) -> None:
    """The summary is asked for beside the conversation: lines and ledger differ by its tokens alone."""
    world = played("compacted")
    needs(world, NEWEST)
    (found,) = fold(world).values()
    (aside,) = [one for run in world.runs for one in run.billed if one.script == ASIDE]
    ((model, spent),) = found.ledger().items()
    told = tokens_by_model([found])[model]
    assert (spent.input_tokens - told.input, spent.output_tokens - told.output) == (aside.input, aside.output)


def test_what_a_fork_copied_is_not_its_own(played: Played) -> None:
    """Calls, agents and tokens belong to where they happened; its ledger alone begins with the original's."""
    world = played("forked")
    first, fork = (run.reported for run in world.runs)
    before, found = (fold(world)[one.session_id] for one in (first, fork))
    assert {one.native_id for one in found.of(CopiedFrom)} == {first.session_id}
    assert (before.calls(), found.calls()) == (first.calls, fork.calls)
    assert (set(before.agents()), set(found.agents())) == (set(first.agents), set())
    assert set(before.used()) & set(found.used()) == set()
    costs = [sum(one.cost_usd for one in folded.ledger().values()) for folded in (before, found)]
    assert costs == pytest.approx([first.ledgers[first.session_id].cost, fork.ledgers[fork.session_id].cost])
    assert costs[1] > costs[0]


def test_todos_are_as_the_agent_left_them(played: Played) -> None:
    """Words and status of each, by hooks alone, by transcripts alone and by both."""
    world = played("todos")
    for sources in ({}, {"hooks": False}, {"transcripts": False}):
        (found,) = fold(world, **sources).values()
        expected = {"1": ("Write it", "completed"), "2": ("Read it", "in_progress")}
        assert found.todos() == expected
