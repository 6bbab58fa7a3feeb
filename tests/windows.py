"""The time per phase as it follows from the versions alone, with a window over them all: slow, and plain."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from sessionlib.db import tables
from sessionlib.db.queries import PhaseTime

_OPEN_ENDED = {"complete", "failed"}


def time_per_phase(
    connection: Connection, now: datetime, project: str | None = None, session_id: UUID | None = None
) -> list[PhaseTime]:
    """Return what `queries.time_per_phase` must."""
    found: dict[tuple[str, str], tuple[set[Any], int]] = {}
    for versions in _histories(connection, project, session_id):
        for here, then in zip(versions, [*versions[1:], None], strict=True):
            if here.phase is None:
                continue
            if then is not None:
                end = then.at
            elif here.phase == "complete" or here.status in _OPEN_ENDED:
                end = here.at
            else:
                end = here.missing_since or now
            owners, total = found.setdefault((here.project, here.phase), (set(), 0))
            stood = end - here.at
            micros = (stood.days * 86_400 + stood.seconds) * 1_000_000 + stood.microseconds
            found[here.project, here.phase] = owners | {here.session_id}, total + micros
    rows = [(name, -total, phase, len(owners)) for (name, phase), (owners, total) in found.items()]
    return [
        PhaseTime(name, phase, count, -negative / 1_000_000) for name, negative, phase, count in sorted(rows)
    ]


def _histories(connection: Connection, project: str | None, session_id: UUID | None) -> list[list[Any]]:
    """Return the versions of each session, in order."""
    version, shown, owner = tables.session_versions.c, tables.sessions.c, tables.projects.c
    statement = (
        select(
            owner.slug.label("project"),
            version.session_id,
            version.phase,
            version.status,
            version.at,
            shown.missing_since,
        )
        .join(
            tables.sessions,
            (shown.project_id == version.project_id) & (shown.session_id == version.session_id),
        )
        .join(tables.projects, owner.project_id == version.project_id)
        .order_by(version.project_id, version.session_id, version.seq)
    )
    if project is not None:
        statement = statement.where(owner.slug == project)
    if session_id is not None:
        statement = statement.where(version.session_id == session_id)
    found: dict[Any, list[Any]] = {}
    for row in connection.execute(statement):
        found.setdefault((row.project, row.session_id), []).append(row)
    return list(found.values())
