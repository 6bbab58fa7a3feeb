"""Every question, asked of one small world whose answers are known, on both databases and compared."""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, update

from sessionlib.db import queries, schema, tables
from sessionlib.db.engine import Database
from sessionlib.db.queries import SessionFilter, history, session_lists
from sessionlib.db.rows import SessionRow
from tests import postgres, worlds
from tests.worlds import hours

NOW = hours(1000)
SHA = "abcdef0123456789abcdef0123456789abcdef01"


class World:
    """Two projects with sessions, one without; three workspaces on two hosts."""

    def __init__(self, connection: Connection) -> None:
        self.garden = worlds.add_place(connection, "garden")
        shed_id = worlds.add_project(connection, "shed", "Shed")
        worlds.add_project(connection, "empty", "Empty")
        worlds.add_project(connection, "also-empty", "Also empty")
        other = worlds.add_host(connection, "bench", beat=hours(7))
        self.shed = worlds.Place(
            shed_id,
            other,
            worlds.add_workspace(connection, shed_id, other, "/srv/shed", reconciled_at=hours(9)),
        )
        worlds.add_workspace(
            connection, self.garden.project_id, other, "/srv/garden-2", missing_since=hours(3)
        )
        self.rows = {row.slug: row for row in self._sessions()}
        worlds.write_sessions(
            connection,
            list(self.rows.values()),
            commits=self._commits(),
            decisions=self._decisions(),
            versions=self._versions(),
        )
        self._copies(connection)

    def _sessions(self) -> Iterator[SessionRow]:
        def row(place: worlds.Place, slug: str, at: float, **changed: Any) -> SessionRow:
            stamps = {"activity_at": hours(at), "content_changed_at": hours(at)}
            return worlds.session(place, slug, **(stamps | changed))

        done = {"current_phase": "complete", "status": "complete", "effective_status": "complete"}
        garden, shed = self.garden, self.shed
        yield row(
            garden,
            "wall",
            10,
            topic="Garden WALL",
            description="100% stone",
            checkpoints_total=4,
            checkpoints_completed=1,
            checkpoints_total_source="declared",
            current_checkpoint=2,
            git_branch="main",
        )
        yield row(
            garden,
            "path",
            20,
            topic="Foot_path",
            checkpoints_total=3,
            checkpoints_completed=3,
            session_type="quick",
            git_branch="feature/path",
        )
        yield row(
            garden, "pond", 15, checkpoints_total=2, checkpoints_completed=2, topic="Ärger im Teich", **done
        )
        yield row(
            garden,
            "gate",
            10,
            current_phase="plan",
            status="paused",
            effective_status="paused",
            git_branch="main",
        )
        yield row(garden, "lost", 30, topic="Garden lost", missing_since=hours(40), checkpoints_total=9)
        yield row(
            garden,
            "tree",
            5,
            status="failed",
            effective_status="failed",
            checkpoints_total=1,
            checkpoints_completed=1,
            error="cannot be read",
        )
        yield row(
            garden, "seed", 1, current_phase=None, status=None, session_type=None, checkpoints_completed=2
        )
        yield row(
            shed,
            "shed-wall",
            10,
            current_phase="spec",
            topic="Shed wall",
            description="back\\slash 100 stone",
            session_type="research",
        )
        yield row(shed, "roof", 25, current_phase="docs", checkpoints_total=5, checkpoints_completed=6)
        yield row(
            shed,
            "floor",
            25,
            current_phase="complete",
            status=None,
            checkpoints_total=1,
            checkpoints_completed=1,
        )

    def _commits(self) -> Iterator[Any]:
        yield worlds.commit(self.rows["wall"], 0, SHA, checkpoint=1, created_at=hours(2))
        yield worlds.commit(self.rows["wall"], 1, "1234567", created_at=None)
        yield worlds.commit(self.rows["path"], 0, "abcdef0", message=None, created_at=hours(3))
        yield worlds.commit(self.rows["roof"], 0, "abcdef9", created_at=None)
        yield worlds.commit(self.rows["lost"], 0, "fffffff", created_at=hours(4))

    def _decisions(self) -> Iterator[Any]:
        yield worlds.decision(self.rows["wall"], 0, "Use Stone", rationale="50% stronger")
        yield worlds.decision(self.rows["wall"], 1, "Use lime_mortar", decided_at=None)
        yield worlds.decision(self.rows["roof"], 0, "Slate", rationale="lasts like STONE")
        yield worlds.decision(self.rows["lost"], 0, "Use stone")

    def _versions(self) -> Iterator[Any]:
        def of(slug: str, *seen: tuple[str | None, float], **changed: Any) -> Iterator[Any]:
            for seq, (phase, at) in enumerate(seen, 1):
                yield worlds.version(self.rows[slug], seq, phase, hours(at), **changed)

        yield from of("wall", ("spec", 0), ("plan", 1), ("build", 1.5), ("build", 10))
        yield from of("pond", ("spec", 0), ("build", 2), ("complete", 3), ("complete", 15))
        yield from of("seed", ("spec", 0), (None, 1), ("plan", 3), (None, 4))
        yield from of("lost", ("build", 30))
        yield from of("tree", ("build", 5), status="failed")
        row = self.rows["roof"]
        yield worlds.version(row, 1, "docs", hours(24))
        yield worlds.version(row, 2, "complete", hours(24) + timedelta(seconds=1, microseconds=234_567))

    def _copies(self, connection: Connection) -> None:
        files = tables.session_files
        here = {slug: row.session_id for slug, row in self.rows.items()}
        for slug in ("gate", "lost"):
            connection.execute(
                update(files)
                .where(files.c.session_id == here[slug])
                .values(error="is torn", observed_at=hours(8))
            )
        connection.execute(delete(files).where(files.c.session_id == here["floor"]))

    def live(self) -> list[SessionRow]:
        """Return the rows whose files are there."""
        return [row for row in self.rows.values() if row.missing_since is None]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, Database]]:
    """The world in a database of each kind, written once for all tests that only read."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("world") / "mirror.db"
        database = Database(f"sqlite:///{path}")
    else:
        server: postgres.Server = request.getfixturevalue("postgres_server")
        name = f"sessiond_world_{os.getpid()}"
        postgres.execute(server, f"CREATE DATABASE {name}")
        database = Database(server.url(name))
    schema.upgrade(database)
    with database.write() as connection:
        made = World(connection)
    yield made, database
    database.close()
    if request.param == "postgres":
        postgres.execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def world(shared: tuple[World, Database], monkeypatch: pytest.MonkeyPatch) -> tuple[World, Database]:
    """The world, not to be written to, with the clock standing at `NOW`."""
    for module in (session_lists, history):
        monkeypatch.setattr(module, "utc_now", lambda: NOW)
    return shared


def make_world(database: Database, monkeypatch: pytest.MonkeyPatch) -> World:
    """Write the world and stop the questions' clock."""
    for module in (session_lists, history):
        monkeypatch.setattr(module, "utc_now", lambda: NOW)
    with database.write() as connection:
        return World(connection)


