"""Rows that are put right from what is stored beside them, and forgotten journals that are gone."""

import os
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from sessionlib.db import execution, usage
from sessionlib.db.engine import Database
from sessionlib.sync.ingest.drafts import Draft
from sessionlib.sync.ingest.ingester import Ingester
from sessionlib.sync.ingest.joining import stamp
from sessionlib.sync.ingest.pace import Pace
from sessionlib.sync.places import real_name

_FIRST, _MOST = 2, 50
"""Agents or conversations in one transaction."""


def add_up(database: Database, agents: Mapping[UUID, Collection[UUID]]) -> int:
    """Add the usage records of some agents up anew, by project; return how many agents there were.

    Raises:
        DatabaseError: Those before are done, the rest is not.
    """
    count = 0
    pace = Pace(_FIRST, _MOST)
    for project_id, ids in agents.items():
        for some in pace.groups(sorted(set(ids))):
            with pace.measured(), database.write() as connection:
                execution.lock_projects(connection, [project_id])
                usage.recount(connection, project_id, some)
            count += len(some)
    return count


def settle(ingester: Ingester, conversations: Mapping[UUID, Collection[UUID]]) -> int:
    """Look at each record and agent of some conversations anew, by project; return how many there were.

    Raises:
        DatabaseError: Those before are done, the rest is not.
    """
    count = 0
    pace = Pace(_FIRST, _MOST)
    for project_id, ids in conversations.items():
        for some in pace.groups(sorted(set(ids))):
            with pace.measured():
                count += ingester.settle(project_id, some, recount=True)
    return count


def close(ingester: Ingester, silent: Iterable[tuple[tuple[str, str], datetime]]) -> int:
    """Mark conversations as abandoned, each since its last activity; return how many there were.

    Raises:
        DatabaseError: Those before are done, the rest is not.
    """
    drafts = [Draft(*key, observed={"abandoned": stamp(last)}) for key, last in silent]
    pace = Pace(_FIRST, _MOST)
    for some in pace.groups(drafts):
        with pace.measured():
            ingester.store(some)
    return len(drafts)


def drop_gone(database: Database, host_id: UUID) -> int:
    """Forget how far journals of this host were read that are gone; what was read of them stays.

    Raises:
        DatabaseError: Nothing was forgotten.
    """
    with database.read() as connection:
        known = execution.cursors(connection, host_id)
    gone = [
        path
        for path, row in known.items()
        if row.client != execution.MARKS and not os.path.lexists(real_name(path))
    ]
    if gone:
        with database.write() as connection:
            execution.drop_cursors(connection, host_id, gone)
    return len(gone)
