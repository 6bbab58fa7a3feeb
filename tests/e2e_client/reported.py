"""What a client says of itself, read without any of our code, so that ours can be compared with it.

Its words are those it prints with ``--output-format stream-json --verbose``, and the small files beside its
agents' transcripts. Of older clients less is known; what they do not say is left out here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Self

Line = Mapping[str, Any]

_RENAMED = {"Task": "Agent"}
"""Tools by the name they once had; a client may use both in one run."""

MAIN = ""
"""The main agent, which has no id."""


class Tokens(NamedTuple):
    """Tokens, each counted once: input excludes what was read from or written to the cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    def plus(self, other: "Tokens") -> "Tokens":
        """Return the sums."""
        return Tokens(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Bill(NamedTuple):
    """What one model used, by the client's own ledger, and its price in dollars."""

    tokens: Tokens
    cost: Decimal


class Ledger(NamedTuple):
    """A conversation's bills by model, and their sum as the client says it.

    They hold what agents and requests of the client's own have used, too. Since 2.1.330 they go on from run
    to run, also into a fork, which begins with what the conversation it was forked from had cost by then.
    """

    cost: Decimal
    models: Mapping[str, Bill]

    def costs(self) -> dict[str, Decimal]:
        """Return the dollars of each model."""
        return {model: bill.cost for model, bill in self.models.items()}


class Call(NamedTuple):
    """A tool call: its tool's whole name, whose it was, and ``ok``, ``failed``, ``denied`` or ``open``."""

    name: str
    agent: str
    outcome: str


class Agent(NamedTuple):
    """An agent that was spawned: its kind, the agent and the call that spawned it, and its last status."""

    kind: str
    parent: str
    call: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class Reported:
    """What one run said.

    Attributes:
        session_ids: Its conversations, in their order.
        answer: Its last words.
        is_error: Whether it says that it failed.
        tokens: Of the main agent in the last turn.
        ledgers: By conversation, as of its last turn.
        calls: By the call's id.
        agents: By the agent's id.
        hooked: Hooks that have printed something or failed; told with ``--include-hook-events`` alone.
        fired: Hooks that have run; told with it alone.
    """

    session_ids: tuple[str, ...]
    answer: str
    is_error: bool
    tokens: Tokens
    ledgers: Mapping[str, Ledger]
    calls: Mapping[str, Call]
    agents: Mapping[str, Agent]
    hooked: tuple[Line, ...]
    fired: int

    @classmethod
    def of(cls, output: bytes) -> Self:
        """Read what a run has printed; lines that are no JSON objects are left out."""
        lines = list(_lines(output))
        results = [line for line in lines if line.get("type") == "result"]
        last = results[-1] if results else {}
        owners = _agents_by_call(lines)
        told = [line for line in lines if line.get("subtype") == "hook_response"]
        return cls(
            session_ids=tuple(dict.fromkeys(line["session_id"] for line in lines if _begins(line))),
            answer=str(last.get("result", "")),
            is_error=bool(last.get("is_error", not results)),
            tokens=_tokens_of_answers(last.get("usage", {})),
            ledgers={line["session_id"]: _ledger(line) for line in results},
            calls=_calls(lines, owners),
            agents=_agents(lines, owners),
            hooked=tuple(line for line in told if _has_spoken(line)),
            fired=len(told),
        )

    @property
    def session_id(self) -> str:
        """The one conversation of the run."""
        (session_id,) = self.session_ids
        return session_id


def agents_of_files(projects: Path) -> dict[str, Agent]:
    """Return the agents that the small files beside transcripts tell of."""
    found = {}
    for path in projects.rglob("agent-*.meta.json"):
        meta = json.loads(path.read_bytes())
        parent = meta.get("parentAgentId", MAIN)
        agent = path.name.removeprefix("agent-").removesuffix(".meta.json")
        found[agent] = Agent(meta["agentType"], parent, meta.get("toolUseId", ""))
    return found


def _lines(output: bytes) -> Iterator[Line]:
    for line in output.splitlines():
        if line.startswith(b"{"):
            yield json.loads(line)


def _begins(line: Line) -> bool:
    return line.get("type") == "system" and line.get("subtype") == "init"


def _blocks(lines: list[Line], role: str, kind: str) -> Iterator[tuple[Line, Line]]:
    """Yield the blocks of a kind in the messages of a role, each with the line it stands in."""
    for line in lines:
        content = line["message"].get("content") if line.get("type") == role else None
        for block in content if isinstance(content, list) else ():
            if block.get("type") == kind:
                yield line, block


# --- agents and calls --------------------------------------------------------------------------------


def _agents_by_call(lines: list[Line]) -> dict[str, str]:
    """Return each spawned agent's id by the call that spawned it."""
    started = [line for line in lines if line.get("subtype") == "task_started"]
    owners = {line["tool_use_id"]: line["task_id"] for line in started}
    for line, block in _blocks(lines, "user", "tool_result"):
        answer = line.get("tool_use_result")
        if isinstance(answer, dict) and answer.get("agentId"):
            owners.setdefault(block["tool_use_id"], answer["agentId"])
    return owners


def _agents(lines: list[Line], owners: Mapping[str, str]) -> dict[str, Agent]:
    kinds = {block["id"]: block["input"].get("subagent_type", "") for _, block in _called(lines)}
    parents = {block["id"]: _owner(line, owners) for line, block in _called(lines)}
    ended = {line["task_id"]: line["status"] for line in lines if line.get("subtype") == "task_notification"}
    return {
        agent: Agent(kinds.get(call, ""), parents.get(call, MAIN), call, ended.get(agent, ""))
        for call, agent in owners.items()
    }


def _called(lines: list[Line]) -> Iterator[tuple[Line, Line]]:
    return _blocks(lines, "assistant", "tool_use")


def _calls(lines: list[Line], owners: Mapping[str, str]) -> dict[str, Call]:
    outcomes = {
        block["tool_use_id"]: "failed" if block.get("is_error") else "ok"
        for _, block in _blocks(lines, "user", "tool_result")
    }
    for line in lines:
        for denied in line.get("permission_denials", ()):
            outcomes[denied["tool_use_id"]] = "denied"
    return {
        block["id"]: Call(
            _name_of(block),
            _owner(line, owners),
            outcomes.get(block["id"], "open"),
        )
        for line, block in _called(lines)
    }


def _name_of(block: Line) -> str:
    name = str(block["name"])
    return _RENAMED.get(name, name)


def _owner(line: Line, owners: Mapping[str, str]) -> str:
    """Return whose line it is; an agent whose id nothing tells is known by the call that spawned it."""
    call = str(line.get("parent_tool_use_id") or MAIN)
    return owners.get(call, call)


# --- tokens and cost ---------------------------------------------------------------------------------


def _money(number: float) -> Decimal:
    return Decimal(repr(number))


def _ledger(result: Line) -> Ledger:
    bills = {model: _bill(sums) for model, sums in result.get("modelUsage", {}).items()}
    return Ledger(_money(result["total_cost_usd"]), bills)


def _bill(sums: Line) -> Bill:
    written = sums["cacheCreationInputTokens"]
    hour = sums.get("cacheCreationEphemeral1hInputTokens", 0)
    five = sums.get("cacheCreationEphemeral5mInputTokens", written - hour)
    tokens = Tokens(sums["inputTokens"], sums["outputTokens"], sums["cacheReadInputTokens"], five, hour)
    return Bill(tokens, _money(sums["costUSD"]))


def _tokens_of_answers(usage: Line) -> Tokens:
    written = usage.get("cache_creation", {})
    return Tokens(
        usage.get("input_tokens", 0),
        usage.get("output_tokens", 0),
        usage.get("cache_read_input_tokens", 0),
        written.get("ephemeral_5m_input_tokens", 0),
        written.get("ephemeral_1h_input_tokens", 0),
    )


def _has_spoken(line: Line) -> bool:
    return bool(line.get("stdout") or line.get("stderr") or line.get("exit_code"))
