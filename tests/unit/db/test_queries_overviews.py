"""Sums, troubles and freshness of projects and workspaces; and all questions on both databases compared."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import Connection, update

from sessionlib.db import queries, tables
from sessionlib.db.engine import Database
from sessionlib.db.queries import SessionFilter
from tests import worlds
from tests.gardens import FILTERS, SHA, World, stop_clock
from tests.worlds import hours


def test_projects(world: tuple[World, Database]) -> None:
    """Each project with sums of its live sessions; those without sessions come last with zeros."""
    made, database = world
    with database.read() as connection:
        lines = queries.projects(connection)
    assert [line.slug for line in lines] == ["shed", "garden", "also-empty", "empty"]
    shed, garden, empty = lines[0], lines[1], lines[2]
    names = (
        "workspaces",
        "sessions",
        "active",
        "in_build",
        "complete",
        "checkpoints_completed",
        "checkpoints_total",
    )
    assert [getattr(garden, name) for name in names] == [1, 6, 4, 3, 1, 9, 10]
    assert [getattr(shed, name) for name in names] == [1, 3, 3, 0, 0, 7, 6]
    assert [getattr(empty, name) for name in names] == [0] * 7
    assert [line.last_activity_at for line in lines] == [hours(25), hours(20), None, None]
    assert garden.project_id == made.garden.project_id


def test_workspaces(world: tuple[World, Database]) -> None:
    """Each workspace with its copies that are there and those that cannot be read."""
    _, database = world
    with database.read() as connection:
        lines = queries.workspaces(connection)
    shown = [
        (line.project_slug, line.host_name, line.path, line.session_files, line.errors, line.missing_since)
        for line in lines
    ]
    assert shown == [
        ("garden", "anvil", "/home/ann/garden", 6, 2, None),
        ("garden", "bench", "/srv/garden-2", 0, 0, hours(3)),
        ("shed", "bench", "/srv/shed", 2, 0, None),
    ]
    assert lines[2].reconciled_at == hours(9)


def test_unreadable(world: tuple[World, Database]) -> None:
    """Copies with an error by path; those that are gone are not a reader's trouble."""
    _, database = world
    with database.read() as connection:
        found = queries.unreadable(connection)
        assert queries.unreadable(connection, limit=1) == found[:1]
    base = f"/home/ann/garden/{worlds.ROOT}"
    assert found == [
        ("garden", f"{base}/gate", "is torn", hours(8)),
        ("garden", f"{base}/tree", "cannot be read", worlds.T0),
    ]


def test_phases(world: tuple[World, Database]) -> None:
    """How many live sessions stand in each phase, the unknown phase last among equals."""
    _, database = world
    with database.read() as connection:
        assert queries.phases(connection) == [
            ("build", 3, 2),
            ("complete", 2, 1),
            ("docs", 1, 1),
            ("plan", 1, 1),
            ("spec", 1, 1),
            (None, 1, 1),
        ]
        assert queries.phases(connection, "shed") == [("complete", 1, 1), ("docs", 1, 1), ("spec", 1, 1)]
        assert queries.phases(connection, "empty") == []


def test_freshness(world: tuple[World, Database]) -> None:
    """The newest heartbeat of any host, or None while there was none."""
    _, database = world
    with database.read() as connection:
        assert queries.freshness(connection) == hours(7)
        # Rolled back at the end, as all that a reader writes.
        connection.execute(update(tables.hosts).values(heartbeat_at=None))
        assert queries.freshness(connection) is None


def answers(database: Database) -> dict[str, Any]:
    """Return the answer to every question, in many forms."""
    ask: dict[str, Callable[[Connection], Any]] = {
        "done": queries.all_done_not_closed,
        "decisions": queries.decisions,
        "time": queries.time_per_phase,
        "projects": queries.projects,
        "workspaces": queries.workspaces,
        "unreadable": queries.unreadable,
        "phases": queries.phases,
        "freshness": queries.freshness,
    }
    found: dict[str, Any] = {}
    with database.read() as connection:
        for name, question in ask.items():
            found[name] = question(connection)
        for days in (0, 1, 41.25):
            found[f"stuck {days}"] = queries.stuck(connection, days)
        for sha in ("a", "ab", "abcdef0", SHA, "1", "f"):
            found[f"commit {sha}"] = queries.commit(connection, sha)
        for project in ("garden", "shed", "empty"):
            found[f"time {project}"] = queries.time_per_phase(connection, project)
            found[f"phases {project}"] = queries.phases(connection, project)
        words = ["Ä", "ä", "WALL", "%", "_", "\\", "'", '"', "İ", "ß", "100% STONE", " "]
        wanted = [SessionFilter(text=word) for word in words] + [SessionFilter(**one) for one, _ in FILTERS]
        for each in wanted:
            found[str(asdict(each))] = queries.sessions(connection, each)
    return found


def test_both_databases_answer_alike(
    sqlite_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All questions in all forms have the same answers on SQLite and PostgreSQL."""
    stop_clock(monkeypatch)
    found = []
    for url in (sqlite_url, postgres_url):
        database = Database(url)
        with database.write() as connection:
            World(connection)
        found.append(answers(database))
        database.close()
    assert found[0].keys() == found[1].keys()
    for name, answer in found[0].items():
        assert answer == found[1][name], name


def test_an_empty_mirror_has_empty_answers(database: Database) -> None:
    """No question fails where nothing has been mirrored yet."""
    found = answers(database)
    assert not any(found.values()), {name: answer for name, answer in found.items() if answer}
