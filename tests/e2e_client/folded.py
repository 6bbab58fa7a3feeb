"""Everything that our side has read of a world, merged as the facts' rules say: what a database must hold."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from sessionlib.journal.claude_code.layout import TranscriptFile
from sessionlib.journal.claude_code.payloads import conversation_of, facts_of
from sessionlib.journal.claude_code.records import Transcript, meta_facts
from sessionlib.journal.facts import AgentEnded, AgentSeen, Called, Fact, Outcome, Returned, Spent, Todo, Used
from sessionlib.journal.tail import read_on
from tests.e2e_client.reported import MAIN, Agent, Call, Tokens
from tests.e2e_client.world import World

T = TypeVar("T")


@dataclass
class Folded:
    """One conversation.

    Attributes:
        facts: All that was said of it, by hooks and transcripts, in no order that matters.
    """

    facts: list[Fact] = field(default_factory=list)

    def of(self, kind: type[T]) -> list[T]:
        """Return the facts of a kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def calls(self) -> dict[str, Call]:
        """Return the tool calls; of each the weightiest outcome."""
        outcomes: dict[str, Returned] = {}
        for returned in sorted(self.of(Returned), key=lambda fact: fact.weight):
            outcomes[returned.call] = returned
        # A source that does not know the agent calls it the main one, whose id is the least.
        agents: dict[str, str] = {}
        for fact in self.of(Called):
            agents[fact.call] = max(fact.agent, agents.get(fact.call, MAIN))
        return {
            fact.call: Call(
                f"mcp__{fact.server}__{fact.name}" if fact.server else fact.name,
                agents[fact.call],
                outcomes[fact.call].outcome.value if fact.call in outcomes else Outcome.OPEN.value,
            )
            for fact in sorted(self.of(Called), key=lambda fact: fact.weight)
        }

    def agents(self) -> dict[str, Agent]:
        """Return the spawned agents; of each what the weightiest source says, else who made the call."""
        calls = self.calls()
        found: dict[str, Agent] = {}
        for fact in sorted(self.of(AgentSeen), key=lambda fact: fact.weight):
            known = found.get(fact.agent, Agent("", MAIN, ""))
            call = fact.call or known.call
            assumed = calls[call].agent if known.parent == MAIN and call in calls else known.parent
            parent = assumed if fact.parent is None else fact.parent
            found[fact.agent] = Agent(fact.agent_type or known.kind, parent, call)
        endings = {fact.agent: fact.ending.value for fact in sorted(self.of(AgentEnded), key=_weight)}
        return {agent: one._replace(status=endings.get(agent, "")) for agent, one in found.items()}

    def used(self) -> dict[str, tuple[str, Tokens]]:
        """Return model and tokens of each response: of every number the greatest that was seen."""
        found: dict[str, tuple[str, Tokens]] = {}
        for fact in self.of(Used):
            _, known = found.get(fact.message_id, ("", Tokens()))
            found[fact.message_id] = fact.model, Tokens(*map(max, known, _tokens_of(fact)))
        return found

    def ledger(self) -> dict[str, Spent]:
        """Return the last state of the client's own ledger, by model; it only grows."""
        return {fact.model: fact for fact in sorted(self.of(Spent), key=lambda fact: fact.cost_usd)}

    def todos(self) -> dict[str, tuple[str, str]]:
        """Return words and status of each item; of each the latest."""
        found: dict[str, tuple[str, str]] = {}
        for fact in sorted(self.of(Todo), key=lambda fact: fact.at):
            content, status = found.get(fact.key, ("", ""))
            found[fact.key] = (fact.content or content, fact.status or status)
        return found


def fold(world: World, *, hooks: bool = True, transcripts: bool = True) -> dict[str, Folded]:
    """Read what a world has left; return its conversations by their native ids.

    Args:
        world: Which.
        hooks: Whether the deliveries of hooks are read.
        transcripts: Whether transcripts are.
    """
    found: dict[str, Folded] = {}
    told = [
        *_of_transcripts(world.transcripts() if transcripts else ()),
        *(_of_spool(world) if hooks else ()),
    ]
    for native_id, facts in told:
        found.setdefault(native_id, Folded()).facts.extend(facts)
    return found


def tokens_by_model(found: Iterable[Folded]) -> dict[str, Tokens]:
    """Return the sums by model over conversations; a response that stands in several counts once."""
    responses = {key: used for one in found for key, used in one.used().items()}
    sums: dict[str, Tokens] = {}
    for model, tokens in responses.values():
        sums[model] = sums.get(model, Tokens()).plus(tokens)
    return sums


def _tokens_of(used: Used) -> Tokens:
    return Tokens(
        used.input_tokens,
        used.output_tokens,
        used.cache_read_tokens,
        used.cache_write_5m_tokens,
        used.cache_write_1h_tokens,
    )


def _of_transcripts(files: Iterable[TranscriptFile]) -> Iterator[tuple[str, list[Fact]]]:
    for file in files:
        lines = read_on(file.path, None).lines
        if file.is_meta:
            if file.native_id is not None:
                meta = json.loads(file.path.read_bytes())
                yield file.native_id, list(meta_facts(file.agent, meta))
            continue
        records = [(json.loads(line), len(line)) for line in lines]
        native_id = file.native_id or str(records[-1][0]["sessionId"])
        transcript = Transcript(native_id, file.agent)
        yield native_id, [fact for record, size in records for fact in transcript.facts_of(record, size)]


def _of_spool(world: World) -> Iterator[tuple[str, list[Fact]]]:
    for delivery in world.deliveries():
        native_id, payload = conversation_of(delivery)
        yield native_id, list(facts_of(delivery, payload))


def _weight(fact: AgentEnded) -> int:
    return fact.weight
