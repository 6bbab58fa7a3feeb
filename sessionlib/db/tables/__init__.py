"""The tables, by noun. Only `sessionlib.db` may import them (a contract in CI)."""

from sessionlib.db.tables.base import metadata
from sessionlib.db.tables.execution import agents, client_costs, conversation_links, conversations, todos
from sessionlib.db.tables.files import documents, session_files, session_inputs
from sessionlib.db.tables.findings import findings
from sessionlib.db.tables.journals import (
    agent_logs,
    journal_cursors,
    tool_calls,
    usage_records,
    usage_totals,
)
from sessionlib.db.tables.registry import (
    hosts,
    identities,
    project_aliases,
    projects,
    workspace_roots,
    workspaces,
)
from sessionlib.db.tables.sessions import (
    checkpoints,
    commits,
    decisions,
    doc_updates,
    research_runs,
    session_links,
    session_phases,
    session_versions,
    sessions,
)

__all__ = [
    "agent_logs",
    "agents",
    "checkpoints",
    "client_costs",
    "commits",
    "conversation_links",
    "conversations",
    "decisions",
    "doc_updates",
    "documents",
    "findings",
    "hosts",
    "identities",
    "journal_cursors",
    "metadata",
    "project_aliases",
    "projects",
    "research_runs",
    "session_files",
    "session_inputs",
    "session_links",
    "session_phases",
    "session_versions",
    "sessions",
    "todos",
    "tool_calls",
    "usage_records",
    "usage_totals",
    "workspace_roots",
    "workspaces",
]
