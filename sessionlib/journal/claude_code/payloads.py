"""What a hook of Claude Code says on its standard input, read into facts.

Any event may be the first one seen of its conversation, any may come twice, and the order in which they
arrive says nothing: hooks of one event run at the same time. Only ids link things, never their order.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson

from sessionlib.journal.adapter import BadPayloadError
from sessionlib.journal.claude_code.contract import at_least, missing_fields
from sessionlib.journal.claude_code.tools import (
    kind_of,
    lists_todos,
    server_of,
    size_of,
    spawned_by,
    todos_of,
)
from sessionlib.journal.facts import (
    MAIN,
    AgentEnded,
    AgentSeen,
    Called,
    Drifted,
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
from sessionlib.journal.trees import count_of, loads, text_of

_BUCKET = 2
"""Seconds within which two equal payloads without an id of their own are one event, delivered twice."""

_LONGEST_ID = 200
_EXCERPT = 4000
"""Characters of an error's text that are kept."""

_NO_WORK = frozenset({"SessionStart", "SessionEnd", "Notification", "Stop", "StopFailure", "SubagentStop"})

_NAMES = (
    *("session_id", "hook_event_name", "agent_id", "agent_type", "tool_use_id", "tool_name"),
    *("cwd", "transcript_path", "prompt_id", "source", "reason"),
)
_SCALAR = re.compile(r'"(%s)"\s*:\s*"((?:[^"\\]|\\.)*)"'.replace("%s", "|".join(_NAMES)).encode())

Payload = dict[str, Any]


def conversation_of(delivery: Delivery) -> tuple[str, Payload]:
    """Return the native id of the conversation a delivery is about, and its payload.

    Of a payload that was cut the small fields are found all the same: they come first and last.

    Raises:
        BadPayloadError: It is no payload of this client.
    """
    payload = _whole(delivery.body) if delivery.cut is None else _small_fields(delivery.body)
    native_id = payload.get("session_id")
    if not isinstance(native_id, str) or not native_id or len(native_id) > _LONGEST_ID:
        raise BadPayloadError("it names no session_id")
    return native_id, payload


def _whole(body: bytes) -> Payload:
    try:
        payload = loads(body)
    except ValueError as error:
        raise BadPayloadError("it is not JSON") from error
    if not isinstance(payload, dict):
        raise BadPayloadError("it is not a JSON object")
    return payload


def _small_fields(body: bytes) -> Payload:
    """Return what can be read of a payload that was cut; the first of each name counts."""
    payload: Payload = {}
    for name, value in _SCALAR.findall(body):
        with suppress(orjson.JSONDecodeError):
            payload.setdefault(name.decode(), orjson.loads(b'"' + value + b'"'))
    return payload


def facts_of(delivery: Delivery, payload: Payload, *, bodies: bool = False) -> Iterator[Fact]:
    """Yield what a payload says; its event with the whole text only if `bodies` are wanted."""
    event = text_of(payload, "hook_event_name") or delivery.event or "unknown"
    agent = text_of(payload, "agent_id") or MAIN
    at = delivery.at
    if _is_ghost(event, payload):
        return
    yield _seen(delivery, payload, is_work=event not in _NO_WORK)
    if agent != MAIN:
        yield AgentSeen(agent, at, agent_type=text_of(payload, "agent_type"))
    yield Logged(
        key=_key(event, payload, delivery),
        at=at,
        kind="hook",
        name=event,
        agent=agent,
        detail=_detail(payload),
        call=text_of(payload, "tool_use_id"),
        size=delivery.size,
        digest=hashlib.sha256(delivery.body).hexdigest()[:16],
        body=delivery.body.decode("utf-8", "replace") if bodies else None,
    )
    if delivery.cut is None:
        yield from _drifted(event, payload, at)
    more = _EVENTS.get(event)
    if more is not None:
        yield from more(payload, agent, at)


