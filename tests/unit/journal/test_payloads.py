"""What real hook payloads are read into, and that hostile ones say so or say nothing."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sessionlib.journal.claude_code import payloads
from sessionlib.journal.facts import (
    MAIN,
    AgentEnded,
    AgentSeen,
    Called,
    Ended,
    Ending,
    Fact,
    Logged,
    Outcome,
    Returned,
    Seen,
    Started,
    Todo,
    Weight,
)
from sessionlib.journal.spool import Delivery

FIXTURES = Path(__file__).parents[2] / "fixtures" / "claude_code" / "hooks"
AT = datetime(2026, 11, 21, 18, 0, 0, 250000, tzinfo=UTC)
T = TypeVar("T")


def delivery(body: bytes, **changed: Any) -> Delivery:
    values = {"name": "1", "client": "claude-code", "event": "", "at": AT, "size": len(body), "body": body}
    return Delivery(**values | changed)


def facts(body: bytes | dict[str, Any], **changed: Any) -> list[Fact]:
    given = delivery(body if isinstance(body, bytes) else json.dumps(body).encode(), **changed)
    _, payload = payloads.conversation_of(given)
    return list(payloads.facts_of(given, payload))


def real(name: str, **changed: Any) -> list[Fact]:
    return facts((FIXTURES / f"{name}.json").read_bytes(), **changed)


def of(kind: type[T], found: Iterable[Fact]) -> list[T]:
    return [fact for fact in found if isinstance(fact, kind)]


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_every_real_payload_is_read(path: Path) -> None:
    """Each says that its conversation was there, where and when, and leaves one event in the log."""
    body = path.read_bytes()
    tree = json.loads(body)
    given = delivery(body)
    native_id, payload = payloads.conversation_of(given)
    found = list(payloads.facts_of(given, payload))
    assert native_id == tree["session_id"]
    (seen,) = of(Seen, found)
    assert (seen.at, seen.cwd, seen.transcript) == (AT, tree["cwd"], tree["transcript_path"])
    (logged,) = of(Logged, found)
    assert (logged.name, logged.kind, logged.size) == (tree["hook_event_name"], "hook", len(body))
    assert logged.agent == tree.get("agent_id", MAIN)
    assert logged.body is None


def test_the_environment_tells_what_payloads_do_not() -> None:
    """The folder of the start, the process, and what the user named."""
    context = {
        "CLAUDE_PROJECT_DIR": "/home/dev/code/demo",
        "CLAUDE_PID": "4711",
        "CLAUDE_CODE_ENTRYPOINT": "cli",
        "SESSIOND_IDENTITY": "reviewer",
        "SESSIOND_SESSION": "garden-wall",
    }
    (seen,) = of(Seen, real("Stop", context=context))
    assert (seen.project_dir, seen.pid, seen.entrypoint) == ("/home/dev/code/demo", 4711, "cli")
    assert (seen.identity, seen.session) == ("reviewer", "garden-wall")


def test_a_conversation_begins_goes_on_and_ends() -> None:
    """In the client's own words."""
    assert of(Started, real("SessionStart.startup")) == [Started(AT, "startup")]
    assert of(Started, real("SessionStart.resume")) == [Started(AT, "resume")]
    assert of(Ended, real("SessionEnd.clear")) == [Ended(AT, "clear")]


def test_a_tool_of_a_server_is_named_apart() -> None:
    """The call has server and tool, and how long the client says that it took."""
    found = real("PostToolUse.mcp__demo__add")
    call = "toolu_f98887355b2e4970ad6369e2"
    assert of(Called, found) == [Called(call, MAIN, None, "add", "demo", input_size=14, weight=Weight.RESULT)]
    (returned,) = of(Returned, found)
    assert (returned.outcome, returned.duration_ms, returned.output_size) == (Outcome.OK, 16, 13)
    (failed,) = of(Returned, real("PostToolUseFailure.mcp__demo__boom"))
    assert (failed.outcome, failed.error) == (Outcome.FAILED, "Error executing tool boom")


def test_a_call_begins_before_it_returns() -> None:
    """Only the event before the call tells when it began."""
    (called,) = of(Called, real("PreToolUse.Bash"))
    assert (called.at, called.name, called.server) == (AT, "Bash", None)
    assert of(Returned, real("PreToolUse.Bash")) == []


def test_a_batch_closes_each_of_its_calls_lightly() -> None:
    """Of a refused call nothing else is said; of any other something heavier is."""
    returned = of(Returned, real("PostToolBatch.Bash+mcp__demo__boom"))
    assert [(one.outcome, one.weight) for one in returned] == [(Outcome.DENIED, Weight.BATCH)] * 2
    assert of(Returned, real("PostToolUseFailure.Bash"))[0].weight > Weight.BATCH


