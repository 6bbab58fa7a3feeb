"""The lines of Claude Code's transcripts, read into facts.

One response of the model is several lines that repeat its id and its usage; a fork copies lines; older
clients write an agent's lines into the main file. So nothing here counts lines: every fact names the id it is
about.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sessionlib.journal.claude_code.tools import (
    kind_of,
    lists_todos,
    server_of,
    size_of,
    spawned_by,
    spawns,
    todos_of,
)
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
    Used,
    Weight,
)
from sessionlib.journal.trees import count_of, text_of

_UNKNOWN, _COPIED, _OWN = "unknown", "copied", "own"
_MOST_HELD = 50
_HELD = (
    *("type", "subtype", "uuid", "parentUuid", "timestamp", "agentId", "isSidechain"),
    *("cwd", "version", "entrypoint", "gitBranch"),
)
"""What is kept of a line that is put aside; before the first answer there are no calls, and no results."""

_MESSAGES = frozenset({"user", "assistant", "system", "attachment"})
_SYNTHETIC = "<synthetic>"
_EXCERPT = 4000
_KEPT = 500
"""Entries of each kind in a state: calls that have not returned, lines of agents without a name."""
_LARGEST_INPUT = 64 * 1024
_MOST_DOLLARS = 1e8
_LONGEST_TITLE = 1000
_LONGEST_TIME = 40
_DENIALS = (
    "Claude requested permissions to ",
    "This command requires approval",
    "Permission to use ",
    "The user doesn't want to proceed with this tool use",
)

Record = dict[str, Any]


class Transcript:
    """Reads the lines of one transcript file, in order, into facts.

    What a line means can depend on lines before it; what must be kept of those, to go on in another process,
    is its `state`.

    Args:
        native_id: The conversation that the file belongs to.
        agent: The agent whose file it is; MAIN for the conversation's own.
        state: What an earlier reader of the file left; None at its beginning.
    """

    def __init__(self, native_id: str, agent: str = MAIN, state: Mapping[str, Any] | None = None) -> None:
        self._native_id = native_id
        self._agent = agent
        kept = state or {}
        self._at = _moment(kept.get("at"))
        self._chains: dict[str, str] = dict(kept.get("chains", {}))
        self._tools: dict[str, tuple[str, Any]] = {
            call: (name, given) for call, (name, given) in kept.get("calls", {}).items()
        }
        self._copied: dict[str, None] = dict.fromkeys(kept.get("copied", ()))
        # Only a conversation's own file can begin with a copy; and it does so before anything of its own.
        self._origin: str = kept.get("origin", _UNKNOWN if agent == MAIN else _OWN)
        self._held: list[Record] = list(kept.get("held", ()))
        self._forked_from: str | None = kept.get("forked_from")
        self._title: str | None = kept.get("title")

    def state(self) -> dict[str, Any]:
        """Return what the next reader must know, as JSON values; a few hundred bytes mostly."""
        kept: dict[str, Any] = {} if self._at is None else {"at": self._at.isoformat()}
        parts: dict[str, Any] = {
            "calls": dict(self._tools),
            "chains": dict(self._chains),
            "copied": list(self._copied),
            "held": list(self._held),
            "forked_from": self._forked_from,
            "title": self._title if self._origin != _OWN else None,
        }
        if self._origin != (_UNKNOWN if self._agent == MAIN else _OWN):
            kept["origin"] = self._origin
        return kept | {name: part for name, part in parts.items() if part}

    def facts_of(self, record: Record, size: int, body: str | None = None) -> Iterator[Fact]:
        """Yield what one line says; nothing for a line that says nothing to us.

        Args:
            record: The line.
            size: Its length in bytes.
            body: Its text, if its event is to have it.
        """
        kind = text_of(record, "type")
        at = _moment(record.get("timestamp"))
        if kind is None or kind not in _MESSAGES or at is None:
            yield from self._booked(record, kind)
            return
        copied = text_of(record, "requestSessionId")
        if copied is not None and copied != self._native_id:
            # What it says was said, and is counted, in the other conversation.
            self._note_copied(record)
            self._origin, self._held, self._forked_from = _COPIED, [], copied
            yield CopiedFrom(copied)
            return
        if self._origin != _OWN:
            if kind != "assistant":
                self._hold(record, size, body)
                return
            held, self._held, self._origin = self._held, [], _OWN
            # Said again: before this nobody could know the conversation.
            if self._forked_from is not None:
                yield CopiedFrom(self._forked_from)
            if self._title is not None:
                yield Titled(self._title, at)
            for one in held:
                yield from self.facts_of(one, one["size"], one.get("body"))
        self._at = at if self._at is None else max(self._at, at)
        agent = self._agent_of(record)
        uuid = text_of(record, "uuid")
        if uuid is not None and kind != "attachment":
            name = text_of(record, "subtype") if kind == "system" else kind
            category = "phase" if kind == "system" else "response"
            yield Logged(uuid, at, category, name or kind, agent, size=size, body=body)
        yield from self._message(record, kind, agent, at)

    def _booked(self, record: Record, kind: str | None) -> Iterator[Fact]:
        """Yield what a line says that is no message, and has no time of its own."""
        if kind == "cost-state":
            yield from _spent(record, self._at)
        elif kind == "custom-title" and (title := text_of(record, "customTitle")) is not None:
            self._title = title[:_LONGEST_TITLE]
            yield Titled(title, self._at)

    def _hold(self, record: Record, size: int, body: str | None) -> None:
        """Put a line aside until an answer tells whose it is: only answers say that they were copied.

        Of a fork's copied lines the last ones cannot be told from its first own ones, and are left out.
        """
        if self._origin == _UNKNOWN and len(self._held) < _MOST_HELD:
            kept = {name: record[name] for name in _HELD if name in record} | {"size": size}
            self._held.append(kept if body is None else kept | {"body": body[:_LARGEST_INPUT]})

    def _note_copied(self, record: Record) -> None:
        """Remember the calls of a copied line: their results, copied too, are not marked."""
        message = record.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else []:
            call = text_of(block, "id")
            if call is not None:
                _keep(self._copied, call, None)

    def _message(self, record: Record, kind: str, agent: str, at: datetime) -> Iterator[Fact]:
        message = record.get("message")
        model = text_of(message, "model") if kind == "assistant" else None
        if model == _SYNTHETIC:
            model = None
        yield Seen(
            at,
            cwd=text_of(record, "cwd"),
            version=text_of(record, "version"),
            entrypoint=text_of(record, "entrypoint"),
            model=model if agent == MAIN else None,
            branch=text_of(record, "gitBranch"),
        )
        if agent != MAIN:
            yield AgentSeen(agent, at, model=model)
        if isinstance(message, dict):
            if kind == "assistant":
                used = None if model is None else _used(record, message, model, agent, at)
                if used is not None:
                    yield used
                yield from self._answered(record, message, agent, at)
            elif kind == "user":
                yield from self._told(record, message, agent, at)

    def _agent_of(self, record: Record) -> str:
        """Return whose line it is.

        The oldest clients mark an agent's lines, but do not name the agent: there it is named after the line
        that its chain began with.
        """
        named = text_of(record, "agentId") or self._agent
        if named != MAIN or record.get("isSidechain") is not True:
            return named
        uuid, before = text_of(record, "uuid"), text_of(record, "parentUuid")
        first = self._chains.get(before, before) if before is not None else uuid
        if uuid is not None and first is not None:
            _keep(self._chains, uuid, first)
        return f"chain:{first}" if first is not None else MAIN

    # --- what the model said -------------------------------------------------------------------------

    def _answered(self, record: Record, message: Record, agent: str, at: datetime) -> Iterator[Fact]:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if isinstance(block, dict) and block.get("type") == "tool_use":
                call, name = text_of(block, "id"), text_of(block, "name") or "unknown"
                if call is None:
                    continue
                given = block.get("input")
                server = text_of(record, "attributionMcpServer") if name.startswith("mcp__") else None
                weight = Weight.INFERRED if server is None else Weight.TRANSCRIPT
                yield Called(
                    call, agent, at, kind_of(name, server), server_of(name, server), size_of(given), weight
                )
                self._keep_call(call, name, given)
        if record.get("isApiErrorMessage") is True:
            words = _first_words(content) or text_of(record, "error") or "unknown error"
            yield AgentEnded(agent, at, Ending.FAILED, Weight.TRANSCRIPT, words[:_EXCERPT])

    def _keep_call(self, call: str, name: str, given: Any) -> None:
        """Keep the input of a call whose result will be read together with it."""
        if spawns(name) and isinstance(given, dict):
            given = {key: text_of(given, key) for key in ("description", "subagent_type")}
        elif not lists_todos(name) or (size_of(given) or 0) > _LARGEST_INPUT:
            return
        _keep(self._tools, call, (name, given))

    # --- what it was told ----------------------------------------------------------------------------

    def _told(self, record: Record, message: Record, agent: str, at: datetime) -> Iterator[Fact]:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if isinstance(block, dict) and block.get("type") == "tool_result":
                call = text_of(block, "tool_use_id")
                if call is not None and call not in self._copied:
                    yield from self._returned(record, block, call, agent, at)

    def _returned(self, record: Record, block: Record, call: str, agent: str, at: datetime) -> Iterator[Fact]:
        answer = record.get("toolUseResult")
        content = block.get("content")
        outcome = _outcome(block, record, content, answer)
        words = _first_words(content)
        yield Returned(
            call,
            agent,
            at,
            outcome,
            Weight.TRANSCRIPT,
            output_size=size_of(content),
            error=words[:_EXCERPT] if words and outcome is not Outcome.OK else None,
        )
        name, given = self._tools.pop(call, (None, None))
        yield from spawned_by(call, agent, given, answer, at, Weight.TRANSCRIPT)
        if name is not None and lists_todos(name) and isinstance(answer, dict) and outcome is Outcome.OK:
            yield from todos_of(name, given, answer, at)


def meta_facts(agent: str, meta: Record) -> Iterator[Fact]:
    """Yield what the small file beside an agent's transcript says: the one source that knows its parent.

    Of an agent's agent not every version names the parent; then it is the one that made the call. When the
    agent has finished it does not say, and the file's own time may be that of a copy.
    """
    parent = text_of(meta, "parentAgentId")
    if parent is None and count_of(meta, "spawnDepth") == 1:
        parent = MAIN
    yield AgentSeen(
        agent,
        None,
        agent_type=text_of(meta, "agentType"),
        task=text_of(meta, "description"),
        model=text_of(meta, "model"),
        parent=parent,
        call=text_of(meta, "toolUseId"),
        weight=Weight.META,
    )
    if meta.get("finished") is True:
        yield AgentEnded(agent, None, Ending.COMPLETE, Weight.INFERRED)


def _keep(entries: dict[str, Any], name: str, value: Any) -> None:
    """Add an entry, at the cost of the oldest one when there are too many for a state."""
    entries[name] = value
    if len(entries) > _KEPT:
        del entries[next(iter(entries))]


def _outcome(block: Record, record: Record, content: Any, answer: Any) -> Outcome:
    if isinstance(answer, dict) and answer.get("interrupted") is True:
        return Outcome.INTERRUPTED
    if block.get("is_error") is not True:
        return Outcome.OK
    decision = record.get("permissionDecision")
    if isinstance(decision, dict) and decision.get("decision") in ("reject", "deny"):
        return Outcome.DENIED
    words = _first_words(content) or ""
    if words.startswith(_DENIALS):
        return Outcome.DENIED
    return Outcome.INTERRUPTED if words.startswith("[Request interrupted") else Outcome.FAILED


def _used(record: Record, message: Record, model: str, agent: str, at: datetime) -> Used | None:
    message_id, usage = text_of(message, "id"), message.get("usage")
    if message_id is None or not isinstance(usage, dict):
        return None
    written = count_of(usage, "cache_creation_input_tokens") or 0
    parts = usage.get("cache_creation")
    parts = parts if isinstance(parts, dict) else {}
    hour = count_of(parts, "ephemeral_1h_input_tokens") or 0
    five = count_of(parts, "ephemeral_5m_input_tokens") or 0
    tools = usage.get("server_tool_use")
    return Used(
        message_id,
        agent,
        at,
        model,
        input_tokens=count_of(usage, "input_tokens") or 0,
        output_tokens=count_of(usage, "output_tokens") or 0,
        cache_read_tokens=count_of(usage, "cache_read_input_tokens") or 0,
        # Where nothing says how long it is kept, it is the short time (the client's own rule).
        cache_write_5m_tokens=five if hour or five else written,
        cache_write_1h_tokens=hour,
        web_searches=(count_of(tools, "web_search_requests") or 0) if isinstance(tools, dict) else 0,
        request_id=text_of(record, "requestId"),
        is_final=message.get("stop_reason") is not None,
    )


def _spent(record: Record, as_of: datetime | None) -> Iterator[Spent]:
    models = record.get("modelUsage")
    for model, sums in models.items() if isinstance(models, dict) else ():
        if isinstance(sums, dict):
            cost = sums.get("costUSD")
            yield Spent(
                model,
                as_of,
                Decimal(repr(cost)) if _is_amount(cost) else Decimal(0),
                count_of(sums, "inputTokens") or 0,
                count_of(sums, "outputTokens") or 0,
                count_of(sums, "cacheReadInputTokens") or 0,
                count_of(sums, "cacheCreationInputTokens") or 0,
            )


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST_DOLLARS


def _first_words(content: Any) -> str | None:
    if isinstance(content, str):
        return content or None
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and isinstance(block.get("text"), str):
            return str(block["text"]) or None
    return None


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or len(value) > _LONGEST_TIME:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    try:
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except OverflowError:
        return None
