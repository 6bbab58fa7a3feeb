"""A real client with our hooks: each story comes to its end, and the spool holds all that happened."""

import json
from collections import Counter

import pytest

from sessionlib.journal.claude_code.events import known_to
from sessionlib.journal.claude_code.payloads import conversation_of
from sessionlib.journal.facts import MAIN, AgentEnded, Ended, Returned, Started
from tests.e2e_client.conftest import Played, needs
from tests.e2e_client.folded import fold
from tests.e2e_client.stories import NEWER, OLDEST, STORIES
from tests.e2e_client.world import HOOK_EVENTS, World

each_story = pytest.mark.parametrize("story", list(STORIES))


@each_story
def test_a_story_ends_as_it_must(played: Played, story: str) -> None:
    """Exit codes are the client's own, nothing is on standard error, and it has called its API alone."""
    runs = played(story).runs
    assert tuple(run.code for run in runs) == STORIES[story].codes
    assert [(run.is_late, run.errors, run.unknown) for run in runs] == [(False, "", ())] * len(runs)


@each_story
def test_each_event_left_one_delivery(played: Played, story: str) -> None:
    """As many of each kind as have happened, whole, and each under the conversation it belongs to."""
    world = played(story)
    needs(world, NEWER)
    deliveries = world.deliveries()
    known = {event.name for event in known_to(world.version)}
    expected = {name: count for name, count in STORIES[story].events.items() if name in known and count}
    assert Counter(delivery.event for delivery in deliveries) == expected
    told = [conversation_of(delivery) for delivery in deliveries]
    assert {native_id for native_id, _ in told} == set(world.session_ids)
    assert [payload["hook_event_name"] for _, payload in told] == [one.event for one in deliveries]
    assert {(one.client, one.cut, one.size - len(one.body)) for one in deliveries} == {
        ("claude-code", None, 0)
    }
    assert {one.context["CLAUDE_PROJECT_DIR"] for one in deliveries} == {str(world.project)}
    assert world.spool.dropped() == 0
    assert not list((world.spool.folder / "tmp").iterdir())


@each_story
def test_hooks_say_nothing_to_the_client(played: Played, story: str) -> None:
    """Not one of them has printed a word or failed, as far as the client has waited for it."""
    world = played(story)
    if not world.knows(HOOK_EVENTS):
        pytest.skip("this client does not say what its hooks have printed")
    assert [run.reported.hooked for run in world.runs] == [()] * len(world.runs)
    fired = sum(run.reported.fired for run in world.runs)
    assert 0 < fired <= len(world.deliveries())
    lines = [line for file in world.transcripts() for line in file.path.read_bytes().splitlines()]
    kept = [line["attachment"]["type"] for line in map(json.loads, lines) if line.get("type") == "attachment"]
    assert [kind for kind in kept if kind.startswith("hook_")] == []


@each_story
def test_transcripts_are_where_they_are_looked_for(played: Played, story: str) -> None:
    """One file for each conversation and each agent, and a small one beside each agent's."""
    world = played(story)
    agents = {agent for run in world.runs for agent in run.reported.agents}
    found = world.transcripts()
    main = [file.native_id for file in found if file.agent == MAIN]
    assert sorted(map(str, main)) == sorted(world.session_ids)
    for is_meta in (False, True):
        assert {file.agent for file in found if file.agent != MAIN and file.is_meta == is_meta} == agents
    on_disk = [path for path in (world.home / ".claude" / "projects").rglob("*.jsonl") if path.is_file()]
    assert sorted(on_disk) == sorted(file.path for file in found if not file.is_meta)


@pytest.mark.parametrize(
    ("story", "starts", "ends"),
    [
        ("basic", [["startup"]], [["other"]]),
        ("resumed", [["startup", "resume"]], [["other", "other"]]),
        ("forked", [["startup"], ["fork"]], [["other"], ["other"]]),
        ("compacted", [["startup", "compact"]], [["other"]]),
        ("cleared", [["startup"], ["clear"]], [["clear"], ["other"]]),
        ("killed", [["startup"]], [["other"]]),
    ],
)
def test_conversations_begin_and_end(
    played: Played, story: str, starts: list[list[str]], ends: list[list[str]]
) -> None:
    """Resumed and compacted ones keep their id, forked and cleared ones get another, and all say how."""
    world = played(story)
    found = fold(world)
    assert [[fact.how for fact in found[one].of(Started)] for one in world.session_ids] == starts
    assert [[fact.reason for fact in found[one].of(Ended)] for one in world.session_ids] == ends


def test_a_turn_that_failed_says_why(played: Played) -> None:
    """An error of the API ends the main agent's run as failed, in the words of hooks and transcript alike."""
    world = played("broken")
    needs(world, NEWER)
    for sources in ({"hooks": False}, {"transcripts": False}):
        (ended,) = fold(world, **sources)[world.runs[0].reported.session_id].of(AgentEnded)
        assert (ended.agent, ended.ending.value) == (MAIN, "failed")
        assert "scripted error" in str(ended.error)


def test_a_killed_client_leaves_what_had_happened(world: World) -> None:
    """SIGKILL at its limit: nothing tells of an end, and of the call that ran only that it began."""
    needs(world, OLDEST)
    run = world.play("slow", seconds=10)
    assert (run.code, run.is_late) == (-9, True)
    (found,) = fold(world).values()
    assert (len(found.of(Started)), found.of(Ended), found.of(Returned)) == (1, [], [])
    assert [call.outcome for call in found.calls().values()] == ["open"]
