"""The questions people wait for use an index, seen in the databases' own plans on 5,000 sessions."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from sqlalchemy import Connection, event

from sessionlib.db import queries
from sessionlib.db.engine import Database
from sessionlib.db.queries import SessionFilter
from sessionlib.db.rows import CommitRow, SessionRow
from tests import worlds

PHASES = ("spec", "plan", "build", "docs", "complete", "complete", "complete", "complete")
WHOLE_TABLE = re.compile(
    r"Seq Scan on (sessions|session_files|commits|session_versions)\b"
    r"|SCAN (sessions|session_files|commits|session_versions)(?! USING (COVERING )?INDEX ix_)"
)
PROJECTS = 10
EACH = 500


def fill(connection: Connection) -> None:
    """Write 5,000 sessions of ten projects with two commits each."""
    for number in range(PROJECTS):
        place = worlds.add_place(connection, f"project-{number}")
        rows = list(_sessions(place, number))
        commits = [
            CommitRow(
                row.project_id, row.session_id, position, row.inputs_hash[position:][:40], None, None, None
            )
            for row in rows
            for position in range(2)
        ]
        versions = [worlds.version(row, 1, "build", worlds.T0) for row in rows]
        worlds.write_sessions(connection, rows, commits=commits, versions=versions)


def _sessions(place: worlds.Place, project: int) -> Iterator[SessionRow]:
    for number in range(EACH):
        serial = project * EACH + number
        phase = PHASES[serial % len(PHASES)]
        at = worlds.hours(serial * 7919 % 5000)
        yield worlds.session(
            place,
            f"2026-01-01_session-{serial:05d}",
            current_phase=phase,
            effective_status="complete" if phase == "complete" else "active",
            checkpoints_total=serial % 9,
            checkpoints_completed=serial % 4,
            inputs_hash=f"{serial * 2654435761 % (1 << 32):08x}{serial:034x}"[::-1],
            activity_at=at,
            content_changed_at=at,
        )


def plan_of(connection: Connection, ask: Any) -> str:
    """Return the plan of the one statement that a question runs."""
    seen: list[tuple[str, Any]] = []

    @event.listens_for(connection, "before_cursor_execute")
    def _note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    ask(connection)
    event.remove(connection, "before_cursor_execute", _note)
    ((statement, parameters),) = seen
    explain = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)
    return "\n".join(str(row[-1]) for row in rows)


QUESTIONS: dict[str, Any] = {
    "newest": lambda c: queries.sessions(c, SessionFilter()),
    "newest in build": lambda c: queries.sessions(c, SessionFilter(phase="build")),
    "newest active": lambda c: queries.sessions(c, SessionFilter(status="active")),
    "newest of a project": lambda c: queries.sessions(c, SessionFilter(project="project-3")),
    "newest in build of a project": lambda c: queries.sessions(
        c, SessionFilter(project="project-3", phase="build")
    ),
    "many checkpoints": lambda c: queries.sessions(c, SessionFilter(min_checkpoints=3)),
    "many completed": lambda c: queries.sessions(c, SessionFilter(min_completed=2)),
    "whole commit": lambda c: queries.commit(c, "3" * 40),
    "short commit": lambda c: queries.commit(c, "3a5"),
    "long commit": lambda c: queries.commit(c, "3a51"),
    "versions of a session": lambda c: queries.time_per_phase(c, session_id=worlds.derived_id("x")),
}


def test_lists_use_indexes(database: Database) -> None:
    """No list of the newest, and no look for a commit, reads all sessions."""
    with database.write() as connection:
        fill(connection)
    with database.write() as connection:
        connection.exec_driver_sql("ANALYZE")
    bad = {}
    with database.read() as connection:
        for name, ask in QUESTIONS.items():
            plan = plan_of(connection, ask)
            if WHOLE_TABLE.search(plan):
                bad[name] = plan
        assert not bad, "\n\n".join(f"{name}:\n{plan}" for name, plan in bad.items())


@pytest.mark.parametrize("name", ["newest", "newest in build", "newest active", "newest of a project"])
def test_sqlite_sorts_nothing_for_pages(sqlite_url: str, name: str) -> None:
    """Without statistics, as in a young file, the pages still come out of an index in their order."""
    database = Database(sqlite_url)
    with database.write() as connection:
        for row in islice(_sessions(worlds.add_place(connection), 0), 20):
            worlds.write_sessions(connection, [row])
    with database.read() as connection:
        plan = plan_of(connection, QUESTIONS[name])
    database.close()
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan
    assert re.search(r"(SEARCH|SCAN) sessions USING (COVERING )?INDEX", plan), plan
