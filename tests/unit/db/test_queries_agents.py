"""Lists of agents and of conversations, on both databases."""

from typing import Any

import pytest

from sessionlib.db import queries
from sessionlib.db.engine import Database
from sessionlib.db.queries import AgentFilter, ConversationFilter
from sessionlib.errors import RecordNotFoundError, UsageError
from tests import deeds, worlds
from tests.villages import Village, village
from tests.worlds import hours


@pytest.fixture
def row(database: Database) -> Village:
    """A village."""
    with database.write() as connection:
        return village(connection)


def agents(database: Database, **wanted: Any) -> list[Any]:
    """Return the wanted agents."""
    with database.read() as connection:
        return list(queries.agents(connection, AgentFilter(**wanted)).rows)


def conversations(database: Database, **wanted: Any) -> list[Any]:
    """Return the wanted conversations."""
    with database.read() as connection:
        return list(queries.conversations(connection, ConversationFilter(**wanted)).rows)


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["smith", "scout", "", "", "", "ghost"]),
        ({"status": "failed"}, ["smith", ""]),
        ({"status": "failed", "phase": "build"}, [""]),
        ({"status": "failed", "phase": "docs"}, ["smith"]),
        ({"status": "failed", "project": "garden"}, ["smith"]),
        ({"status": "running"}, ["", "ghost"]),
        ({"phase": "build", "project": "garden"}, ["scout", ""]),
        ({"session": "wall"}, ["scout", ""]),
        ({"session": "agents/sessions/gate/", "project": "garden"}, ["smith"]),
        ({"agent_type": "Explore"}, ["scout", "ghost"]),
        ({"agent_type": "main", "project": "shed"}, [""]),
        ({"agent_type": "Nobody"}, []),
        ({"conversation": "talk"}, ["smith", "scout", ""]),
        ({"since": hours(0.25)}, ["smith", "scout"]),
        ({"since": hours(0.25), "status": "failed"}, ["smith"]),
        ({"limit": 1}, ["smith"]),
        ({"limit": 2, "offset": 4}, ["", "ghost"]),
        ({"limit": 2, "offset": 5}, ["ghost"]),
        ({"offset": 6}, []),
    ],
)
def test_agents_are_found_by_every_filter(database: Database, wanted: Any, names: list[str]) -> None:
    """The last begun first, those of unknown beginning last, whatever is combined."""
    assert [agent.native_id for agent in agents(database, **wanted)] == names


def test_an_agent_tells_where_it_comes_from_and_how_it_went(database: Database, row: Village) -> None:
    """A line names parent, session, phase and error; a main agent has no parent."""
    smith, scout, *_ = agents(database)
    assert (smith.project_slug, smith.session, smith.phase, smith.error) == (
        "garden",
        "gate",
        "docs",
        "no iron",
    )
    assert (smith.parent_type, smith.parent_agent_id) == ("Explore", row.scout.agent_id)
    assert (scout.parent_type, scout.checkpoint_number, scout.conversation) == ("main", 2, "talk-1")
    (main,) = agents(database, project="shed")
    assert (main.parent_type, main.parent_agent_id, main.parent_source) == (None, None, "none")


@pytest.mark.usefixtures("row")
def test_a_list_says_when_it_was_cut(database: Database) -> None:
    """One more than the limit tells; at the exact number nothing is left."""
    with database.read() as connection:
        assert queries.agents(connection, AgentFilter(limit=5)).more
        assert not queries.agents(connection, AgentFilter(limit=6)).more
        assert queries.conversations(connection, ConversationFilter(limit=2)).more
        assert not queries.conversations(connection, ConversationFilter(limit=3)).more


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["chat-1", "talk-1", "lost-1"]),
        ({"project": "GARDEN"}, ["talk-1", "lost-1"]),
        ({"status": "ended"}, ["talk-1"]),
        ({"client": "claude-code", "status": "active"}, ["chat-1", "lost-1"]),
        ({"client": "nobody"}, []),
        ({"session": "gate"}, ["talk-1"]),
        ({"session": "roof"}, ["chat-1"]),
        ({"since": hours(2)}, ["chat-1", "talk-1"]),
        ({"unlinked": True}, ["lost-1"]),
        ({"unlinked": True, "project": "shed"}, []),
        ({"limit": 1, "offset": 1}, ["talk-1"]),
    ],
)
def test_conversations_are_found_by_every_filter(database: Database, wanted: Any, names: list[str]) -> None:
    """The last active first, whatever is combined."""
    assert [one.native_id for one in conversations(database, **wanted)] == names


@pytest.mark.usefixtures("row")
def test_a_conversation_adds_up_its_agents(database: Database) -> None:
    """Agents, failures, sessions, tokens and cost are those of the whole; nothing is not zero dollars."""
    chat, talk, lost = conversations(database)
    assert (talk.agents, talk.agents_failed, talk.sessions) == (3, 1, ["gate", "wall"])
    assert (talk.messages, talk.input_tokens, talk.unpriced) == (40, 5000, 10)
    assert str(talk.cost_usd) == "4.8"
    assert (talk.identity, talk.title, talk.host) == ("mason", "Bricks", "anvil")
    assert (chat.agents, str(chat.cost_usd), chat.sessions) == (1, "1E-9", ["roof"])
    assert (lost.agents, lost.sessions, lost.messages) == (2, [], 10)
    with database.write() as connection:
        place = worlds.add_place(connection, "yard")
        deeds.write(connection, deeds.Deeds(conversations=[deeds.conversation(place, "still-1")]))
    (still,) = conversations(database, project="yard")
    assert (still.agents, still.messages, still.cost_usd) == (0, 0, None)


@pytest.mark.usefixtures("row")
def test_names_that_mean_nothing_or_several(database: Database, row: Village) -> None:
    """A conversation is named by its id, its native id or the beginning of one that no other has."""
    assert [one.native_id for one in agents(database, conversation=str(row.chat.conversation_id))] == [""]
    with pytest.raises(RecordNotFoundError, match="no conversation named 'talk-2'"):
        agents(database, conversation="talk-2")
    with database.write() as connection:
        deeds.write(connection, deeds.Deeds(conversations=[deeds.conversation(row.shed, "talk-11")]))
    with pytest.raises(UsageError, match="garden:talk-1, shed:talk-11"):
        agents(database, conversation="talk")
    assert len(agents(database, conversation="talk", project="garden")) == 3
    assert len(agents(database, conversation="talk-1")) == 3
    with pytest.raises(RecordNotFoundError, match="no session named 'wull'"):
        conversations(database, session="wull")
