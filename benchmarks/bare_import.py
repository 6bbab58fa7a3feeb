"""A bare script that loads sessions: no locks, no checks, no second look, nothing that could go wrong.

It reads each file, parses it with orjson, makes the very rows that an import makes, and loads them into the
same tables with their keys and indexes, in one transaction: plain INSERT by executemany on SQLite, COPY on
PostgreSQL. It knows the documents of `benchmarks.corpus` and no others. An import is measured against it.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import orjson
import psycopg

from sessionlib.db import schema, tables
from sessionlib.db.crud import hosts
from sessionlib.db.engine import Database
from sessionlib.models.base import utc_now
from sessionlib.sync.mapping import MAPPING_VERSION
from sessionlib.sync.places import Place
from sessionlib.sync.registrar import Host, Registrar

_CHUNK = 500
"""Sessions whose rows are held in memory at a time; all of them go into one transaction."""
TABLES = (
    "documents",
    "session_files",
    "sessions",
    "checkpoints",
    "commits",
    "decisions",
    "session_versions",
)
"""Parents before children."""
_PARTS = ",".join(["0123456789abcdef"] * 3 + [""] * 3)
"""As long as the digests an import stores; they are of use only to who compares them later."""

Rows = dict[str, list[tuple[Any, ...]]]


def load(kind: str, url: str, folders: Sequence[Path]) -> float:
    """Load these session folders, all of one project, into an empty database; return the seconds it took.

    Args:
        kind: ``sqlite`` or ``postgres``.
        url: The database; its schema is made, and its project registered, before the clock starts.
        folders: The session folders, as `benchmarks.corpus` makes them.
    """
    maker = _Maker(_prepared(url, folders[0].parent))
    began = time.perf_counter()
    chunks = (maker.rows(folders[at : at + _CHUNK]) for at in range(0, len(folders), _CHUNK))
    if kind == "sqlite":
        _into_sqlite(url.removeprefix("sqlite:///"), chunks)
    else:
        _into_postgres(url, chunks)
    return time.perf_counter() - began


def _prepared(url: str, sessions: Path) -> Place:
    """Make the schema, and register the project."""
    database = Database(url)
    schema.upgrade(database)
    host = Host(UUID(int=1), "bare")
    with database.write() as connection:
        hosts.ensure(connection, host.host_id, host.name)
    place = Registrar(database, host).place_of(sessions)
    database.close()
    return place


def _into_sqlite(path: str, chunks: Iterator[Rows]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN IMMEDIATE")
    for chunk in chunks:
        for name, rows in chunk.items():
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
    connection.execute("COMMIT")
    connection.close()


def _into_postgres(url: str, chunks: Iterator[Rows]) -> None:
    columns = {name: ", ".join(tables.metadata.tables[name].columns.keys()) for name in TABLES}
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for chunk in chunks:
            for name, rows in chunk.items():
                with cursor.copy(f"COPY {name} ({columns[name]}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)


class _Maker:
    """Makes the rows of the session folders of one place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._now = utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def rows(self, folders: Sequence[Path]) -> Rows:
        """Return the rows of these folders by table."""
        rows: Rows = {name: [] for name in TABLES}
        for folder in folders:
            self._add(rows, str(folder))
        return rows

    def _add(self, rows: Rows, folder: str) -> None:
        with open(f"{folder}/state.json", "rb") as file:  # noqa: PTH123 - as bare as can be
            data = file.read()
            seen = os.fstat(file.fileno())
        tree = orjson.loads(data)
        found = hashlib.sha256(data).hexdigest()
        project, workspace, root = (
            str(self._place.project_id),
            str(self._place.workspace_id),
            self._place.root,
        )
        slug = folder.rpartition("/")[2]
        session = str(uuid5(self._place.project_id, f"{root}/{slug}"))
        stamp = _time(tree["updated_at"])  # in this corpus the latest time of all
        rows["documents"].append((project, found, orjson.dumps(tree).decode(), len(data), stamp, self._now))
        rows["session_files"].append(
            (
                *(project, workspace, root, slug, session, folder),
                *(seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns),
                *(os.stat(folder).st_mtime_ns, "", found, found),  # noqa: PTH116
                *(MAPPING_VERSION, stamp, None, 0, None, None, self._now),
            )
        )
        rows["sessions"].append(
            (
                *(project, session, root, slug, workspace),
                *_told(tree),
                *(found, found, _PARTS, MAPPING_VERSION, _time(tree["created_at"]), stamp, stamp),
                *(self._now, stamp, self._now, None, None, 1, *_standing(tree, stamp)),
            )
        )
        rows["session_versions"].append(
            (project, session, 1, found, tree["current_phase"], tree["status"], stamp, self._now)
        )
        _add_parts(rows, project, session, tree)


def _standing(tree: dict[str, Any], stamp: str) -> tuple[int, int | None]:
    """Return from when the present phase counts, and how long it stood; in microseconds."""
    since = datetime.fromisoformat(stamp) - datetime(1970, 1, 1, tzinfo=UTC)
    is_closed = tree["current_phase"] == "complete" or tree["status"] in {"complete", "failed"}
    return since // timedelta(microseconds=1), 0 if is_closed else None


def _told(tree: dict[str, Any]) -> tuple[Any, ...]:
    """Return the columns of a session from `declared_id` to `warnings`."""
    progress, git = tree["build_progress"], tree["git"]
    completed, total = progress["checkpoints_completed"], progress["checkpoints_total"]
    return (
        *(tree["session_id"], tree["topic"], tree["description"], tree["session_type"], "hybrid"),
        *(tree["current_phase"], tree["status"], tree["status"], len(completed) >= total),
        orjson.dumps(tree["phase_history"]).decode(),
        *(total, "declared", len(completed), orjson.dumps(completed).decode()),
        *(progress["current_checkpoint"], git["branch"], git["worktree"], git["base_branch"]),
        *(None, None, "[]"),
    )


def _add_parts(rows: Rows, project: str, session: str, tree: dict[str, Any]) -> None:
    progress = tree["build_progress"]
    completed, current = progress["checkpoints_completed"], progress["current_checkpoint"]
    rows["checkpoints"] += [
        (project, session, number, None, number in completed, number == current)
        for number in range(1, progress["checkpoints_total"] + 1)
    ]
    rows["commits"] += [
        (project, session, at, one["sha"], one["message"], one["checkpoint"], _time(one["created_at"]))
        for at, one in enumerate(tree["commits"])
    ]
    rows["decisions"] += [
        (project, session, at, one["decision"], one["rationale"], None, f"{one['date']}T00:00:00.000000Z")
        for at, one in enumerate(tree["key_decisions"])
    ]


def _time(written: str) -> str:
    """Return a time to the second as SQLite has it; PostgreSQL reads it too."""
    return f"{written[:-1]}.000000Z"
