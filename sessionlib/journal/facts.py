"""What a journal says, in words of no client: the facts that ingest merges into rows.

A fact is one observation. The same fact may come many times, from hooks and from transcripts, in any order;
each names what it is about by the client's own ids, so merging facts is commutative and idempotent, and it is
ingest that knows how two observations of one thing are merged. Times are aware and in UTC; sizes are bytes;
texts have not been redacted yet. Nobody changes a fact; they are not frozen because to make a frozen one
takes four times as long, and each line of a transcript says some.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

MAIN = ""
"""The native id of a conversation's main agent, which clients do not name."""


class Outcome(StrEnum):
    """How a tool call ended; OPEN as long as nobody has said."""

    OPEN = "open"
    OK = "ok"
    FAILED = "failed"
    DENIED = "denied"
    INTERRUPTED = "interrupted"


class Ending(StrEnum):
    """How an agent's run ended."""

    COMPLETE = "complete"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Weight(IntEnum):
    """How far a source is to be believed where two differ; the heavier one wins, whichever came first."""

    ASSUMED = 0
    INFERRED = 1
    BATCH = 2
    TRANSCRIPT = 3
    RESULT = 4
    META = 5


@dataclass(slots=True)
class Seen:
    """Something of the conversation happened; what is None was not said.

    Attributes:
        at: When.
        cwd: The folder it happened in.
        project_dir: The folder in which the client was started.
        transcript: The conversation's transcript file.
        version: The client's.
        entrypoint: The door through which the client was started, in its own words.
        model: The main agent's.
        branch: The branch that was checked out.
        pid: The client's process on this host.
        identity: The identity that the environment named.
        session: The workflow session that the environment named.
        is_child: True when another conversation's process started this one.
        is_work: False for what happens when nobody works: a start, an end, a notification.
    """

    at: datetime
    cwd: str | None = None
    project_dir: str | None = None
    transcript: str | None = None
    version: str | None = None
    entrypoint: str | None = None
    model: str | None = None
    branch: str | None = None
    pid: int | None = None
    identity: str | None = None
    session: str | None = None
    is_child: bool = False
    is_work: bool = True


@dataclass(slots=True)
class Started:
    """The conversation began or went on: ``startup``, ``resume``, ``clear``, ``compact`` or ``fork``."""

    at: datetime
    how: str


@dataclass(slots=True)
class Ended:
    """The client said that it ends the conversation, and why."""

    at: datetime
    reason: str


@dataclass(slots=True)
class Titled:
    """The conversation was given a title; the latest counts."""

    title: str
    at: datetime | None = None


@dataclass(slots=True)
class CopiedFrom:
    """Records of another conversation were copied into this one: it was forked from it."""

    native_id: str


@dataclass(slots=True)
class AgentSeen:
    """An agent was there.

    Attributes:
        agent: Its native id.
        at: When; None for what has no time of its own.
        agent_type: Its kind, in the client's words.
        task: What it was asked, in a few words.
        model: Its model.
        parent: The native id of the agent that spawned it; None when this observation does not tell.
        call: The tool call that spawned it.
        weight: How far parent and call are to be believed.
        is_started: True when this is its start, not just a sign of life.
    """

    agent: str
    at: datetime | None = None
    agent_type: str | None = None
    task: str | None = None
    model: str | None = None
    parent: str | None = None
    call: str | None = None
    weight: Weight = Weight.ASSUMED
    is_started: bool = False


@dataclass(slots=True)
class AgentEnded:
    """An agent's run ended; one that goes on later was only paused, and ends again."""

    agent: str
    at: datetime | None
    ending: Ending
    weight: Weight
    error: str | None = None


@dataclass(slots=True)
class Called:
    """An agent called a tool.

    Attributes:
        call: The call's native id.
        agent: Who called.
        at: When; None where only its end was seen.
        name: The tool's name, without its server's.
        server: The MCP server; None for a tool of the client itself.
        input_size: Bytes.
        weight: How far name and server are to be believed: some sources only know them joined into one.
    """

    call: str
    agent: str
    at: datetime | None
    name: str
    server: str | None = None
    input_size: int | None = None
    weight: Weight = Weight.INFERRED


@dataclass(slots=True)
class Returned:
    """A tool call ended. `duration_ms` only where the client measured it."""

    call: str
    agent: str
    at: datetime | None
    outcome: Outcome
    weight: Weight
    duration_ms: int | None = None
    output_size: int | None = None
    error: str | None = None


@dataclass(slots=True)
class Used:
    """What one response of a model used, as far as one observation of it says.

    Input excludes what was read from or written to the prompt cache. Every number is the greatest that was
    seen so far: some clients write a response's first guess, and copies of a response carry zeros.
    """

    message_id: str
    agent: str
    at: datetime
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    web_searches: int = 0
    request_id: str | None = None
    is_final: bool = False


@dataclass(slots=True)
class Charged:
    """What one request to a model cost by the client's own word, told as it was made.

    A request whose response is known by its `request_id` gives that response its cost; one that no response
    tells of, as of a compaction, counts by itself. Tokens are as in `Used`.
    """

    request_id: str
    agent: str
    at: datetime
    model: str
    cost_usd: Decimal
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0


@dataclass(slots=True)
class Spent:
    """A client's own ledger of one conversation and model, cumulative over its resumptions.

    `as_of` is the time of the last event that it covers; None where that is not known.
    """

    model: str
    as_of: datetime | None
    cost_usd: Decimal
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int


@dataclass(slots=True)
class Todo:
    """An item of the agent's own list, as of a moment; None is what this observation does not tell."""

    key: str
    at: datetime
    content: str | None = None
    status: str | None = None
    details: str | None = None


@dataclass(slots=True)
class Logged:
    """One event, for the log; `key` is the same each time this event is seen.

    Attributes:
        key: Natural key within the conversation.
        at: When; the earliest counts.
        kind: ``hook``, ``response`` or ``phase``.
        name: What happened, in the client's words.
        detail: More of it in a word: why a conversation started or ended, which tool it is about.
        agent: Native id of the agent.
        call: The tool call it belongs to.
        size: Of its body, in bytes.
        digest: SHA-256 of its body, first 16 hexadecimal digits.
        body: The body itself, when bodies are kept.
    """

    key: str
    at: datetime
    kind: str
    name: str
    agent: str = MAIN
    detail: str | None = None
    call: str | None = None
    size: int = 0
    digest: str | None = None
    body: str | None = None


@dataclass(slots=True)
class Drifted:
    """An event came without a field that it should have: the client has changed, and rows may be missing.

    Attributes:
        field: What is missing, as ``event.field``; one of a few.
        at: When.
        since: The client's version from which on the field is always there; empty when what was said shows
            that the client is that new. Nothing is wrong with an older one.
    """

    field: str
    at: datetime
    since: str = ""


Fact = (
    Seen
    | Started
    | Ended
    | Titled
    | CopiedFrom
    | AgentSeen
    | AgentEnded
    | Called
    | Returned
    | Used
    | Charged
    | Spent
    | Todo
    | Logged
    | Drifted
)
