"""What is played with a real client, and which hooks must have fired at its end."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sessionlib.journal.claude_code.events import Version
from tests.e2e_client.scripts import marked
from tests.e2e_client.world import World

OLDEST: Version = (2, 1, 80)
"""Before it clients spawn agents and begin conversations that nobody asked for, and hooks name no agent."""

NEWER: Version = (2, 1, 197)
"""From here on hooks close each call, agents' small files name calls, and todos need no terminal."""

NEWEST: Version = (2, 1, 330)
"""From here on transcripts hold the client's ledger and mark what a fork has copied."""


class Story(NamedTuple):
    """One story.

    Attributes:
        play: Plays it in a fresh world.
        events: How often each hook fires.
        codes: The exit codes of its runs.
        since: The first client that can play it and tells enough of it; found by trying.
    """

    play: Callable[[World], object]
    events: Mapping[str, int]
    codes: tuple[int, ...] = (0,)
    since: Version = OLDEST


def _turn(runs: int = 1, **more: int) -> Mapping[str, int]:
    """Return the events of runs with one turn each, and those of what happens in them."""
    each = dict.fromkeys(("SessionStart", "UserPromptSubmit", "Stop", "SessionEnd"), runs)
    return each | more


def _resume(world: World, *more: str) -> None:
    first = world.play("basic")
    world.play("again", "--resume", first.reported.session_id, *more)


_BASIC = {
    "PreToolUse": 8,
    "PostToolUse": 6,
    "PostToolUseFailure": 2,
    "PostToolBatch": 6,
    "SubagentStart": 1,
    "SubagentStop": 1,
}
_WITH_AGAIN = _BASIC | {"PreToolUse": 9, "PostToolUse": 7, "PostToolBatch": 7}
_TWICE = _turn(2, PreToolUse=2, PostToolUse=2, PostToolBatch=2)

STORIES: Mapping[str, Story] = {
    "basic": Story(lambda world: world.play("basic"), _turn(**_BASIC)),
    "two": Story(
        lambda world: world.play("two"),
        _turn(PreToolUse=7, PostToolUse=7, PostToolBatch=6, SubagentStart=3, SubagentStop=3),
        since=NEWEST,
    ),
    # What comes back from the background is a prompt and a turn of its own.
    "background": Story(
        lambda world: world.play("background"),
        _turn(
            UserPromptSubmit=2,
            Stop=2,
            PreToolUse=3,
            PostToolUse=3,
            PostToolBatch=3,
            SubagentStart=1,
            SubagentStop=1,
        ),
        since=NEWER,
    ),
    "denied": Story(lambda world: world.play("denied"), _turn(PreToolUse=1, PostToolBatch=1)),
    # What is impossible runs no hook but the one after it.
    "impossible": Story(lambda world: world.play("impossible"), _turn(PostToolBatch=1)),
    "broken": Story(lambda world: world.play("broken"), _turn(Stop=0, StopFailure=1), (1,)),
    "todos": Story(
        lambda world: world.play("todos"),
        _turn(PreToolUse=4, PostToolUse=4, PostToolBatch=4, TaskCreated=2, TaskCompleted=1),
        since=NEWER,
    ),
    "resumed": Story(_resume, _turn(2, **_WITH_AGAIN), (0, 0)),
    "forked": Story(lambda world: _resume(world, "--fork-session"), _turn(2, **_WITH_AGAIN), (0, 0), NEWEST),
    # Compaction ends an agent that never was, and begins the conversation anew under its id.
    "compacted": Story(
        lambda world: world.play("again", more=["/compact", marked("again")]),
        {**_TWICE, "SessionEnd": 1, "PreCompact": 1, "PostCompact": 1, "SubagentStop": 1},
        since=NEWER,
    ),
    "cleared": Story(
        lambda world: world.play("again", more=["/clear", marked("again")]), _TWICE, since=NEWER
    ),
    "killed": Story(
        lambda world: world.play("slow", stop_at='"tool_use"'), _turn(Stop=0, PreToolUse=1), (143,)
    ),
}
