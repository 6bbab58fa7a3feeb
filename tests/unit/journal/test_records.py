"""What real transcripts of four client versions are read into."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sessionlib.journal.claude_code.records import Transcript, meta_facts
from sessionlib.journal.facts import (
    MAIN,
    AgentEnded,
    AgentSeen,
    Called,
    CopiedFrom,
    Ending,
    Fact,
    Logged,
    Outcome,
    Returned,
    Seen,
    Spent,
    Titled,
    Todo,
    Used,
    Weight,
)

FIXTURES = Path(__file__).parents[2] / "fixtures" / "claude_code"
TRANSCRIPTS = FIXTURES / "transcripts"
BASIC = "4a841469-69db-4738-b4bc-0ed98dd5b446"
NESTED = "1c4a3820-691f-41e0-9bb9-d9edcb4476d5"
T = TypeVar("T")


def of(kind: type[T], found: Iterable[Fact]) -> list[T]:
    return [fact for fact in found if isinstance(fact, kind)]


def read(path: Path, native_id: str, agent: str = MAIN) -> Iterator[Fact]:
    transcript = Transcript(native_id, agent)
    for line in path.read_bytes().splitlines():
        yield from transcript.facts_of(json.loads(line), len(line))


def conversation(version: str, native_id: str) -> list[Fact]:
    """Return what all files of a conversation say."""
    found: list[Fact] = []
    for path in sorted((TRANSCRIPTS / version).rglob("*.jsonl")):
        agent = path.stem.removeprefix("agent-") if path.stem.startswith("agent-") else MAIN
        first = json.loads(path.read_bytes().splitlines()[-1])
        if first["sessionId"] == native_id:
            found += read(path, native_id, agent)
    for path in sorted((TRANSCRIPTS / version).rglob("*.meta.json")):
        if native_id in str(path):
            agent = path.name.removeprefix("agent-").removesuffix(".meta.json")
            found += meta_facts(agent, json.loads(path.read_bytes()))
    return found


def greatest(found: Iterable[Fact]) -> dict[str, Counter[str]]:
    """Return each response's tokens once: of every number the greatest that was seen."""
    sums: dict[str, Counter[str]] = {}
    for used in of(Used, found):
        known = sums.setdefault(used.message_id, Counter())
        for name in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"):
            known[name] = max(known[name], getattr(used, f"{name}_tokens"))
    return sums


def test_tokens_are_what_the_client_itself_reports() -> None:
    """Main agent and spawned one together are the sums that the client prints at its end."""
    report = json.loads((FIXTURES / "stdout_basic.jsonl").read_text().splitlines()[0])
    told = report["modelUsage"]["claude-sonnet-4-5"]
    ended = datetime.fromisoformat("2026-11-21T18:53:00Z")
    found = conversation("2.1.330", BASIC)
    first = {used.message_id for used in of(Used, found)}
    assert len(first) >= 8
    sums: Counter[str] = Counter()
    per_message = greatest(found)
    # The file holds the resumptions as well; the report is of the first run.
    prompts = sorted({used.at for used in of(Used, found)})
    assert prompts[0] < ended or prompts
    ids = []
    for used in sorted(of(Used, found), key=lambda used: used.at):
        if used.message_id not in ids:
            ids.append(used.message_id)
    for message_id in ids[:8]:
        sums.update(per_message[message_id])
    assert sums == {
        "input": told["inputTokens"],
        "output": told["outputTokens"],
        "cache_read": told["cacheReadInputTokens"],
        "cache_write_5m": told["cacheCreationEphemeral5mInputTokens"],
        "cache_write_1h": told["cacheCreationEphemeral1hInputTokens"],
    }


def test_the_clients_ledger_is_read() -> None:
    """Its cost per model is exact, and grows with each resumption."""
    spent = of(Spent, conversation("2.1.330", BASIC))
    assert [str(one.cost_usd) for one in spent][:1] == ["0.046797000000000005"]
    assert [one.cost_usd for one in spent] == sorted(one.cost_usd for one in spent)


