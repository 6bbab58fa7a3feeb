"""Lists of agents."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, select, union_all

from sessionlib.db import tables
from sessionlib.db.crud import conversations
from sessionlib.db.queries.base import P, S
from sessionlib.db.queries.scoping import Listing, scope, word
from sessionlib.models import AgentStatus, AgentSummary, Phase

A: Any = tables.agents.c
C: Any = tables.conversations.c

MAIN_TYPE = "main"
"""What a main agent is called where types of agents are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFilter:
    """Which agents are wanted; None leaves a filter out.

    Attributes:
        status: running, complete, failed or interrupted.
        phase: The present phase of the session that it worked on.
        project: A project's slug, alias or id.
        session: A session's slug, a part of one, declared id or id.
        agent_type: Its type; ``main`` for main agents.
        conversation: A conversation's native id, the beginning of one, or its id.
        since: Begun at this moment or later.
        limit: At most so many, the last begun first.
        offset: Skip so many first.
    """

    status: str | None = None
    phase: str | None = None
    project: str | None = None
    session: str | None = None
    agent_type: str | None = None
    conversation: str | None = None
    since: datetime | None = None
    limit: int = 50
    offset: int = 0


def agents(connection: Connection, wanted: AgentFilter) -> Listing:
    """Return the wanted agents as `AgentSummary`, the last begun first, those of unknown beginning last.

    Raises:
        RecordNotFoundError: There is no such project, session or conversation.
        UsageError: Several sessions or conversations fit.
    """
    found = scope(connection, wanted.project, wanted.session)
    conditions = [*found.of(A.project_id, A.session_id), *_conditions(wanted)]
    if wanted.conversation is not None:
        one = conversations.find(connection, wanted.conversation, project_id=found.project_id)
        conditions += [A.project_id == one.project_id, A.conversation_id == one.conversation_id]
    statement = _summaries(conditions, wanted)
    rows = [AgentSummary.model_validate(row) for row in connection.execute(statement)]
    return Listing.cut(rows, wanted.limit)


def _conditions(wanted: AgentFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        conditions.append(A.status == word(wanted.status, AgentStatus))
    if wanted.agent_type == MAIN_TYPE:
        conditions.append(A.kind == "main")
    elif wanted.agent_type is not None:
        conditions.append(A.agent_type == wanted.agent_type)
    if wanted.since is not None:
        conditions.append(A.started_at >= wanted.since)
    return conditions


def _summaries(conditions: list[ColumnElement[bool]], wanted: AgentFilter) -> Select[Any]:
    """Return the statement: the agents are chosen first, and what a line shows is looked up for them only."""
    chosen = _chosen(conditions, wanted)
    parent = tables.agents.alias("parent")
    shown = {
        "project_slug": P.slug,
        "conversation": C.native_id,
        "parent_type": case((parent.c.kind == "main", MAIN_TYPE), else_=parent.c.agent_type),
        "session": S.slug,
        "phase": S.current_phase,
    }
    columns = [shown[name].label(name) if name in shown else A[name] for name in AgentSummary.model_fields]
    return (
        select(*columns)
        .select_from(chosen)
        .join(tables.agents, and_(A.project_id == chosen.c.project_id, A.agent_id == chosen.c.agent_id))
        .join(tables.projects, P.project_id == A.project_id)
        .join(
            tables.conversations, and_(C.project_id == A.project_id, C.conversation_id == A.conversation_id)
        )
        .outerjoin(tables.sessions, and_(S.project_id == A.project_id, S.session_id == A.session_id))
        .outerjoin(parent, and_(parent.c.project_id == A.project_id, parent.c.agent_id == A.parent_agent_id))
        .order_by(chosen.c.started_at.is_(None), chosen.c.started_at.desc(), chosen.c.agent_id)
    )


def _chosen(conditions: list[ColumnElement[bool]], wanted: AgentFilter) -> Any:
    """Return the ids of the wanted agents.

    Two questions: no index has those without a beginning at the same end on both databases.
    """
    most = wanted.offset + wanted.limit + 1
    ids = select(A.project_id, A.agent_id, A.started_at).where(*conditions)
    if wanted.phase is not None:
        # By the session's id alone, which no other project has: with the project beside it PostgreSQL expects
        # hardly a row, and reads all agents of all sessions in that phase to sort them.
        in_phase = S.current_phase == word(wanted.phase, Phase)
        ids = ids.join(tables.sessions, S.session_id == A.session_id).where(in_phase)
    timed = ids.where(A.started_at.is_not(None)).order_by(A.started_at.desc(), A.agent_id).limit(most)
    timeless = ids.where(A.started_at.is_(None)).order_by(A.agent_id).limit(most)
    parts = [select(timed.subquery("timed")), select(timeless.subquery("timeless"))]
    both = union_all(*parts[: 1 if wanted.since else 2]).subquery("both")
    return (
        select(both)
        .order_by(both.c.started_at.is_(None), both.c.started_at.desc(), both.c.agent_id)
        .limit(wanted.limit + 1)
        .offset(wanted.offset)
        .subquery("chosen")
    )
