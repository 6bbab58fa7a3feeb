"""A daemon's status for tests: everything set, each value another, so that a mix-up shows."""

import dataclasses
from typing import Any

from sessionlib.control.status import (
    ConfigState,
    DatabaseState,
    OwedFolder,
    PartState,
    QueueState,
    RootState,
    Status,
    WorkspaceState,
)


def a_status(**changes: Any) -> Status:
    """Return a healthy status, with some fields changed."""
    healthy = Status(
        version="1.2.3",
        pid=4711,
        host_id="5f0c2f9e-0000-4000-8000-000000000001",
        started_at="2026-02-16T08:00:00.000Z",
        state="ready",
        at="2026-02-16T09:00:00.000Z",
        as_of="2026-02-16T08:59:59.900Z",
        age_s=0.1,
        stale=False,
        reasons=(),
        oldest_unsynced_s=None,
        overflows=2,
        events=5000,
        hints=600,
        log_lost=4,
        unreadable=13,
        subscribers=3,
        changes=44,
        socket="/run/user/1000/sessiond/control.sock",
        listen=None,
        database=DatabaseState(name="sqlite:////s/mirror.db", backend="sqlite", up=True),
        queue=QueueState(
            workers=1,
            waiting=5,
            running=1,
            delayed=6,
            owed=7,
            behind=8,
            synced=900,
            written=300,
            failed=10,
            retried=11,
        ),
        config=ConfigState(source="/c/config.toml", reloaded_at="2026-02-16T08:30:00.000Z"),
        owed=(OwedFolder(path="/p/agents/sessions/broken", error="permission denied"),),
        roots=(
            RootState(path="/p", mode="events", reason=None, watches=12, sessions_roots=2, degraded=False),
        ),
        workspaces=(
            WorkspaceState(
                project="shop",
                path="/p/agents/sessions",
                reconciled_at="2026-02-16T08:59:30.000Z",
                age_s=30.0,
                sessions=13,
                missing=False,
                complete=True,
            ),
        ),
        parts=(PartState(name="queue", alive=True, stuck=False, idle_s=1.5),),
    )
    return dataclasses.replace(healthy, **changes)
