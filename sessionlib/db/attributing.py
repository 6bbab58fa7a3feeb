"""What the mirror knows of the sessions that conversations worked on, and usage added up."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, and_, case, delete, func, literal, or_, select, text

from sessionlib.db import bulk, tables
from sessionlib.db.execution_rows import ConversationLinkRow, UsageRow, UsageTotalRow
from sessionlib.db.rows import LinkRow
from sessionlib.db.tables import commits, conversation_links, session_links, sessions, usage_records
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


def usage_of(connection: Connection, project_id: UUID, conversation_id: UUID) -> list[UsageRow]:
    """Return all usage records of a conversation."""
    rows = bulk.rows_among(
        connection, usage_records, {"project_id": project_id}, "conversation_id", [conversation_id]
    )
    return [UsageRow(*row) for row in rows]


def usage_by(
    connection: Connection, project_id: UUID, column: str, values: Mapping[str, Collection[str]]
) -> list[UsageRow]:
    """Return usage records whose `column` is one of some values, by client."""
    found: list[UsageRow] = []
    for client, some in values.items():
        owner = {"project_id": project_id, "client": client}
        found += [
            UsageRow(*row) for row in bulk.rows_among(connection, usage_records, owner, column, list(some))
        ]
    return found


def drop_usage(connection: Connection, project_id: UUID, keys: Collection[tuple[str, str]]) -> None:
    """Delete usage records, by client and message."""
    table = usage_records.c
    for client, message_id in keys:
        connection.execute(
            delete(usage_records).where(
                table.project_id == project_id, table.client == client, table.message_id == message_id
            )
        )


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


# --- totals ------------------------------------------------------------------------------------------

_NUMBERS = (
    "messages",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "unpriced",
    "cost_usd",
)


def add_up(connection: Connection, project_id: UUID, agent_ids: Collection[UUID]) -> list[UsageTotalRow]:
    """Return the usage records of some agents, added up."""
    if not agent_ids:
        return []
    table = usage_records.c
    is_postgres = connection.dialect.name == "postgresql"
    day: Any = (
        func.to_char(table.at.op("AT TIME ZONE")(text("'UTC'")), "YYYY-MM-DD")
        if is_postgres
        else func.substr(table.at, 1, 10)
    )
    key = [
        table.agent_id,
        day.label("day"),
        table.model,
        table.session_id,
        func.coalesce(table.phase, "").label("phase"),
        func.coalesce(table.checkpoint_number, 0).label("checkpoint_number"),
        table.conversation_id,
    ]
    rows = connection.execute(
        select(
            *key,
            func.count(),
            func.sum(table.input_tokens),
            func.sum(table.output_tokens),
            func.sum(table.cache_read_tokens),
            func.sum(table.cache_write_5m_tokens + table.cache_write_1h_tokens),
            func.sum(case((table.cost_usd.is_(None), 1), else_=0)),
            func.sum(table.cost_usd),
        )
        .where(table.project_id == project_id, table.agent_id.in_(list(agent_ids)))
        .group_by(*(column.element if hasattr(column, "element") else column for column in key))
    )
    return [
        UsageTotalRow(
            project_id=project_id,
            agent_id=row[0],
            source="messages",
            day=row[1],
            model=row[2],
            session_key="" if row[3] is None else str(row[3]),
            phase=row[4],
            checkpoint_number=row[5],
            conversation_id=row[6],
            messages=row[7],
            # Sums of PostgreSQL are no integers.
            input_tokens=int(row[8]),
            output_tokens=int(row[9]),
            cache_read_tokens=int(row[10]),
            cache_write_tokens=int(row[11]),
            unpriced=int(row[12]),
            cost_usd=row[13],
        )
        for row in rows
    ]


def put_totals(
    connection: Connection,
    project_id: UUID,
    agent_ids: Iterable[UUID],
    rows: Sequence[UsageTotalRow],
    source: str,
) -> None:
    """Write the totals of some agents from one source; others that they had go."""
    bulk.upsert(connection, tables.usage_totals, rows)
    owners = [(project_id, agent_id, source) for agent_id in agent_ids]
    bulk.prune(connection, tables.usage_totals, owners, [row[:8] for row in rows])


def totals_among(
    connection: Connection, project_id: UUID, agent_ids: Collection[UUID]
) -> list[UsageTotalRow]:
    """Return the totals of some agents from usage records."""
    owner = {"project_id": project_id, "source": "messages"}
    rows = bulk.rows_among(connection, tables.usage_totals, owner, "agent_id", agent_ids)
    return [UsageTotalRow(*row) for row in rows]


def totals_of(connection: Connection, project_id: UUID, conversation_id: UUID) -> list[UsageTotalRow]:
    """Return the totals of a conversation."""
    rows = bulk.rows_among(
        connection,
        tables.usage_totals,
        {"project_id": project_id},
        "conversation_id",
        [conversation_id],
    )
    return [UsageTotalRow(*row) for row in rows]
