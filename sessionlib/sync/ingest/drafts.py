"""Facts of one conversation, folded: what a batch of them says of each agent, call, response and event."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from sessionlib.journal import facts
from sessionlib.journal.facts import MAIN, Fact, Logged, Outcome, Spent, Weight
from sessionlib.sync.ingest.joining import Observed, greatest, least, observe, stamp

CONVERSATION_FIRSTS = frozenset({"first", "cwd", "project_dir", "entrypoint", "identity", "session", "how"})
AGENT_FIRSTS = frozenset({"first"})
ITEM_FIRSTS = frozenset({"first"})
"""Fields of which the earliest observation counts; of all others it is the latest, or the heaviest."""

DRIFT = "drift."
"""What the names of missing fields begin with; then it is ``version:event.field``."""

_SEEN = (
    *("cwd", "project_dir", "entrypoint", "identity", "session"),
    *("transcript", "version", "model", "branch"),
)

REQUEST = "request:"
"""What the message id of a request begins with whose response nobody has told of."""

RESTARTS = frozenset({"startup", "resume", "clear", "fork"})
"""Ways to start at which no agent of before goes on; a compaction is none."""

_LONGEST = 1000
_LONGEST_RAW = 4000
"""Characters of a text before its secrets are taken out: cut shorter it may hold half of one."""
_LONGEST_PATH = 4096
_MARGIN = 4096
_LONGEST_KEY = 300
_MOST_TOKENS = 10**9
"""Of one kind in one response: a thousand times what any model takes, and sums of it stay within 64 bits."""

Clean = Callable[[str], str]
"""Takes secrets out of a text."""


Numbers = tuple[int, int, int, int, int, int]
"""Tokens: input, output, read from the cache, written to it for 5 minutes and for an hour; then searches."""


@dataclass(slots=True)
class CallDraft:
    """A tool call; `name`: weight, name, server or ''; `returned`: weight, time, outcome, error, size."""

    agent: str = MAIN
    name: tuple[int, str, str] | None = None
    called_at: datetime | None = None
    returned: tuple[int, str, str, str, int] | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    input_size: int | None = None


@dataclass(slots=True)
class UsageDraft:
    """What one response used; `cost` where the client told it, in US dollars."""

    agent: str
    at: datetime
    model: str
    numbers: Numbers
    request_id: str | None
    is_final: bool
    cost: Decimal | None = None


@dataclass(slots=True)
class Draft:
    """All that a batch says of one conversation.

    Attributes:
        client: The coding client.
        native_id: The conversation's id there.
        observed: Of the conversation itself.
        agents: Of each agent, by native id.
        calls: Of each tool call, by native id.
        usage: Of each response, by message id.
        todos: Of each item, by key.
        logs: The events, by key.
        spent: The client's ledger, by model.
    """

    client: str
    native_id: str
    observed: Observed = field(default_factory=dict)
    agents: dict[str, Observed] = field(default_factory=dict)
    calls: dict[str, CallDraft] = field(default_factory=dict)
    usage: dict[str, UsageDraft] = field(default_factory=dict)
    todos: dict[str, Observed] = field(default_factory=dict)
    logs: dict[str, Logged] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.observed or self.agents or self.calls or self.spent or self.todos)


class Folder:
    """Folds the facts of one conversation into a draft.

    Args:
        draft: Grows.
        clean: Takes secrets out of texts that people, models and tools have written.
        bodies: Characters of an event's text that are kept.
    """

    def __init__(self, draft: Draft, clean: Clean, bodies: int = 0) -> None:
        self.draft = draft
        self._bodies = bodies
        self._clean = clean
        self._see = partial(observe, draft.observed, firsts=CONVERSATION_FIRSTS)

    def fold(self, found: Iterable[Fact]) -> None:
        """Take facts, in any order."""
        for fact in found:
            _FOLDS[type(fact)](self, fact)

    # --- the conversation ----------------------------------------------------------------------------

    def seen(self, fact: facts.Seen) -> None:
        """Take a sign of life."""
        at, see = stamp(fact.at), self._see
        see("first", at)
        see("last", at)
        if fact.is_work:
            see("worked", at)
        for name in _SEEN:
            value = getattr(fact, name)
            if value is not None:
                see(name, [at, _plain(value, _LONGEST_PATH)])
        if fact.pid is not None:
            see("pid", [at, fact.pid])
        if fact.is_child:
            see("is_child", 1)

    def started(self, fact: facts.Started) -> None:
        """Take a start."""
        at, how = stamp(fact.at), _plain(fact.how)
        self._see("how", [at, how])
        if how in RESTARTS:
            self._see("restarted", at)
        self._see(f"started.{how[:20]}", at)

    def ended(self, fact: facts.Ended) -> None:
        """Take an end."""
        self._see("ended", [stamp(fact.at), _plain(fact.reason)])

    def titled(self, fact: facts.Titled) -> None:
        """Take a title."""
        self._see("title", [stamp(fact.at), self._text(fact.title)])

    def copied(self, fact: facts.CopiedFrom) -> None:
        """Take the conversation that this one was forked from."""
        self._see("forked_from", _plain(fact.native_id))

    def drifted(self, fact: facts.Drifted) -> None:
        """Take that an event lacked a field; of each the latest counts."""
        self._see(f"{DRIFT}{fact.since}:{fact.field}", stamp(fact.at))

    # --- its agents ----------------------------------------------------------------------------------

    def agent(self, fact: facts.AgentSeen) -> None:
        """Take a sign of an agent."""
        known = self._agent(fact.agent)
        see = partial(observe, known, firsts=AGENT_FIRSTS)
        if fact.at is not None:
            at = stamp(fact.at)
            see("first", at)
            see("last", at)
        for name, value in (("type", fact.agent_type), ("task", fact.task)):
            if value is not None:
                see(name, [int(fact.weight), self._text(value)])
        if fact.model is not None:
            see("model", [stamp(fact.at), _plain(fact.model)])
        if fact.parent is not None:
            self._agent(fact.parent)
            see("parent", [int(fact.weight), key_of(fact.parent)])
        if fact.call is not None:
            see("call", [int(fact.weight), key_of(fact.call)])

    def agent_ended(self, fact: facts.AgentEnded) -> None:
        """Take an end of an agent's run; of each kind and weight the latest counts."""
        words = "" if fact.error is None else self._text(fact.error)
        name = f"end.{fact.ending}.{int(fact.weight)}"
        observe(self._agent(fact.agent), name, [stamp(fact.at), words], AGENT_FIRSTS)

    def _agent(self, native_id: str) -> Observed:
        return self.draft.agents.setdefault(key_of(native_id), {})

    # --- what they did -------------------------------------------------------------------------------

    def called(self, fact: facts.Called) -> None:
        """Take a tool call."""
        call = self._call(fact.call, fact.agent)
        name = int(fact.weight), _plain(fact.name), _plain(fact.server or "")
        call.name = greatest(call.name, name)
        call.called_at = least(call.called_at, fact.at)
        call.input_size = greatest(call.input_size, fact.input_size)

    def returned(self, fact: facts.Returned) -> None:
        """Take how a tool call ended."""
        call = self._call(fact.call, fact.agent)
        words = "" if fact.error is None else self._text(fact.error)
        size = -1 if fact.output_size is None else fact.output_size
        end = int(fact.weight), stamp(fact.at), str(fact.outcome), words, size
        if call.returned is None or end > call.returned:
            call.returned, call.ended_at = end, fact.at
        call.duration_ms = greatest(call.duration_ms, fact.duration_ms)

    def _call(self, native_id: str, agent: str) -> CallDraft:
        call = self.draft.calls.setdefault(key_of(native_id), CallDraft())
        self._agent(agent)
        # A source that does not know the agent calls it the main one, whose id is the least.
        call.agent = max(call.agent, key_of(agent))
        return call

    def used(self, fact: facts.Used) -> None:
        """Take what a response used."""
        numbers = (*_tokens(fact), fact.web_searches)
        request_id = None if fact.request_id is None else key_of(fact.request_id)
        seen = UsageDraft(key_of(fact.agent), fact.at, _plain(fact.model), numbers, request_id, fact.is_final)
        self._use(key_of(fact.message_id), seen)

    def charged(self, fact: facts.Charged) -> None:
        """Take what a request cost."""
        request_id = key_of(fact.request_id)
        numbers, model = (*_tokens(fact), 0), _plain(fact.model)
        seen = UsageDraft(
            key_of(fact.agent), fact.at, model, numbers, request_id, is_final=True, cost=fact.cost_usd
        )
        self._use(REQUEST + request_id, seen)

    def _use(self, key: str, seen: UsageDraft) -> None:
        self._agent(seen.agent)
        known = self.draft.usage.setdefault(key, seen)
        if known is seen:
            return
        known.agent = max(known.agent, seen.agent)
        known.at = min(known.at, seen.at)
        known.model = min(known.model, seen.model)
        known.numbers = most(known.numbers, seen.numbers)
        known.request_id = greatest(known.request_id, seen.request_id)
        known.is_final = known.is_final or seen.is_final
        known.cost = greatest(known.cost, seen.cost)

    def spent(self, fact: Spent) -> None:
        """Take a line of the client's ledger; it only grows."""
        model = _plain(fact.model)
        known = self.draft.spent.get(model)
        if known is None or spent_rank(fact) > spent_rank(known):
            self.draft.spent[model] = fact

    def todo(self, fact: facts.Todo) -> None:
        """Take an item of the agent's own list."""
        at = stamp(fact.at)
        see = partial(observe, self.draft.todos.setdefault(key_of(fact.key), {}), firsts=ITEM_FIRSTS)
        see("first", at)
        see("last", at)
        for name, value in (("content", fact.content), ("status", fact.status), ("details", fact.details)):
            if value is not None:
                see(name, [at, self._text(value)])

    def logged(self, fact: Logged) -> None:
        """Take an event; the earliest sight of it counts."""
        self._agent(fact.agent)
        key = key_of(fact.key)
        known = self.draft.logs.get(key)
        if known is None or fact.at < known.at:
            if fact.detail is not None or fact.body is not None:
                detail = None if fact.detail is None else self._text(fact.detail)
                fact = replace(fact, detail=detail, body=self._body(fact.body))
            self.draft.logs[key] = fact

    def _body(self, text: str | None) -> str | None:
        if text is None or not self._bodies:
            return None
        most = self._bodies + _MARGIN
        clean = self._clean(_plain(text, most))
        # Where it was cut there may be half of a secret, which nobody could tell for one.
        return clean[: self._bodies if len(text) <= most else min(self._bodies, len(clean) - _MARGIN)]

    def _text(self, text: str) -> str:
        return self._clean(_plain(text, _LONGEST_RAW))[:_LONGEST]


