"""Tokens and cost by whatever they are added up by, on both databases."""

from decimal import Decimal
from typing import Any

import pytest

from sessionlib.db import queries
from sessionlib.db.engine import Database
from sessionlib.db.queries import GROUPINGS, CostFilter, Costs
from sessionlib.errors import RecordNotFoundError
from tests import deeds
from tests.villages import Village, village


@pytest.fixture
def row(database: Database) -> Village:
    """A village."""
    with database.write() as connection:
        return village(connection)


def costs(database: Database, by: str, **wanted: Any) -> Costs:
    """Return the costs by something."""
    with database.read() as connection:
        return queries.costs(connection, CostFilter(by=by, **wanted))


def dollars(found: Costs) -> list[tuple[str | None, Decimal | None]]:
    """Return the groups with their costs."""
    return [(row.group, row.cost_usd) for row in found.rows]


TINY = Decimal("0.000000001")
ALL = Decimal("5.050000001")
GROUPED: dict[str, list[tuple[str | None, str | None]]] = {
    "project": [("garden", "5.05"), ("shed", "1E-9")],
    "session": [("wall", "4.8"), (None, "0.25"), ("roof", "1E-9"), ("gate", None)],
    "phase": [("build", "4.600000001"), (None, "0.25"), ("plan", "0.2"), ("docs", None)],
    "checkpoint": [("2", "3"), ("1", "1.6"), (None, "0.25"), (None, "0.2"), (None, "1E-9"), (None, None)],
    "agent-type": [("Explore", "3.25"), ("main", "1.800000001"), ("Smith", None)],
    "model": [("b", "3"), ("model-a", "2.050000001"), ("c", None)],
    "day": [("2026-01-07", "1E-9"), ("2026-01-05", "4.85"), ("2026-01-04", "0.2")],
    "identity": [("mason", "4.8"), ("unassigned", "0.250000001")],
    "conversation": [("talk-1", "4.8"), ("lost-1", "0.25"), ("chat-1", "1E-9")],
    "total": [(None, "5.050000001")],
}


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize("by", GROUPINGS)
def test_every_grouping_adds_up_to_the_same(database: Database, by: str) -> None:
    """The dearest first, days from the last; and the totals are those of everything, to the last digit."""
    found = costs(database, by)
    expected = [(group, None if cost is None else Decimal(cost)) for group, cost in GROUPED[by]]
    assert dollars(found) == expected
    assert {one.by for one in found.rows} == {by}
    assert (found.total.cost_usd, found.total.unpriced, found.groups) == (ALL, 10, len(expected))
    for name in ("messages", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert sum(getattr(one, name) for one in found.rows) == getattr(found.total, name) > 0


@pytest.mark.usefixtures("row")
def test_totals_are_of_all_groups_and_not_of_those_shown(database: Database) -> None:
    """A limit cuts the list; what all of it comes to stays."""
    found = costs(database, "session", limit=1)
    assert dollars(found) == [("wall", Decimal("4.8"))]
    assert (found.total.cost_usd, found.groups) == (ALL, 4)


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(
    ("by", "wanted", "expected"),
    [
        ("phase", {"project": "garden"}, [("build", "4.6"), (None, "0.25"), ("plan", "0.2"), ("docs", None)]),
        ("phase", {"session": "wall"}, [("build", "4.6"), ("plan", "0.2")]),
        ("checkpoint", {"session": "wall"}, [("2", "3"), ("1", "1.6"), (None, "0.2")]),
        ("agent-type", {"session": "gate"}, [("Smith", None)]),
        ("identity", {"project": "shed"}, [("unassigned", "1E-9")]),
        ("day", {"since": "2026-01-05"}, [("2026-01-07", "1E-9"), ("2026-01-05", "4.85")]),
        ("day", {"until": "2026-01-04"}, [("2026-01-04", "0.2")]),
        ("agent-type", {"since": "2026-01-06", "until": "2026-01-07"}, [("main", "1E-9")]),
        ("project", {"since": "2027-01-01"}, []),
        ("total", {"since": "2027-01-01"}, [(None, None)]),
    ],
)
def test_only_what_is_wanted_is_added_up(database: Database, by: str, wanted: Any, expected: Any) -> None:
    """Project, session and days, together with each way of adding up."""
    found = costs(database, by, **wanted)
    assert dollars(found) == [(group, None if cost is None else Decimal(cost)) for group, cost in expected]


def test_a_group_tells_what_it_is(database: Database, row: Village) -> None:
    """A session has project and topic, a checkpoint its session, a conversation its title."""
    wall = costs(database, "session").rows[0]
    assert (wall.project, wall.session, wall.title, wall.id) == (
        "garden",
        "wall",
        "A wall",
        row.wall.session_id,
    )
    second = costs(database, "checkpoint").rows[0]
    assert (second.project, second.session, second.group) == ("garden", "wall", "2")
    talk = costs(database, "conversation").rows[0]
    assert (talk.project, talk.title, talk.id) == ("garden", "Bricks", row.talk.conversation_id)


def test_what_only_the_client_knows_is_told_apart(database: Database, row: Village) -> None:
    """It is in the cost, and said beside it; also where it is less than the sum of what was seen."""
    wall = costs(database, "session").rows[0]
    assert (wall.client_usd, wall.cost_usd) == (Decimal("0.1"), Decimal("4.8"))
    less = deeds.total(row.smith, "-0.5", source="client", messages=0, model="c")
    with database.write() as connection:
        deeds.write(connection, deeds.Deeds(totals=[less]))
    (gate,) = costs(database, "session", session="gate").rows
    assert (gate.client_usd, gate.cost_usd, gate.unpriced) == (Decimal("-0.5"), Decimal("-0.5"), 10)


def test_many_small_amounts_stay_exact(database: Database, row: Village) -> None:
    """A thousand billionths beside a large sum are a millionth, also where sums are binary fractions."""
    rows = [deeds.total(row.other, "0.000000001", model=f"m{number}") for number in range(999)]
    rows.append(deeds.total(row.other, "123456.7", model="large"))
    with database.write() as connection:
        deeds.write(connection, deeds.Deeds(totals=rows))
    (shed,) = costs(database, "project", project="shed").rows
    assert shed.cost_usd == Decimal("123456.700001")


@pytest.mark.usefixtures("row")
def test_unpriced_names_models(database: Database) -> None:
    """Which models have no known price, and since when; never as free of charge."""
    with database.read() as connection:
        (model,) = queries.unpriced(connection)
        assert queries.unpriced(connection, "shed") == []
    assert (model.model, model.unpriced, model.messages, model.conversations) == ("c", 10, 10, 1)
    assert (model.first_day, model.last_day) == ("2026-01-05", "2026-01-05")


def test_in_json_money_is_a_number(database: Database, row: Village) -> None:
    """Programs can add it up, and it has all its digits; what has no price is null."""
    assert row.other.project_id
    found = costs(database, "session")
    assert [one.model_dump(mode="json")["cost_usd"] for one in found.rows] == [4.8, 0.25, 1e-9, None]


def test_nothing_used_is_no_group(database: Database) -> None:
    """An empty database has no groups, and a total without a price."""
    for by in GROUPINGS:
        found = costs(database, by)
        assert (found.total.messages, found.total.cost_usd) == (0, None)
        assert len(found.rows) == (by == "total")
    with pytest.raises(RecordNotFoundError):
        costs(database, "phase", project="nobody")