def slugs(rows: Any) -> list[str]:
    """Return the sessions' slugs in order."""
    return [row.slug for row in rows]


Matches = Callable[[World, SessionRow], bool]
FILTERS: list[tuple[dict[str, Any], Matches]] = [
    ({"phase": "build"}, lambda _, row: row.current_phase == "build"),
    ({"status": "active"}, lambda _, row: row.effective_status == "active"),
    ({"project": "garden"}, lambda world, row: row.project_id == world.garden.project_id),
    ({"session_type": "full"}, lambda _, row: row.session_type == "full"),
    ({"min_checkpoints": 3}, lambda _, row: (row.checkpoints_total or 0) >= 3),
    ({"min_completed": 1}, lambda _, row: row.checkpoints_completed >= 1),
    (
        {"text": "wAlL"},
        lambda _, row: any(
            "wall" in (words or "").lower() for words in (row.slug, row.topic, row.description)
        ),
    ),
    ({"branch": "main"}, lambda _, row: row.git_branch == "main"),
]


def test_filters_alone_and_combined(world: tuple[World, Database]) -> None:
    """Each filter, every pair and every three hold exactly the rows they describe, in order and counted."""
    made, database = world
    with database.read() as connection:
        for size in range(4):
            for chosen in itertools.combinations(FILTERS, size):
                for missing in (False, True):
                    wanted = SessionFilter(
                        **{k: v for pair in chosen for k, v in pair[0].items()}, missing=missing
                    )
                    rows = list(made.rows.values()) if missing else made.live()
                    match = [row for row in rows if all(test(made, row) for _, test in chosen)]
                    match.sort(key=lambda row: str(row.session_id))
                    match.sort(key=lambda row: row.activity_at, reverse=True)
                    assert slugs(queries.sessions(connection, wanted)) == slugs(match), wanted
                    assert queries.count_sessions(connection, wanted) == len(match), wanted


