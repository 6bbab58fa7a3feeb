"""What the calls of each tool add up to, and open todos, on both databases."""

from typing import Any

import pytest

from sessionlib.db import queries
from sessionlib.db.engine import Database
from sessionlib.db.queries import ToolFilter
from sessionlib.models import ToolSummary
from tests import deeds
from tests.villages import Village, village


@pytest.fixture
def row(database: Database) -> Village:
    """A village."""
    with database.write() as connection:
        return village(connection)


def tools(database: Database, **wanted: Any) -> list[ToolSummary]:
    """Return the wanted tools."""
    with database.read() as connection:
        return list(queries.tools(connection, ToolFilter(**wanted)).rows)


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, [("Bash", 5), ("melt", 3), ("cast", 1)]),
        ({"mcp": True}, [("melt", 3), ("cast", 1)]),
        ({"server": "forge"}, [("melt", 3), ("cast", 1)]),
        ({"server": "nobody"}, []),
        ({"project": "shed"}, [("cast", 1), ("melt", 1)]),
        ({"session": "gate"}, [("melt", 2)]),
        ({"session": "wall"}, [("Bash", 5)]),
        ({"session": "roof", "mcp": True}, [("cast", 1), ("melt", 1)]),
        ({"failed": True}, [("Bash", 5), ("melt", 3)]),
        ({"failed": True, "project": "shed"}, []),
        ({"limit": 1}, [("Bash", 5)]),
    ],
)
def test_tools_are_found_by_every_filter(database: Database, wanted: Any, names: Any) -> None:
    """The most called first, or those with the most failures."""
    assert [(tool.tool_name, tool.calls) for tool in tools(database, **wanted)] == names


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize("wanted", [{}, {"project": "garden"}, {"session": "wall"}])
def test_a_tool_tells_how_its_calls_ended_and_how_long_they_took(database: Database, wanted: Any) -> None:
    """Outcomes add up to the calls; durations are over those that have one, the median being one of them."""
    bash = tools(database, **wanted)[0]
    assert (bash.ok, bash.failed, bash.denied, bash.interrupted, bash.open) == (4, 1, 0, 0, 0)
    assert (bash.timed, bash.p50_ms, bash.mean_ms, bash.max_ms) == (4, 20, 25, 40)
    assert bash.server is None


@pytest.mark.usefixtures("row")
def test_a_tool_of_which_no_duration_is_known_has_none(database: Database) -> None:
    """An open or denied call counts as that, and no duration is made up."""
    cast, melt = tools(database, project="shed")
    assert (cast.open, cast.p50_ms, cast.mean_ms, cast.max_ms) == (1, None, None, None)
    assert (melt.server, melt.denied, melt.timed) == ("forge", 1, 0)
    assert tools(database, server="forge")[0].p50_ms == 7


def test_medians_are_of_single_tools(database: Database, row: Village) -> None:
    """One name on two servers and in the client itself is three tools, each with its own durations."""
    calls = [
        deeds.call(row.main, f"{server}-{ms}", "melt", server=server, duration_ms=ms)
        for server, some in (("kiln", (100, 300, 200)), (None, (1, 2)))
        for ms in some
    ]
    with database.write() as connection:
        deeds.write(connection, deeds.Deeds(calls=calls))
    found = {(tool.server, tool.tool_name): tool.p50_ms for tool in tools(database)}
    assert found == {
        (None, "Bash"): 20,
        (None, "melt"): 1,
        ("forge", "melt"): 7,
        ("forge", "cast"): None,
        ("kiln", "melt"): 200,
    }
    with database.read() as connection:
        assert queries.tools(connection, ToolFilter(limit=4)).more
        assert not queries.tools(connection, ToolFilter(limit=5)).more


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({}, [("talk-1", "3"), ("chat-1", "1"), ("talk-1", "2")]),
        ({"project": "shed"}, [("chat-1", "1")]),
        ({"conversation": "talk"}, [("talk-1", "3"), ("talk-1", "2")]),
        ({"conversation": "chat", "everything": True}, [("chat-1", "2"), ("chat-1", "1")]),
        ({"limit": 1}, [("talk-1", "3")]),
    ],
)
def test_open_todos(database: Database, wanted: Any, keys: Any) -> None:
    """The last changed first; what is done or dropped is only there when asked for."""
    with database.read() as connection:
        found = queries.todos(connection, **wanted)
    assert [(item.conversation, item.todo_key) for item in found.rows] == keys
    assert found.more == ("limit" in wanted)


@pytest.mark.usefixtures("row")
def test_a_todo_tells_whose_it_is(database: Database) -> None:
    """Project, sessions, and whether its conversation goes on."""
    with database.read() as connection:
        item = queries.todos(connection).rows[0]
    assert (item.project_slug, item.sessions, item.conversation_status) == (
        "garden",
        ["gate", "wall"],
        "ended",
    )
    assert (item.content, item.status) == ("do 3", None)
