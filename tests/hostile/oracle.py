"""What the rows of a session must say: recomputed from its files, compared with what is stored."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from sessionlib.db import store, tables
from sessionlib.db.rows import SessionRow
from sessionlib.db.store import Batch
from sessionlib.errors import StateInvalidError
from sessionlib.models.base import utc_now
from sessionlib.state.document import interpret
from sessionlib.state.layout import PLAN_FILE
from sessionlib.sync import mapping, snapshot
from sessionlib.sync.mapping import Observed, Origin
from sessionlib.sync.places import Place
from sessionlib.sync.snapshot import Snapshot

PARTS = ("checkpoints", "commits", "decisions", "doc_updates", "research_runs", "session_links")
_FIELDS = {"session_links": "links"}
_JSON = ("phase_history", "checkpoints_completed_ids", "warnings")
_SESSION_COLUMNS = tuple(
    (index, column.name)
    for index, column in enumerate(tables.sessions.columns)
    if column.info["kind"] != "observed" and column.name != "parts"
)

_INTERNAL = re.compile(r"Traceback|\b\w*(?:Error|Exception)\b|<class|object at 0x|\bNone\b|psycopg|sqlite3")
_MOST_WORDS = 300


@dataclass(frozen=True)
class Expected:
    """What a session's files say now: rows by table, or what is wrong with its state.json."""

    error: str | None
    rows: dict[str, list[tuple[Any, ...]]]
    read: Snapshot

    def kept(self) -> "Expected":
        """Return it without the documents, which take memory."""
        return replace(self, read=Snapshot(look=self.read.look))


def expect(place: Place, slug: str) -> Expected:
    """Recompute the rows of a session that exists."""
    try:
        found = snapshot.take(place.path / slug, give_up=True)
    except StateInvalidError as error:
        raise AssertionError(f"given up, and still raised: {error.message}") from error
    assert found is not None, slug
    if found.content is None:
        assert found.error is not None
        return Expected(found.error, {}, found)
    now = utc_now()
    session_id = place.session_id(slug)
    assert found.state_hash is not None
    assert found.inputs_hash is not None
    origin = Origin(
        place.project_id,
        session_id,
        place.root,
        slug,
        place.workspace_id,
        found.state_hash,
        found.inputs_hash,
        found.look.state.mtime_ns,
    )
    batch = Batch()
    content = mapping.storable(found.content)
    mapping.add_session(batch, origin, content, Observed(now, now, now, None, None, 1), None)
    rows = {name: [tuple(row) for row in getattr(batch, _FIELDS.get(name, name))] for name in PARTS}
    rows["sessions"] = [_comparable(batch.sessions[0])]
    return Expected(None, rows, found)


def _comparable(row: SessionRow) -> tuple[Any, ...]:
    values = row._asdict() | {name: json.loads(getattr(row, name)) for name in _JSON}
    return tuple(values[name] for _, name in _SESSION_COLUMNS)


@dataclass(frozen=True)
class Stored:
    """What the database says of one session."""

    rows: dict[str, list[tuple[Any, ...]]]
    error: str | None
    file_error: str | None


def stored(connection: Connection, place: Place, slugs: Collection[str]) -> dict[str, Stored]:
    """Return what is stored of these sessions, by slug."""
    ids = {place.session_id(slug): slug for slug in slugs}
    rows: dict[str, dict[str, list[tuple[Any, ...]]]] = {
        slug: {name: [] for name in (*PARTS, "sessions")} for slug in slugs
    }
    errors: dict[str, str | None] = {}
    for session_id, row in _of(connection, "sessions", place.project_id):
        if (slug := ids.get(session_id)) is not None:
            rows[slug]["sessions"].append(tuple(row[index] for index, _ in _SESSION_COLUMNS))
            errors[slug] = row.error
    for name in PARTS:
        for session_id, row in _of(connection, name, place.project_id):
            if (slug := ids.get(session_id)) is not None:
                rows[slug][name].append(tuple(row))
    files = {row.slug: row.error for _, row in _of(connection, "session_files", place.project_id)}
    return {slug: Stored(rows[slug], errors.get(slug), files.get(slug)) for slug in slugs}


def _of(connection: Connection, name: str, project_id: UUID) -> Iterator[tuple[UUID, Any]]:
    table = tables.metadata.tables[name]
    statement = select(table).where(table.c.project_id == project_id).order_by(*table.primary_key.columns)
    for row in connection.execute(statement):
        yield row.session_id, row


def differences(expected: Expected, good: Expected, found: Stored) -> list[str]:
    """Say where the stored rows differ from what they must be.

    Args:
        expected: What the files say now.
        good: What they said when they were last good; shown while they are not.
        found: What the database says.
    """
    problems = [
        f"{name}: {_first_difference(rows, found.rows[name])}"
        for name, rows in good.rows.items()
        if rows != found.rows[name] and sorted(rows, key=repr) != sorted(found.rows[name], key=repr)
    ]
    for what, error in (("session", found.error), ("file", found.file_error)):
        if error != expected.error:
            problems.append(f"the {what}'s error is {error!r}, not {expected.error!r}")
    if found.error is not None and (unclear := unclear_words(found.error)):
        problems.append(f"the error is unclear ({unclear}): {found.error[:200]!r}")
    return problems


def _first_difference(wanted: list[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> str:
    if len(wanted) != len(found):
        return f"{len(found)} rows, not {len(wanted)}"
    for row, other in zip(sorted(wanted, key=repr), sorted(found, key=repr), strict=True):
        for value, stored_value in zip(row, other, strict=True):
            if value != stored_value:
                return f"{str(stored_value)[:200]!r}, not {str(value)[:200]!r}"
    return "in their order"


def unclear_words(error: str) -> str | None:
    """Say why a sentence is none that a person understands; None if it is."""
    if not error.isprintable():
        return "control characters"
    if len(error) > _MOST_WORDS:
        return "too long"
    match = _INTERNAL.search(error)
    return match and match[0]


def restored_differently(
    connection: Connection, place: Place, all_expected: dict[str, Expected]
) -> list[str]:
    """Return the sessions whose documents in the database mean something else than their files."""
    hashes = {document.content_hash for one in all_expected.values() for document in _documents(one.read)}
    bodies = store.bodies(connection, place.project_id, hashes)
    found = []
    for slug, one in all_expected.items():
        if one.read.content is None or one.read.state is None:
            continue
        plan = next((bodies[e.content_hash] for e in one.read.extras if e.name == PLAN_FILE), None)
        runs = [
            (snapshot.run_id(e.name), bodies[e.content_hash]) for e in one.read.extras if e.name != PLAN_FILE
        ]
        again = interpret(bodies[one.read.state.content_hash], plan, runs)
        if snapshot.with_problems(again, one.read.problems) != one.read.content:
            found.append(slug)
    return found


def _documents(read: Snapshot) -> Iterator[Any]:
    if read.state is not None:
        yield read.state
        yield from read.extras
