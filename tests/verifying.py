"""Verifying a world for tests: sessions with rows in every table, and hands that edit what is stored.

A test module imports the fixtures it uses.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from sqlalchemy import BigInteger, Boolean, Integer, Table, delete, insert, update
from sqlalchemy.types import JSON

from sessionlib.db import comparing, tables
from sessionlib.db.types import Guid, UtcTime
from sessionlib.state.scan import FinderOptions
from sessionlib.sync.causes import Drift
from sessionlib.sync.rebuild import Rebuilder, Rebuilt
from sessionlib.sync.surveying import Survey, survey
from sessionlib.sync.verify import Verified, Verifier
from tests import builders, mirrors
from tests.mirrors import World

OLD = 3600.0
"""Seconds that files have been quiet for."""

COLUMNS = [
    (name, column.name)
    for name in comparing.COMPARED
    for column in tables.metadata.tables[name].columns
    if column.info["kind"] == "derived"
]
"""Every derived column of the mirror, by its table."""


def everything(slug: str, **overrides: Any) -> dict[str, Any]:
    """Return a document that has rows in every table of parts."""
    links = [{"client": "claude-code", "native_id": "abc", "linked_at": builders.at(2), "source": "hook"}]
    updates = [
        {"type": "L2", "path": "docs/wall.md", "description": "how", "created_at": builders.at(3)},
        {"type": "L3", "path": "docs/pond.md", "description": "why", "created_at": builders.at(3)},
    ]
    parts: dict[str, Any] = {
        "session_id": slug,
        "key_decisions": builders.make_decisions(2, "decision", "rationale", "date", "source"),
        "doc_updates": updates,
        "conversations": links,
    }
    return builders.v2_building(5, (1, 2), **parts | overrides)


def make(root: Path, slug: str, document: Mapping[str, Any] | bytes | None = None) -> Path:
    """Make a session with every kind of input, saved long ago."""
    made = everything(slug) if document is None else document
    folder = builders.make_session(
        root,
        slug,
        made if isinstance(made, bytes) else dict(made),
        plan=builders.plan(5),
        research={"soil": builders.research_run()},
    )
    aged(folder)
    return folder


def aged(folder: Path) -> None:
    """Let a session's files be as if they were saved long ago."""
    for path in (folder / "state.json", folder / "plan.json", folder / "research/soil/state.json"):
        if path.exists():
            mirrors.age(path.parent, OLD, path.name)


def surveyed(world: World, *paths: Path, roots: Sequence[Path] = ()) -> Survey:
    """List what there is."""
    known = world.registrar.places()
    return survey(world.database, known, FinderOptions(), paths=paths, roots=roots)


def verified(world: World, *paths: Path, is_live: bool = False, roots: Sequence[Path] = ()) -> Verified:
    """Verify a world, or some paths of it."""
    verifier = Verifier(world.database, world.registrar.places, is_live=is_live)
    return verifier.run(surveyed(world, *paths, roots=roots), lambda _done, _total: None)


def drifts(world: World, *paths: Path, **options: Any) -> list[Drift]:
    """Verify and return what differs."""
    return verified(world, *paths, **options).drifts


def places(found: Sequence[Drift]) -> list[tuple[str, str | None]]:
    """Return where drifts are: table and column."""
    return [(drift.table, drift.column) for drift in found]


def rebuilt(world: World, *paths: Path, accept_missing: bool = False) -> Rebuilt:
    """Rebuild a world, or some paths of it."""
    rebuilder = Rebuilder(world.database, world.mirror, accept_missing=accept_missing)
    return rebuilder.run(surveyed(world, *paths), lambda _done, _total: None)


def row_of(world: World, table: str, slug: str) -> dict[str, Any]:
    """Return the first row that a session has in a table of the mirror."""
    session = world.session(slug)
    if table == "documents":
        return world.rows(table, content_hash=session["content_hash"])[0]
    if "slug" in tables.metadata.tables[table].columns:
        return world.rows(table, slug=slug)[0]
    return world.rows(table, session_id=session["session_id"])[0]


