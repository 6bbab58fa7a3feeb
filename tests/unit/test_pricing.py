"""What the tokens of a model cost: by the table as the client would say, by an override, or not at all."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sessionlib.config import ModelPrice
from sessionlib.pricing import Priced, Prices, Tokens

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
FIXTURES = Path(__file__).parent.parent / "fixtures/claude_code"
TRANSCRIPTS = FIXTURES / "transcripts/2.1.330/-home-dev-code-demo"
USED = Tokens(84, 303, 16_000, 4_800, 3_200)
OWN = ModelPrice(input=1.0, output=2.0, cache_read=0.1)


def cost(model: str, tokens: Tokens = USED, at: datetime = AT, **overrides: ModelPrice) -> Decimal | None:
    """Return what the tokens cost, or None."""
    priced = Prices(overrides).cost_of(model, at, tokens)
    return None if priced is None else priced.cost_usd


def records(session: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a session and of its agents."""
    for path in (session, *session.with_suffix("").glob("subagents/*.jsonl")):
        yield from map(json.loads, path.read_text().splitlines())


def states(session: Path) -> list[dict[str, Any]]:
    """Return what the client wrote of the session's cost, in order."""
    return [record for record in records(session) if record["type"] == "cost-state"]


SESSIONS = sorted(path for path in TRANSCRIPTS.glob("*.jsonl") if states(path))


def test_there_are_sessions_with_a_cost() -> None:
    """The fixtures hold what the following tests compare with, with agents and both kinds of cache writes."""
    assert len(SESSIONS) >= 4
    used = [usage for path in SESSIONS for state in states(path) for usage in state["modelUsage"].values()]
    assert all(usage["cacheCreationEphemeral1hInputTokens"] for usage in used)


@pytest.mark.parametrize("session", SESSIONS, ids=lambda path: path.stem[:8])
def test_models_cost_what_the_client_says(session: Path) -> None:
    """For each model of each run, agents included, our figure is the client's to the last digit."""
    for state in states(session):
        at = datetime.fromtimestamp(state["startTime"] / 1000, UTC)
        for model, usage in state["modelUsage"].items():
            tokens = Tokens(
                usage["inputTokens"],
                usage["outputTokens"],
                usage["cacheReadInputTokens"],
                usage["cacheCreationEphemeral5mInputTokens"],
                usage["cacheCreationEphemeral1hInputTokens"],
                usage["webSearchRequests"],
            )
            # The client adds up floats: its last digits are of their making.
            assert cost(model, tokens, at) == Decimal(repr(usage["costUSD"])).quantize(Decimal("1e-9"))


def answers(session: Path) -> dict[str, tuple[str, datetime, Tokens]]:
    """Return the model, the time and the tokens of each answer, main and agents', by its id."""
    found: dict[str, tuple[str, datetime, Tokens]] = {}
    for record in records(session):
        if record["type"] != "assistant" or record["message"]["model"] == "<synthetic>":
            continue
        message = record["message"]
        usage = message["usage"]
        tokens = Tokens(
            usage["input_tokens"],
            usage["output_tokens"],
            usage["cache_read_input_tokens"],
            usage["cache_creation"]["ephemeral_5m_input_tokens"],
            usage["cache_creation"]["ephemeral_1h_input_tokens"],
        )
        before = found.get(message["id"])
        if before:
            tokens = Tokens(*map(max, before[2], tokens))
        found[message["id"]] = (message["model"], datetime.fromisoformat(record["timestamp"]), tokens)
    return found


@pytest.mark.parametrize("session", SESSIONS, ids=lambda path: path.stem[:8])
def test_answers_add_up_to_what_the_client_says(session: Path) -> None:
    """Priced one by one they are what the client counted, but for its calls that no transcript holds."""
    prices = Prices()
    told = [prices.cost_of(*answer) for answer in answers(session).values()]
    total = sum((priced.cost_usd for priced in told if priced), Decimal(0))
    in_the_end = Decimal(repr(states(session)[-1]["totalCostUSD"])).quantize(Decimal("1e-9"))
    compactions = sum(record.get("subtype") == "compact_boundary" for record in records(session))
    assert total == in_the_end - compactions * Decimal("0.005913")


