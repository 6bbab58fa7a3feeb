"""What Claude Code's telemetry says of its requests to models: taken out of posts, and read into facts.

A post is OTLP as JSON. Only the records of requests are taken from it, an exact ledger of tokens and cost;
prompts, answers, and whatever else it may hold are not.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import orjson

from sessionlib.journal.adapter import BadPayloadError
from sessionlib.journal.facts import MAIN, Charged, Fact
from sessionlib.journal.trees import loads, text_of

EVENT = "telemetry"
"""The event of deliveries that are made of posts; no hook has this name."""

_RECORD = "claude_code.api_request"
_LISTS = "resourceLogs"
_LEFT_OUT = ("user.", "organization.", "terminal.type")
"""How the names of attributes begin that tell of the person, not of the request."""

_LONGEST = 200
"""Characters of a text that can be an id or a name; anything longer is left out."""

_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_GREATEST = 2**53
_DEAREST = Decimal(1_000_000)
"""USD that no request costs."""
_SMALLEST = Decimal("1e-9")
_ROUNDED = Context(prec=60)
_CONVERSATIONS = 100
"""Of one post; a client sends its own, which is one or a few."""
_AHEAD = timedelta(days=1)
"""Clocks are changed; what was told longer than this before it happened has no time that could be used."""

Request = dict[str, Any]
"""The attributes of one record, by their names."""


def exported(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield an event name and a delivery's body for each conversation that a post tells requests of.

    Raises:
        BadPayloadError: It is no OTLP logs export as JSON, or no client's of ours: of too many conversations.
    """
    found: dict[tuple[str, str | None], list[Request]] = defaultdict(list)
    for version, record in _records(_export(content)):
        request = _flattened(record)
        native_id = _word(request, "session.id")
        if native_id is not None:
            found[native_id, version].append(request)
    if len(found) > _CONVERSATIONS:
        raise BadPayloadError(f"it tells of more than {_CONVERSATIONS} conversations")
    for (native_id, version), requests in found.items():
        yield EVENT, orjson.dumps({"session_id": native_id, "version": version, "requests": requests})


def requests_of(payload: Mapping[str, Any], at: datetime) -> Iterator[Fact]:
    """Yield what a delivery of this event says; a request that is not as it should be is passed over.

    Args:
        payload: Its body.
        at: When it was made; the time of a request that has none of its own.
    """
    native_id = str(payload.get("session_id"))
    requests = payload.get("requests")
    for request in requests if isinstance(requests, list) else ():
        # No sign of life of the conversation: it could be the first, and does not tell where that is held.
        with suppress(ValueError):
            yield _charged(native_id, request, at)


# --- a post ------------------------------------------------------------------------------------------


def _export(content: bytes) -> dict[str, Any]:
    try:
        tree = loads(content)
    except ValueError as error:
        raise BadPayloadError("it is not JSON") from error
    if not isinstance(tree, dict):
        raise BadPayloadError("it is not a JSON object")
    # An empty export is an object without anything.
    if tree and not isinstance(tree.get(_LISTS), list):
        raise BadPayloadError(f"it has no list of {_LISTS}")
    return tree