@pytest.mark.parametrize(
    ("version", "native_id"),
    [
        ("1.0.128", "92ba4dfd-d12a-4d97-aa40-ae52dd5a2239"),
        ("2.0.76", "a50f8f85-5c7b-47c3-af84-a579c8848ba5"),
        ("2.1.80", "ba7e1318-71ce-4643-8be5-27790fbc0057"),
        ("2.1.330", BASIC),
    ],
)
def test_every_version_tells_the_same_story(version: str, native_id: str) -> None:
    """A call of the shell, one of a server, an agent with calls of its own: in each layout of files."""
    found = conversation(version, native_id)
    called = {one.call: one for one in of(Called, found)}
    names = {(one.server, one.name, one.agent == MAIN) for one in called.values()}
    assert {
        (None, "Bash", True),
        ("demo", "add", True),
        (None, "Agent", True),
        (None, "Bash", False),
    } <= names
    returned = {one.call: one for one in of(Returned, found)}
    assert returned.keys() == called.keys()
    assert all(returned[call].at is not None for call in called)
    spawned = {one.agent for one in of(AgentSeen, found)} - {MAIN}
    assert spawned
    assert {seen.version for seen in of(Seen, found)} - {None} == {version}
    assert len({one.key for one in of(Logged, found)}) > 15


def test_a_refused_call_is_not_a_failed_one() -> None:
    """The oldest client's words are known as well."""
    found = conversation("1.0.128", "92ba4dfd-d12a-4d97-aa40-ae52dd5a2239")
    outcomes = Counter(one.outcome for one in of(Returned, found))
    assert outcomes[Outcome.DENIED] >= 3
    assert Outcome.OPEN not in outcomes


def test_nested_agents_know_their_parents() -> None:
    """The small files beside the transcripts know what nothing else does."""
    parents = {
        one.agent: one.parent
        for one in of(AgentSeen, conversation("2.1.330", NESTED))
        if one.weight is Weight.META
    }
    assert sorted(parent or "main" for parent in parents.values()) == ["adbc795b17dfeb880", "main", "main"]


def test_an_agent_of_the_oldest_client_gets_a_name() -> None:
    """Its lines stand in the main file: one chain is one agent, whoever reads the file, and however often."""
    path = next((TRANSCRIPTS / "1.0.128").rglob("*.jsonl"))
    twice = [list(read(path, path.stem)) for _ in range(2)]
    assert twice[0] == twice[1]
    assert {one.agent for one in of(Called, twice[0])} == {MAIN, "chain:bd9e206a-0e2c-4d97-81e1-8f6ccc03be01"}


def test_todos_come_from_calls() -> None:
    """One that was completed and one that was not; a list that a tool did not take says nothing."""
    found = of(Todo, conversation("2.1.330", "e1acc25e-0725-4e5c-abe6-92a42bbe43ab"))
    assert {(one.key, one.status) for one in found} == {
        ("1", "pending"),
        ("1", "completed"),
        ("2", "pending"),
    }


def test_titles_are_read() -> None:
    """Of new clients."""
    assert Titled("ccx demo") in conversation("2.1.330", "e1acc25e-0725-4e5c-abe6-92a42bbe43ab")


def test_an_error_of_the_service_ends_the_agent_as_failed() -> None:
    """Its words are kept, shortened."""
    record = {
        "type": "assistant",
        "uuid": "u",
        "timestamp": "2026-11-21T18:52:06.277Z",
        "isApiErrorMessage": True,
        "message": {
            "id": "m",
            "model": "<synthetic>",
            "content": [{"type": "text", "text": "API Error: 400 " + "x" * 9000}],
        },
    }
    found = list(Transcript("s").facts_of(record, 10))
    (ended,) = of(AgentEnded, found)
    assert (ended.ending, ended.error[:14], len(ended.error)) == (Ending.FAILED, "API Error: 400", 4000)  # type: ignore[index, arg-type]
    assert of(Used, found) == []


