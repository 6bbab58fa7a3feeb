"""Parts of sessions, found across all of them: commits and decisions."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, and_, or_, select

from sessionlib.db import tables
from sessionlib.db.queries.base import LIVE, P, S


class CommitHit(NamedTuple):
    """A commit and the session and checkpoint it was made in."""

    sha: str
    message: str | None
    checkpoint: int | None
    committed_at: datetime | None
    project: str
    session: str
    phase: str | None
    session_id: UUID


def commit(connection: Connection, sha: str, limit: int = 50) -> list[CommitHit]:
    """Return the sessions that recorded a commit, the newest first and undated ones last.

    `sha` is a whole hash or a prefix of one, in any case; a recorded short hash matches a longer question.
    """
    table = tables.commits.c
    wanted = sha.strip().lower()
    if not wanted:
        return []
    prefixes = [wanted[:length] for length in range(7, min(len(wanted), 64))]
    # A range, not LIKE: it uses the index on both databases.
    statement = (
        select(
            table.sha,
            table.message,
            table.checkpoint,
            table.created_at,
            P.slug,
            S.slug,
            S.current_phase,
            S.session_id,
        )
        .join(tables.sessions, and_(S.project_id == table.project_id, S.session_id == table.session_id))
        .join(tables.projects, P.project_id == S.project_id)
        .where(or_(and_(table.sha >= wanted, table.sha < wanted + "g"), table.sha.in_(prefixes)))
        .order_by(table.created_at.is_(None), table.created_at.desc(), P.slug, S.root, S.slug, table.position)
        .limit(limit)
    )
    return [CommitHit(*row) for row in connection.execute(statement)]


class DecisionHit(NamedTuple):
    """A decision and the session it was taken in."""

    title: str
    rationale: str | None
    decided_at: datetime | None
    project: str
    session: str
    session_id: UUID


def decisions(
    connection: Connection, text: str | None = None, project: str | None = None, limit: int = 50
) -> list[DecisionHit]:
    """Return decisions whose title or rationale holds the text, the newest session first."""
    table = tables.decisions.c
    statement = (
        select(table.title, table.rationale, table.decided_at, P.slug, S.slug, S.session_id)
        .join(tables.sessions, and_(S.project_id == table.project_id, S.session_id == table.session_id))
        .join(tables.projects, P.project_id == S.project_id)
        .where(LIVE)
        .order_by(S.content_changed_at.desc(), S.session_id, table.position)
        .limit(limit)
    )
    if text:
        statement = statement.where(
            or_(
                table.title.icontains(text, autoescape=True), table.rationale.icontains(text, autoescape=True)
            )
        )
    if project:
        statement = statement.where(P.slug == project)
    return [DecisionHit(*row) for row in connection.execute(statement)]
