"""What agents did in the sessions of an archive, as rows made by the database itself: ten logs an agent.

For each session two conversations of five agents, with four calls of tools and two totals of usage an agent,
and an item of a list a conversation. One conversation in twenty belongs to no session. All ids are as random
as real ones, so that indexes are as scattered.
"""

from collections.abc import Callable
from hashlib import md5
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from sessionlib.db.engine import Database
from sessionlib.models.identity import FALLBACK_IDENTITY_ID

CONVERSATIONS, AGENTS, LOGS, CALLS, TOTALS = 2, 5, 10, 4, 2
"""For each session; for each conversation; and for each agent."""

_SPELT: dict[str, dict[str, Callable[..., str]]] = {
    "postgresql": {
        "uuid": lambda words: f"CAST(md5({words}) AS uuid)",
        "at": lambda seconds: f"timestamptz '2025-01-01 00:00Z' + ({seconds}) * interval '1 second'",
        "day": lambda number: f"to_char(date '2025-01-01' + CAST({number} AS int), 'YYYY-MM-DD')",
        "id": lambda value: f"CAST('{value}' AS uuid)",
        "json": lambda: "CAST('{}' AS jsonb)",
        "no": lambda: "false",
        "none": lambda kind: f"CAST(NULL AS {kind})",
    },
    "sqlite": {
        "uuid": lambda words: f"hashed({words})",
        "at": lambda seconds: f"strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689600 + ({seconds}), 'unixepoch')",
        "day": lambda number: f"strftime('%Y-%m-%d', 1735689600 + ({number}) * 86400, 'unixepoch')",
        "id": lambda value: f"'{value}'",
        "json": lambda: "'{}'",
        "no": lambda: "0",
        "none": lambda _: "NULL",
    },
}


def fill(database: Database) -> dict[str, int]:
    """Write what agents did in all sessions, and let the planner count it; return rows by table."""
    kind = "postgresql" if database.is_postgres else "sqlite"
    spelt = _SPELT[kind]
    with database.write() as connection:
        if database.is_postgres:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            # The rows fit together; to look each of them up would take minutes.
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        else:
            driver: Any = connection.connection.driver_connection
            driver.create_function("hashed", 1, _hashed, deterministic=True)
        made = {name: _insert(connection, statement) for name, statement in _statements(spelt).items()}
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if database.is_postgres else "ANALYZE")
    return made


def _hashed(words: object) -> str:
    return str(UUID(bytes=md5(str(words).encode(), usedforsecurity=False).digest()))


def _insert(connection: Connection, statement: str) -> int:
    return connection.execute(text(statement)).rowcount


def _numbers(name: str, count: int) -> str:
    rows = " UNION ALL ".join(f"SELECT {number} AS {name}" for number in range(count))
    return f"CROSS JOIN ({rows}) AS {name}_rows"


