"""What the mirror knows of the sessions that conversations worked on."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, and_, func, literal, or_, select

from sessionlib.db import bulk, tables
from sessionlib.db.execution_rows import ConversationLinkRow
from sessionlib.db.rows import LinkRow
from sessionlib.db.tables import commits, conversation_links, session_links, sessions
from sessionlib.db.types import encode_time

_CANDIDATES = 50


class Told(NamedTuple):
    """A link as a session's document says it; agent '' means the whole conversation."""

    agent: str
    at: datetime | None
    session_id: UUID


class Course(NamedTuple):
    """What a session says of its own course; `history` has ISO times by ``<phase>_started_at``."""

    session_id: UUID
    history: dict[str, str]
    phase: str | None
    checkpoint: int | None
    commits: list[tuple[datetime, int | None]]


def told_links(connection: Connection, project_id: UUID, client: str, native_id: str) -> list[Told]:
    """Return the links that documents of a project's sessions say of a conversation."""
    owner = {"project_id": project_id, "client": client}
    rows = bulk.rows_among(connection, session_links, owner, "native_id", [native_id])
    links = [LinkRow(*row) for row in rows]
    return [Told(link.agent_native_id, link.linked_at, link.session_id) for link in links]


def courses(connection: Connection, project_id: UUID, ids: Collection[UUID]) -> list[Course]:
    """Return the courses of some sessions."""
    if not ids:
        return []
    table = sessions.c
    mine = and_(table.project_id == project_id, table.session_id.in_(list(ids)))
    rows = connection.execute(
        select(table.session_id, table.phase_history, table.current_phase, table.current_checkpoint).where(
            mine
        )
    ).all()
    made: dict[UUID, list[tuple[datetime, int | None]]] = defaultdict(list)
    theirs = and_(commits.c.project_id == project_id, commits.c.session_id.in_(list(ids)))
    for session_id, at, checkpoint in connection.execute(
        select(commits.c.session_id, commits.c.created_at, commits.c.checkpoint).where(
            theirs, commits.c.created_at.is_not(None)
        )
    ):
        made[session_id].append((at, checkpoint))
    return [Course(row[0], row[1], row[2], row[3], made[row[0]]) for row in rows]


def session_of_slug(connection: Connection, project_id: UUID, name: str) -> UUID | None:
    """Return the session of this folder name, or ``root/name``, in a project; None if not just one fits."""
    table = sessions.c
    named = or_(table.slug == name, table.root + "/" + table.slug == name)
    found = connection.scalars(
        select(table.session_id).where(table.project_id == project_id, named).limit(2)
    ).all()
    return found[0] if len(found) == 1 else None


def active_sessions(
    connection: Connection, project_id: UUID, workspace_id: UUID, at: datetime, most: int
) -> list[UUID]:
    """Return the sessions of a workspace that were being worked on at a moment, at most so many."""
    table = sessions.c
    rows = connection.execute(
        select(table.session_id, table.effective_status, table.current_phase, table.phase_history)
        .where(
            table.project_id == project_id,
            table.workspace_id == workspace_id,
            table.missing_since.is_(None),
            or_(table.created_at.is_(None), table.created_at <= at),
            or_(
                and_(table.effective_status == "active", table.current_phase != "complete"),
                table.activity_at >= at,
            ),
        )
        # More than that are not one, whatever they say of themselves.
        .limit(_CANDIDATES)
    )
    found = [row[0] for row in rows if _is_open(row[1], row[2]) or _ended_at(row[3]) >= encode_time(at)]
    return found[:most]


def _is_open(status: str, phase: str | None) -> bool:
    return status == "active" and phase != "complete"


def _ended_at(history: dict[str, str]) -> str:
    """Return when a session that is over was, by its own word; to touch it later does not open it again."""
    return max((encode_time(datetime.fromisoformat(at)) for at in history.values()), default="")


def links_among(
    connection: Connection, project_id: UUID, conversation_ids: Collection[UUID]
) -> list[ConversationLinkRow]:
    """Return the stored links of some conversations, in order."""
    owner = {"project_id": project_id}
    rows = bulk.rows_among(connection, conversation_links, owner, "conversation_id", conversation_ids)
    return sorted(ConversationLinkRow(*row) for row in rows)


def put_links(connection: Connection, owner: tuple[UUID, UUID], rows: Sequence[ConversationLinkRow]) -> None:
    """Write a conversation's links; others that it had go."""
    bulk.upsert(connection, conversation_links, rows)
    bulk.prune(connection, conversation_links, [owner], [row[:4] for row in rows])


def conversations_touching(
    connection: Connection, project_id: UUID, session_ids: Collection[UUID]
) -> list[UUID]:
    """Return the conversations that worked on some sessions, or that their documents name."""
    if not session_ids:
        return []
    links, told, them = conversation_links.c, session_links.c, tables.conversations.c
    linked = select(links.conversation_id).where(
        links.project_id == project_id, links.session_id.in_(list(session_ids))
    )
    named = (
        select(them.conversation_id)
        .join(
            session_links,
            and_(
                told.project_id == them.project_id,
                told.client == them.client,
                told.native_id == them.native_id,
            ),
        )
        .where(told.project_id == project_id, told.session_id.in_(list(session_ids)))
    )
    return list(connection.scalars(linked.union(named)))


def conversations_near(
    connection: Connection, project_id: UUID, session_ids: Collection[UUID], most: int
) -> list[UUID]:
    """Return conversations in the workspaces of some sessions that may be inferred to work on them."""
    if not session_ids:
        return []
    them, theirs, links = tables.conversations.c, sessions.c, conversation_links.c
    places = connection.execute(
        select(theirs.workspace_id, func.min(theirs.created_at), func.count(theirs.created_at), func.count())
        .where(theirs.project_id == project_id, theirs.session_id.in_(list(session_ids)))
        .group_by(theirs.workspace_id)
    ).all()
    told = (
        select(literal(1))
        .where(
            links.project_id == them.project_id,
            links.conversation_id == them.conversation_id,
            links.source != "inferred",
        )
        .exists()
    )
    found: list[UUID] = []
    for workspace_id, earliest, dated, count in places:
        wanted = [them.project_id == project_id, them.workspace_id == workspace_id, ~told]
        if dated == count:
            wanted.append(them.last_activity_at >= earliest)
        found += connection.scalars(
            select(them.conversation_id).where(*wanted).order_by(them.started_at.desc()).limit(most)
        )
    return found
