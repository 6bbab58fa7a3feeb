"""The time per phase along the real path: what saves keep is what the versions add up to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, text

from sessionlib.db import queries
from sessionlib.db.engine import Database
from sessionlib.db.queries import history
from sessionlib.db.rows import VersionRow
from sessionlib.sync import mapping, standing, task
from sessionlib.sync.merging import merge_projects
from tests import builders, mirrors, windows, worlds
from tests.mirrors import World
from tests.worlds import hours

PHASES = ("spec", "plan", "build", "docs", "complete", None)
STATUSES = ("active", "active", "active", "paused", "failed", "complete", None)


def check(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare what is stored, and what is answered, with what the versions say."""
    versions: dict[Any, list[VersionRow]] = {}
    for row in world.rows("session_versions"):
        versions.setdefault(row["session_id"], []).append(VersionRow(**row))
    left: dict[Any, dict[str, int]] = {session_id: {} for session_id in versions}
    for row in world.rows("session_phases"):
        left[row["session_id"]][row["phase"]] = row["stood_us"]
    for row in world.rows("sessions"):
        rows = versions[row["session_id"]]
        stored = row["phase_since_us"], row["phase_stood_us"], left[row["session_id"]]
        assert stored == standing.of(rows), row["slug"]
        assert (row["current_phase"], row["effective_status"]) == rows[-1][4:6]
    world.clock.tick(777)
    monkeypatch.setattr(history, "utc_now", world.clock)
    with world.database.read() as connection:
        for project in (None, *(row["slug"] for row in world.rows("projects"))):
            asked = queries.time_per_phase(connection, project)
            assert asked == windows.time_per_phase(connection, world.clock.now, project)
        for row in world.rows("sessions")[:3]:
            chosen = row["session_id"]
            asked = queries.time_per_phase(connection, session_id=chosen)
            assert asked == windows.time_per_phase(connection, world.clock.now, session_id=chosen)


def document(dice: Random, number: int) -> dict[str, Any]:
    """Return a document in some phase; one of a few, so that an old content comes back now and then."""
    tree = builders.v2(topic=f"state {number % 4}", current_phase=dice.choice(PHASES))
    tree["status"] = dice.choice(STATUSES)
    return {name: value for name, value in tree.items() if value is not None}


