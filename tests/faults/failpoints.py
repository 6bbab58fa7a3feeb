"""Named steps of a sync at which a daemon can be made to kill itself; its own code knows none of it."""

import functools
import importlib
import os
import signal
from collections.abc import Callable
from typing import Any

STEPS: dict[str, str] = {
    "listing a root": "sessionlib.sync.reconcile:list_sessions",
    "the picture of a root": "sessionlib.sync.reconcile:draw",
    "queueing what differs": "sessionlib.sync.reconcile:Reconciler._queued",
    "a worker takes jobs": "sessionlib.sync.queue:SyncQueue._next",
    "a worker tries": "sessionlib.sync.queue:SyncQueue._try",
    "a worker settles jobs": "sessionlib.sync.queue:SyncQueue._finish",
    "jobs are done": "sessionlib.sync.queue:SyncQueue._done",
    "results are told": "sessionlib.sync.queue:SyncQueue._tell",
    "a ticket is settled": "sessionlib.sync.queue:SyncQueue._settle_tickets",
    "mirroring some folders": "sessionlib.sync.mirror:Mirror.sync",
    "storing a portion": "sessionlib.sync.mirror:Mirror._stored",
    "drafting new rows": "sessionlib.sync.mirror:Mirror._draft",
    "writing a portion": "sessionlib.sync.mirror:Mirror._write",
    "taking the locks": "sessionlib.db.store:hold_sessions",
    "looking again": "sessionlib.sync.mirror:look_again",
    "planning one session": "sessionlib.sync.task:Task.take",
    "finishing a task": "sessionlib.sync.task:Task.finish",
    "a batch of changes": "sessionlib.db.store:write",
    "a batch of new rows": "sessionlib.db.store:write_new",
    "changed rows of one table": "sessionlib.db.bulk:upsert",
    "new rows of one table": "sessionlib.db.bulk:insert",
    "rows that may be there": "sessionlib.db.bulk:insert_new",
    "parts that are gone": "sessionlib.db.bulk:prune",
    "a commit": "sqlalchemy.engine.base:Connection._commit_impl",
    "a root is there": "sessionlib.sync.reconcile:Reconciler._root_there",
    "a root is settled": "sessionlib.sync.reconcile:Reconciler._settle_root",
    "absences are noted": "sessionlib.sync.reconcile:Reconciler._note",
    "a tombstone": "sessionlib.sync.reconcile:Reconciler._tombstone",
    "settling a session": "sessionlib.sync.mirror:Mirror.settle_in",
}
"""By name: the module and the function in it, as its callers find it."""

NEEDS_REMOVAL = frozenset({"absences are noted", "a tombstone", "settling a session"})
"""What is done only for a session whose folder is gone."""

NEEDS_NEW_ROOT = frozenset({"a root is there", "a root is settled"})
"""What is done only for a root that was not there before."""

NEEDS_NEW = frozenset({"drafting new rows", "a batch of new rows", "new rows of one table"})
"""What is done only for many new sessions."""

JOURNAL_STEPS: dict[str, str] = {
    "a turn of the spool": "sessionlib.sync.ingest.deliveries:Deliveries.drain",
    "a delivery is read": "sessionlib.journal.spool:Spool.read",
    "deliveries are stored": "sessionlib.sync.ingest.deliveries:Deliveries._store",
    "deliveries are finished": "sessionlib.sync.ingest.deliveries:Deliveries._finish",
    "a delivery is removed": "sessionlib.journal.spool:Spool.done",
    "a transcript is read on": "sessionlib.sync.ingest.transcripts:read_on",
    "a portion is stored": "sessionlib.sync.ingest.transcripts:Transcripts._store",
    "drafts are stored": "sessionlib.sync.ingest.ingester:Ingester.store",
    "a transaction of drafts": "sessionlib.sync.ingest.ingester:Ingester._store",
    "cursors are compared": "sessionlib.sync.ingest.ingester:Ingester._compare",
    "a batch of a project": "sessionlib.sync.ingest.batch:Batch.store",
    "events are written": "sessionlib.db.execution:write_logs",
    "usage is written": "sessionlib.sync.ingest.spending:Spending.store",
    "cursors are written": "sessionlib.db.execution:put_cursors",
    "cursors are forgotten": "sessionlib.db.execution:drop_cursors",
    "conversations of sessions": "sessionlib.db.attributing:conversations_touching",
    "usage is counted anew": "sessionlib.sync.ingest.ingester:Ingester.counting",
    "a slice of a recount": "sessionlib.sync.ingest.ingester:Ingester._settle_some",
    "a count is noted": "sessionlib.sync.ingest.upkeep:note_settled",
}
"""Steps of reading journals, likewise."""

NEEDS_PURGE = frozenset({"cursors are forgotten"})
"""What is done only for a transcript that is gone."""

NEEDS_SESSION = frozenset(
    {"conversations of sessions", "usage is counted anew", "a slice of a recount", "a count is noted"}
)
"""What is done only after a session has changed that a conversation worked on."""

EARLY = NEEDS_REMOVAL | NEEDS_NEW_ROOT | NEEDS_NEW
"""What may be done only once: there the first time counts."""


def arm(step: str, when: str, nth: int) -> None:
    """Kill this process at the nth time of a step, ``before`` or ``after`` it is done."""
    module_name, _, path = (STEPS | JOURNAL_STEPS)[step].partition(":")
    owner: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    setattr(owner, name, _fatal(getattr(owner, name), when, nth))


def _fatal(function: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    times = 0

    @functools.wraps(function)
    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal times
        times += 1
        mine = times
        if mine == nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*arguments, **named)
        if mine == nth and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return counted
