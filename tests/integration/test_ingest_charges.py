"""What a client told of each request as it made it: its word on costs, whichever came first."""

import errno
import json
import random
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sessionlib.db.engine import Database
from sessionlib.journal.facts import MAIN, Charged, CopiedFrom, Fact, Spent, Used
from sessionlib.journal.spool import Delivery
from tests.ingesting import NOON_NS, House, differences, facts_in, put_transcripts
from tests.shops import NOON, ONE, TWO, Shop

MODEL = "claude-sonnet-4-5"
Told = tuple[str, Fact]


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """A shop with one conversation that nothing was used in, on each database."""
    shop = Shop(database, tmp_path)
    shop.hear(shop.talk(), "SessionStart", 0, source="startup")
    return shop


def charged(request: str, cost: str, agent: str = MAIN, **more: Any) -> Told:
    """A request, as telemetry tells of it."""
    at = NOON + timedelta(seconds=2)
    return ONE, Charged(request, agent, at, MODEL, Decimal(cost), **{"output_tokens": 7} | more)


def used(request: str | None, message: str = "msg_1", agent: str = MAIN, conversation: str = ONE) -> Told:
    """A response, as a transcript tells of it."""
    at = NOON + timedelta(seconds=1)
    return conversation, Used(message, agent, at, MODEL, output_tokens=5, request_id=request)


def totals(shop: Shop) -> list[tuple[Any, ...]]:
    """What is added up: source, responses, tokens out, without a price, cost."""
    names = ("source", "messages", "output_tokens", "unpriced", "cost_usd")
    return sorted(tuple(row[name] for name in names) for row in shop.rows("usage_totals"))


@pytest.mark.parametrize("is_first", [True, False], ids=["request first", "response first"])
def test_a_response_costs_what_its_request_cost(shop: Shop, is_first: bool) -> None:
    """There is one record in the end, with the greater numbers and the client's cost."""
    told = [charged("req_1", "0.25"), used("req_1")]
    for one in told if is_first else reversed(told):
        assert shop.take([one]) == []
    (row,) = shop.rows("usage_records")
    assert (row["message_id"], row["output_tokens"]) == ("msg_1", 7)
    assert (row["cost_usd"], row["cost_source"], row["price_version"]) == (Decimal("0.25"), "otlp", None)
    assert row["at"] == NOON + timedelta(seconds=1)
    assert totals(shop) == [("messages", 1, 7, 0, Decimal("0.25"))]
    agent = shop.row("agents", kind="main")
    assert (agent["messages"], agent["output_tokens"], agent["cost_usd"]) == (1, 7, Decimal("0.25"))


def test_a_request_without_a_response_counts_by_itself(shop: Shop) -> None:
    """A compaction is in no transcript, but it was paid for."""
    shop.take([used("req_1"), charged("req_2", "0.5")])
    assert totals(shop) == [("messages", 2, 12, 0, Decimal("0.500005"))]


def test_what_was_told_stays(shop: Shop) -> None:
    """A copy of the response that comes later has no price of its own; neither has a repeated request."""
    shop.take([used("req_1"), charged("req_1", "0.25")])
    before = shop.everything()
    shop.take([used("req_1")])
    shop.take([charged("req_1", "0.25")])
    shop.take([used(None)])
    assert differences(before, shop.everything()) == []


def test_the_ledger_counts_what_neither_tells(shop: Shop) -> None:
    """What is left of the client's own sum, after its requests, is counted once."""
    spent = ONE, Spent(MODEL, NOON + timedelta(seconds=2), Decimal(1), 0, 20, 0, 0)
    shop.take([spent, used("req_1"), charged("req_1", "0.25"), charged("req_2", "0.5")])
    assert totals(shop) == [
        ("client", 0, 6, 0, Decimal("0.25")),
        ("messages", 2, 14, 0, Decimal("0.75")),
    ]


