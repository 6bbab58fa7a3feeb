"""Findings: what an operator should know, open until resolved."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, select, update

from sessionlib.db import bulk
from sessionlib.db.tables import findings
from sessionlib.models import derived_id, utc_now


class Finding(NamedTuple):
    """One open finding: `kind` is a stable word, `subject` what it is about, `message` a sentence."""

    kind: str
    subject: str
    message: str


def open_finding(
    connection: Connection, project_id: UUID, workspace_id: UUID | None, finding: Finding
) -> None:
    """Record a finding, or that it was seen again."""
    now = utc_now()
    finding_id = derived_id("finding", project_id, workspace_id, finding.kind, finding.subject)
    bulk.upsert(
        connection,
        findings,
        [(project_id, finding_id, workspace_id, *finding, now, now, None)],
        keep=frozenset({"first_seen_at"}),
    )


def resolve(
    connection: Connection, project_id: UUID, workspace_id: UUID | None, kind: str, subject: str
) -> None:
    """Close the open finding of a kind about a subject."""
    table = findings.c
    connection.execute(
        update(findings)
        .where(
            table.project_id == project_id,
            table.workspace_id == workspace_id,
            table.kind == kind,
            table.subject == subject,
            table.resolved_at.is_(None),
        )
        .values(resolved_at=utc_now())
    )


def listed(connection: Connection) -> list[Finding]:
    """Return the open findings."""
    table = findings.c
    rows = connection.execute(
        select(table.kind, table.subject, table.message)
        .where(table.resolved_at.is_(None))
        .order_by(table.kind, table.subject)
    )
    return [Finding(*row) for row in rows]


def subjects_of(connection: Connection, kind: str) -> set[tuple[UUID | None, str]]:
    """Return what the open findings of a kind are about: (workspace, subject)."""
    table = findings.c
    rows = connection.execute(
        select(table.workspace_id, table.subject).where(table.kind == kind, table.resolved_at.is_(None))
    )
    return {(row[0], row[1]) for row in rows}
