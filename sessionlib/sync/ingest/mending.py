"""Rows that are put right from what is stored beside them, and forgotten journals that are gone."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from uuid import UUID

from sessionlib.db import attributing, execution
from sessionlib.db.engine import Database
from sessionlib.sync.ingest import totals
from sessionlib.sync.ingest.drafts import Draft
from sessionlib.sync.ingest.ingester import Ingester
from sessionlib.sync.ingest.joining import stamp
from sessionlib.sync.places import real_name

_TOGETHER = 50


def add_up(database: Database, agents: Mapping[UUID, Collection[UUID]]) -> int:
    """Add the usage records of some agents up anew, by project; return how many agents there were.

    Raises:
        DatabaseError: Those before are done, the rest is not.
    """
    count = 0
    for project_id, ids in agents.items():
        for some in _in_groups(ids):
            with database.write() as connection:
                execution.lock_projects(connection, [project_id])
                sums = attributing.add_up(connection, project_id, some)
                attributing.put_totals(connection, project_id, some, sums, "messages")
                known = execution.agents_by_id(connection, project_id, some)
                execution.write(connection, "agents", totals.of_agents(some, sums, known))
            count += len(some)
    return count


def settle(ingester: Ingester, conversations: Mapping[UUID, Collection[UUID]]) -> int:
    """Look at each record and agent of some conversations anew, by project; return how many there were.

    Raises:
        DatabaseError: Those before are done, the rest is not.
    """
    return sum(
        ingester.settle(project_id, some, recount=True)
        for project_id, ids in conversations.items()
        for some in _in_groups(ids)
    )


def close(ingester: Ingester, silent: Iterable[tuple[tuple[str, str], datetime]]) -> int:
    """Mark conversations as abandoned, each since its last activity; return how many there were.

    Raises:
        DatabaseError: Those before are done, the rest is not.
    """
    drafts = [Draft(*key, observed={"abandoned": stamp(last)}) for key, last in silent]
    for start in range(0, len(drafts), _TOGETHER):
        ingester.store(drafts[start : start + _TOGETHER])
    return len(drafts)


def drop_gone(database: Database, host_id: UUID) -> int:
    """Forget how far journals of this host were read that are gone; what was read of them stays.

    Raises:
        DatabaseError: Nothing was forgotten.
    """
    with database.read() as connection:
        known = execution.cursors(connection, host_id)
    gone = [path for path in known if not os.path.lexists(real_name(path))]
    if gone:
        with database.write() as connection:
            execution.drop_cursors(connection, host_id, gone)
    return len(gone)


def _in_groups(ids: Collection[UUID]) -> Iterator[list[UUID]]:
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), _TOGETHER):
        yield ordered[start : start + _TOGETHER]
