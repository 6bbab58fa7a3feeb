"""The tables, by noun. Only `sessionlib.db` may import them (a contract in CI)."""

from sessionlib.db.tables.base import metadata
from sessionlib.db.tables.files import documents, session_files, session_inputs
from sessionlib.db.tables.findings import findings
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
    "checkpoints",
    "commits",
    "decisions",
    "doc_updates",
    "documents",
    "findings",
    "hosts",
    "identities",
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
    "workspace_roots",
    "workspaces",
]
