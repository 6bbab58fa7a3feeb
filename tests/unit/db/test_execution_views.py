"""The views on agents' work give the same rows on both databases, and the numbers of the questions."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from sessionlib.db import execution_views, queries
from sessionlib.db.engine import Database
from sessionlib.db.queries import CostFilter
from sessionlib.db.types import decode_money
from tests.villages import Village, village


@pytest.fixture
def row(database: Database) -> Village:
    """A village."""
    with database.write() as connection:
        return village(connection)


def view(database: Database, columns: str, name: str, order: str) -> list[tuple[Any, ...]]:
    """Return columns of a view; truth values and amounts of money as Python has them."""
    with database.read() as connection:
        rows = connection.execute(text(f"SELECT {columns} FROM {name} ORDER BY {order}"))
        names = [part.strip() for part in columns.split(",")]
        return [
            tuple(_plain(label, value) for label, value in zip(names, found, strict=True)) for found in rows
        ]


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "success":
        return bool(value)
    if name.endswith("cost_usd"):
        return decode_money(value)
    return str(value) if name.endswith("_id") else value


@pytest.mark.usefixtures("row")
def test_mcp_usage(database: Database) -> None:
    """A row for each call of a server's tool; whether it went well is not known while it is open."""
    columns = (
        "usage_id, project, mcp_server, tool_name, execution_time_ms, duration_ms, success, outcome, "
        "error_message, session, phase"
    )
    assert view(database, columns, "mcp_usage", "project, usage_id") == [
        ("mcp-1", "garden", "forge", "melt", 7, 7, True, "ok", None, "gate", "docs"),
        ("mcp-2", "garden", "forge", "melt", 9, 9, False, "failed", "cold", "gate", "docs"),
        ("mcp-1", "shed", "forge", "melt", None, None, False, "denied", None, "roof", "build"),
        ("mcp-3", "shed", "forge", "cast", None, None, None, "open", None, "roof", "build"),
    ]


def test_agent_sessions(database: Database, row: Village) -> None:
    """A row for each spawned agent, always with the conversation and the agent that it comes from."""
    columns = "agent_type, task, task_description, success, error_message, session, checkpoint_number"
    assert view(database, columns, "agent_sessions", "task") == [
        ("Explore", "task of ghost", "task of ghost", None, None, None, None),
        ("Explore", "task of scout", "task of scout", True, None, "wall", 2),
        ("Smith", "task of smith", "task of smith", False, "no iron", "gate", None),
    ]
    ids = view(database, "session_id, parent_session_id, parent_agent_id", "agent_sessions", "task")
    assert ids[2] == (
        str(row.smith.agent_id),
        str(row.talk.conversation_id),
        str(row.scout.agent_id),
    )
    assert all(None not in parts for parts in ids)


@pytest.mark.usefixtures("row")
def test_failed_agents(database: Database) -> None:
    """The question of the seed: who failed, in which session, and where that stands."""
    columns = "project, kind, agent_type, error, session, phase, conversation"
    assert view(database, columns, "failed_agents", "project") == [
        ("garden", "spawned", "Smith", "no iron", "gate", "docs", "talk-1"),
        ("shed", "main", None, "rain", "roof", "build", "chat-1"),
    ]


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(
    ("name", "by", "key"),
    [("project_costs", "project", "project"), ("session_costs", "session", "session")],
)
def test_costs_are_those_of_the_questions(database: Database, name: str, by: str, key: str) -> None:
    """What a view adds up is what `sessionctl cost` says; no price is NULL there, too."""
    columns = (
        f"{key}, messages, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, "
        "unpriced, cost_usd"
    )
    with database.read() as connection:
        asked = queries.costs(connection, CostFilter(by=by)).rows
    told = {
        row.group: (
            row.messages,
            row.input_tokens,
            row.output_tokens,
            row.cache_read_tokens,
            row.cache_write_tokens,
            row.unpriced,
            row.cost_usd,
        )
        for row in asked
        if row.group is not None
    }
    assert {row[0]: row[1:] for row in view(database, columns, name, key)} == told


@pytest.mark.usefixtures("row")
def test_phase_costs(database: Database) -> None:
    """Each phase of each project's sessions, and what belongs to none."""
    rows = view(
        database, "project, phase, sessions, conversations, cost_usd", "phase_costs", "project, phase"
    )
    assert sorted(rows, key=str) == [
        ("garden", "build", 1, 1, Decimal("4.6")),
        ("garden", "docs", 1, 1, None),
        ("garden", "plan", 1, 1, Decimal("0.2")),
        ("garden", None, 0, 1, Decimal("0.25")),
        ("shed", "build", 1, 1, Decimal("0.000000001")),
    ]


@pytest.mark.usefixtures("row")
def test_conversation_overview(database: Database) -> None:
    """Each conversation once, with its sessions in order, its agents and its cost."""
    columns = (
        "conversation, project, identity, status, sessions, agents, agents_failed, messages, unpriced, "
        "cost_usd"
    )
    assert view(database, columns, "conversation_overview", "conversation") == [
        ("chat-1", "shed", "unassigned", "active", "roof", 1, 1, 10, 0, Decimal("0.000000001")),
        ("lost-1", "garden", "unassigned", "active", None, 2, 0, 10, 0, Decimal("0.25")),
        ("talk-1", "garden", "mason", "ended", "gate, wall", 3, 1, 40, 10, Decimal("4.8")),
    ]


def test_every_view_is_described() -> None:
    """What people find in the database they can read about."""
    for name in execution_views.VIEWS:
        assert f"``{name}``" in str(execution_views.__doc__)
    for dialect in ("sqlite", "postgresql"):
        made = [statement.split()[2] for statement in execution_views.statements(dialect)]
        assert tuple(made) == execution_views.VIEWS