def _tokens(fact: facts.Used | facts.Charged) -> tuple[int, int, int, int, int]:
    return (
        min(fact.input_tokens, _MOST_TOKENS),
        min(fact.output_tokens, _MOST_TOKENS),
        min(fact.cache_read_tokens, _MOST_TOKENS),
        min(fact.cache_write_5m_tokens, _MOST_TOKENS),
        min(fact.cache_write_1h_tokens, _MOST_TOKENS),
    )


def most(one: Numbers, other: Numbers) -> Numbers:
    """Return the greater of each number."""
    (a, b, c, d, e, f), (u, v, w, x, y, z) = one, other
    return max(a, u), max(b, v), max(c, w), max(d, x), max(e, y), max(f, z)


def spent_rank(fact: Spent) -> tuple[Any, ...]:
    """Return what tells the later of two lines of a ledger."""
    return (fact.cost_usd, fact.output_tokens, fact.input_tokens, stamp(fact.as_of))


def _plain(text: str, most: int = _LONGEST) -> str:
    """Return a text that every database takes and no list becomes unreadable by."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= most else text[:most]


def key_of(text: str) -> str:
    """Return an id as it is stored: bounded, and without what no database takes."""
    return _plain(text)[:_LONGEST_KEY]


_FOLDS: dict[type, Callable[[Folder, Any], None]] = {
    facts.Seen: Folder.seen,
    facts.Started: Folder.started,
    facts.Ended: Folder.ended,
    facts.Titled: Folder.titled,
    facts.CopiedFrom: Folder.copied,
    facts.AgentSeen: Folder.agent,
    facts.AgentEnded: Folder.agent_ended,
    facts.Called: Folder.called,
    facts.Returned: Folder.returned,
    facts.Used: Folder.used,
    facts.Charged: Folder.charged,
    facts.Spent: Folder.spent,
    facts.Todo: Folder.todo,
    facts.Logged: Folder.logged,
    facts.Drifted: Folder.drifted,
}

__all__ = ["Clean", "Draft", "Folder", "Outcome", "Weight"]
