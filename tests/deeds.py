"""What agents did, as rows: builders with sensible defaults, beside the sessions of `worlds`."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import bulk, tables
from sessionlib.db.execution_rows import (
    AgentLogRow,
    AgentRow,
    ClientCostRow,
    ConversationLinkRow,
    ConversationRow,
    TodoRow,
    ToolCallRow,
    UsageRow,
    UsageTotalRow,
)
from sessionlib.db.rows import SessionRow
from sessionlib.models import derived_id
from sessionlib.models.identity import FALLBACK_IDENTITY_ID
from tests.worlds import T0, Place, hours

CLIENT = "claude-code"


def conversation(place: Place, native_id: str = "talk", **changed: Any) -> ConversationRow:
    """Return a conversation's row: active, an hour long so far, linked to nothing."""
    return ConversationRow(
        project_id=place.project_id,
        conversation_id=derived_id("conversation", CLIENT, native_id),
        client=CLIENT,
        native_id=native_id,
        host_id=place.host_id,
        workspace_id=place.workspace_id,
        project_source="path",
        identity_id=FALLBACK_IDENTITY_ID,
        identity_source="fallback",
        status="active",
        started_at=T0,
        last_activity_at=hours(1),
        ended_at=None,
        end_reason=None,
        end_estimated=False,
        is_child=False,
        forked_from=None,
        title=None,
        cwd="/home/ann/garden",
        transcript_path=None,
        client_version="2.1.330",
        entrypoint="cli",
        model="model-a",
        git_branch="main",
        pid=None,
        attribution="",
        observed="{}",
    )._replace(**changed)


def ended(row: ConversationRow, after: float = 2, **changed: Any) -> ConversationRow:
    """Return a conversation that ended so many hours after `T0`."""
    end = hours(after)
    return row._replace(status="ended", ended_at=end, last_activity_at=end, end_reason="other")._replace(
        **changed
    )


def agent(row: ConversationRow, native_id: str = "", **changed: Any) -> AgentRow:
    """Return an agent's row: the main one without a native id, else spawned by it; complete."""
    main = derived_id("agent", row.conversation_id, "")
    return AgentRow(
        project_id=row.project_id,
        agent_id=derived_id("agent", row.conversation_id, native_id),
        conversation_id=row.conversation_id,
        native_id=native_id,
        kind="spawned" if native_id else "main",
        parent_agent_id=main if native_id else None,
        parent_source="meta" if native_id else "none",
        spawned_by=None,
        agent_type="Explore" if native_id else None,
        name=None,
        model="model-a",
        status="complete",
        error=None,
        task=f"task of {native_id}" if native_id else None,
        session_id=None,
        checkpoint_number=None,
        messages=0,
        input_tokens=0,
        output_tokens=0,
        cache_read_tokens=0,
        cache_write_tokens=0,
        unpriced=0,
        cost_usd=None,
        started_at=row.started_at,
        last_activity_at=row.last_activity_at,
        ended_at=row.last_activity_at,
        end_estimated=False,
        observed="{}",
    )._replace(**changed)


def link(row: ConversationRow, session: SessionRow, at: float = 0, **changed: Any) -> ConversationLinkRow:
    """Return a link: the conversation works on a session from so many hours after `T0` on."""
    return ConversationLinkRow(
        row.project_id, row.conversation_id, "", hours(at), None, session.session_id, "link"
    )._replace(**changed)


def total(row: AgentRow, cost: str | None = "1.5", **changed: Any) -> UsageTotalRow:
    """Return a total of an agent: ten responses of 1,000 tokens in and 100 out on the day of `T0`."""
    return UsageTotalRow(
        project_id=row.project_id,
        agent_id=row.agent_id,
        source="messages",
        day="2026-01-05",
        model="model-a",
        session_key="" if row.session_id is None else str(row.session_id),
        phase="",
        checkpoint_number=row.checkpoint_number or 0,
        conversation_id=row.conversation_id,
        messages=10,
        input_tokens=1000,
        output_tokens=100,
        cache_read_tokens=50,
        cache_write_tokens=5,
        unpriced=10 if cost is None else 0,
        cost_usd=None if cost is None else Decimal(cost),
    )._replace(**changed)


