"""Two projects with sessions, conversations and agents whose numbers tests can add up in their heads."""

from typing import NamedTuple

from sqlalchemy import Connection

from sessionlib.db.execution_rows import AgentRow, ConversationRow
from sessionlib.db.rows import SessionRow
from tests import deeds, worlds
from tests.deeds import Deeds
from tests.worlds import Place, hours


class Village(NamedTuple):
    """What was written; the agents by their native ids, those of `garden` that is."""

    garden: Place
    shed: Place
    wall: SessionRow
    gate: SessionRow
    roof: SessionRow
    talk: ConversationRow
    chat: ConversationRow
    lost: ConversationRow
    main: AgentRow
    scout: AgentRow
    smith: AgentRow
    ghost: AgentRow
    other: AgentRow


def village(connection: Connection) -> Village:
    """Write a village.

    In `garden`, the conversation `talk` (main, `scout`, `smith` failed) works on `wall` (build), and later
    on `gate` (docs); `lost` works on nothing. In `shed`, `chat` works on `roof` (build), and its main
    agent failed.
    """
    garden, shed = worlds.add_place(connection), worlds.add_place(connection, "shed")
    mason = deeds.identity(connection, "mason")
    wall = worlds.session(garden, "wall", current_phase="build", topic="A wall")
    gate = worlds.session(garden, "gate", current_phase="docs")
    roof = worlds.session(shed, "roof", current_phase="build")
    worlds.write_sessions(connection, [wall, gate, roof])
    talk = deeds.ended(
        deeds.conversation(garden, "talk-1", title="Bricks", attribution="x", identity_id=mason)
    )
    chat = deeds.conversation(shed, "chat-1", attribution="y", last_activity_at=hours(3))
    lost = deeds.conversation(garden, "lost-1", last_activity_at=hours(0.5))
    main = deeds.agent(talk, session_id=wall.session_id)
    scout = deeds.agent(
        talk, "scout", session_id=wall.session_id, checkpoint_number=2, started_at=hours(0.25), model="b"
    )
    smith = deeds.agent(
        talk,
        "smith",
        session_id=gate.session_id,
        status="failed",
        error="no iron",
        agent_type="Smith",
        parent_agent_id=scout.agent_id,
        started_at=hours(1.75),
    )
    ghost = deeds.agent(
        lost, "ghost", started_at=None, last_activity_at=None, ended_at=None, status="running"
    )
    other = deeds.agent(chat, session_id=roof.session_id, status="failed", error="rain")
    deeds.write(
        connection,
        Deeds(
            conversations=[talk, chat, lost],
            links=[
                deeds.link(talk, wall, until=hours(1.5)),
                deeds.link(talk, gate, 1.5),
                deeds.link(chat, roof),
            ],
            agents=[main, scout, smith, deeds.agent(lost, status="running"), ghost, other],
        ),
    )
    row = Village(garden, shed, wall, gate, roof, talk, chat, lost, main, scout, smith, ghost, other)
    deeds.write(connection, Deeds(todos=_todos(row), logs=_logs(row), calls=_calls(row), totals=_totals(row)))
    return row


def _todos(row: Village) -> list[deeds.TodoRow]:
    return [
        deeds.todo(row.talk, "1", "completed", 2),
        deeds.todo(row.talk, "2", "in_progress", 1),
        deeds.todo(row.talk, "3", None, 3),
        deeds.todo(row.chat, "1", "pending", 2),
        deeds.todo(row.chat, "2", "deleted", 4),
    ]


def _logs(row: Village) -> list[deeds.AgentLogRow]:
    return [
        deeds.log(row.main, "a", 0),
        deeds.log(row.scout, "b", 0.25, category="response", event_type="assistant", detail=None),
        deeds.log(row.main, "c", 1),
        deeds.log(row.main, "d", 1),
        deeds.log(row.main, "e", 1.5),
        deeds.log(row.smith, "f", 1.75),
        deeds.log(row.other, "a", 1),
    ]


def _calls(row: Village) -> list[deeds.ToolCallRow]:
    return [
        *(
            deeds.call(row.main, f"bash-{number}", duration_ms=number * 10, called_at=hours(number / 10))
            for number in (1, 2, 3, 4)
        ),
        deeds.call(row.main, "bash-5", outcome="failed", error="exit 1", duration_ms=None),
        deeds.call(row.smith, "mcp-1", "melt", server="forge", duration_ms=7),
        deeds.call(row.smith, "mcp-2", "melt", server="forge", outcome="failed", error="cold", duration_ms=9),
        deeds.call(row.other, "mcp-1", "melt", server="forge", outcome="denied", duration_ms=None),
        deeds.call(row.other, "mcp-3", "cast", server="forge", outcome="open", duration_ms=None),
    ]


def _totals(row: Village) -> list[deeds.UsageTotalRow]:
    return [
        deeds.total(row.main, "1.5", phase="build", checkpoint_number=1),
        deeds.total(row.main, "0.1", phase="build", checkpoint_number=1, source="client", messages=0),
        deeds.total(row.main, "0.2", phase="plan", day="2026-01-04"),
        deeds.total(row.scout, "3", phase="build", model="b"),
        deeds.total(row.smith, None, phase="docs", model="c"),
        deeds.total(row.other, "0.000000001", phase="build", day="2026-01-07"),
        deeds.total(row.ghost, "0.25"),
    ]
