"""The questions about agents' work use indexes, seen in the databases' own plans on 18,000 log rows."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from sessionlib.db.engine import Database
from sessionlib.db.execution_rows import AgentLogRow, AgentRow, ConversationRow, ToolCallRow
from sessionlib.db.queries import asked, named
from sessionlib.db.rows import SessionRow
from tests import deeds, worlds
from tests.integration.test_db_plans import plan_of
from tests.worlds import Place, hours

BIG = "conversations|conversation_links|agents|agent_logs|tool_calls|usage_records|todos"
WHOLE_TABLE = re.compile(
    rf"Seq Scan on (?:{BIG})\b|SCAN (?:{BIG})\b(?! USING (?:COVERING )?INDEX (?:ix|uq|pk|sqlite_autoindex)_)"
)
PROJECTS, SESSIONS, EACH, RUNS, LOGS = 10, 40, 5, 3, 3
OBSERVED = f'{{"x": "{"o" * 1700}"}}'
"""So many bytes that it is dear to read all rows, in a table of a few thousand, too."""
PHASES = ("spec", "plan", "build", "docs", "complete", "complete", "complete", "complete")
STATUSES = ("failed", "interrupted", *["complete"] * 38)


def fill(database: Database) -> None:
    """Write 2,000 conversations with 6,000 agents, 18,000 events and 12,000 calls; let the planner count."""
    with database.write() as connection:
        for number in range(PROJECTS):
            place = worlds.add_place(connection, f"project-{number}")
            rows = [
                worlds.session(place, f"s-{number}-{serial:03d}", current_phase=PHASES[serial % len(PHASES)])
                for serial in range(SESSIONS)
            ]
            worlds.write_sessions(connection, rows)
            _deeds(connection, place, rows, number)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if database.is_postgres else "ANALYZE")


def _deeds(connection: Connection, place: Place, sessions: list[SessionRow], project: int) -> None:
    talks: list[ConversationRow] = []
    links, agents, todos = [], [], []
    logs: list[AgentLogRow] = []
    calls: list[ToolCallRow] = []
    for number in range(SESSIONS * EACH):
        session = sessions[number % SESSIONS]
        serial = project * SESSIONS * EACH + number
        at = serial * 7919 % 1000
        fields = {"started_at": hours(at), "attribution": "linked", "observed": OBSERVED}
        talk = deeds.ended(deeds.conversation(place, f"talk-{serial:05d}", **fields), at + 1)
        if serial % 50 == 0:
            talk = talk._replace(status="active", ended_at=None, attribution="")
        else:
            links.append(deeds.link(talk, session, at))
        talks.append(talk)
        todos.append(deeds.todo(talk, "1", "pending" if serial % 20 == 0 else "completed", at))
        runs = [_run(talk, session, serial * RUNS + run) for run in range(RUNS)]
        agents += runs
        for run, row in enumerate(runs):
            logs += [deeds.log(row, f"{run}-{event}", at + event / 10) for event in range(LOGS)]
            calls += [
                deeds.call(
                    row,
                    f"{run}-{call}",
                    f"tool-{(serial + call) % 15}",
                    server=f"server-{call}" if call else None,
                    duration_ms=serial % 97,
                )
                for call in range(2)
            ]
    totals = [deeds.total(row, "0.5", model=model, phase="build") for row in agents for model in ("a", "b")]
    deeds.write(connection, deeds.Deeds(talks, links, agents, todos, logs, calls, totals))


def _run(talk: ConversationRow, session: SessionRow, serial: int) -> AgentRow:
    status = "running" if talk.status == "active" else STATUSES[serial % len(STATUSES)]
    return deeds.agent(
        talk,
        "" if serial % RUNS == 0 else str(serial),
        session_id=session.session_id,
        observed=OBSERVED,
        status=status,
        started_at=None if serial % 500 == 3 else talk.started_at,
        agent_type=f"type-{serial % 20}" if serial % RUNS else None,
    )


TALK = "talk-00417"
LISTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("conversations", {}),
    ("conversations", {"project": "project-3"}),
    ("conversations", {"status": "active"}),
    ("conversations", {"status": "ended", "offset": 100}),
    ("conversations", {"client": "claude-code", "since": hours(900)}),
    ("conversations", {"session": "s-3-004"}),
    ("conversations", {"unlinked": True}),
    ("agents", {}),
    ("agents", {"offset": 500}),
    ("agents", {"project": "project-3"}),
    ("agents", {"failed": True}),
    ("agents", {"failed": True, "phase": "build"}),
    ("agents", {"failed": True, "project": "project-3"}),
    ("agents", {"status": "running"}),
    ("agents", {"phase": "build"}),
    ("agents", {"session": "s-3-004"}),
    ("agents", {"type": "type-7"}),
    ("agents", {"type": "nobody"}),
    ("agents", {"conversation": TALK}),
    ("agents", {"since": hours(990)}),
    ("costs", {"session": "s-3-004", "by": "phase"}),
    ("costs", {"session": "s-3-004", "by": "agent-type"}),
    ("costs", {"session": "s-3-004", "by": "checkpoint"}),
    ("tools", {"session": "s-3-004"}),
    ("logs", {"session": "s-3-004"}),
    ("logs", {"conversation": TALK}),
    ("logs", {"conversation": TALK, "after": f"2026-01-05T09:00:00Z|{worlds.derived_id('x')}|k"}),
    ("timeline", {"session": "s-3-004"}),
    ("todos", {}),
    ("todos", {"project": "project-3"}),
    ("todos", {"conversation": TALK}),
)
NAMED = ("failed-agents", "failed-agents-in-build", "running-agents", "unlinked-conversations")


def questions() -> Iterator[tuple[str, Any]]:
    """Yield what is asked, by a name."""
    for name, given in LISTS:
        yield f"{name} {given}", partial(asked.answer, name=name, given=given)
    for name in NAMED:
        yield name, partial(named.answer, question=named.lookup(name), given={})
        given = {"project": "project-3"}
        yield f"{name} {given}", partial(named.answer, question=named.lookup(name), given=given)


def test_lists_read_no_big_table(database: Database) -> None:
    """Whatever is listed, and however it is filtered, its rows are found by an index."""
    fill(database)
    with database.read() as connection:
        plans = {name: plan_of(connection, ask) for name, ask in questions()}
    bad = {name: plan for name, plan in plans.items() if WHOLE_TABLE.search(plan)}
    assert not bad, "\n\n".join(f"{name}:\n{plan}" for name, plan in bad.items())


@pytest.mark.parametrize("status", ["failed", "running"])
def test_agents_by_status_come_in_the_order_of_their_index(database: Database, status: str) -> None:
    """The few that failed or are at work are never looked for among all the others."""
    fill(database)
    with database.read() as connection:
        ask = partial(asked.answer, name="agents", given={"status": status})
        plan = plan_of(connection, ask)
    assert "ix_agents_status" in plan, plan


def test_medians_are_counted_off_in_an_index(database: Database) -> None:
    """No call is sorted for them."""
    fill(database)
    with database.read() as connection:
        plan = plan_of(connection, partial(asked.answer, name="tools", given={"limit": 3}))
    assert plan.count("ix_tool_calls_name") >= 3, plan
    assert not re.search(r"Sort Key: .*duration_ms|TEMP B-TREE FOR ORDER BY", plan), plan