def call(row: AgentRow, name: str, tool: str = "Bash", **changed: Any) -> ToolCallRow:
    """Return a call of a tool: ok, after 10 ms."""
    return ToolCallRow(
        project_id=row.project_id,
        conversation_id=row.conversation_id,
        tool_use_id=name,
        agent_id=row.agent_id,
        tool_name=tool,
        server=None,
        outcome="ok",
        error=None,
        called_at=T0,
        ended_at=T0,
        duration_ms=10,
        input_size=20,
        output_size=30,
        name_weight=1,
        weight=1,
    )._replace(**changed)


def log(row: AgentRow, key: str, at: float, **changed: Any) -> AgentLogRow:
    """Return an event of an agent, so many hours after `T0`."""
    return AgentLogRow(
        project_id=row.project_id,
        conversation_id=row.conversation_id,
        event_key=key,
        agent_id=row.agent_id,
        category="hook",
        event_type="PreToolUse",
        detail="Bash",
        tool_use_id=None,
        at=hours(at),
        size=7,
        digest=None,
        body=None,
    )._replace(**changed)


def todo(row: ConversationRow, key: str, status: str | None, at: float = 0, **changed: Any) -> TodoRow:
    """Return an item of an agent's list, last changed so many hours after `T0`."""
    return TodoRow(
        row.project_id, row.conversation_id, key, f"do {key}", None, status, T0, hours(at), "{}"
    )._replace(**changed)


class Deeds(NamedTuple):
    """Rows of the execution tables, in the order in which they can be written."""

    conversations: Sequence[ConversationRow] = ()
    links: Sequence[ConversationLinkRow] = ()
    agents: Sequence[AgentRow] = ()
    todos: Sequence[TodoRow] = ()
    logs: Sequence[AgentLogRow] = ()
    calls: Sequence[ToolCallRow] = ()
    totals: Sequence[UsageTotalRow] = ()


_TABLES = (
    tables.conversations,
    tables.conversation_links,
    tables.agents,
    tables.todos,
    tables.agent_logs,
    tables.tool_calls,
    tables.usage_totals,
)


def write(connection: Connection, deeds: Deeds) -> None:
    """Write rows."""
    for table, rows in zip(_TABLES, deeds, strict=True):
        bulk.insert_new(connection, table, list(rows))


def identity(connection: Connection, name: str) -> UUID:
    """Register an identity and return its id."""
    identity_id = derived_id("identity", name)
    bulk.insert_new(connection, tables.identities, [(identity_id, name, None, None, "active", T0, T0)])
    return identity_id


def write_one_of_everything(connection: Connection, place: Place, session: SessionRow) -> None:
    """Write a row into every execution table."""
    talk = conversation(place, session.slug)
    main = agent(talk)
    helper = agent(talk, "helper", kind="spawned", parent_agent_id=main.agent_id, parent_source="assumed")
    write(
        connection,
        Deeds(
            conversations=[talk],
            links=[link(talk, session)],
            agents=[main, helper],
            todos=[todo(talk, "one", "pending")],
            logs=[log(main, "one", 0)],
            calls=[call(main, "one")],
            totals=[total(main)],
        ),
    )
    cost = ClientCostRow(*talk[:2], "model-a", T0, Decimal(1), 1, 2, 3, 4)
    bulk.insert_new(connection, tables.client_costs, [cost])
    bulk.insert_new(connection, tables.usage_records, [usage(main, f"message of {session.slug}")])
    cursor = (place.host_id, "/a/transcript", CLIENT, 1, 2, 3, "", 4, 5, "{}", None, T0)
    bulk.insert_new(connection, tables.journal_cursors, [cursor])


def usage(row: AgentRow, message_id: str, **changed: Any) -> UsageRow:
    """Return a usage record: a token of each kind, a dollar."""
    return UsageRow(
        project_id=row.project_id,
        client=CLIENT,
        message_id=message_id,
        conversation_id=row.conversation_id,
        agent_id=row.agent_id,
        at=T0,
        model="model-a",
        request_id=None,
        input_tokens=1,
        output_tokens=1,
        cache_read_tokens=1,
        cache_write_5m_tokens=1,
        cache_write_1h_tokens=1,
        web_searches=1,
        is_final=True,
        cost_usd=Decimal(1),
        cost_source="table",
        price_version="1",
        session_id=row.session_id,
        phase=None,
        checkpoint_number=None,
    )._replace(**changed)
