"""Every named question and every way of listing sessions, at 10,000 sessions: time in the database.

A question is asked once through the project's own functions while its statements are noted; then these are
run on the bare driver, fetched whole, again and again. A question's time is the sum over its statements.

Each session has been through several phases, and has a version for each of a dozen saves.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, event, func, select

from benchmarks import bare_import, corpus, daemon
from benchmarks.cases import Figure, Options, Row
from sessionlib.db import queries, tables
from sessionlib.db.crud import projects, sessions
from sessionlib.db.engine import Database
from sessionlib.db.queries import SessionFilter, changes, named
from sessionlib.errors import RecordNotFoundError

NAME = "questions"
GOAL = "each read verb and query ≤ 20 ms in the database"

_LIMIT = 20.0
_TURNS = 15
_SHOWN = 12
"""So many of the slowest are named."""

Ask = Callable[[Connection], object]


class Took(NamedTuple):
    """Milliseconds of several runs; the best of them is what a busy machine distorts least."""

    median: float
    least: float


def run(options: Options) -> Iterator[Row]:
    """Measure on each database, all sessions in one project and spread over many."""
    many = 3 if options.quick else max(1, options.sessions // 50)
    for count in (1, many):
        with tempfile.TemporaryDirectory() as folder:
            made = make(Path(folder) / "code", count, options.sessions // count)
            for kind in options.databases:
                with daemon.databases(kind) as (url, _), loaded(kind, url, made) as database:
                    timed = _timed(database, 2 if options.quick else _TURNS)
                    slowest = sorted(timed, key=lambda name: timed[name].median, reverse=True)
                    figures: dict[str, Figure] = {
                        "over the limit": sum(took.median > _LIMIT for took in timed.values()),
                        "over it even at their best": sum(took.least > _LIMIT for took in timed.values()),
                        "median ms": statistics.median(took.median for took in timed.values()),
                    }
                    yield Row(
                        f"{len(timed)} questions, {kind}, {options.sessions:,} sessions, projects: {count}",
                        figures | {f"{name} ms": timed[name].median for name in slowest[:_SHOWN]},
                        reached=None if options.quick else timed[slowest[0]].median <= _LIMIT,
                    )


def make(code: Path, count: int, each: int) -> list[list[Path]]:
    """Write the sessions of so many projects, of all ages and phases; return their folders by project."""
    made = []
    for number in range(count):
        folders = []
        for serial in range(number * each, (number + 1) * each):
            folder = code / f"p{number:03d}" / "agents" / "sessions" / corpus.name(serial)
            folder.mkdir(parents=True)
            (folder / "state.json").write_bytes(corpus.encoded(_document(serial)))
            folders.append(folder)
        made.append(folders)
    return made


def _document(serial: int) -> dict[str, Any]:
    """Return a document that was changed in some hour of a year; three of five sessions are complete."""
    hour = serial * 7919 % 8760
    changed = f"2025-{hour // 730 + 1:02d}-{hour // 24 % 28 + 1:02d}T{hour % 24:02d}:00:{serial % 60:02d}Z"
    is_open = serial % 5 < 2
    ended = {} if is_open else {"current_phase": "complete", "status": "complete"}
    tree = corpus.document(serial) | {"created_at": "2024-12-01T09:00:00Z", "updated_at": changed} | ended
    tree["phase_history"] = {"spec_started_at": "2024-12-01T09:00:00Z"}
    tree["commits"] = [one | {"created_at": "2024-12-01T10:00:00Z"} for one in tree["commits"]]
    return tree


@contextmanager
def loaded(kind: str, url: str, made: list[list[Path]]) -> Iterator[Database]:
    """Load the sessions by the bare script; have the database count them, as after any large import."""
    for folders in made:
        bare_import.load(kind, url, folders)
    database = Database(url)
    try:
        with database.write() as connection:
            for statement in (_VERSIONS, _PHASES):
                connection.exec_driver_sql(statement)
        database.refresh_statistics()
        yield database
    finally:
        database.close()


_VERSIONS = f"""
INSERT INTO session_versions
SELECT v.project_id, v.session_id, 1 + n, v.content_hash, v.phase, v.status, v.at, v.observed_at
FROM session_versions AS v
CROSS JOIN ({" UNION ALL ".join(f"SELECT {number} AS n" for number in range(1, 13))}) AS numbers
"""
_PHASES = """
INSERT INTO session_phases
SELECT s.project_id, s.session_id, p.phase, n * 3600000000
FROM sessions AS s
JOIN (
  SELECT 1 AS n, 'spec' AS phase UNION ALL SELECT 2, 'plan'
  UNION ALL SELECT 3, 'build' UNION ALL SELECT 4, 'docs'
) AS p ON p.phase <> s.current_phase
"""
"""Give each session more versions, and the phases that it has left, as saves would have."""


def _timed(database: Database, turns: int) -> dict[str, Took]:
    """Return how long the database takes for each question."""
    with database.read() as connection:
        asked = _questions(connection)
        return {name: milliseconds(connection, sent(connection, ask), turns) for name, ask in asked.items()}


def _questions(connection: Connection) -> dict[str, Ask]:
    """Return what is asked, by a name."""
    one = queries.sessions(connection, SessionFilter(limit=1, offset=10))[0]
    slug = one.project_slug
    newest: Any = connection.scalar(select(func.max(tables.sessions.c.synced_at)))
    given: Mapping[str, Any] = {
        "text": "Decision 3",
        "sha": f"{40:040x}",
        "project": slug,
        "session": one.slug,
        "days": 7.0,
        "limit": 50,
    }
    asked: dict[str, Ask] = {}
    for question in named.QUESTIONS:
        needed = {question.needs: given[question.needs]} if question.needs else {}
        asked[question.name] = _named(question, needed)
        for option in question.takes:
            if option not in needed and option != "limit":
                asked[f"{question.name} by {option}"] = _named(question, needed | {option: given[option]})
    asked["decisions by a text that is nowhere"] = _named(_question("decisions"), {"text": "nowhere"})
    pages: dict[str, dict[str, Any]] = {
        "list": {},
        "list a phase": {"phase": "build"},
        "list a status": {"status": "active"},
        "list a project": {"project": slug},
        "list a phase of a project": {"phase": "build", "project": slug},
        "list a type": {"session_type": "full"},
        "list a branch": {"branch": "main"},
        "list another branch": {"branch": "nobody's"},
        "list many checkpoints": {"min_checkpoints": 8},
        "list many completed": {"min_completed": 7},
        "list a text": {"text": "number 4711"},
        "list a text that is nowhere": {"text": "nowhere to be found"},
        "list with the missing": {"missing": True},
        "list 500": {"limit": 500},
        "list from the middle": {"offset": 5000},
    }
    for name, wanted in pages.items():
        asked[name] = _page(SessionFilter(**wanted))
    row = sessions.find(connection, one.slug)
    since = row.content_changed_at
    asked |= {
        "show": lambda c: sessions.detail(c, sessions.find(c, one.slug)),
        "show by id": lambda c: sessions.find(c, str(one.session_id)),
        "show by a part": lambda c: sessions.find(c, one.slug[-8:]),
        "show what is not there": _not_found,
        "projects, for hints": projects.listed,
        "freshness": queries.freshness,
        "feed: one changed": lambda c: changes.sessions_now(
            c, row.project_id, [changes.Asked(row.session_id, 0, since)]
        ),
        "feed: written lately": lambda c: changes.written_since(c, newest),
    }
    return asked


def _question(name: str) -> named.Question:
    found = named.lookup(name)
    if found is None:
        raise LookupError(name)
    return found


def _named(question: named.Question, given: Mapping[str, Any]) -> Ask:
    return lambda connection: named.answer(connection, question, given)


def _page(wanted: SessionFilter) -> Ask:
    return lambda connection: queries.page(connection, wanted)


def _not_found(connection: Connection) -> None:
    try:
        sessions.find(connection, "there-is-no-such-session")
    except RecordNotFoundError:
        return


def sent(connection: Connection, ask: Ask) -> list[tuple[str, Any]]:
    """Return the statements and parameters of a question."""
    found: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        ask(connection)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    return found


def milliseconds(connection: Connection, statements: list[tuple[str, Any]], turns: int) -> Took:
    """Run and fetch these statements on the driver, again and again."""
    driver: Any = connection.connection.driver_connection
    took = []
    for _ in range(turns):
        began = time.perf_counter()
        for statement, parameters in statements:
            cursor = driver.cursor()
            cursor.execute(statement, parameters)
            cursor.fetchall()
            cursor.close()
        took.append((time.perf_counter() - began) * 1000)
    return Took(statistics.median(took), min(took))
