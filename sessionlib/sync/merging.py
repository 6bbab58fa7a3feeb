"""Merge two projects that are one: everything the source has is the target's afterwards.

Sessions get the ids they have in the target; their history and the time they were first seen are kept. Where
both have a session of the same root and name, its copies stand side by side and the freshest one is shown,
as between any two workspaces.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import Connection

from sessionlib.db import execution, moving, moving_execution, store
from sessionlib.db.crud import projects
from sessionlib.db.engine import Database
from sessionlib.db.rows import VersionRow
from sessionlib.errors import UsageError
from sessionlib.models import Project
from sessionlib.sync import standing
from sessionlib.sync.mirror import Mirror

_CHUNK = 500


class Merged(NamedTuple):
    """What a merge has carried over; `shared` sessions were in both projects."""

    workspaces: int
    sessions: int
    shared: int
    aliases: int


class _Move(NamedTuple):
    """One session of the source, and its id in the target."""

    old: UUID
    new: UUID
    workspace_id: UUID
    first_seen_at: datetime


def merge_projects(database: Database, mirror: Mirror, source: Project, target: Project) -> Merged:
    """Make the source a part of the target, in one transaction, and forget it.

    Whoever keeps places of the source must look them up anew (`Registrar.forget`).

    Raises:
        UsageError: They are one project.
        DatabaseError: The database does not answer or refuses; nothing was changed.
    """
    if source.project_id == target.project_id:
        raise UsageError(f"{source.slug} and {target.slug} are the same project")
    with database.write() as connection:
        return _Merge(connection, mirror, source, target).run()


class _Merge:
    """One merge inside its transaction."""

    def __init__(self, connection: Connection, mirror: Mirror, source: Project, target: Project) -> None:
        self._connection = connection
        self._mirror = mirror
        self._source = source
        self._target = target
        self._from = source.project_id
        self._to = target.project_id

    def run(self) -> Merged:
        connection = self._connection
        copies = moving.files(connection, self._from)
        theirs = moving.sessions(connection, self._from)
        ids = {row.session_id: self._new_id(row.root, row.slug) for row in copies}
        ids |= {row[0]: self._new_id(*key) for key, row in theirs.items()}
        execution.lock_projects(connection, [self._from, self._to])
        store.lock_sessions(connection, [*ids, *ids.values()])
        moving.copy_documents(connection, self._from, self._to)
        moved = moving.copy_workspaces(connection, self._from, self._to)
        ours = moving.sessions(connection, self._to)
        moves = {key: _Move(old, ids[old], moved[place], seen) for key, (old, place, seen) in theirs.items()}
        fresh = [move for key, move in moves.items() if key not in ours]
        moving.copy_sessions(connection, self._from, self._to, [move[:3] for move in fresh])
        self._copy_files(ids, moved)
        self._settle(sorted(ids.values()))
        shared = [(move, ours[key][2]) for key, move in moves.items() if key in ours]
        for move, first_seen_at in shared:
            self._join_histories(move, first_seen_at)
        aliases = self._take_names()
        moving.copy_findings(connection, self._from, self._to, moved)
        moving_execution.copy_execution(connection, self._from, self._to, moved)
        projects.remove(connection, self._from)
        return Merged(len(moved), len(moves), len(shared), aliases)

    def _new_id(self, root: str, slug: str) -> UUID:
        # As Place.session_id; the names come from rows, where they are stored names already.
        return uuid5(self._to, f"{root}/{slug}")

    def _copy_files(self, ids: dict[UUID, UUID], moved: dict[UUID, UUID]) -> None:
        connection = self._connection
        files = [
            row._replace(
                project_id=self._to,
                workspace_id=moved[row.workspace_id],
                session_id=ids[row.session_id],
            )
            for row in moving.files(connection, self._from)
        ]
        inputs = [
            row._replace(project_id=self._to, workspace_id=moved[row.workspace_id])
            for row in moving.inputs(connection, self._from)
        ]
        moving.put_copies(connection, files, inputs)

    def _settle(self, session_ids: Sequence[UUID]) -> None:
        for start in range(0, len(session_ids), _CHUNK):
            self._mirror.settle_in(self._connection, self._to, session_ids[start : start + _CHUNK])

    def _join_histories(self, move: _Move, first_seen_at: datetime) -> None:
        earliest = min(move.first_seen_at, first_seen_at)
        moving.see_first(self._connection, self._to, move.new, earliest)
        mine = store.versions(self._connection, self._to, move.new)
        other = store.versions(self._connection, self._from, move.old)
        history = joined(mine, other)
        found = standing.of(history)
        phases = standing.rows(history[-1], found.left)
        moving.put_versions(
            self._connection, history, phases, since_us=found.since_us, stood_us=found.stood_us
        )

    def _take_names(self) -> int:
        connection = self._connection
        count = len(projects.aliases_of(connection, self._from))
        projects.move_aliases(connection, self._from, self._to)
        # Whoever knows the project by its old name shall still find it.
        projects.add_aliases(connection, self._to, [f"name:{self._source.slug.lower()}"])
        return count


def joined(mine: Sequence[VersionRow], other: Sequence[VersionRow]) -> list[VersionRow]:
    """Return two histories of one session as one, in the order of their times, numbered anew.

    Its last version is the last of `mine`, which is the one that is shown. A content that follows itself is
    one version.
    """
    project_id, session_id = mine[-1][:2]
    shown = mine[-1]
    rows = sorted([*mine[:-1], *other], key=lambda row: (row.at, row.observed_at))
    latest = max([shown.at, *(row.at for row in rows)])
    rows.append(shown._replace(at=latest) if rows and rows[-1].content_hash != shown.content_hash else shown)
    kept = [rows[0], *(row for before, row in pairwise(rows) if row.content_hash != before.content_hash)]
    return [
        row._replace(project_id=project_id, session_id=session_id, seq=seq)
        for seq, row in enumerate(kept, start=1)
    ]
