"""Commits, decisions and time per phase, asked of a small world whose answers are known."""

from datetime import datetime
from typing import Any

import pytest

from sessionlib.db import queries
from sessionlib.db.engine import Database
from sessionlib.db.queries import history, parts
from tests.gardens import SHA, World
from tests.worlds import hours


def test_commit(world: tuple[World, Database]) -> None:
    """A hash, a prefix in any case, or a longer one than was recorded; newest first, undated last."""
    _, database = world
    both = [("path", "abcdef0"), ("wall", SHA)]
    cases: dict[str, list[tuple[str, str]]] = {
        SHA: both,
        SHA.upper(): both,
        "abcdef": [*both, ("roof", "abcdef9")],
        " ABCDEF0 ": both,
        "abcdef01": both,
        "1234567890": [("wall", "1234567")],
        "123456": [("wall", "1234567")],
        "fffffff": [("lost", "fffffff")],
        "f" * 500: [("lost", "fffffff")],
        "bcdef": [],
        "%": [],
        "": [],
    }
    with database.read() as connection:
        for sha, found in cases.items():
            hits = queries.commit(connection, sha)
            assert [(hit.session, hit.sha) for hit in hits] == found, sha
        assert len(queries.commit(connection, "abcdef", limit=2)) == 2


def test_commit_carries_its_session(world: tuple[World, Database]) -> None:
    """A hit names project, session, phase and checkpoint."""
    made, database = world
    with database.read() as connection:
        hit = queries.commit(connection, "abcdef0123")[1]
    assert hit == queries.CommitHit(
        SHA, "message 0", 1, hours(2), "garden", "wall", "build", made.rows["wall"].session_id
    )


def test_decisions(world: tuple[World, Database]) -> None:
    """Decisions by a part of title or rationale, of a project, the newest session first."""
    _, database = world
    with database.read() as connection:

        def titles(*arguments: Any, **options: Any) -> list[str]:
            return [hit.title for hit in queries.decisions(connection, *arguments, **options)]

        assert titles() == ["Slate", "Use Stone", "Use lime_mortar"]
        assert titles("stone") == ["Slate", "Use Stone"]
        assert titles("50%") == ["Use Stone"]
        assert titles("_") == ["Use lime_mortar"]
        assert titles(project="garden") == ["Use Stone", "Use lime_mortar"]
        assert titles("STONE", "shed", limit=1) == ["Slate"]
        assert titles("stone", "nowhere") == []


@pytest.mark.parametrize("few", [500, 1, 0])
def test_decisions_of_few_or_of_many(
    world: tuple[World, Database], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """It makes no difference whether all decisions are read for a text, or those of the newest first."""
    _, database = world
    monkeypatch.setattr(parts, "_FEW", few)
    with database.read() as connection:
        for text, project, found in (
            ("STONE", None, ["Slate", "Use Stone"]),
            ("use", None, ["Use Stone", "Use lime_mortar"]),
            ("use", "garden", ["Use Stone", "Use lime_mortar"]),
            ("e", "shed", ["Slate"]),
            ("nowhere", None, []),
        ):
            assert [hit.title for hit in queries.decisions(connection, text, project)] == found
            assert [hit.title for hit in queries.decisions(connection, text, project, 1)] == found[:1]


def test_time_per_phase(world: tuple[World, Database]) -> None:
    """Exact seconds: open phases count until now, closed ones end, gone files stop the clock."""
    made, database = world
    hour = 3600.0
    build = ((1000 - 1.5) + 1 + 10 + 0) * hour
    with database.read() as connection:
        assert queries.time_per_phase(connection) == [
            ("garden", "build", 4, build),
            ("garden", "complete", 1, 12 * hour),
            ("garden", "spec", 3, (1 + 2 + 1) * hour),
            ("garden", "plan", 2, (0.5 + 1) * hour),
            ("shed", "docs", 1, 1.234567),
            ("shed", "complete", 1, 0.0),
        ]
        seed = made.rows["seed"].session_id
        assert queries.time_per_phase(connection, session_id=seed) == [
            ("garden", "plan", 1, hour),
            ("garden", "spec", 1, hour),
        ]
        assert [row.phase for row in queries.time_per_phase(connection, "shed")] == ["docs", "complete"]
        assert queries.time_per_phase(connection, "shed", seed) == []


def test_clock_of_questions_is_the_real_one(database: Database) -> None:
    """Without a test's clock the open phase counts until this moment."""
    with database.write() as connection:
        World(connection)
        (row,) = [row for row in queries.time_per_phase(connection) if row[:2] == ("garden", "build")]
    elapsed: datetime = history.utc_now()
    assert abs(row.seconds - ((elapsed - hours(1.5)).total_seconds() + 11 * 3600)) < 30
