"""Parts of sessions, found across all of them: commits and decisions."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, and_, or_, select

from sessionlib.db import tables
from sessionlib.db.matching import given, holds
from sessionlib.db.queries.base import LIVE, P, S, of_project

_FEW = 500
"""Where more decisions hold a text, those of the newest sessions are soon found in their order."""

_ALL = 1_000_000
"""More commits than one question can mean."""


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


def commit(connection: Connection, sha: str, limit: int = 50, project: str | None = None) -> list[CommitHit]:
    """Return the sessions that recorded a commit, the newest first and undated ones last.

    `sha` is a whole hash or a prefix of one, in any case; a recorded short hash matches a longer question.
    """
    table = tables.commits.c
    wanted = sha.strip().lower()
    if not wanted:
        return []
    prefixes = [wanted[:length] for length in range(7, min(len(wanted), 64))]
    # A range, not LIKE: it uses the index on both databases. The limit that no archive reaches keeps the
    # planner from beginning with the sessions, or the projects, instead.
    hits = (
        select(tables.commits)
        .where(
            or_(and_(table.sha >= wanted, table.sha < wanted + "g"), table.sha.in_(prefixes)),
        )
        .limit(_ALL)
    ).subquery("hits")
    hit = hits.c
    statement = (
        select(
            hit.sha,
            hit.message,
            hit.checkpoint,
            hit.created_at,
            P.slug,
            S.slug,
            S.current_phase,
            S.session_id,
        )
        .join(tables.sessions, and_(S.project_id == hit.project_id, S.session_id == hit.session_id))
        .join(tables.projects, P.project_id == S.project_id)
        .where(*of_project(hit.project_id, project))
        .order_by(hit.created_at.is_(None), hit.created_at.desc(), P.slug, S.root, S.slug, hit.position)
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
    if text and (few := _few_decisions(connection, text, project)) is not None:
        return few[:limit]
    table = tables.decisions.c
    wanted = [LIVE, *of_project(S.project_id, project)]
    if text:
        wanted.append(or_(holds(table.title, text), holds(table.rationale, text)))
    # Without the projects, so that the planner takes the sessions in their order and stops at the limit.
    hits = (
        select(
            table.title,
            table.rationale,
            table.decided_at,
            table.position,
            S.project_id,
            S.slug,
            S.session_id,
            S.content_changed_at,
        )
        .join(
            tables.sessions,
            and_(table.project_id == given(S.project_id), table.session_id == given(S.session_id)),
        )
        .where(*wanted)
        .order_by(S.content_changed_at.desc(), S.session_id, table.position)
        .limit(limit)
    ).subquery("hits")
    hit = hits.c
    statement = (
        select(hit.title, hit.rationale, hit.decided_at, P.slug, hit.slug, hit.session_id)
        .join(tables.projects, P.project_id == hit.project_id)
        .order_by(hit.content_changed_at.desc(), hit.session_id, hit.position)
    )
    return [DecisionHit(*row) for row in connection.execute(statement)]


def _few_decisions(connection: Connection, text: str, project: str | None) -> list[DecisionHit] | None:
    """Return the decisions that hold a text, where they are few; None where many do.

    All are read once, as they lie. In the order of their sessions, an index would have to lead to each.
    """
    table = tables.decisions.c
    either = or_(holds(table.title, text, in_all=True), holds(table.rationale, text, in_all=True))
    hits = (
        select(tables.decisions)
        .where(either, *of_project(table.project_id, project))
        .limit(_FEW + 1)
        .subquery("hits")
    )
    hit = hits.c
    statement = (
        select(hit.title, hit.rationale, hit.decided_at, P.slug, S.slug, S.session_id, S.missing_since)
        .join(tables.sessions, and_(S.project_id == hit.project_id, S.session_id == hit.session_id))
        .join(tables.projects, P.project_id == hit.project_id)
        .order_by(S.content_changed_at.desc(), given(S.session_id), hit.position)
    )
    rows = connection.execute(statement).all()
    if len(rows) > _FEW:
        return None
    return [DecisionHit(*row[:-1]) for row in rows if row.missing_since is None]