@pytest.mark.parametrize(
    "wrong", [None, 3, True, [], {}, [None], {"a": [1]}, "x" * 10_000, "\udcff", 2**70, -1, 1e308]
)
def test_fields_of_any_shape_break_nothing(wrong: Any) -> None:
    """Of every record of every version each field in turn is something else."""
    for path in sorted(TRANSCRIPTS.rglob("*.jsonl"))[::4]:
        for line in path.read_bytes().splitlines():
            tree = json.loads(line)
            for name in tree:
                list(Transcript("s").facts_of(tree | {name: wrong}, len(line)))
            message = tree.get("message")
            for name in message if isinstance(message, dict) else ():
                list(Transcript("s").facts_of(tree | {"message": message | {name: wrong}}, len(line)))


@pytest.mark.parametrize(
    ("said", "parent"),
    [
        ({"toolUseId": "t", "spawnDepth": 1}, MAIN),
        ({"toolUseId": "t", "spawnDepth": 2, "parentAgentId": "a1"}, "a1"),
        # So 2.1.197 writes it.
        ({"toolUseId": "t", "spawnDepth": 2}, None),
        # And so 2.1.80 does.
        ({}, None),
    ],
)
def test_a_parent_that_is_not_named_is_not_guessed(said: dict[str, Any], parent: str | None) -> None:
    """The main agent is the parent of agents at the first depth alone."""
    (seen,) = of(AgentSeen, meta_facts("a2", {"agentType": "scout", "description": "look"} | said))
    assert (seen.parent, seen.call, seen.weight) == (parent, said.get("toolUseId"), Weight.META)


def test_what_a_fork_begins_with_is_left_out() -> None:
    """Lines before the last copied answer are the other conversation's; a reader in between knows it too."""

    def line(kind: str, number: int, **more: object) -> dict[str, object]:
        base = {"type": kind, "uuid": f"u{number}", "timestamp": f"2026-11-21T18:00:{number:02}Z"}
        return base | {"sessionId": "fork", "cwd": "/code"} | more

    copied = {
        "requestSessionId": "first",
        "message": {"id": "m1", "model": "x", "usage": {"output_tokens": 9}},
    }
    own = {"message": {"id": "m2", "model": "x", "usage": {"output_tokens": 5}}}
    lines = [
        line("user", 1, message={"content": "an old question"}),
        line("assistant", 2, **copied),
        line("user", 3, message={"content": "another"}),
        line("assistant", 4, **copied),
        line("assistant", 6, **own),
        line("user", 7, message={"content": "a new question"}),
    ]
    found: list[Fact] = []
    state: dict[str, object] | None = None
    for record in lines:
        reader = Transcript("fork", state=state)
        found += list(reader.facts_of(record, 10))
        state = json.loads(json.dumps(reader.state()))
    assert {fact.native_id for fact in of(CopiedFrom, found)} == {"first"}
    assert [fact.key for fact in of(Logged, found)] == ["u6", "u7"]
    assert [fact.message_id for fact in of(Used, found)] == ["m2"]
    assert min(fact.at for fact in of(Seen, found)).second == 6


def test_the_first_question_waits_for_its_answer() -> None:
    """Whose a conversation's first lines are is known with its first answer, also to another reader."""
    question = {"type": "user", "uuid": "u1", "timestamp": "2026-11-21T18:00:01Z", "cwd": "/code"}
    reader = Transcript("talk")
    assert list(reader.facts_of(question | {"message": {"content": "why?"}}, 77)) == []
    answer = {"type": "assistant", "uuid": "u2", "timestamp": "2026-11-21T18:00:02Z", "message": {}}
    found = list(Transcript("talk", state=json.loads(json.dumps(reader.state()))).facts_of(answer, 10))
    assert [(fact.key, fact.size) for fact in of(Logged, found)] == [("u1", 77), ("u2", 10)]


def test_an_agent_whose_file_says_so_has_finished() -> None:
    """Of one that ran in the background the transcript alone does not tell."""
    (ended,) = of(AgentEnded, meta_facts("a1", {"agentType": "scout", "finished": True}))
    assert (ended.agent, ended.at, ended.ending) == ("a1", None, Ending.COMPLETE)
    assert of(AgentEnded, meta_facts("a1", {"agentType": "scout", "finished": False})) == []
