"""What the questions share: short names for columns, and which sessions count."""

from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select

from sessionlib.db import tables

S: Any = tables.sessions.c
P: Any = tables.projects.c

LIVE: ColumnElement[bool] = S.missing_since.is_(None)
"""Its files are there."""

OPEN: ColumnElement[bool] = and_(LIVE, S.effective_status.not_in(["complete", "failed"]))
"""Its files are there, and somebody may still work on it."""


def count_of(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Return how many rows of a group meet a condition."""
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def of_project(project_id: Any, slug: str | None) -> list[ColumnElement[bool]]:
    """Return the condition that a column names the project with this slug; none for None.

    A sub-select, not a join: the planner then begins with the rows that are wanted, never with the projects.
    """
    if slug is None:
        return []
    return [project_id == select(P.project_id).where(P.slug == slug).scalar_subquery()]