def other(world: World, table: str, column: str, row: Mapping[str, Any]) -> Any:
    """Return another value that a column may hold."""
    was = row[column]
    kind = tables.metadata.tables[table].c[column].type
    if column in {"content_hash", "workspace_id"}:
        (among,) = {"content_hash": ["documents"], "workspace_id": ["workspaces"]}[column]
        return next(one[column] for one in world.rows(among) if one[column] != was)
    if column == "checkpoints_total_source":
        return "plan" if was == "declared" else "declared"
    return _changed(kind, was)


def _changed(kind: Any, was: Any) -> Any:
    if isinstance(kind, Guid):
        return uuid4()
    if isinstance(kind, UtcTime):
        return (was or mirrors.NOON) + timedelta(days=1)
    if isinstance(kind, JSON) or hasattr(kind, "impl_instance"):
        return {"edited": 1}
    if isinstance(kind, Boolean):
        return not was
    if isinstance(kind, Integer | BigInteger):
        return (was or 0) + 1
    return "edited"


def edit(world: World, table: str, row: Mapping[str, Any], **values: Any) -> None:
    """Change a row behind the mirror's back."""
    found = tables.metadata.tables[table]
    with world.database.write() as connection:
        connection.execute(update(found).where(*_at(found, row)).values(values))


def remove(world: World, table: str, row: Mapping[str, Any]) -> None:
    """Delete a row behind the mirror's back, and what the database deletes with it."""
    found = tables.metadata.tables[table]
    with world.database.write() as connection:
        connection.execute(delete(found).where(*_at(found, row)))


def add(world: World, table: str, row: Mapping[str, Any]) -> None:
    """Insert a row behind the mirror's back."""
    with world.database.write() as connection:
        connection.execute(insert(tables.metadata.tables[table]).values(dict(row)))


def _at(table: Table, row: Mapping[str, Any]) -> list[Any]:
    return [column == row[column.name] for column in table.primary_key.columns]


STORED = [
    (name, column.name)
    for name in comparing.COMPARED
    for column in tables.metadata.tables[name].columns
    if not column.primary_key and (name, column.name) != ("documents", "created_at")
]
"""Every column of the mirror that is no key, by its table; of a document nobody reads when it came."""


class NoText(NamedTuple):
    """Bytes that are stored as a text, and are none."""

    stored: bytes = b"\xff"


def damages(table: str, column: str) -> list[Any]:
    """Return values that a column cannot hold, and SQLite takes all the same."""
    kind = tables.metadata.tables[table].c[column].type
    bad = [b"\xff", NoText()]
    if isinstance(kind, JSON) or hasattr(kind, "impl_instance"):
        return ["nojson", *bad]
    if isinstance(kind, UtcTime):
        return ["garbage", "2026-06-01T12:00:00", "0000-01-01T00:00:00.000000Z", 7, *bad]
    if isinstance(kind, Guid):
        return ["garbage", "-" * 36, *bad]
    return ["garbage", *bad] if isinstance(kind, Integer | BigInteger | Boolean) else bad


def damage(world: World, table: str, column: str, value: Any, **where: Any) -> None:
    """Store a value in some rows of SQLite, whatever the column is for."""
    named = " AND ".join(f"{name} = ?" for name in where) or "1"
    with closing(sqlite3.connect(str(world.database.url.database), isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        found = [one if isinstance(one, int) else str(one) for one in where.values()]
        given, raw = ("CAST(? AS TEXT)", value.stored) if isinstance(value, NoText) else ("?", value)
        done = connection.execute(f"UPDATE {table} SET {column} = {given} WHERE {named}", (raw, *found))
        assert done.rowcount > 0


def meaning(value: Any) -> Any:
    """Return a value as both databases mean it: times and ids as text, JSON as what it holds."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, str):
        return value
    for read in (lambda text: datetime.fromisoformat(text).isoformat(), json.loads):
        try:
            return read(value)
        except ValueError:
            continue
    return value


@pytest.fixture(name="one")
def one_fixture(world: World, root: Path) -> Path:
    """A session that is mirrored and was saved long ago."""
    folder = make(root, "one")
    world.sync(folder)
    world.reconcile(root)
    return folder