def test_example_of_the_client() -> None:
    """Each kind of token at its own price."""
    assert Prices().cost_of("claude-sonnet-4-5", AT, USED) == Priced(
        Decimal("0.046797"),
        "table",
        Prices().cost_of("claude-opus-5", AT, USED).version,  # type: ignore[union-attr]
    )
    for tokens, usd in (
        (Tokens(input=1_000_000), "3"),
        (Tokens(output=1_000_000), "15"),
        (Tokens(cache_read=1_000_000), "0.3"),
        (Tokens(cache_write_5m=1_000_000), "3.75"),
        (Tokens(cache_write_1h=1_000_000), "6"),
        (Tokens(web_searches=1), "0.01"),
        (Tokens(input=1), "0.000003"),
    ):
        assert cost("claude-sonnet-4-5", tokens) == Decimal(usd), tokens


def test_long_prompts_cost_what_the_client_takes() -> None:
    """One price for all where the client knows no other, and the other for the whole answer where it does."""
    assert cost("claude-sonnet-4-5", Tokens(input=300_000, output=1000)) == Decimal("0.915")
    assert cost("claude-opus-4-6", Tokens(input=300_000), datetime(2026, 2, 1, tzinfo=UTC)) == Decimal("1.5")
    assert cost("claude-haiku-5-5", Tokens(input=100_000, output=1000)) == Decimal("0.0105")
    assert cost("claude-haiku-5-5", Tokens(input=1, cache_read=100_000, output=1000)) == Decimal("0.0075005")


@pytest.mark.parametrize(
    "model",
    [
        "",
        "<synthetic>",
        "claude",
        "claude-sonnet",
        "claude-sonnet-4-5-turbo",
        "claude-sonnet-4-55",
        "claude-sonnet-4-5-2025092",
        "my-claude-sonnet-4-5",
        "claude-sonnet-4-5 ish",
        "claude-opus-99",
        "llama-of-our-own",
        "anthropic.",
        "us.anthropic.claude-opus-99-v1:0",
        "x" * 100_000,
        "claude-" + "[1m]" * 10_000,
    ],
)
def test_an_unknown_model_has_no_price(model: str) -> None:
    """Not even one of a model whose name begins the same, and not 0 either."""
    assert cost(model) is None
    assert cost(model, Tokens()) is None


@pytest.mark.parametrize(
    "model",
    [
        "claude-sonnet-4-5",
        "claude-sonnet-4-5-20250929",
        "claude-sonnet-4-5@20250929",
        "claude-sonnet-4-5[1m]",
        "claude-sonnet-4-5-20250929[1m]",
        "anthropic.claude-sonnet-4-5-v1:0",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "us-gov.anthropic.claude-sonnet-4-5-20250929-v1",
        " Claude-Sonnet-4-5 ",
    ],
)
def test_a_model_is_known_by_the_names_of_its_providers(model: str) -> None:
    """What they put around a name changes no price; an override for the plain name is found the same way."""
    assert cost(model) == Decimal("0.046797")
    assert cost(model, **{"claude-sonnet-4-5": OWN}) == cost("own", own=OWN)


def test_an_override_wins() -> None:
    """Over the table, and the longer of two names over the shorter; its digest tells one from another."""
    prices = Prices(
        {"claude-sonnet-4-5": OWN, "claude-sonnet-4-5-20250929": OWN.model_copy(update={"input": 4.0})}
    )
    plain = prices.cost_of("claude-sonnet-4-5", AT, Tokens(1_000_000))
    dated = prices.cost_of("claude-sonnet-4-5-20250929", AT, Tokens(1_000_000))
    assert plain is not None
    assert dated is not None
    assert (plain.cost_usd, plain.source) == (Decimal(1), "override")
    assert (dated.cost_usd, dated.source) == (Decimal(4), "override")
    assert plain.version != dated.version
    assert plain.version == Prices({"x": OWN}).cost_of("x", AT, Tokens(1)).version  # type: ignore[union-attr]
    assert prices.cost_of("claude-opus-5", AT, USED).source == "table"  # type: ignore[union-attr]


