"""Sessions read from the mirror: found by what people type, and shown whole."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection

from sessionlib.db.crud import sessions
from sessionlib.db.engine import Database
from sessionlib.errors import RecordNotFoundError, UsageError
from sessionlib.models import Session, SessionSummary
from tests import worlds


def fill(connection: Connection) -> dict[str, Any]:
    """Write sessions of two projects and return them by what tells them apart."""
    garden, shed = worlds.add_place(connection, "garden"), worlds.add_place(connection, "shed")
    made = {
        "wall": worlds.session(garden, "2026-01-05_garden-wall_aaa", declared_id="declared-1"),
        "path": worlds.session(garden, "2026-01-06_Garden-Path_bbb", activity_at=worlds.hours(1)),
        "odd": worlds.session(garden, "100%_odd", root="apps/x/agents/sessions"),
        "twin": worlds.session(garden, "twin"),
    }
    worlds.write_sessions(connection, list(made.values()))
    made["other twin"] = worlds.session(shed, "twin", declared_id=None)
    made["gone wall"] = worlds.session(
        shed, "2026-01-05_garden-wall_aaa-old", missing_since=worlds.T0, declared_id="declared-2"
    )
    worlds.write_sessions(connection, [made["other twin"], made["gone wall"]])
    return made


def test_find(database: Database) -> None:
    """By slug, declared id, id, or a part of the slug in any case and literally."""
    with database.write() as connection:
        made = fill(connection)
        for name, key in {
            "2026-01-05_garden-wall_aaa": "wall",
            "declared-1": "wall",
            "garden-wall": "wall",
            "GARDEN-PATH": "path",
            "bbb": "path",
            "0%_o": "odd",
            str(made["twin"].session_id): "twin",
            str(made["twin"].session_id).upper(): "twin",
            "wall_aaa-old": "gone wall",
            "declared-2": "gone wall",
        }.items():
            assert sessions.find(connection, name).session_id == made[key].session_id, name
        assert sessions.find(connection, "twin", project="shed").session_id == made["other twin"].session_id


def test_find_says_what_is_ambiguous(database: Database) -> None:
    """Several that fit are a usage error naming them; none is an error naming the nearest."""
    with database.write() as connection:
        fill(connection)
        with pytest.raises(UsageError, match="garden:agents/sessions/twin") as caught:
            sessions.find(connection, "twin")
        assert "shed:agents/sessions/twin" in caught.value.message
        assert "--project" in str(caught.value.hint)
        with pytest.raises(UsageError, match="garden-wall"):
            sessions.find(connection, "garden-")
        with pytest.raises(RecordNotFoundError) as missing:
            sessions.find(connection, "twim")
        assert missing.value.nearest == ("twin",)
        for name, project in ((str(uuid4()), None), ("twin", "nowhere"), ("_x_", None)):
            with pytest.raises(RecordNotFoundError):
                sessions.find(connection, name, project=project)


def test_get(database: Database) -> None:
    """A session by its ids carries every column; another project's id finds nothing."""
    with database.write() as connection:
        row = fill(connection)["wall"]._replace()
        found = sessions.get(connection, row.project_id, row.session_id)
        with pytest.raises(RecordNotFoundError):
            sessions.get(connection, uuid4(), row.session_id)
    assert isinstance(found, Session)
    assert found.phase_history == {}
    assert found.warnings == []
    assert found.project_slug == "garden"
    assert found.workspace_missing_since is None
    for name in set(SessionSummary.model_fields) - {"project_slug", "workspace_missing_since"}:
        assert getattr(found, name) == getattr(row, name), name


def test_detail(database: Database) -> None:
    """All parts in their order, the copies, the history and the document."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        row = worlds.write_one_of_everything(connection, place)
        commits = [worlds.commit(row, position, f"{position}" * 7) for position in (10, 2, 0)]
        worlds.write_sessions(connection, [row], commits=commits)
        worlds.write_sessions(connection, [worlds.session(place, "bare")], bodies={"bare": {"topic": "t"}})
        detail = sessions.detail(connection, sessions.find(connection, "wall"))
        bare = sessions.detail(connection, sessions.find(connection, "bare"))
    assert [commit.position for commit in detail.commits] == [0, 2, 10]
    assert detail.checkpoints[0].title == "Lay bricks"
    assert detail.decisions[0].title == "Use stone"
    assert detail.doc_updates[0].path == "docs/wall.md"
    assert detail.research_runs[0].criteria_total == 2
    assert detail.links[0].native_id == "conversation"
    assert detail.versions[0].phase == "build"
    assert detail.files[0].workspace_path == "/home/ann/garden"
    assert detail.document == {}
    assert bare.document == {"topic": "t"}
    assert bare.commits == bare.versions == []