def test_one_model_may_have_two_names_in_a_ledger(shop: Shop) -> None:
    """With a long context it is the same model, and its responses say nothing of it."""
    at = NOON + timedelta(seconds=2)
    shop.take([(ONE, Spent(f"{MODEL}[1m]", at, Decimal("0.000007"), 0, 7, 0, 0)), used("req_1")])
    shop.take([(ONE, Spent(MODEL, at, Decimal("0.000003"), 0, 3, 0, 0))])
    assert totals(shop) == [
        ("client", 0, 5, 0, Decimal("0.000005")),
        ("messages", 1, 5, 0, Decimal("0.000005")),
    ]


def test_a_conversation_that_lost_a_response_is_balanced_anew(shop: Shop) -> None:
    """The earlier one holds it from then on, and what the later one's ledger says beyond it grows."""
    shop.hear(shop.talk(TWO), "SessionStart", 500, source="startup")
    spent = ONE, Spent(MODEL, NOON + timedelta(minutes=2), Decimal("0.00001"), 0, 10, 0, 0)
    shop.take([(ONE, Used("msg_1", MAIN, NOON + timedelta(minutes=1), MODEL, output_tokens=5)), spent])
    assert totals(shop) == [
        ("client", 0, 5, 0, Decimal("0.000005")),
        ("messages", 1, 5, 0, Decimal("0.000005")),
    ]
    shop.take([used("req_1", conversation=TWO)])
    assert totals(shop) == [
        ("client", 0, 10, 0, Decimal("0.00001")),
        ("messages", 1, 5, 0, Decimal("0.000005")),
    ]
    sums = {row["conversation_id"]: row["messages"] for row in shop.rows("agents")}
    one, two = (shop.conversation(name)["conversation_id"] for name in (ONE, TWO))
    assert sums == {one: 0, two: 1}


def export(native_id: str = ONE) -> bytes:
    """A delivery as the daemon makes it of a client's telemetry."""
    request = {"request_id": "req_1", "model": MODEL, "input_tokens": 1, "output_tokens": 7}
    return json.dumps(
        {"session_id": native_id, "requests": [request | {"cost_usd_micros": 250_000}]}
    ).encode()


def test_telemetry_waits_for_its_conversation(shop: Shop) -> None:
    """It does not tell where a conversation is held, so it stays in the spool until something does."""
    now_ms = (time.time_ns() - NOON_NS) // 1_000_000
    shop.deliver(export(TWO), now_ms, event="telemetry")
    assert shop.drain() == 0
    assert shop.drain() == 0
    assert [row["native_id"] for row in shop.rows("conversations")] == [ONE]
    shop.hear(shop.talk(TWO), "SessionStart", now_ms + 1, source="startup")
    assert shop.rows("usage_records") == []
    shop.deliveries.look_again()
    assert shop.drain() == 1
    (row,) = shop.rows("usage_records")
    assert (row["cost_usd"], row["cost_source"]) == (Decimal("0.25"), "otlp")
    assert row["conversation_id"] == shop.conversation(TWO)["conversation_id"]
    assert shop.spool.names(10) == []


def test_telemetry_of_a_conversation_that_never_comes_is_put_aside(shop: Shop) -> None:
    """After an hour nobody will tell any more."""
    shop.deliver(export("never"), 0, event="telemetry")
    shop.deliver(export(), 1, event="telemetry")
    assert shop.drain() == 1
    assert shop.spool.buried() == []
    shop.deliveries.looked_everywhere()
    shop.deliveries.look_again()
    assert shop.drain() == 1
    assert len(shop.spool.buried()) == 1
    assert [row["cost_usd"] for row in shop.rows("usage_records")] == [Decimal("0.25")]


