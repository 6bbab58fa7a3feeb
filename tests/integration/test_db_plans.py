"""The questions people wait for use an index, seen in the databases' own plans on 5,000 sessions."""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import pytest
from sqlalchemy import Connection, event

from sessionlib.db import inventory, queries
from sessionlib.db.crud import sessions
from sessionlib.db.engine import Database
from sessionlib.db.queries import SessionFilter, named
from sessionlib.db.rows import CommitRow, SessionRow
from sessionlib.errors import RecordNotFoundError, UsageError
from tests import worlds

PHASES = ("spec", "plan", "build", "docs", "complete", "complete", "complete", "complete")
BIG = "sessions|session_files|commits|decisions|session_versions|documents"
WHOLE_TABLE = re.compile(rf"Seq Scan on ({BIG})\b|SCAN ({BIG})(?! USING (COVERING )?INDEX ix_)")
PROJECTS = 10
EACH = 500


def fill(database: Database, projects: int = PROJECTS) -> None:
    """Write 5,000 sessions with two commits and a decision each, and let the planner count them."""
    with database.write() as connection:
        for number in range(PROJECTS):
            place = worlds.add_place(connection, f"project-{number if projects > 1 else 3}")
            _write(connection, place, number)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if database.is_postgres else "ANALYZE")


def _write(connection: Connection, place: worlds.Place, number: int) -> None:
    rows = list(_sessions(place, number))
    commits = [
        CommitRow(row.project_id, row.session_id, position, row.inputs_hash[position:][:40], None, None, None)
        for row in rows
        for position in range(2)
    ]
    versions = [
        worlds.version(row, seq, phase, worlds.T0)
        for row in rows
        for seq, phase in enumerate(("spec", "review", row.current_phase), 1)
    ]
    decisions = [worlds.decision(row, 0, "Use stone") for row in rows]
    worlds.write_sessions(connection, rows, commits=commits, versions=versions, decisions=decisions)


def _sessions(place: worlds.Place, project: int) -> Iterator[SessionRow]:
    for number in range(EACH):
        serial = project * EACH + number
        phase = PHASES[serial % len(PHASES)]
        at = worlds.hours(serial * 7919 % 5000)
        yield worlds.session(
            place,
            f"2026-01-01_session-{serial:05d}",
            description="what was asked for, and why. " * 40,
            current_phase=phase,
            effective_status="complete" if phase == "complete" else "active",
            checkpoints_total=serial % 9,
            checkpoints_completed=serial % 4,
            inputs_hash=f"{serial * 2654435761 % (1 << 32):08x}{serial:034x}"[::-1],
            activity_at=at,
            content_changed_at=at,
        )


def plan_of(connection: Connection, ask: Any, explain: str | None = None) -> str:
    """Return the plans of the statements that a question runs."""
    seen: list[tuple[str, Any]] = []

    @event.listens_for(connection, "before_cursor_execute")
    def _note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    with suppress(RecordNotFoundError, UsageError):
        ask(connection)
    event.remove(connection, "before_cursor_execute", _note)
    explain = explain or ("EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN")
    plans = [
        connection.exec_driver_sql(f"{explain} {statement}", parameters) for statement, parameters in seen
    ]
    return "\n".join(str(row[-1]) for plan in plans for row in plan)


SLUG = "2026-01-01_session-01734"
OWNER = "project-3"
QUESTIONS: dict[str, Any] = {
    "newest": lambda c: queries.sessions(c, SessionFilter()),
    "newest in build": lambda c: queries.sessions(c, SessionFilter(phase="build")),
    "newest active": lambda c: queries.sessions(c, SessionFilter(status="active")),
    "newest of a project": lambda c: queries.sessions(c, SessionFilter(project="project-3")),
    "newest in build of a project": lambda c: queries.sessions(
        c, SessionFilter(project="project-3", phase="build")
    ),
    "newest of a type": lambda c: queries.sessions(c, SessionFilter(session_type="full")),
    "newest with those that are gone": lambda c: queries.sessions(c, SessionFilter(missing=True)),
    "a late page": lambda c: queries.sessions(c, SessionFilter(offset=1000)),
    "many checkpoints": lambda c: queries.sessions(c, SessionFilter(min_checkpoints=3)),
    "many completed": lambda c: queries.sessions(c, SessionFilter(min_completed=2)),
    "whole commit": lambda c: queries.commit(c, "3" * 40),
    "short commit": lambda c: queries.commit(c, "3a5"),
    "long commit": lambda c: queries.commit(c, "3a51"),
    "commit in a project": lambda c: queries.commit(c, "3a51", project="project-3"),
    "decisions": queries.decisions,
    "decisions of a project": lambda c: queries.decisions(c, project="project-3"),
    "time per phase of a session": lambda c: queries.time_per_phase(c, session_id=worlds.derived_id("x")),
    "stuck": lambda c: queries.stuck(c, 7),
    "stuck in a project": lambda c: queries.stuck(c, 7, project="project-3"),
    "done": queries.all_done_not_closed,
    "unreadable": queries.unreadable,
    "mismatched": inventory.mismatched_ids,
    "find by slug": lambda c: sessions.find(c, SLUG),
    "find by slug in a project": lambda c: sessions.find(c, SLUG, project=OWNER),
    "find by id": lambda c: sessions.find(c, str(worlds.derived_id("x"))),
    "find by a part": lambda c: sessions.find(c, "ession-0123"),
    "find nothing": lambda c: sessions.find(c, "nothing"),
    "detail": lambda c: sessions.detail(c, sessions.find(c, SLUG)),
}
COUNTS: dict[str, Any] = {
    "count": lambda c: queries.count_sessions(c, SessionFilter()),
    "count in build": lambda c: queries.count_sessions(c, SessionFilter(phase="build", status="active")),
    "phases": queries.phases,
    "phases of a project": lambda c: queries.phases(c, "project-3"),
    "projects": queries.projects,
    "time per phase": queries.time_per_phase,
    "time per phase of a project": lambda c: queries.time_per_phase(c, "project-3"),
}
"""These read something of every session, so they should read an index that holds just that. (Of the phases
that sessions have left every row is summed up, and its table is as narrow as an index of it.)"""