def _records(tree: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yield the records of requests, each with the client's version."""
    for one in _objects(tree, _LISTS):
        resource = one.get("resource")
        version = _word(_flattened(resource), "service.version") if isinstance(resource, dict) else None
        for scope in _objects(one, "scopeLogs"):
            for record in _objects(scope, "logRecords"):
                if text_of(record.get("body"), "stringValue") == _RECORD:
                    yield version, record


def _objects(tree: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    listed = tree.get(name)
    return (one for one in listed if isinstance(one, dict)) if isinstance(listed, list) else iter(())


def _flattened(tree: dict[str, Any]) -> Request:
    """Return attributes that are one value each, without those of the person."""
    flat: Request = {}
    for attribute in _objects(tree, "attributes"):
        name, value = _word(attribute, "key"), _value(attribute.get("value"))
        if name is not None and value is not None and not name.startswith(_LEFT_OUT):
            flat[name] = value
    return flat


def _value(value: Any) -> str | float | None:
    """Return a value as it is meant; None for one that is no single value, or too long to be a name."""
    match value:
        case {"stringValue": str(text)} if len(text) <= _LONGEST:
            return text
        case {"boolValue": bool(flag)}:
            return flag
        case {"intValue": str(text)} if _WHOLE.fullmatch(text):
            return int(text)  # in this JSON numbers of 64 bits may be texts
        case {"intValue": int(number)} | {"doubleValue": int(number) | float(number)}:
            return None if isinstance(number, bool) else number
        case _:
            return None


# --- a request ---------------------------------------------------------------------------------------


def _charged(native_id: str, request: Any, at: datetime) -> Charged:
    """Return what a request was charged.

    Raises:
        ValueError: It cannot have been so.
    """
    if not isinstance(request, dict):
        raise ValueError("no request")  # noqa: TRY004 - one kind of error for all that is wrong with it
    kept_1h = _count(request, "cache_creation_1h_tokens", 0)
    # Without the two of which it is the sum, it is priced as written for the shorter time.
    written = _count(request, "cache_creation_tokens", 0)
    return Charged(
        request_id=_key(native_id, request),
        agent=_name(request, "agent_id", MAIN),
        at=_moment(request, at),
        model=_name(request, "model"),
        cost_usd=_cost(request),
        input_tokens=_count(request, "input_tokens"),
        output_tokens=_count(request, "output_tokens"),
        cache_read_tokens=_count(request, "cache_read_tokens", 0),
        cache_write_5m_tokens=_count(request, "cache_creation_5m_tokens", max(0, written - kept_1h)),
        cache_write_1h_tokens=kept_1h,
    )


def _key(native_id: str, request: Request) -> str:
    """Return the request's id; of one without, what tells it from the others of its conversation."""
    if "request_id" in request:
        return _name(request, "request_id")
    number, moment = request.get("event.sequence"), request.get("event.timestamp")
    if number is None or moment is None:
        raise ValueError("it cannot be told from others")
    digest = hashlib.sha256(repr((native_id, number, moment)).encode("utf-8", "replace"))
    return f"telemetry-{digest.hexdigest()[:24]}"


def _moment(request: Request, at: datetime) -> datetime:
    if "event.timestamp" not in request:
        return at
    moment = datetime.fromisoformat(_name(request, "event.timestamp"))
    if moment.tzinfo is None or moment - at > _AHEAD:
        raise ValueError("no time")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("no time") from error


def _cost(request: Request) -> Decimal:
    """Return USD: whole millionths where the client has them, which are exact."""
    if "cost_usd_micros" in request:
        cost = Decimal(_count(request, "cost_usd_micros")).scaleb(-6)
    else:
        given = request.get("cost_usd")
        if isinstance(given, bool) or not isinstance(given, int | float | str):
            raise ValueError("no cost")
        try:
            cost = Decimal(str(given))
        except InvalidOperation as error:
            raise ValueError("no cost") from error
    if cost.is_finite():
        cost = cost.quantize(_SMALLEST, context=_ROUNDED)
    if not cost.is_finite() or not 0 <= cost < _DEAREST:
        raise ValueError("no cost")
    return cost


def _count(request: Request, name: str, default: int | None = None) -> int:
    value = request.get(name, default)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)  # older clients tell all numbers as texts
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _GREATEST:
        raise ValueError(name)
    return value


def _name(request: Request, name: str, default: str | None = None) -> str:
    if default is not None and name not in request:
        return default
    word = _word(request, name)
    if word is None:
        raise ValueError(name)
    return word


def _word(tree: Mapping[str, Any], name: str) -> str | None:
    """Return a text that can be an id or a name; None for anything else."""
    text = text_of(tree, name)
    return text if text is not None and len(text) <= _LONGEST and text.isprintable() else None
