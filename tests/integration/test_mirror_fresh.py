"""Sessions of which nothing is stored yet: their rows are inserted without further questions."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from sessionlib.db import store
from sessionlib.errors import DatabaseBusyError
from sessionlib.sync import reading
from sessionlib.sync.mirror import Outcome
from tests import builders, mirrors
from tests.mirrors import World, outcomes


def make_many(root: Path, count: int) -> list[Path]:
    """Make sessions that all differ, with parts of every kind that a document can hold."""
    return [
        builders.make_session(
            root, f"s{n:03}", builders.v2_building(5, range(1, n % 5 + 1), topic=f"No. {n}")
        )
        for n in range(count)
    ]


def between_look_and_insert(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let something happen once, after a transaction has looked at what is stored."""
    real = store.hold_sessions
    todo = [act]

    def held(*args: Any) -> store.Held:
        found = real(*args)
        if todo:
            todo.pop()()
        return found

    monkeypatch.setattr(store, "hold_sessions", held)


@pytest.mark.parametrize("count", [5, 20])
def test_who_gets_in_between_look_and_insert(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Rows that somebody without our locks has inserted are found, and written over; on SQLite nobody can."""
    folders = make_many(root, count)
    entered = []

    def intrude() -> None:
        if world.database.is_postgres:
            monkeypatch.setattr(store, "lock_sessions", lambda *_: None)
            entered.append(outcomes(world, folders[3]))
            builders.write_json(folders[3] / "state.json", builders.v2(topic="newer"))
            return
        intruder = sqlite3.connect(str(world.database.url.database), timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            intruder.execute("DELETE FROM sessions")
        intruder.close()

    world.place(root)
    between_look_and_insert(monkeypatch, intrude)
    assert set(outcomes(world, *folders)) <= {Outcome.WRITTEN, Outcome.UNCHANGED}
    assert world.session("s002")["topic"] == "No. 2"
    assert len(world.rows("sessions")) == count
    if world.database.is_postgres:
        assert entered == [[Outcome.WRITTEN]]
        assert (world.session("s003")["topic"], world.session("s003")["version_seq"]) == ("newer", 2)


def test_what_happens_after_the_draft_is_seen(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that were stored, files that changed or went after their rows were planned, are as now."""
    folders = make_many(root, 40)
    world.place(root)
    real = store.knows_any
    asked = []

    def ask(*args: Any) -> bool:
        asked.append(real(*args))
        if len(asked) == 1:
            assert outcomes(world, folders[1]) == [Outcome.WRITTEN]
        builders.write_json(folders[2] / "state.json", builders.v2(topic=f"newer {len(asked)}"))
        return asked[-1]

    monkeypatch.setattr(store, "knows_any", ask)
    found = outcomes(world, *folders[:20])
    assert asked == [False]
    assert found == [Outcome.WRITTEN, Outcome.UNCHANGED, *[Outcome.WRITTEN] * 18]
    assert world.session("s001")["version_seq"] == 1
    assert world.session("s002")["topic"] == "newer 1"
    monkeypatch.setattr(
        store, "knows_any", lambda *args: real(*args) or (folders[30] / "state.json").unlink()
    )
    assert outcomes(world, *folders[20:]) == [Outcome.WRITTEN] * 10 + [Outcome.ABSENT] + [Outcome.WRITTEN] * 9
    assert len(world.rows("sessions")) == 39


def test_new_sessions_that_cannot_be_used(world: World, root: Path) -> None:
    """Broken, torn and absent ones among many new ones have their reason, the others their rows."""
    folders = make_many(root, 20)
    (folders[4] / "state.json").write_bytes(b"[]")
    (folders[5] / "state.json").write_bytes(b'{"topic": "half')
    (folders[6] / "state.json").unlink()
    (folders[7] / "plan.json").write_bytes(b"[]")
    place = world.place(root)
    slugs = [folder.name for folder in folders]
    found = world.mirror.sync(place, slugs)
    odd = {result.slug: result.outcome for result in found if result.outcome is not Outcome.WRITTEN}
    assert odd == {"s004": Outcome.INVALID, "s005": Outcome.TORN, "s006": Outcome.ABSENT}
    assert len(world.rows("sessions")) == 17
    assert {row["slug"]: row["error"] for row in world.rows("session_files") if row["error"]} == {
        "s004": found[4].error
    }
    again = world.mirror.sync(place, slugs, settled=slugs)
    assert again[5].outcome is Outcome.INVALID
    assert {result.outcome for result in again[:4] + again[7:]} == {Outcome.UNCHANGED}


def test_many_at_once_are_stored_like_each_alone(world: World, root: Path) -> None:
    """Statements of many rows store what statements of one row store, in every table."""
    folders = make_many(root, 75)
    assert set(outcomes(world, *folders)) == {Outcome.WRITTEN}
    together = world.derived()
    assert [len(together[name]) for name in ("sessions", "checkpoints")] == [75, 375]
    mirrors.empty(world.database)
    alone = world.restarted()
    for folder in folders:
        assert outcomes(alone, folder) == [Outcome.WRITTEN]
    assert alone.derived() == together


def test_new_sessions_that_share_their_content(world: World, root: Path) -> None:
    """New sessions of the same bytes share one document, together or one after the other."""
    folders = [
        builders.make_session(root, slug, builders.v2(topic="twin")) for slug in ("one", "two", "three")
    ]
    assert outcomes(world, *folders[:2]) == [Outcome.WRITTEN] * 2
    assert outcomes(world, folders[2]) == [Outcome.WRITTEN]
    assert len(world.rows("documents")) == 1
    assert {row["topic"] for row in world.rows("sessions")} == {"twin"}


def test_new_and_known_sessions_in_one_group(world: World, root: Path) -> None:
    """A group may hold new sessions, changed ones and unchanged ones; each is written as it needs."""
    folders = make_many(root, 3)
    world.sync(*folders[:2])
    builders.write_json(folders[1] / "state.json", builders.v2(topic="changed"))
    assert outcomes(world, *folders) == [Outcome.UNCHANGED, Outcome.WRITTEN, Outcome.WRITTEN]
    assert [row["topic"] for row in sorted(world.rows("sessions"), key=lambda row: row["slug"])] == [
        "No. 0",
        "changed",
        "No. 2",
    ]
    assert [world.session(slug)["version_seq"] for slug in ("s000", "s001", "s002")] == [1, 2, 1]


def test_heavy_folders_are_written_in_portions(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read before it is written is bounded by its size, not by the number of folders."""
    folders = make_many(root, 6)
    size = (folders[0] / "state.json").stat().st_size
    monkeypatch.setattr(reading, "_ENOUGH", 2 * size)
    world.place(root)
    with mirrors.begun_writes(world.database) as begun:
        assert outcomes(world, *folders) == [Outcome.WRITTEN] * 6
    assert len(begun) == 3


def counted(world: World) -> int:
    """Return how many sessions the database's planner believes there are."""
    with world.database.read() as connection:
        if world.database.is_postgres:
            seen = connection.scalar(text("SELECT reltuples FROM pg_class WHERE oid = 'sessions'::regclass"))
            return int(seen)
        seen = connection.scalar(text("SELECT max(stat) FROM sqlite_stat1 WHERE tbl = 'sessions'"))
        return int(str(seen).partition(" ")[0])


def test_tables_that_grow_are_counted(world: World, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a hundred new sessions the planner learns of them; not after a few, and not for changed ones."""
    calls = []
    real = world.database.refresh_statistics
    monkeypatch.setattr(world.database, "refresh_statistics", lambda: (calls.append(1), real()))
    folders = make_many(root, 120)
    outcomes(world, *folders[:60])
    assert not calls
    outcomes(world, *folders[60:])
    assert len(calls) == 1
    assert counted(world) == 120
    for folder in folders:
        builders.write_json(folder / "state.json", builders.v2(topic="newer"))
    assert set(outcomes(world, *folders)) == {Outcome.WRITTEN}
    assert len(calls) == 1


def test_a_database_that_cannot_count_has_the_rows(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was mirrored stays so when the statistics cannot be taken."""
    calls = []

    def refuse() -> None:
        calls.append(1)
        raise DatabaseBusyError("somebody else writes")

    monkeypatch.setattr(world.database, "refresh_statistics", refuse)
    folders = make_many(root, 101)
    assert set(outcomes(world, *folders)) == {Outcome.WRITTEN}
    assert len(calls) == 1