def test_an_agents_result_names_its_parent_and_its_call() -> None:
    """That is more than its start says, which names neither."""
    spawned, *_ = of(AgentSeen, real("PostToolUse.Agent"))
    assert (spawned.agent, spawned.parent, spawned.weight) == ("ae7224af1dd847b8f", MAIN, Weight.RESULT)
    assert (spawned.call, spawned.agent_type, spawned.task) == (
        "toolu_72b102e3579a4487afd637a0",
        "scout",
        "Scout around",
    )
    assert of(AgentEnded, real("PostToolUse.Agent"))[0].ending is Ending.COMPLETE
    started = of(AgentSeen, real("SubagentStart.sub"))
    assert [one.parent for one in started] == [None, None]
    assert started[-1].is_started


def test_what_an_agent_does_is_its_own() -> None:
    """A call inside an agent is the agent's, and its result there names a nested agent's parent."""
    (called,) = of(Called, real("PostToolUse.Bash.sub"))
    assert called.agent == "ae7224af1dd847b8f"
    nested = [one for one in of(AgentSeen, real("PostToolUse.Agent.sub")) if one.weight is Weight.RESULT]
    tree = json.loads((FIXTURES / "PostToolUse.Agent.sub.json").read_bytes())
    assert [one.parent for one in nested] == [tree["agent_id"]]


def test_the_end_of_an_agent_that_never_was_is_nothing() -> None:
    """Compaction makes such: without a kind, and without a transcript."""
    tree = json.loads((FIXTURES / "SubagentStop.sub.json").read_bytes())
    assert facts(tree | {"agent_type": ""}) == []
    assert of(AgentEnded, facts(tree)) != []


def test_the_end_of_an_agent_counts_where_no_kind_is_ever_said() -> None:
    """Clients before 2.1.69 name the agent that ends, and its kind only when it starts."""
    tree = json.loads((FIXTURES / "SubagentStop.sub.json").read_bytes())
    old = {name: value for name, value in tree.items() if name != "agent_type"}
    assert [one.agent for one in of(AgentEnded, facts(old))] == [tree["agent_id"]]


def test_lists_of_todos_are_kept_item_by_item() -> None:
    """From events and from calls alike, by the client's own ids."""
    assert of(Todo, real("TaskCreated")) == [Todo("1", AT, "Write spec", "pending", "Write the spec file")]
    assert of(Todo, real("TaskCompleted"))[0].status == "completed"
    assert of(Todo, real("PostToolUse.TaskCreate")) == [
        Todo("1", AT, "Write spec", "pending", "Write the spec file")
    ]
    assert of(Todo, real("PostToolUse.TaskUpdate")) == [Todo("1", AT, None, "completed", None)]


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_an_event_that_is_delivered_twice_has_one_key(path: Path) -> None:
    """Two settings files may both call the hook, some milliseconds apart."""
    body = path.read_bytes()
    keys = {
        of(Logged, facts(body, at=AT + timedelta(milliseconds=late), name=str(late)))[0].key
        for late in (0, 30)
    }
    assert len(keys) == 1


def test_different_events_have_different_keys() -> None:
    """No two of the real payloads are taken for one."""
    keys = [of(Logged, real(path.stem))[0].key for path in sorted(FIXTURES.glob("*.json"))]
    bodies = {path.read_bytes() for path in FIXTURES.glob("*.json")}
    assert len(set(keys)) == len(bodies)


def test_of_a_cut_payload_the_small_fields_count() -> None:
    """Who, what and which call come before and after what was too long."""
    tree = json.loads((FIXTURES / "PostToolUse.Bash.json").read_bytes())
    whole = json.dumps(tree | {"tool_response": "x" * 100_000, "tool_use_id": tree["tool_use_id"]}).encode()
    found = facts(whole[:2000] + whole[-2000:], size=len(whole), cut=2000)
    assert of(Logged, found)[0].name == "PostToolUse"
    assert [one.call for one in of(Returned, found)] == [tree["tool_use_id"]]
    assert of(Seen, found)[0].cwd == tree["cwd"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"{}",
        b'{"session_id": ""}',
        b'{"session_id": 7}',
        b"\xff\xfe",
        b'{"session_id": "',
    ],
)
def test_what_names_no_conversation_is_refused(body: bytes) -> None:
    """It cannot be linked to anything."""
    with pytest.raises(payloads.BadPayloadError):
        payloads.conversation_of(delivery(body))


@pytest.mark.parametrize(
    "wrong", [None, 3, True, [], {}, [None], {"a": [1]}, "x" * 10_000, "\udcff", 2**70, -1, 1e308]
)
@pytest.mark.parametrize(
    "event", ["PostToolUse", "PostToolBatch", "SubagentStop", "TaskCreated", "StopFailure"]
)
def test_fields_of_any_shape_break_nothing(event: str, wrong: Any) -> None:
    """Every field of every payload may be renamed or change its shape with the client's next version."""
    names = {name for path in FIXTURES.glob("*.json") for name in json.loads(path.read_bytes())}
    base = {
        "session_id": "s",
        "hook_event_name": event,
        "tool_use_id": "t",
        "tool_name": "Agent",
        "agent_id": "a",
    }
    for name in sorted(names - {"session_id", "hook_event_name"}):
        tree = base | {name: wrong}
        given = delivery(b"{}")
        assert list(payloads.facts_of(given, tree)) is not None
