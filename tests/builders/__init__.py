"""Session folders, projects and repositories for tests: sensible defaults, override what the test is about.

The documents have the shapes of the generations seen in the wild, their words are made up. `GENERATIONS`
names all fifteen: fourteen session documents and one research run.
"""

from collections.abc import Callable

from tests.builders.first import (
    plan_state,
    v1_0,
    v1_0_bare,
    v1_1,
    v1_2_contradicting,
    v1_2_finished,
    v1_2_undated,
    v1_3,
    v1_3_research,
    v1_4,
    v1_4_unsteady,
    v1_phases,
)
from tests.builders.folders import (
    make_git_dir,
    make_git_repo,
    make_project,
    make_session,
    make_worktree,
    write_json,
)
from tests.builders.parts import (
    T0,
    Document,
    at,
    make_commits,
    make_decisions,
    plan,
    plan_tranches,
    research_run,
    time_of,
)
from tests.builders.second import hybrid, hybrid_21_keys, v2, v2_building, v2_granularity

__all__ = [
    "GENERATIONS",
    "SESSIONS",
    "T0",
    "Document",
    "at",
    "hybrid",
    "hybrid_21_keys",
    "make_commits",
    "make_decisions",
    "make_git_dir",
    "make_git_repo",
    "make_project",
    "make_session",
    "make_worktree",
    "plan",
    "plan_state",
    "plan_tranches",
    "research_run",
    "time_of",
    "v1_0",
    "v1_0_bare",
    "v1_1",
    "v1_2_contradicting",
    "v1_2_finished",
    "v1_2_undated",
    "v1_3",
    "v1_3_research",
    "v1_4",
    "v1_4_unsteady",
    "v1_phases",
    "v2",
    "v2_building",
    "v2_granularity",
    "write_json",
]

SESSIONS: dict[str, Callable[..., Document]] = {
    "v1.0": v1_0,
    "v1.0-bare": v1_0_bare,
    "v1.1": v1_1,
    "v1.2-undated": v1_2_undated,
    "v1.2-contradicting": v1_2_contradicting,
    "v1.2-finished": v1_2_finished,
    "v1.3": v1_3,
    "v1.3-research": v1_3_research,
    "v1.4": v1_4,
    "v1.4-unsteady": v1_4_unsteady,
    "v2": v2,
    "v2-granularity": v2_granularity,
    "v2-hybrid": hybrid,
    "v2-hybrid-21": hybrid_21_keys,
}
"""The fourteen shapes of a session's document, by generation."""

GENERATIONS: dict[str, Callable[..., Document]] = {**SESSIONS, "research-run": research_run}
"""All fifteen shapes of a ``state.json``."""