READ: dict[str, Any] = {
    "a text that is nowhere": lambda c: queries.page(c, SessionFilter(text="nowhere")),
    "a text that one has": lambda c: queries.page(c, SessionFilter(text="session-01734")),
    "a branch that is nowhere": lambda c: queries.page(c, SessionFilter(branch="nowhere")),
    "decisions by a text that is nowhere": lambda c: queries.decisions(c, "nowhere"),
    "a type that is nowhere": lambda c: queries.page(c, SessionFilter(session_type="nowhere")),
}
"""What they ask for is in the rows alone: all of these are read, once, and as they lie."""

UNBOUND = {"findings", "workspaces"}
"""Named questions that read a whole table: its rows are few, or all of them make the answer."""


def _named() -> Iterator[tuple[str, Any]]:
    """Each question that people can ask by its name, of everything and of one project."""
    for question in named.QUESTIONS:
        if question.name in UNBOUND:
            continue
        given: dict[str, Any] = {"sha": "3a51"} if question.needs else {}
        asked = [given]
        if "project" in question.takes:
            asked.append(given | {"project": "project-3"})
        for options in asked:
            yield f"{question.name} {options}", partial(named.answer, question=question, given=options)


@pytest.mark.parametrize("projects", [1, 10])
def test_questions_use_indexes(database: Database, projects: int) -> None:
    """No list, count or look for one session reads all rows, whether one project has them or many."""
    fill(database, projects)
    everything = QUESTIONS | COUNTS | (dict(_named()) if projects > 1 else {})
    with database.read() as connection:
        plans = {name: plan_of(connection, ask) for name, ask in everything.items()}
    bad = {name: plan for name, plan in plans.items() if WHOLE_TABLE.search(plan)}
    if not database.is_postgres:
        # What adds sessions up finds all of it in one index.
        bad |= {name: plans[name] for name in COUNTS if "sessions USING COVERING INDEX" not in plans[name]}
    assert not bad, "\n\n".join(f"{name}:\n{plan}" for name, plan in bad.items())


@pytest.mark.parametrize("name", READ)
def test_what_no_index_holds_is_read_once(database: Database, name: str) -> None:
    """A page of it and its total come from one scan, not from an index that leads to each of the rows."""
    fill(database)
    with database.read() as connection:
        plan = plan_of(connection, READ[name])
    assert len(WHOLE_TABLE.findall(plan)) == 1, plan
    assert not re.search(r"SCAN sessions USING (COVERING )?INDEX", plan), plan


def test_a_late_page_is_chosen_in_an_index(database: Database) -> None:
    """The rows before the page are not looked at."""
    fill(database)
    with database.read() as connection:
        plan = plan_of(connection, lambda c: queries.sessions(c, SessionFilter(offset=4000)))
    wanted = (
        "Index Only Scan Backward using" if database.is_postgres else "SCAN sessions USING COVERING INDEX"
    )
    assert f"{wanted} ix_sessions_recent" in plan, plan


@pytest.mark.postgres
def test_no_copy_is_looked_at_while_every_place_is_there(postgres_url: str) -> None:
    """Whether a session's places are missing is asked of its copies only where a place of its project is."""
    database = Database(postgres_url)
    with database.write() as connection:
        for slug in ("garden", "shed"):
            place = worlds.add_place(connection, slug)
            worlds.write_sessions(connection, [worlds.session(place, f"{slug}-{n}") for n in range(20)])
    looks = re.compile(r"session_files.*(never executed|loops=\d+)")
    with database.read() as connection:
        found = looks.findall(plan_of(connection, QUESTIONS["newest"], "EXPLAIN ANALYZE"))
    assert found == ["never executed"]
    with database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE workspaces SET missing_since = created_at WHERE right(path, 4) = 'shed'"
        )
    with database.read() as connection:
        found = looks.findall(plan_of(connection, QUESTIONS["newest"], "EXPLAIN ANALYZE"))
        rows = queries.sessions(connection, SessionFilter())
    database.close()
    assert found == ["loops=20"]
    assert {row.project_slug for row in rows if row.workspace_missing_since} == {"shed"}


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
    chosen, _, _ = plan.partition("SCAN chosen")
    assert "USE TEMP B-TREE FOR ORDER BY" not in chosen, plan
    assert re.search(r"(SEARCH|SCAN) sessions USING (COVERING )?INDEX", plan), plan