def test_text_is_taken_literally(world: tuple[World, Database]) -> None:
    """Percent signs, underscores and backslashes in the text mean themselves; ASCII case does not matter."""
    _, database = world
    cases = {
        "100%": ["wall"],
        "%": ["wall"],
        "_": ["path"],
        "T_P": ["path"],
        "\\": ["shed-wall"],
        "garden wall": ["wall"],
        "Ärger": ["pond"],
        "nothing like it": [],
    }
    with database.read() as connection:
        for words, found in cases.items():
            assert slugs(queries.sessions(connection, SessionFilter(text=words))) == found, words


def test_order_limit_and_offset(world: tuple[World, Database]) -> None:
    """The last active come first, ties by id, and pages cut that order without gaps."""
    made, database = world
    with database.read() as connection:
        whole = queries.sessions(connection, SessionFilter())
        assert [row.activity_at for row in whole] == sorted(
            (r.activity_at for r in made.live()), reverse=True
        )
        pages = [
            queries.sessions(connection, SessionFilter(limit=2, offset=start)) for start in range(0, 10, 2)
        ]
        assert [row for page in pages for row in page] == whole
        assert queries.count_sessions(connection, SessionFilter(limit=2, offset=4)) == len(whole) == 9
        assert queries.sessions(connection, SessionFilter(limit=0)) == []


def test_summary_shows_the_row(world: tuple[World, Database]) -> None:
    """A line of a list carries the row's values and its project's slug."""
    made, database = world
    with database.read() as connection:
        (line,) = queries.sessions(connection, SessionFilter(project="garden", text="stone"))
    row = made.rows["wall"]
    assert line.project_slug == "garden"
    for name, value in line.model_dump(exclude={"project_slug"}).items():
        assert value == getattr(row, name), name


def test_done_but_not_closed(world: tuple[World, Database]) -> None:
    """Sessions with all checkpoints done that are neither complete nor failed, even if more than all."""
    _, database = world
    with database.read() as connection:
        assert slugs(queries.all_done_not_closed(connection)) == ["roof", "path"]
        assert slugs(queries.all_done_not_closed(connection, limit=1)) == ["roof"]


def test_stuck(world: tuple[World, Database]) -> None:
    """Open sessions that have not changed for long, the longest first; the limit is exact."""
    _, database = world
    days = (NOW - hours(10)) / timedelta(days=1)
    with database.read() as connection:
        assert slugs(queries.stuck(connection, days)) == ["seed"]
        just = queries.stuck(connection, days - 1e-6)
        assert (slugs(just)[0], set(slugs(just))) == ("seed", {"seed", "wall", "gate", "shed-wall"})
        assert len(queries.stuck(connection, 0)) == 7
        assert queries.stuck(connection, 10_000) == []


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
    found = []
    for url in (sqlite_url, postgres_url):
        database = Database(url)
        make_world(database, monkeypatch)
        found.append(answers(database))
        database.close()
    assert found[0].keys() == found[1].keys()
    for name, answer in found[0].items():
        assert answer == found[1][name], name


def test_an_empty_mirror_has_empty_answers(database: Database) -> None:
    """No question fails where nothing has been mirrored yet."""
    found = answers(database)
    assert not any(found.values()), {name: answer for name, answer in found.items() if answer}


def test_clock_of_questions_is_the_real_one(database: Database) -> None:
    """Without a test's clock the open phase counts until this moment."""
    with database.write() as connection:
        World(connection)
        (row,) = [row for row in queries.time_per_phase(connection) if row[:2] == ("garden", "build")]
    elapsed: datetime = history.utc_now()
    assert abs(row.seconds - ((elapsed - hours(1.5)).total_seconds() + 11 * 3600)) < 30
