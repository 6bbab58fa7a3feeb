"""The questions people ask across entities. Read-only, and the same answers on both databases."""

from typing import TYPE_CHECKING

from sessionlib.lazily import importer

if TYPE_CHECKING:
    from sessionlib.db.queries.health import Unreadable, freshness, unreadable
    from sessionlib.db.queries.history import PhaseTime, time_per_phase
    from sessionlib.db.queries.parts import CommitHit, DecisionHit, commit, decisions
    from sessionlib.db.queries.places import projects, workspaces
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

__all__ = [
    "CommitHit",
    "DecisionHit",
    "PhaseCount",
    "PhaseTime",
    "SessionFilter",
    "SessionPage",
    "Unreadable",
    "all_done_not_closed",
    "commit",
    "count_sessions",
    "decisions",
    "freshness",
    "page",
    "phases",
    "projects",
    "sessions",
    "stuck",
    "time_per_phase",
    "unreadable",
    "workspaces",
]

_HOMES = {
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