def save(world: World, folders: list[Path], dice: Random) -> None:
    """Save some sessions, at about the world's time, and sync them together."""
    world.clock.tick(dice.uniform(0.5, 5000))
    for folder in folders:
        builders.make_session(folder.parent, folder.name, document(dice, dice.randrange(100)))
        mirrors.age(folder, -dice.uniform(0, 100_000))
    world.sync(*folders)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_histories(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """After any saves, of one session or of many, in any phases, closed, opened and gone: the sums agree."""
    dice = Random(seed)
    roots = [builders.make_project(tmp_path / name) / "agents/sessions" for name in ("garden", "shed")]
    folders = [[root / f"s{number}" for number in range(7)] for root in roots]
    for step in range(15):
        some = dice.choice(folders)
        save(world, dice.sample(some, dice.randint(1, len(some))), dice)
        if step % 5 == 4:
            for folder in [folder for folder in some if (folder / "state.json").exists()][:3]:
                (folder / "state.json").unlink()
            world.reconcile(some[0].parent)
            world.confirm(some[0].parent)
            check(world, monkeypatch)
    assert any(row["missing_since"] for row in world.rows("sessions"))
    assert len(world.rows("session_phases")) > 10


def test_a_content_that_is_understood_otherwise(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another version of the mapping reads another phase, the last version says so, and the sums do."""
    dice = Random(3)
    folders = [root / f"s{number}" for number in range(5)]
    for _ in range(5):
        save(world, folders, dice)
    before = world.rows("session_versions")
    for module in (mapping, task):
        monkeypatch.setattr(module, "MAPPING_VERSION", 99)
    for words in ({"current_phase": "new"}, {"effective_status": "failed"}):
        monkeypatch.setattr(
            mapping,
            "storable",
            lambda content, real=mapping.storable, words=words: _replaced(real(content), words),
        )
        world.sync(*folders)
        check(world, monkeypatch)
        with world.database.write() as connection:
            connection.execute(text("UPDATE session_files SET mapping_version = 0"))
            connection.execute(text("UPDATE sessions SET mapping_version = 0"))
    after = world.rows("session_versions")
    assert [(row["at"], row["observed_at"]) for row in after] == [
        (row["at"], row["observed_at"]) for row in before
    ]
    assert {row["phase"] for row in after} > {"new"}


def _replaced(content: Any, words: dict[str, str]) -> Any:
    return mapping.replace(content, **words)


def test_a_history_that_nobody_counted(world: World, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a row has no sum, the next version counts the whole history."""
    dice = Random(4)
    folders = [root / f"s{number}" for number in range(4)]
    for _ in range(4):
        save(world, folders, dice)
    with world.database.write() as connection:
        connection.execute(text("UPDATE sessions SET phase_since_us = NULL, phase_stood_us = NULL"))
        connection.execute(text("DELETE FROM session_phases"))
    for _ in range(3):
        save(world, folders, dice)
    check(world, monkeypatch)


def test_merged_histories(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge carries the sums over, and counts anew what was in both projects."""
    dice = Random(5)
    for name in ("one", "two", "one", "two", "one"):
        root = builders.make_project(tmp_path / name) / "agents/sessions"
        save(world, [root / slug for slug in ("wall", "roof", f"only-{name}")], dice)
    check(world, monkeypatch)
    with world.database.read() as connection:
        found = {project.slug: project for project in _projects(connection)}
    merge_projects(world.database, world.mirror, found["one"], found["two"])
    check(world, monkeypatch)


def _projects(connection: Any) -> Any:
    from sessionlib.db.crud import projects  # noqa: PLC0415

    return projects.listed(connection)


@contextmanager
def traced(database: Database) -> Iterator[list[str]]:
    """Collect every statement that SQLite runs inside the block."""
    sent: list[str] = []

    def listen(connection: Any, *_: Any) -> None:
        connection.set_trace_callback(sent.append)

    event.listen(database.engine, "checkout", listen)
    try:
        yield sent
    finally:
        event.remove(database.engine, "checkout", listen)


def test_a_save_that_stays_in_its_phase_writes_no_sums(sqlite_url: str, root: Path) -> None:
    """It sends what it did before there were sums; one that changes the phase asks once for all sessions."""
    database = Database(sqlite_url)
    world = World(database)
    folders = [root / f"s{number}" for number in range(3)]
    sent: dict[str, list[str]] = {}
    for name, phase in (("new", "spec"), ("same", "spec"), ("next", "plan"), ("back", "spec")):
        world.clock.tick()
        for folder in folders:
            builders.make_session(root, folder.name, builders.v2(topic=name, current_phase=phase))
        with traced(database) as statements:
            world.sync(*folders)
        sent[name] = [
            statement.split()[0]
            for statement in statements
            if "session_phases" in statement and not statement.startswith("--")
        ]
    database.close()
    assert sent == {
        "new": [],
        "same": [],
        "next": ["SELECT", *["INSERT"] * 3],
        "back": ["SELECT", *["INSERT"] * 3, *["DELETE"] * 3],
    }


def test_many_sessions_of_long_ago(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum that does not fit into 64 bits is exact all the same."""
    monkeypatch.setattr(history, "utc_now", lambda: hours(1))
    began = worlds.T0.replace(year=1)
    with database.write() as connection:
        place = worlds.add_place(connection)
        rows = [worlds.session(place, f"s{number}") for number in range(200)]
        versions = [worlds.version(row, 1, "build", began) for row in rows]
        worlds.write_sessions(connection, rows, versions=versions)
    with database.read() as connection:
        (found,) = queries.time_per_phase(connection)
    assert found == ("garden", "build", 200, 200 * (hours(1) - began).total_seconds())