def test_telemetry_that_is_old_waits_for_transcripts_to_be_read(shop: Shop) -> None:
    """After an outage it is drained first, and what tells of its conversation is read afterwards."""
    shop.deliver(export(TWO), 0, event="telemetry")
    assert shop.drain() == 0
    shop.talk(TWO).says(3)
    shop.read()
    shop.deliveries.looked_everywhere()
    shop.deliveries.look_again()
    assert shop.drain() == 1
    assert {row["cost_source"] for row in shop.rows("usage_records")} == {"otlp", "table"}


def test_one_delivery_that_cannot_be_read_holds_nobody_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad sector is left for the next look; the others are stored, and nothing is lost."""
    for number in (1, 2):
        shop.deliver(export(), number, event="telemetry")
    bad = shop.spool.names(1)[0]
    read = shop.spool.read

    def failing(name: str) -> Delivery:
        if name == bad:
            raise OSError(errno.EIO, "Input/output error")
        return read(name)

    monkeypatch.setattr(shop.spool, "read", failing)
    assert shop.drain() == 1
    monkeypatch.undo()
    shop.deliveries.look_again()
    assert shop.drain() == 1
    assert shop.spool.names(9) == []


def _spent(cost: str) -> Told:
    return ONE, Spent(MODEL, NOON + timedelta(minutes=9), Decimal(cost), 0, 20, 0, 0)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_request_that_another_conversation_answers_leaves_its_ledger(shop: Shop, is_first: bool) -> None:
    """Of a fork both hold the response: the ledger of the one that loses the request is balanced anew."""
    shop.hear(shop.talk(TWO), "SessionStart", 500, source="startup")
    parts = [[charged("req_1", "0.25"), _spent("1")], [used("req_1", conversation=TWO)]]
    for part in parts if is_first else reversed(parts):
        shop.take(part)
    rest = [total for total in totals(shop) if total[0] == "client"]
    assert [total[-1] for total in rest] == [Decimal(1)]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_forks_ledger_counts_nothing(shop: Shop, is_first: bool) -> None:
    """Whether it was known to be a fork when its ledger was read, or not."""
    parts: list[Told] = [_spent("1"), (ONE, CopiedFrom(TWO))]
    for part in parts if is_first else reversed(parts):
        shop.take([part])
    assert totals(shop) == []


@pytest.mark.parametrize("seed", range(3))
def test_in_any_order(sqlite_template: bytes, tmp_path: Path, seed: int) -> None:
    """Requests are told of every other response of the recorded journals, and of some that are in none."""
    order = random.Random(seed)

    def house(name: str) -> House:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mirror.db").write_bytes(sqlite_template)
        return House(Database(f"sqlite:///{folder}/mirror.db"), folder)

    straight, mixed = house("straight"), house("mixed")
    for one in (straight, mixed):
        put_transcripts(one.config)
    straight.take(with_requests(facts_in(straight.config)))
    told = with_requests(facts_in(mixed.config))
    told += order.sample(told, len(told) // 3)
    order.shuffle(told)
    step = len(told) // 9
    early: list[Told] = []
    for start in range(0, len(told), step):
        early = mixed.take(early + told[start : start + step])
    assert early == []
    sources = {row["cost_source"] for row in straight.rows("usage_records")}
    assert sources == {"otlp", "table"}
    found = differences(straight.everything(), mixed.everything())
    assert found == [], "\n".join(found)


def with_requests(told: Any) -> list[Told]:
    """Add what telemetry would have told."""
    found: list[Told] = list(told)
    more: dict[str, Told] = {}
    for native_id, fact in found:
        if not isinstance(fact, Used) or fact.request_id is None:
            continue
        number = int.from_bytes(fact.request_id.encode()[-3:])
        cost, at = Decimal(number) / 10**6, fact.at + timedelta(seconds=number % 100)
        for name in (fact.request_id, f"{fact.request_id}-alone")[number % 2 :: 2]:
            more[name] = native_id, Charged(name, fact.agent, at, fact.model, cost, output_tokens=number % 50)
    assert len(more) > 10
    return found + list(more.values())
