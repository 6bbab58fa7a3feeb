"""What a mirror must say, told by a walk of the tree; of the code it knows the tables' names alone.

It understands second-generation documents alone, which is all that the faults write: the less it knows, the
less it can share a mistake with what it judges.
"""

import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

SESSIONS = "agents/sessions"

Row = dict[str, Any]

_FILES = """
SELECT w.path AS workspace, f.root, f.slug, f.session_id, f.content_hash, f.size, f.mtime_ns, f.inode,
       f.error, f.missing_since, d.body, w.host_id AS host
FROM session_files f
JOIN workspaces w ON w.project_id = f.project_id AND w.workspace_id = f.workspace_id
LEFT JOIN documents d ON d.project_id = f.project_id AND d.content_hash = f.content_hash
"""
_SHOWN = """
SELECT session_id, root, slug, topic, current_phase, status, checkpoints_total, checkpoints_completed,
       checkpoints_completed_ids, content_hash, missing_since FROM sessions
"""
_COMMITS = "SELECT session_id, position, sha FROM commits ORDER BY session_id, position"
_DONE = "SELECT session_id, number FROM checkpoints WHERE completed ORDER BY session_id, number"

MIRROR = (
    *("documents", "session_files", "session_inputs", "sessions", "checkpoints", "commits", "decisions"),
    *("doc_updates", "research_runs", "session_links", "session_versions", "session_phases"),
    *("conversations", "agents", "agent_logs", "tool_calls", "usage_records"),
)
"""The tables in which a pass that finds nothing to do must not touch a row."""


@dataclass(frozen=True)
class Copy:
    """One state.json as it is now."""

    size: int
    mtime_ns: int
    inode: int
    content_hash: str
    document: dict[str, Any] | None


def walk(code: Path) -> dict[tuple[str, str], Copy]:
    """Return all sessions below a folder, by (checkout, slug)."""
    found = {}
    for folder, below, names in os.walk(code):
        below.sort()
        path = Path(folder)
        if "state.json" not in names or path.parent.name != "sessions" or path.parent.parent.name != "agents":
            continue
        file = path / "state.json"
        with file.open("rb") as opened:
            seen, data = os.fstat(opened.fileno()), opened.read()
        try:
            document = json.loads(data)
        except ValueError:
            document = None
        found[str(path.parents[2]), path.name] = Copy(
            seen.st_size, seen.st_mtime_ns, seen.st_ino, hashlib.sha256(data).hexdigest(), document
        )
    return found


class Mirror:
    """The database, read with no code but the drivers'.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_postgres = not url.startswith("sqlite")

    def rows(self, statement: str) -> list[Row]:
        """Return what a statement finds."""
        return self.all([statement])[0]

    def all(self, statements: Iterable[str]) -> list[list[Row]]:
        """Return what some statements find at one moment."""
        if self.is_postgres:
            with psycopg.connect(self.url, row_factory=psycopg.rows.dict_row) as connected:
                connected.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                return [connected.execute(one).fetchall() for one in statements]  # type: ignore[call-overload]
        path = self.url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as opened:
            opened.row_factory = sqlite3.Row
            opened.isolation_level = None
            opened.execute("BEGIN")
            return [[dict(row) for row in opened.execute(one)] for one in statements]

    def digest(self) -> dict[str, str]:
        """Return a digest of each table's rows; on PostgreSQL one that a write of the same values changes."""
        hidden = "xmin::text AS written_by, " if self.is_postgres else ""
        found = self.all(f"SELECT {hidden}t.* FROM {name} t" for name in MIRROR)
        return {
            name: hashlib.sha256("\n".join(sorted(map(str, map(_plain, rows)))).encode()).hexdigest()
            for name, rows in zip(MIRROR, found, strict=True)
        }


def _plain(row: Row) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in row.items()]


