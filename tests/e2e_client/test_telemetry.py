"""A real client that sends its telemetry to a real daemon: each of its requests is kept, to the digit."""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

import pytest

from sessionlib.journal.adapters import ADAPTERS
from sessionlib.journal.facts import MAIN, Charged
from tests.e2e_client.conftest import Mirrored, needs
from tests.e2e_client.scripts import marked
from tests.e2e_client.stage import Server
from tests.e2e_client.stories import NEWEST
from tests.e2e_client.world import Run, World
from tests.ports import free_port

TOKEN = "correct-horse-battery-staple"
RIGHT = f"Authorization=Bearer {TOKEN}"
WRONG = ("Authorization=Bearer wrong-wrong-wrong-wrong", f"Authorization=Bearer%20{TOKEN}")
"""The second is another spelling, which this client does not take apart before it sends it."""
SECRETS = ("Please go on", "The answer is 42")
"""Words of the prompt and of an answer."""


def listening(world: World, port: int) -> Server:
    """Return a daemon that takes telemetry, and waits for its database: all it takes stays in the spool."""
    token = world.folder / "token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    config = world.folder / "sessiond.toml"
    config.write_text(
        f'[control]\nlisten = "127.0.0.1:{port}"\ntoken_file = "{token}"\n'
        '[tracking]\ntelemetry = true\n[log]\nlevel = "debug"\n'
    )
    environ = world.environ | {
        "SESSIOND_CONFIG": str(config),
        "SESSIOND_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    command = [sys.executable, "-m", "sessiond", "run", "--allow-root", str(world.folder / "code")]
    return Server(command, environ, str(world.folder / "daemon.log"), "event=control.listening ")


def telemetry(port: int, headers: str, **more: str) -> Mapping[str, str]:
    """Return the environment that has a client send its telemetry, as docs/tracking.md says."""
    return {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_HEADERS": headers,
        **more,
    }


def kept(world: World) -> list[Charged]:
    """Return what the telemetry in the spool says."""
    told = [one for one in world.deliveries() if one.event == "telemetry"]
    facts = [fact for one in told for fact in ADAPTERS[one.client].delivered(one)[1]]
    return [fact for fact in facts if isinstance(fact, Charged)]


def play(
    world: World, headers: str, *, more: tuple[str, ...] = (), by_settings: bool = False, **environ: str
) -> Run:
    """Play a story with an agent in it beside a daemon that takes telemetry."""
    port = free_port()
    sent = telemetry(port, headers, **environ)
    if by_settings:
        path = world.home / ".claude" / "settings.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"env": sent}))
        sent = {}
    run = world.play("basic", more=more, environ=sent, beside=listening(world, port))
    assert run.code == 0, run.errors
    return run


@pytest.mark.parametrize("by_settings", [False, True], ids=["environment", "settings"])
def test_each_request_is_kept(world: World, by_settings: bool) -> None:
    """What the API has billed, whose it was, and the cost that the client prints; compactions included."""
    needs(world, NEWEST)
    run = play(world, RIGHT, more=("/compact", marked("again")), by_settings=by_settings)
    found = kept(world)
    assert len({one.request_id for one in found}) == len(found)
    tokens = Counter(
        (
            one.model,
            one.input_tokens,
            one.output_tokens,
            one.cache_read_tokens,
            one.cache_write_5m_tokens,
            one.cache_write_1h_tokens,
        )
        for one in found
    )
    assert tokens == Counter(
        (one.model, one.input, one.output, one.cache_read, one.cache_write_5m, one.cache_write_1h)
        for one in run.billed
    )
    assert {one.agent for one in found} == {MAIN, *run.reported.agents}
    assert sum(one.agent != MAIN for one in found) == sum(one.script == "scout" for one in run.billed)
    (ledger,) = run.reported.ledgers.values()
    cost = sum((one.cost_usd for one in found), Decimal(0))
    assert abs(cost - ledger.cost) < Decimal("0.0000005") * len(found), "whole millionths of each"
    assert not world.spool.buried()


def test_the_tables_hold_what_each_request_cost(world: World, mirrored: Mirrored) -> None:
    """Every response costs what its request cost; a compaction, which no transcript tells of, counts too."""
    needs(world, NEWEST)
    run = play(world, RIGHT, more=("/compact", marked("again")))
    house = mirrored(world)
    rows = house.rows("usage_records")
    assert {row["cost_source"] for row in rows} == {"otlp"}
    alone = [row for row in rows if row["message_id"].startswith("request:")]
    assert len(rows) == len(run.billed)
    assert 1 <= len(alone) < len(rows)
    told = {one.request_id: one.cost_usd for one in kept(world)}
    assert {row["request_id"]: row["cost_usd"] for row in rows} == told
    (ledger,) = run.reported.ledgers.values()
    cost = sum((row["cost_usd"] for row in house.rows("usage_totals")), Decimal(0))
    assert abs(cost - ledger.cost) < Decimal("0.000000005")


def test_prompts_are_not_kept_even_where_they_are_sent(world: World) -> None:
    """Also when the client is told to send them; metrics and traces go to the same place without errors."""
    needs(world, NEWEST)
    run = play(
        world,
        RIGHT,
        OTEL_LOG_USER_PROMPTS="1",
        OTEL_LOG_TOOL_DETAILS="1",
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_TRACES_EXPORTER="otlp",
    )
    assert len(kept(world)) == len(run.billed)
    told = b"".join(one.body for one in world.deliveries() if one.event == "telemetry").decode()
    assert told
    assert not [words for words in SECRETS if words in told]
    log = (world.folder / "daemon.log").read_text()
    for path in ("/v1/logs", "/v1/metrics"):
        assert f"route={path} status=200" in log
    assert not [line for line in log.splitlines() if "route=/v1/" in line and "status=200" not in line]


@pytest.mark.parametrize("headers", WRONG)
def test_without_the_token_nothing_is_kept(world: World, headers: str) -> None:
    """The client goes on all the same."""
    play(world, headers)
    assert kept(world) == []
    assert "route=/v1/logs status=401" in (world.folder / "daemon.log").read_text()
