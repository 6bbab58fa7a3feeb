"""Two projects that turn out to be one: what was done in both is counted once afterwards."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sessionlib.db.crud import projects
from sessionlib.db.engine import Database
from sessionlib.journal.facts import MAIN, Charged, Used
from sessionlib.sync.merging import merge_projects
from sessionlib.sync.mirror import Mirror
from tests import builders
from tests.shops import NOON, ONE, TWO, Shop
from tests.talks import MODEL, Talk


def _use(shop: Shop, conversation: str, message: str, minutes: int, request: str | None = None) -> None:
    at = NOON + timedelta(minutes=minutes)
    shop.take([(conversation, Used(message, MAIN, at, MODEL, output_tokens=10, request_id=request))])


def _sums(shop: Shop) -> dict[str, tuple[Any, Any, Any]]:
    agents = {row["conversation_id"]: row for row in shop.rows("agents")}
    found = {}
    for name in (ONE, TWO):
        key = shop.conversation(name)["conversation_id"]
        (total,) = [row for row in shop.rows("usage_totals") if row["conversation_id"] == key]
        assert agents[key]["cost_usd"] == total["cost_usd"]
        found[name] = agents[key]["messages"], total["messages"], total["cost_usd"]
    return found


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "priced"])
@pytest.mark.parametrize("source", [ONE, TWO])
def test_a_response_in_both_is_counted_once(
    database: Database,
    tmp_path: Path,
    source: str,
    is_told: bool,
) -> None:
    """It stays with the conversation that had it first, whichever project is merged into which."""
    shop = Shop(database, tmp_path)
    other = tmp_path / "other"
    for folder in (shop.folder, other):
        builders.make_git_repo(folder)
    shop.hear(shop.talk(ONE), "SessionStart", 0, source="startup")
    shop.hear(Talk(shop.config, other, TWO, NOON), "SessionStart", 500, source="startup")
    _use(shop, ONE, "msg_shared", 1)
    _use(shop, TWO, "msg_shared", 2)
    told = Charged("req_1", MAIN, NOON + timedelta(minutes=2), MODEL, Decimal("0.25"), output_tokens=12)
    if is_told:
        _use(shop, TWO, "msg_shared", 2, "req_1")
        shop.take([(TWO, told)])
    for name in (ONE, TWO):
        _use(shop, name, f"msg_of_{name}", 3)
    assert _sums(shop)[TWO] == (2, 2, Decimal("0.25001" if is_told else "0.00002"))
    places = {name: shop.conversation(name)["project_id"] for name in (ONE, TWO)}
    assert len(set(places.values())) == 2
    with database.read() as connection:
        found = {name: projects.get(connection, key) for name, key in places.items()}
    mirror = Mirror(database)
    target = TWO if source == ONE else ONE
    merge_projects(database, mirror, found[source], found[target])
    cost = Decimal("0.25001" if is_told else "0.00002")
    assert _sums(shop) == {ONE: (2, 2, cost), TWO: (1, 1, Decimal("0.00001"))}
    owners = {row["message_id"]: row["conversation_id"] for row in shop.rows("usage_records")}
    assert owners["msg_shared"] == shop.conversation(ONE)["conversation_id"]