def drift(url: str, code: Path, *, host: str | None = None) -> list[str]:
    """Return in words where the mirror is not as the files below a folder are; empty when it is.

    Args:
        url: Of the database.
        code: The folder.
        host: Whose copies are compared, where several hosts share the database.
    """
    mirror = Mirror(url)
    try:
        found = mirror.all([_FILES, _SHOWN, _COMMITS, _DONE])
    except (sqlite3.Error, psycopg.Error) as error:
        return [f"the database cannot be read: {error}"]
    disk = walk(code)
    found[0] = [row for row in found[0] if host is None or str(row["host"]) == host]
    stored = {(row["workspace"], row["slug"]): row for row in found[0]}
    words = [f"{key}: twice" for key, count in Counter(map(_key, found[0])).items() if count > 1]
    copies: dict[Any, list[Copy]] = {}
    for row in found[0]:
        if _key(row) in disk:
            copies.setdefault(row["session_id"], []).append(disk[_key(row)])
    for key in sorted(disk.keys() | stored.keys()):
        words += [f"{key}: {problem}" for problem in _copy_drift(disk.get(key), stored.get(key))]
    shown = {row["session_id"]: row for row in found[1]}
    parts = _grouped(found[2], "sha"), _grouped(found[3], "number")
    for session_id, row in shown.items():
        mine = copies.get(session_id, [])
        words += [f"{row['slug']}: {problem}" for problem in _shown_drift(row, mine, session_id, parts)]
    for row in found[0]:
        if row["content_hash"] is not None and row["session_id"] not in shown:
            words.append(f"{_key(row)}: its session has no row")
    return words


def _key(row: Row) -> tuple[str, str]:
    return row["workspace"], row["slug"]


def _grouped(rows: list[Row], name: str) -> dict[Any, list[Any]]:
    grouped: dict[Any, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row["session_id"], []).append(row[name])
    return grouped


def _copy_drift(copy: Copy | None, row: Row | None) -> list[str]:
    """Compare one file with the row of its copy."""
    if row is None:
        return ["is not mirrored"]
    if copy is None:
        return [] if row["missing_since"] is not None else ["is gone and has no tombstone"]
    words = [] if row["missing_since"] is None else ["is there and has a tombstone"]
    if copy.document is None:
        return words if row["error"] else [*words, "cannot be read, and its row does not say so"]
    wanted = {name: getattr(copy, name) for name in ("content_hash", "size", "mtime_ns", "inode")}
    words += [
        f"{name} is {row[name]!r}, not {value!r}" for name, value in wanted.items() if row[name] != value
    ]
    if row["error"]:
        words.append(f"has an error: {row['error']}")
    if _json(row["body"]) != copy.document:
        words.append("its document is another one")
    return words


def _shown_drift(
    row: Row, copies: list[Copy], session_id: Any, parts: tuple[dict[Any, list[Any]], dict[Any, list[Any]]]
) -> list[str]:
    """Compare a session's row with the copy it has to show: the one that was updated last."""
    if not copies:
        return [] if row["missing_since"] is not None else ["no copy is left, and it has no tombstone"]
    if row["missing_since"] is not None:
        return ["has a copy, and a tombstone"]
    readable = [copy for copy in copies if copy.document is not None]
    if not readable or len(readable) < len(copies):
        return []
    newest = max(readable, key=lambda copy: str((copy.document or {}).get("updated_at")))
    document = newest.document or {}
    progress = document.get("build_progress") or {}
    done = sorted(progress.get("checkpoints_completed") or [])
    wanted = {
        "content_hash": newest.content_hash,
        "topic": document.get("topic"),
        "current_phase": document.get("current_phase"),
        "status": document.get("status"),
        "checkpoints_completed": len(done),
    }
    words = [
        f"{name} is {row[name]!r}, not {value!r}" for name, value in wanted.items() if row[name] != value
    ]
    if sorted(_json(row["checkpoints_completed_ids"])) != done or parts[1].get(session_id, []) != done:
        words.append(f"completed are {row['checkpoints_completed_ids']}, not {done}")
    commits = [str(one.get("sha") or one.get("hash")) for one in document.get("commits") or []]
    if parts[0].get(session_id, []) != commits:
        words.append(f"commits are {parts[0].get(session_id)}, not {commits}")
    return words


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes) else value
