"""Whoever reads while the mirror is rebuilt sees it whole: each session as before, or as after."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest

from sessionlib.db import comparing
from sessionlib.db.engine import Database
from tests import builders, verifying, worlds
from tests.acceptance.processes import environment, sessionctl

pytestmark = pytest.mark.timeout(180)

PROJECTS, SESSIONS = 8, 60
LEAST = 36
"""Looks that must have found a part of the sessions rebuilt, and another part not yet."""

_PARTS = ("checkpoints", "commits", "decisions", "doc_updates", "session_links")
_COUNTED = "".join(
    f" LEFT JOIN (SELECT session_id, count(*) AS found FROM {name} GROUP BY session_id) {name} "
    f"ON {name}.session_id = s.session_id"
    for name in _PARTS
)
_OURS = (
    "SELECT s.session_id, s.topic, s.checkpoints_total, s.checkpoints_completed, "
    f"{', '.join(f'{name}.found' for name in _PARTS)} "
    f"FROM sessions s{_COUNTED} WHERE s.project_id <> '{{foreign}}'"
)

Connected = sqlite3.Connection | psycopg.Connection[Any]


class Look(NamedTuple):
    """What one read transaction has seen.

    Attributes:
        ours: Of each session on this host what its row says, and how many parts of each kind it has.
        theirs: Every row that the mirror has of the project on another host.
    """

    ours: dict[str, tuple[Any, ...]]
    theirs: list[str]


@contextmanager
def connected(url: str) -> Iterator[Connected]:
    """Give a connection that has nothing of our code."""
    opened: Connected
    if url.startswith("sqlite"):
        opened = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=10)
    else:
        opened = psycopg.connect(url, autocommit=True)
    with closing(opened):
        yield opened


def look(reader: Connected, foreign: UUID) -> Look:
    """Read all at one moment."""
    # The standard's level: on SQLite any transaction is one.
    level = "" if isinstance(reader, sqlite3.Connection) else "ISOLATION LEVEL REPEATABLE READ READ ONLY"
    reader.execute(f"BEGIN {level}")
    ours = {
        str(session_id): tuple(rest)
        for session_id, *rest in reader.execute(_OURS.format(foreign=foreign)).fetchall()
    }
    theirs = [
        str(row)
        for name in comparing.COMPARED
        for row in reader.execute(f"SELECT * FROM {name} WHERE project_id = '{foreign}'").fetchall()
    ]
    reader.execute("COMMIT")
    return Look(ours, sorted(theirs))


def damage(url: str, foreign: UUID) -> None:
    """Change every session's row, and delete parts of all of them, behind the mirror's back."""
    ours = f"project_id <> '{foreign}'"
    with connected(url) as hand:
        for statement in (
            f"UPDATE sessions SET topic = 'planted', checkpoints_completed = 0 WHERE {ours}",
            f"DELETE FROM commits WHERE {ours}",
            f"DELETE FROM decisions WHERE {ours}",
            f"DELETE FROM checkpoints WHERE number > 1 AND {ours}",
        ):
            hand.execute(statement)


def abroad(url: str) -> UUID:
    """Store a project of another host, with a row in every table."""
    database = Database(url)
    with database.write() as connection:
        place = worlds.add_place(connection, "abroad")
        worlds.write_one_of_everything(connection, place)
    database.close()
    return place.project_id


def test_a_reader_sees_each_session_before_or_after(tmp_path: Path, database_url: str) -> None:
    """Never in between: none is missing, none lacks a part, none falls back, and others' rows stay."""
    for number in range(PROJECTS):
        slugs = (f"p{number}-{one:02}" for one in range(SESSIONS))
        builders.make_project(
            tmp_path / f"code/p{number}", {slug: verifying.everything(slug) for slug in slugs}
        )
    environ = environment(database_url, tmp_path / "state")
    synced = sessionctl(environ, "sync", str(tmp_path / "code"))
    assert synced.returncode == 0, synced.stderr
    foreign = abroad(database_url)
    with connected(database_url) as reader, ThreadPoolExecutor(1) as pool:
        whole = look(reader, foreign)
        assert len(whole.ours) == PROJECTS * SESSIONS
        assert len(whole.theirs) > len(_PARTS)
        damage(database_url, foreign)
        damaged = look(reader, foreign)
        assert all(damaged.ours[one] != whole.ours[one] for one in whole.ours)
        rebuilt = [0]
        rebuilding = pool.submit(sessionctl, environ, "rebuild")
        while not rebuilding.done():
            seen = look(reader, foreign)
            assert seen.ours.keys() == whole.ours.keys()
            between = [
                row for one, row in seen.ours.items() if row not in (damaged.ours[one], whole.ours[one])
            ]
            assert not between
            assert seen.theirs == whole.theirs
            rebuilt.append(sum(row == whole.ours[one] for one, row in seen.ours.items()))
        said = rebuilding.result()
        assert said.returncode == 0, said.stdout + said.stderr
        assert look(reader, foreign) == whole
    assert rebuilt == sorted(rebuilt)
    within = sum(0 < count < len(whole.ours) for count in rebuilt)
    assert within >= LEAST, rebuilt
