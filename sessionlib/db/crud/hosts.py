"""Hosts: the machines that a daemon mirrors from."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, select, update

from sessionlib.db import bulk
from sessionlib.db.tables import hosts
from sessionlib.models.base import utc_now


def ensure(connection: Connection, host_id: UUID, name: str) -> None:
    """Register a host, or note its new name."""
    bulk.upsert(
        connection, hosts, [(host_id, name, None, utc_now())], keep=frozenset({"heartbeat_at", "created_at"})
    )


def beat(connection: Connection, host_id: UUID, now: datetime) -> None:
    """Write the host's heartbeat, which tells readers how fresh the mirror is when the daemon is down."""
    connection.execute(update(hosts).where(hosts.c.host_id == host_id).values(heartbeat_at=now))


def last_beats(connection: Connection) -> dict[UUID, datetime | None]:
    """Return each host's last heartbeat."""
    return {row[0]: row[1] for row in connection.execute(select(hosts.c.host_id, hosts.c.heartbeat_at))}
