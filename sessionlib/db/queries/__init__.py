"""The questions people ask across entities. Read-only, and the same answers on both databases."""

from typing import TYPE_CHECKING

from sessionlib.lazily import importer

if TYPE_CHECKING:
    from sessionlib.db.queries.agent_lists import AgentFilter, agents
    from sessionlib.db.queries.conversation_lists import ConversationFilter, conversations
    from sessionlib.db.queries.cost_sums import GROUPINGS, CostFilter, Costs, costs, unpriced
    from sessionlib.db.queries.health import Unreadable, freshness, unreadable
    from sessionlib.db.queries.history import PhaseTime, time_per_phase
    from sessionlib.db.queries.log_pages import LogFilter, Place, logs
    from sessionlib.db.queries.parts import CommitHit, DecisionHit, commit, decisions
    from sessionlib.db.queries.places import projects, workspaces
    from sessionlib.db.queries.scoping import Listing
    from sessionlib.db.queries.session_lists import (
        PhaseCount,
        SessionFilter,
        SessionPage,
        all_done_not_closed,
        count_sessions,
        page,
        phases,
        sessions,
        stuck,
    )
    from sessionlib.db.queries.timelines import timeline
    from sessionlib.db.queries.todo_lists import todos
    from sessionlib.db.queries.tool_sums import ToolFilter, tools

__all__ = [
    "GROUPINGS",
    "AgentFilter",
    "CommitHit",
    "ConversationFilter",
    "CostFilter",
    "Costs",
    "DecisionHit",
    "Listing",
    "LogFilter",
    "PhaseCount",
    "PhaseTime",
    "Place",
    "SessionFilter",
    "SessionPage",
    "ToolFilter",
    "Unreadable",
    "agents",
    "all_done_not_closed",
    "commit",
    "conversations",
    "costs",
    "count_sessions",
    "decisions",
    "freshness",
    "logs",
    "page",
    "phases",
    "projects",
    "sessions",
    "stuck",
    "time_per_phase",
    "timeline",
    "todos",
    "tools",
    "unpriced",
    "unreadable",
    "workspaces",
]

_HOMES = {
    "agent_lists": (
        "AgentFilter",
        "agents",
    ),
    "conversation_lists": (
        "ConversationFilter",
        "conversations",
    ),
    "cost_sums": (
        "GROUPINGS",
        "CostFilter",
        "Costs",
        "costs",
        "unpriced",
    ),
    "log_pages": (
        "LogFilter",
        "Place",
        "logs",
    ),
    "scoping": ("Listing",),
    "timelines": ("timeline",),
    "todo_lists": ("todos",),
    "tool_sums": (
        "ToolFilter",
        "tools",
    ),
    "health": ("Unreadable", "freshness", "unreadable"),
    "history": ("PhaseTime", "time_per_phase"),
    "parts": ("CommitHit", "DecisionHit", "commit", "decisions"),
    "places": ("projects", "workspaces"),
    "session_lists": (
        "PhaseCount",
        "SessionFilter",
        "SessionPage",
        "all_done_not_closed",
        "count_sessions",
        "page",
        "phases",
        "sessions",
        "stuck",
    ),
}
"""Which module each name comes from."""


if not TYPE_CHECKING:  # or every name that is not there would be one of type Any
    __getattr__ = importer(__name__, _HOMES)
