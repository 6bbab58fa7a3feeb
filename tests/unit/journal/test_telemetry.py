"""What real telemetry posts are read into, and that what is no request is passed over without a word."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionlib.journal.adapter import BadPayloadError
from sessionlib.journal.adapters import ADAPTERS
from sessionlib.journal.claude_code import telemetry
from sessionlib.journal.facts import MAIN, Charged, Fact
from sessionlib.journal.spool import Delivery

POSTS = Path(__file__).parents[2] / "fixtures" / "claude_code" / "otel" / "posts.jsonl"
CONVERSATION = "b2a88b2e-3c44-41f1-830c-9095834fb25f"
AGENT = "ae651a38bd1cde039"
AT = datetime(2026, 11, 21, 19, 0, tzinfo=UTC)

REQUEST: dict[str, Any] = {
    "event.timestamp": "2026-11-21T18:55:26.141Z",
    "event.sequence": 50,
    "request_id": "req_1",
    "model": "claude-sonnet-4-5",
    "input_tokens": 11,
    "output_tokens": 42,
    "cache_read_tokens": 2000,
    "cache_creation_tokens": 1000,
    "cache_creation_5m_tokens": 600,
    "cache_creation_1h_tokens": 400,
    "cost_usd": 0.005913,
    "cost_usd_micros": 5913,
    "query_source": "sdk",
}
HUGE = 10**30


def posts(path: str = "/v1/logs") -> list[Any]:
    """Return the real posts to a path, as JSON values."""
    told = [json.loads(line) for line in POSTS.read_text().splitlines()]
    return [one["body"] for one in told if one["path"] == path]


def encoded(tree: Any) -> bytes:
    """Return JSON."""
    return json.dumps(tree).encode()


def payloads(contents: Iterable[bytes]) -> list[dict[str, Any]]:
    """Return what deliveries posts become."""
    found = [one for content in contents for one in telemetry.exported(content)]
    assert {event for event, _ in found} <= {"telemetry"}
    return [json.loads(body) for _, body in found]


def facts(*requests: Any, **more: Any) -> list[Fact]:
    """Return what a delivery with these requests says."""
    return list(telemetry.requests_of({"session_id": "s", "requests": list(requests), **more}, AT))


def charged(*requests: Any) -> list[Charged]:
    """Return what these requests were charged."""
    return [fact for fact in facts(*requests) if isinstance(fact, Charged)]


def changed(**values: Any) -> dict[str, Any]:
    """Return the request with other values; None takes one away."""
    return {name: value for name, value in (REQUEST | values).items() if value is not None}


def post(*records: Any, **resource: Any) -> bytes:
    """Return a post with these records."""
    return encoded({"resourceLogs": [{**resource, "scopeLogs": [{"logRecords": list(records)}]}]})


def record(**attributes: Any) -> dict[str, Any]:
    """Return a record of a request with these attributes, as they are spelled in a post."""
    given = [{"key": key.replace("__", "."), "value": value} for key, value in attributes.items()]
    return {"body": {"stringValue": "claude_code.api_request"}, "attributes": given}


# --- real posts --------------------------------------------------------------------------------------


def test_real_posts_say_each_request_once() -> None:
    """Eight requests, three of them of the agent; the cost adds up to what the client says, to the digit."""
    found: list[Fact] = []
    for payload in payloads(map(encoded, posts())):
        assert (payload["session_id"], payload["version"]) == (CONVERSATION, "2.1.330")
        found += telemetry.requests_of(payload, AT)
    ledger = [fact for fact in found if isinstance(fact, Charged)]
    assert len({one.request_id for one in ledger}) == len(ledger) == 8
    assert [one.agent for one in ledger] == [MAIN] * 4 + [AGENT] * 3 + [MAIN]
    assert sum(one.cost_usd for one in ledger) == Decimal("0.046797")
    assert ledger[0] == Charged(
        request_id="req_2a79648170bc4f029adf7a8a",
        agent=MAIN,
        at=datetime(2026, 11, 21, 18, 55, 25, 961000, tzinfo=UTC),
        model="claude-sonnet-4-5",
        cost_usd=Decimal("0.005913"),
        input_tokens=11,
        output_tokens=42,
        cache_read_tokens=2000,
        cache_write_5m_tokens=600,
        cache_write_1h_tokens=400,
    )


def test_a_delivery_says_nothing_of_its_conversation_itself() -> None:
    """It could come first, and does not tell in which folder that was started."""
    last = payloads(map(encoded, posts()))[2]
    assert {type(fact) for fact in telemetry.requests_of(last, AT)} == {Charged}


def test_nothing_else_of_a_post_is_kept() -> None:
    """No prompt, no answer, no person, no organization, no terminal, no record of anything but requests."""
    whole = b"".join(map(encoded, posts()))
    kept = json.dumps(payloads(map(encoded, posts())))
    for secret in ("words that nobody may keep", "ann@example.org", "an-organization", "0" * 64, '"dumb"'):
        assert secret.encode() in whole
        assert secret not in kept
    names = {name for one in payloads(map(encoded, posts())) for each in one["requests"] for name in each}
    assert not [name for name in names if name.startswith(("user", "organization", "terminal"))]
    assert {each["event.name"] for one in payloads(map(encoded, posts())) for each in one["requests"]} == {
        "api_request"
    }


def test_a_post_sent_again_says_the_same() -> None:
    """Also of a record without an id of its own, so nothing is counted twice."""
    content = encoded(posts()[1])
    assert list(telemetry.exported(content)) == list(telemetry.exported(content))
    bare = changed(request_id=None)
    assert charged(bare) == charged(bare)
    assert charged(bare)[0].request_id.startswith("telemetry-")
    other = [charged(bare | {name: value})[0] for name, value in (("event.sequence", 51), ("model", "m"))]
    assert other[0].request_id != charged(bare)[0].request_id == other[1].request_id
    whose = next(telemetry.requests_of({"session_id": "t", "requests": [bare]}, AT))
    assert isinstance(whose, Charged)
    assert whose.request_id != charged(bare)[0].request_id


def test_the_adapter_reads_what_it_has_made() -> None:
    """A delivery of this event goes to telemetry, one of any other to the hooks."""
    adapter = ADAPTERS["claude-code"]
    ((event, body),) = adapter.exported(encoded(posts()[1]))
    delivery = Delivery("1", "claude-code", event, AT, len(body), body)
    native_id, found = adapter.delivered(delivery)
    assert native_id == CONVERSATION
    assert [type(fact) for fact in found] == [Charged] * 2
    hooked = Delivery("1", "claude-code", "Stop", AT, len(body), body)
    assert not [fact for fact in adapter.delivered(hooked)[1] if isinstance(fact, Charged)]


# --- other posts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is not JSON"),
        (b"\x0a\x1f\x00", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it is not a JSON object"),
        (b"null", "it is not a JSON object"),
        (b'{"resourceMetrics": []}', "it has no list of resourceLogs"),
        (b'{"resourceLogs": {}}', "it has no list of resourceLogs"),
    ],
)
def test_what_is_no_post_is_refused(content: bytes, why: str) -> None:
    """With what is wrong in words."""
    with pytest.raises(BadPayloadError, match=why):
        list(telemetry.exported(content))


def test_a_post_about_other_things_makes_nothing() -> None:
    """An empty one too."""
    assert list(telemetry.exported(b"{}")) == []
    assert list(telemetry.exported(post({"body": {"stringValue": "claude_code.user_prompt"}}))) == []
    assert list(telemetry.exported(post(record(model={"stringValue": "m"})))) == [], "nobody's request"


def test_conversations_are_kept_apart() -> None:
    """One delivery for each, in the order in which they come."""
    records = [record(session__id={"stringValue": one}, n={"intValue": 1}) for one in ("a", "b", "a")]
    found = payloads([post(*records)])
    assert [(one["session_id"], len(one["requests"]), one["version"]) for one in found] == [
        ("a", 2, None),
        ("b", 1, None),
    ]


def test_values_are_taken_as_they_are_meant() -> None:
    """Numbers that are texts are numbers; what is no single value, or too long for a name, is left out."""
    (found,) = payloads(
        [
            post(
                record(
                    session__id={"stringValue": "s"},
                    text={"stringValue": "x"},
                    flag={"boolValue": False},
                    whole={"intValue": 5},
                    written={"intValue": "-9223372036854775"},
                    part={"doubleValue": 0.25},
                    long={"stringValue": "x" * 201},
                    many={"arrayValue": {"values": []}},
                    huge={"intValue": "9" * 30},
                    bent={"intValue": True},
                    bent_too={"intValue": "1.5"},
                    none=None,
                    wrong=[1],
                )
            )
        ]
    )
    assert found["requests"] == [
        {
            "session.id": "s",
            "text": "x",
            "flag": False,
            "whole": 5,
            "written": -9223372036854775,
            "part": 0.25,
        }
    ]


# --- requests ----------------------------------------------------------------------------------------


def test_older_clients_say_less() -> None:
    """Without the two kinds of writing all is the short one; the cost is in dollars; numbers are texts."""
    old = {
        "event.timestamp": "2026-11-21T18:55:26.141Z",
        "event.sequence": "7",
        "model": "claude-sonnet-4-5",
        "input_tokens": "3",
        "output_tokens": "4",
        "cache_creation_tokens": "5",
        "cost_usd": "0.0000425",
    }
    (found,) = charged(old)
    assert (found.input_tokens, found.output_tokens, found.cache_read_tokens) == (3, 4, 0)
    assert (found.cache_write_5m_tokens, found.cache_write_1h_tokens) == (5, 0)
    assert found.cost_usd == Decimal("0.0000425")
    (longer,) = charged(changed(cache_creation_5m_tokens=None))
    assert (longer.cache_write_5m_tokens, longer.cache_write_1h_tokens) == (600, 400)


def test_whole_millionths_win() -> None:
    """They are exact; dollars are a rounded fraction."""
    assert charged(changed(cost_usd=9.9))[0].cost_usd == Decimal("0.005913")
    assert charged(changed(cost_usd_micros=None))[0].cost_usd == Decimal("0.005913")


def test_times() -> None:
    """In UTC whatever it was told in; without one it was when the delivery was made."""
    (moved,) = charged(changed(**{"event.timestamp": "2026-11-21T20:55:26.141+02:00"}))
    assert moved.at == datetime(2026, 11, 21, 18, 55, 26, 141000, tzinfo=UTC)
    assert moved.at.utcoffset() == timedelta(0)
    assert charged(changed(**{"event.timestamp": None}))[0].at == AT


GARBAGE = [
    *[(name, value) for name in ("input_tokens", "output_tokens") for value in (None, -1, True, 1.5, HUGE)],
    *[("cost_usd_micros", value) for value in (-1, True, 1.5, HUGE, "", "x", [], float("nan"))],
    *[("cache_read_tokens", value) for value in (-1, "-2", False, "1e3", {}, float("inf"))],
    *[("cache_creation_tokens", value) for value in (-1, [1])],
    *[("model", value) for value in (None, "", 5, "x" * 201, "a\0b", "a\nb", ["m"])],
    *[("agent_id", value) for value in ("", 5, "x" * 201, "a\0", True)],
    *[("request_id", value) for value in ("", 5, "x" * 201, "\0")],
    *[("event.timestamp", value) for value in ("", "now", 5, "2026-11-21T18:55:26", "9999-12-31T23:59:59Z")],
    ("event.timestamp", "0001-01-01T00:00:00+14:00"),
]


@pytest.mark.parametrize(("name", "value"), GARBAGE)
def test_garbage_is_passed_over_and_its_neighbours_are_not(name: str, value: Any) -> None:
    """One value that cannot be right, and the whole record is left out."""
    found = charged(REQUEST, changed(**{name: value}), changed(request_id="req_3"))
    assert [one.request_id for one in found] == ["req_1", "req_3"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        -0.1,
        True,
        "x",
        "NaN",
        "-1",
        "Infinity",
        float("nan"),
        float("inf"),
        HUGE,
        pytest.param(10**5000, id="endless"),
        [],
        "9" * 9,
    ],
)
def test_a_cost_that_is_none_is_passed_over(value: Any) -> None:
    """Where there are no millionths."""
    assert charged(changed(cost_usd_micros=None, cost_usd=value)) == []


def test_what_nothing_tells_apart_is_passed_over() -> None:
    """Two such would be taken for one."""
    assert charged(changed(request_id=None, **{"event.sequence": None})) == []
    assert charged(changed(request_id=None, **{"event.timestamp": None})) == []


def test_of_garbage_alone_nothing_is_said() -> None:
    """Not even that its conversation was there."""
    assert facts("x", None, 5, [], {}, changed(model=None)) == []
    for wrong in ({}, {"requests": None}, {"requests": {}}, {"requests": "x"}):
        assert list(telemetry.requests_of({"session_id": "s", **wrong}, AT)) == []


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 10_000)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["0", "12", "-1", "2026-11-21T18:55:26Z", "0001-01-01T00:00:00+23:59", "1e9", "sNaN"])
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
BENT = st.dictionaries(st.sampled_from([*REQUEST, "agent_id"]), TREES)


@settings(max_examples=150, deadline=None)
@given(st.lists(TREES | BENT | BENT.map(lambda bent: REQUEST | bent), max_size=4), TREES)
def test_whatever_a_delivery_holds_is_read(requests: list[Any], version: Any) -> None:
    """What comes of it are numbers and times that a ledger can hold."""
    found = facts(*requests, version=version)
    ledger = [fact for fact in found if isinstance(fact, Charged)]
    for one in ledger:
        assert 0 <= one.cost_usd < 1_000_000
        numbers = one.input_tokens, one.output_tokens, one.cache_read_tokens
        for number in (*numbers, one.cache_write_5m_tokens, one.cache_write_1h_tokens):
            assert type(number) is int
            assert 0 <= number < 2**53
        assert one.at.tzinfo is UTC
        assert one.request_id
        assert one.model
    assert ledger == found


VALUES = TREES | st.dictionaries(
    st.sampled_from(["stringValue", "intValue", "boolValue", "doubleValue"]), SCALARS
)
ATTRIBUTES = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from(["session.id", *REQUEST, "user.id"]), "value": VALUES})
    | TREES,
    max_size=4,
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "body": st.just({"stringValue": "claude_code.api_request"}) | TREES,
            "attributes": ATTRIBUTES | TREES,
        }
    )
    | TREES
)


@settings(max_examples=75, deadline=None)
@given(st.lists(st.fixed_dictionaries({"resource": TREES, "scopeLogs": st.lists(TREES)}) | TREES), RECORDS)
def test_whatever_a_post_holds_is_taken_apart(others: list[Any], records: list[Any]) -> None:
    """Each delivery of it can be read again, and a good request beside garbage is found."""
    good = record(session__id={"stringValue": "good"})
    sound = {"scopeLogs": [{"logRecords": [*records, good]}]}
    text = json.dumps({"resourceLogs": [*others, sound]})
    # JSON knows neither.
    found = payloads([text.replace("NaN", "0").replace("Infinity", "1").encode()])
    assert {"session.id": "good"} in [one for each in found for one in each["requests"]]
    for payload in found:
        list(telemetry.requests_of(payload, AT))