def _statements(spelt: dict[str, Callable[..., str]]) -> dict[str, str]:
    uuid, at, day, none = spelt["uuid"], spelt["at"], spelt["day"], spelt["none"]
    talks = f"""
FROM (SELECT s.*, ROW_NUMBER() OVER (ORDER BY s.slug) AS n FROM sessions AS s) AS s
JOIN workspaces AS w ON w.project_id = s.project_id AND w.workspace_id = s.workspace_id
{_numbers("c", CONVERSATIONS)}"""
    talk = f"s.n * {CONVERSATIONS} + c"
    runs = f"{talks} {_numbers('a', AGENTS)}"
    run = f"({talk}) * {AGENTS} + a"
    talk_id, run_id = uuid(f"'c' || ({talk})"), uuid(f"'a' || ({run})")
    main_id = uuid(f"'a' || (({talk}) * {AGENTS})")
    begun = f"({talk}) * 1500"
    linked = f"({talk}) % 20 <> 0"
    return {
        "conversations": f"""
INSERT INTO conversations SELECT s.project_id, {talk_id}, 'claude-code', CAST({talk_id} AS text), w.host_id,
  w.workspace_id, 'path', {spelt["id"](FALLBACK_IDENTITY_ID)}, 'fallback',
  CASE WHEN ({talk}) % 400 = 0 THEN 'active' ELSE 'ended' END, {at(begun)}, {at(f"{begun} + 3600")},
  CASE WHEN ({talk}) % 400 = 0 THEN NULL ELSE {at(f"{begun} + 3600")} END, 'other', {spelt["no"]()},
  {spelt["no"]()}, NULL, 'a title', w.path, NULL, '2.1.330', 'cli', 'model-a', 'main', 7,
  CASE WHEN {linked} THEN 'linked' ELSE '' END, {spelt["json"]()} {talks}""",
        "conversation_links": f"""
INSERT INTO conversation_links SELECT s.project_id, {talk_id}, '', {at(begun)}, {none("timestamptz")},
  s.session_id, 'link' {talks} WHERE {linked}""",
        "agents": f"""
INSERT INTO agents SELECT s.project_id, {run_id}, {talk_id}, CASE a WHEN 0 THEN '' ELSE CAST(a AS text) END,
  CASE a WHEN 0 THEN 'main' ELSE 'spawned' END, CASE a WHEN 0 THEN NULL ELSE {main_id} END,
  CASE a WHEN 0 THEN 'none' ELSE 'meta' END, NULL,
  CASE a WHEN 0 THEN NULL WHEN 1 THEN 'Explore' ELSE 'type-' || (({run}) % 12) END, NULL, 'model-a',
  CASE WHEN ({run}) % 33 = 0 THEN 'failed' WHEN ({talk}) % 400 = 0 THEN 'running'
       WHEN ({run}) % 50 = 1 THEN 'interrupted' ELSE 'complete' END,
  CASE WHEN ({run}) % 33 = 0 THEN 'it went wrong' END, 'look at the thing and say what it does',
  CASE WHEN {linked} THEN s.session_id END, ({run}) % 6, 20, 4000, 900, 80000, 3000, 0, 0.25,
  CASE WHEN ({run}) % 1000 = 999 THEN NULL ELSE {at(f"{begun} + a * 600")} END,
  {at(f"{begun} + a * 600 + 500")}, {at(f"{begun} + a * 600 + 500")}, {spelt["no"]()},
  {spelt["json"]()} {runs}""",
        "todos": f"""
INSERT INTO todos SELECT s.project_id, {talk_id}, '1', 'do it', NULL,
  CASE WHEN ({talk}) % 10 = 0 THEN 'pending' ELSE 'completed' END, {at(begun)}, {at(f"{begun} + 60")},
  {spelt["json"]()} {talks}""",
        "agent_logs": f"""
INSERT INTO agent_logs SELECT s.project_id, {talk_id}, 'PreToolUse|' || a || '|' || l || '|toolu_0123456789',
  {run_id}, CASE l % 3 WHEN 0 THEN 'response' ELSE 'hook' END, 'PreToolUse', 'Bash', 'toolu_0123456789',
  {at(f"{begun} + a * 600 + l * 50")}, 400, '0123456789abcdef', NULL {runs} {_numbers("l", LOGS)}""",
        "tool_calls": f"""
INSERT INTO tool_calls SELECT s.project_id, {talk_id}, 'toolu_' || a || '_' || l, {run_id},
  'tool-' || (({run}) % 15 + l), CASE WHEN l = 3 THEN 'server-' || (({run}) % 5) END,
  CASE WHEN ({run}) % 9 = 0 THEN 'failed' ELSE 'ok' END, NULL, {at(f"{begun} + a * 600 + l * 50")},
  {at(f"{begun} + a * 600 + l * 50 + 9")}, CASE WHEN l = 2 THEN NULL ELSE (({run}) * 7919 + l) % 9000 END,
  100, 2000, 1, 1 {runs} {_numbers("l", CALLS)}""",
        "usage_totals": f"""
INSERT INTO usage_totals SELECT s.project_id, {run_id}, 'messages', {day(f"({talk}) * 1500 / 86400")},
  'model-' || t, CASE WHEN {linked} THEN CAST(s.session_id AS text) ELSE '' END,
  CASE WHEN {linked} THEN CASE c WHEN 0 THEN 'plan' ELSE 'build' END ELSE '' END, ({run}) % 6, {talk_id},
  10, 2000, 450, 40000, 1500, CASE WHEN ({run}) % 90 = 0 THEN 10 ELSE 0 END,
  CASE WHEN ({run}) % 90 = 0 THEN NULL ELSE 0.125 END {runs} {_numbers("t", TOTALS)}""",
    }
