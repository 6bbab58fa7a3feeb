"""What is stored of many sessions roots at one moment, read in a few statements however many there are.

The statements go to the driver in its own spelling and give plain rows: tens of thousands of them are read
by every reconcile.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Connection, func, select

from sessionlib.db import damage
from sessionlib.db.tables import session_files
from sessionlib.db.types import ILLEGIBLE, decode_time

_FEW = 20
"""Sessions roots up to which an index is asked rather than all copies."""


class RootKey(NamedTuple):
    """Which sessions root of which workspace."""

    project_id: UUID
    workspace_id: UUID
    root: str


class RootState(NamedTuple):
    """How a sessions root was when it was last seen; times as the driver gives them, so only None tells."""

    dev: int
    inode: int
    missing_since: object
    reconciled_at: object
    workspace_missing_since: object

    @property
    def is_settled_missing(self) -> bool:
        """Whether root and workspace are marked missing, and their sessions show it."""
        is_missing = self.missing_since is not None and self.workspace_missing_since is not None
        return is_missing and self.reconciled_at is not None

    def is_settled_at(self, identity: tuple[int, int] | None) -> bool:
        """Tell whether a root that is there now, with this identity, is stored just so."""
        is_there = self.missing_since is None and self.workspace_missing_since is None
        return is_there and self.reconciled_at is not None and (self.dev, self.inode) == identity


class CopyState(NamedTuple):
    """What a reconcile compares with the file system, for one copy that is not known to be gone.

    `turn` is the position of its root among the keys that were asked for.
    """

    turn: int
    slug: str
    dev: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    folder_mtime_ns: int
    extras: str
    mapping_version: int
    absent_looks: int
    absent_since: Any

    def absent_at(self) -> datetime | None:
        """Return since when the copy has not been found; None while it is there, or if nobody knows."""
        since: datetime | str | None = self.absent_since
        if since is None or isinstance(since, datetime):
            return since
        try:
            return decode_time(since)
        except ILLEGIBLE:
            return None


_STATES = (
    "SELECT {turn}, r.dev, r.inode, r.missing_since, r.reconciled_at, w.missing_since FROM {keys} "
    "JOIN workspace_roots r ON r.project_id = {project} AND r.workspace_id = {workspace} AND r.root = {root} "
    "JOIN workspaces w ON w.project_id = r.project_id AND w.workspace_id = r.workspace_id"
)
_COPIES = (
    f"SELECT {{turn}}, {', '.join(f'f.{name}' for name in CopyState._fields[1:])} FROM {{keys}} "
    "JOIN session_files f ON f.project_id = {project} AND f.workspace_id = {workspace} AND f.root = {root} "
    "WHERE f.missing_since IS NULL"
)
# CROSS keeps SQLite from reading the whole table first; the keys are few.
_SQLITE = {
    "keys": "json_each(?) k CROSS",
    "turn": "k.key",
    "project": "json_extract(k.value, '$[0]')",
    "workspace": "json_extract(k.value, '$[1]')",
    "root": "json_extract(k.value, '$[2]')",
}
_POSTGRES = {
    "keys": "unnest(%s::uuid[], %s::uuid[], %s::text[]) WITH ORDINALITY AS k(project, workspace, root, turn)",
    "turn": "k.turn - 1",
    "project": "k.project",
    "workspace": "k.workspace",
    "root": 'k.root COLLATE "C"',
}


def root_states(connection: Connection, keys: Sequence[RootKey]) -> dict[RootKey, RootState]:
    """Return how these sessions roots were when they were last seen; those that are not stored are left out.

    Raises:
        DatabaseError: The database does not answer.
    """
    return {keys[row[0]]: RootState(*row[1:]) for row in _asked(connection, _STATES, keys)}


def copy_states(connection: Connection, keys: Sequence[RootKey]) -> Sequence[tuple[Any, ...]]:
    """Return the copies in these sessions roots that are not known to be gone, as `CopyState` has them.

    Raises:
        DatabaseError: The database does not answer.
    """
    return _asked(connection, _COPIES, keys)


def roots_with_absent(connection: Connection, keys: Sequence[RootKey]) -> set[RootKey]:
    """Return those of the sessions roots in which copies were not found that are not known to be gone yet.

    Raises:
        DatabaseError: The database does not answer.
    """
    table = session_files.c
    rows = connection.execute(
        select(table.project_id, table.workspace_id, table.root)
        .where(
            table.workspace_id.in_({key.workspace_id for key in keys}),
            table.absent_since.is_not(None),
            table.missing_since.is_(None),
        )
        .distinct()
    )
    return {RootKey(*row) for row in rows}.intersection(keys)


def unreadable(connection: Connection, keys: Sequence[RootKey]) -> dict[RootKey, int]:
    """Return how many copies cannot be read now, for each of the sessions roots that has such.

    Raises:
        DatabaseError: The database does not answer.
    """
    table = session_files.c
    statement = (
        select(table.project_id, table.workspace_id, table.root, func.count())
        .where(table.error.is_not(None), table.missing_since.is_(None))
        .group_by(table.project_id, table.workspace_id, table.root)
    )
    if len(keys) <= _FEW:
        # The key's first columns, so that its index finds them; of many, all are read.
        statement = statement.where(
            table.project_id.in_({key.project_id for key in keys}),
            table.workspace_id.in_({key.workspace_id for key in keys}),
        )
    wanted = set(keys)
    return {key: row[3] for row in connection.execute(statement) if (key := RootKey(*row[:3])) in wanted}


def slugs(connection: Connection, project_id: UUID, workspace_id: UUID) -> dict[str, list[tuple[str, bool]]]:
    """Return the copies stored of a workspace, by root: (slug, whether it is known to be gone).

    Raises:
        DatabaseError: The database does not answer.
    """
    table = session_files.c
    rows = connection.execute(
        select(table.root, table.slug, table.missing_since.is_not(None))
        .where(table.project_id == project_id, table.workspace_id == workspace_id)
        .order_by(table.root, table.slug)
    )
    found: dict[str, list[tuple[str, bool]]] = {}
    for root, slug, is_missing in rows:
        found.setdefault(root, []).append((slug, bool(is_missing)))
    return found


def _asked(connection: Connection, statement: str, keys: Sequence[RootKey]) -> Sequence[tuple[Any, ...]]:
    parameters: tuple[Any, ...]
    if connection.dialect.name == "postgresql":
        parameters = tuple(list(column) for column in zip(*keys, strict=True)) or ([], [], [])
        sql = statement.format(**_POSTGRES)
    else:
        parameters = (orjson.dumps([list(key) for key in keys]).decode(),)
        sql = statement.format(**_SQLITE)
    result: Any = connection.exec_driver_sql(sql, parameters)
    # Straight from the driver: plain tuples, cheaper to make and no work for the garbage collector.
    with damage.any_text(connection):
        rows: list[tuple[Any, ...]] = result.cursor.fetchall()
    result.close()
    return rows