def _seen(delivery: Delivery, payload: Payload, *, is_work: bool) -> Seen:
    context = delivery.context
    pid = context.get("CLAUDE_PID", "")
    return Seen(
        delivery.at,
        cwd=text_of(payload, "cwd"),
        project_dir=context.get("CLAUDE_PROJECT_DIR"),
        transcript=text_of(payload, "transcript_path"),
        entrypoint=context.get("CLAUDE_CODE_ENTRYPOINT"),
        model=text_of(payload, "model"),
        pid=int(pid) if pid.isascii() and pid.isdigit() else None,
        identity=context.get("SESSIOND_IDENTITY"),
        session=context.get("SESSIOND_SESSION"),
        is_work=is_work,
    )


def _drifted(event: str, payload: Payload, at: datetime) -> Iterator[Fact]:
    missing = missing_fields(event, payload)
    if missing:
        shown = at_least(payload)
        for field in missing:
            is_proved = shown is not None and shown >= field.since
            since = "" if is_proved else ".".join(map(str, field.since))
            yield Drifted(f"{event}.{field.name}", at, since)


def _detail(payload: Payload) -> str | None:
    names = ("tool_name", "source", "reason", "trigger", "agent_type", "notification_type", "task_subject")
    return next((word for name in names if (word := text_of(payload, name)) is not None), None)


def _is_ghost(event: str, payload: Payload) -> bool:
    """Tell whether this is the end of an agent that never was: compaction makes such, of an empty kind.

    Clients before 2.1.69 say no kind of any agent that ends.
    """
    return event == "SubagentStop" and "agent_type" in payload and not payload["agent_type"]


# --- what each event adds ----------------------------------------------------------------------------


def _session_start(payload: Payload, _agent: str, at: datetime) -> Iterator[Fact]:
    yield Started(at, text_of(payload, "source") or "startup")


def _session_end(payload: Payload, _agent: str, at: datetime) -> Iterator[Fact]:
    yield Ended(at, text_of(payload, "reason") or "other")


def _before_tool(payload: Payload, agent: str, at: datetime) -> Iterator[Fact]:
    call = text_of(payload, "tool_use_id")
    if call is not None:
        yield _called(payload, call, agent, at)


def _after_tool(payload: Payload, agent: str, at: datetime) -> Iterator[Fact]:
    call = text_of(payload, "tool_use_id")
    if call is None:
        return
    answer = payload.get("tool_response")
    yield _called(payload, call, agent, None)
    yield Returned(
        call,
        agent,
        at,
        Outcome.INTERRUPTED if _is_interrupted(answer) else Outcome.OK,
        Weight.RESULT,
        duration_ms=count_of(payload, "duration_ms"),
        output_size=size_of(answer),
    )
    yield from spawned_by(call, agent, payload.get("tool_input"), answer, at, Weight.RESULT)
    if lists_todos(text_of(payload, "tool_name")):
        yield from todos_of(str(payload["tool_name"]), payload.get("tool_input"), answer, at)


def _after_failure(payload: Payload, agent: str, at: datetime) -> Iterator[Fact]:
    call = text_of(payload, "tool_use_id")
    if call is None:
        return
    error = text_of(payload, "error") or "unknown error"
    yield _called(payload, call, agent, None)
    yield Returned(
        call,
        agent,
        at,
        Outcome.INTERRUPTED if payload.get("is_interrupt") is True else Outcome.FAILED,
        Weight.RESULT,
        duration_ms=count_of(payload, "duration_ms"),
        output_size=len(error.encode("utf-8", "replace")),
        error=error[:_EXCERPT],
    )


def _after_batch(payload: Payload, agent: str, at: datetime) -> Iterator[Fact]:
    """Close each call of a batch: of those that were refused or impossible nothing else is ever said."""
    calls = payload.get("tool_calls")
    for one in calls if isinstance(calls, list) else []:
        call = text_of(one, "tool_use_id") if isinstance(one, dict) else None
        if call is not None:
            yield _called(one, call, agent, None)
            yield Returned(
                call, agent, at, Outcome.DENIED, Weight.BATCH, output_size=size_of(one.get("tool_response"))
            )