def test_an_override_fills_in_what_is_left_out() -> None:
    """Writing to the cache costs 1.25 and 2 times the input; a search has no price unless it is given one."""
    assert cost("own", Tokens(cache_write_5m=1_000_000), own=OWN) == Decimal("1.25")
    assert cost("own", Tokens(cache_write_1h=1_000_000), own=OWN) == Decimal(2)
    assert cost("own", Tokens(input=1, web_searches=1), own=OWN) is None
    whole = ModelPrice(
        input=1.0, output=2.0, cache_read=0.1, cache_write_5m=7.0, cache_write_1h=8.0, web_search=0.005
    )
    assert cost("own", Tokens(cache_write_5m=1_000_000), own=whole) == Decimal(7)
    assert cost("own", Tokens(cache_write_1h=1_000_000), own=whole) == Decimal(8)
    assert cost("own", Tokens(web_searches=3), own=whole) == Decimal("0.015")
    free = ModelPrice(input=0.0, output=0.0, cache_read=0.0)
    assert cost("own", USED, own=free) == 0


def test_the_price_is_that_of_the_time() -> None:
    """A price changes at the beginning of a day in UTC, whatever zone the time is told in."""
    tokens = Tokens(input=1_000_000)
    changed = datetime(2025, 6, 10, tzinfo=UTC)
    zones = (UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12)))
    prices = Prices()
    for zone in zones:
        times = [(changed + timedelta(seconds=seconds)).astimezone(zone) for seconds in (-1, 0)]
        told = [prices.cost_of("o3", at, tokens) for at in times]
        assert [priced and priced.cost_usd for priced in told] == [Decimal(10), Decimal(2)]


def test_a_price_of_the_hour_is_not_taken_for_the_day() -> None:
    """A model that costs twice as much at some hours does so after others of the same day were asked for."""
    prices = Prices()
    tokens = Tokens(input=1_000_000)
    told = [prices.cost_of("deepseek-v4-pro", AT.replace(hour=hour), tokens) for hour in (12, 2, 12, 2)]
    assert [priced and priced.cost_usd for priced in told] == [Decimal("0.66"), Decimal("1.32")] * 2


def test_nothing_used_costs_nothing() -> None:
    """Of a model that is known."""
    assert cost("claude-opus-5", Tokens()) == 0


def test_huge_numbers_are_exact() -> None:
    """No digit before the ninth place is lost, whatever the context of decimals in this thread is."""
    huge = 10**30 + 1
    told = cost("claude-sonnet-4-5", Tokens(input=huge))
    assert told is not None
    assert told.as_tuple() == Decimal(f"{3 * huge}000e-9").as_tuple()


@pytest.mark.parametrize("field", Tokens._fields)
def test_negative_numbers_are_refused(field: str) -> None:
    """A broken count is an error and not a discount."""
    with pytest.raises(ValueError, match="negative"):
        cost("claude-opus-5", USED._replace(**{field: -1}))


def test_a_time_without_a_zone_is_refused() -> None:
    """It could mean another day."""
    with pytest.raises(ValueError, match="time zone"):
        cost("claude-opus-5", USED, AT.replace(tzinfo=None))


def test_more_models_than_are_remembered_stay_right() -> None:
    """After the memory was emptied the same comes out."""
    prices = Prices({"own": OWN})
    first = prices.cost_of("own", AT, USED)
    for number in range(5000):
        assert prices.cost_of(f"llama-{number}", AT, USED) is None
    assert len(prices._known) <= 4096
    assert prices.cost_of("own", AT, USED) == first


def test_a_million_answers_are_priced_in_seconds() -> None:
    """After the first of a model and a day at least 50,000 a second, also on a slow machine."""
    prices = Prices()
    prices.cost_of("claude-opus-5", AT, USED)
    began = time.process_time()
    for _ in range(50_000):
        prices.cost_of("claude-opus-5", AT, USED)
    assert time.process_time() - began < 1


PROGRAM = """
import sys
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith("socket.") else None)
from datetime import UTC, datetime
from sessionlib.config import ModelPrice
from sessionlib.pricing import Prices, Tokens
prices = Prices({"own": ModelPrice(input=1.0, output=2.0, cache_read=0.1)})
prices.cost_of("own", datetime.now(UTC), Tokens(1))
assert "genai_prices" not in sys.modules
assert prices.cost_of("claude-opus-5", datetime.now(UTC), Tokens(1))
assert "genai_prices" in sys.modules
assert not [event for event in seen if event != "socket.__new__"], seen
import threading
assert threading.active_count() == 1
"""


def test_the_table_is_imported_late_and_nothing_is_fetched() -> None:
    """Overrides alone need no table, and a table asks nobody."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=50
    )
    assert (done.returncode, done.stderr) == (0, "")