def _refused(payload: Payload, agent: str, at: datetime) -> Iterator[Fact]:
    call = text_of(payload, "tool_use_id")
    if call is not None:
        yield _called(payload, call, agent, None)
        reason = text_of(payload, "reason")
        yield Returned(call, agent, at, Outcome.DENIED, Weight.RESULT, error=reason and reason[:_EXCERPT])


def _agent_start(payload: Payload, agent: str, at: datetime) -> Iterator[Fact]:
    if agent != MAIN:
        yield AgentSeen(agent, at, agent_type=text_of(payload, "agent_type"), is_started=True)


def _agent_stop(_payload: Payload, agent: str, at: datetime) -> Iterator[Fact]:
    if agent != MAIN:
        yield AgentEnded(agent, at, Ending.COMPLETE, Weight.INFERRED)


def _failed_turn(payload: Payload, agent: str, at: datetime) -> Iterator[Fact]:
    error = (
        text_of(payload, "error_details")
        or text_of(payload, "last_assistant_message")
        or text_of(payload, "error")
    )
    yield AgentEnded(agent, at, Ending.FAILED, Weight.RESULT, (error or "unknown error")[:_EXCERPT])


def _task(status: str) -> Callable[[Payload, str, datetime], Iterator[Fact]]:
    def read(payload: Payload, _agent: str, at: datetime) -> Iterator[Fact]:
        key = text_of(payload, "task_id")
        if key is not None:
            yield Todo(
                key, at, text_of(payload, "task_subject"), status, text_of(payload, "task_description")
            )

    return read


_EVENTS: dict[str, Callable[[Payload, str, datetime], Iterator[Fact]]] = {
    "SessionStart": _session_start,
    "SessionEnd": _session_end,
    "PreToolUse": _before_tool,
    "PostToolUse": _after_tool,
    "PostToolUseFailure": _after_failure,
    "PostToolBatch": _after_batch,
    "PermissionDenied": _refused,
    "SubagentStart": _agent_start,
    "SubagentStop": _agent_stop,
    "StopFailure": _failed_turn,
    "TaskCreated": _task("pending"),
    "TaskCompleted": _task("completed"),
}


def _called(payload: Payload, call: str, agent: str, at: datetime | None) -> Called:
    name = text_of(payload, "tool_name") or "unknown"
    server = payload.get("mcp_server")
    named = text_of(server, "name") if isinstance(server, dict) else None
    return Called(
        call,
        agent,
        at,
        kind_of(name, named),
        server_of(name, named),
        size_of(payload.get("tool_input")),
        Weight.INFERRED if named is None else Weight.RESULT,
    )


# --- keys --------------------------------------------------------------------------------------------


def _key(event: str, payload: Payload, delivery: Delivery) -> str:
    """Return the same key for every delivery of one event."""
    call, agent, prompt = (text_of(payload, name) for name in ("tool_use_id", "agent_id", "prompt_id"))
    if call is not None:
        return f"{event}|{call}"
    if event in ("SubagentStart", "SubagentStop") and agent is not None:
        return f"{event}|{agent}|{_digest(delivery)}"
    if event in ("SessionStart", "SessionEnd"):
        why = text_of(payload, "source") or text_of(payload, "reason") or ""
        return f"{event}|{why}|{delivery.context.get('CLAUDE_PID', '')}|{_digest(delivery)}"
    if prompt is not None:
        return f"{event}|{prompt}|{_digest(delivery)}"
    return f"{event}|{_digest(delivery)}|{int(delivery.at.timestamp()) // _BUCKET}"


def _digest(delivery: Delivery) -> str:
    return hashlib.sha256(delivery.body).hexdigest()[:16]


def _is_interrupted(answer: object) -> bool:
    return isinstance(answer, dict) and answer.get("interrupted") is True
