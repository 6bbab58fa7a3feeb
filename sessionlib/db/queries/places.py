"""Projects and workspaces, with what lies in them."""

from sqlalchemy import Connection, and_, func, select

from sessionlib.db import tables
from sessionlib.db.queries.base import LIVE, OPEN, P, S, count_of, of_project
from sessionlib.models import ProjectSummary, WorkspaceSummary


def projects(connection: Connection) -> list[ProjectSummary]:
    """Return all projects with what their sessions add up to, the last active first."""
    rolled = (
        select(
            S.project_id,
            func.count().label("sessions"),
            count_of(OPEN).label("active"),
            count_of(S.current_phase == "build").label("in_build"),
            count_of(S.effective_status == "complete").label("complete"),
            func.sum(S.checkpoints_completed).label("checkpoints_completed"),
            func.sum(func.coalesce(S.checkpoints_total, 0)).label("checkpoints_total"),
            func.max(S.content_changed_at).label("last_activity_at"),
        )
        .where(LIVE)
        .group_by(S.project_id)
        .subquery()
    )
    places = (
        select(tables.workspaces.c.project_id, func.count().label("workspaces"))
        .where(tables.workspaces.c.missing_since.is_(None))
        .group_by(tables.workspaces.c.project_id)
        .subquery()
    )
    names = ("sessions", "active", "in_build", "complete", "checkpoints_completed", "checkpoints_total")
    statement = (
        select(
            P.project_id,
            P.slug,
            P.name,
            P.status,
            func.coalesce(places.c.workspaces, 0).label("workspaces"),
            *(func.coalesce(rolled.c[name], 0).label(name) for name in names),
            rolled.c.last_activity_at,
        )
        .outerjoin(rolled, rolled.c.project_id == P.project_id)
        .outerjoin(places, places.c.project_id == P.project_id)
        .order_by(rolled.c.last_activity_at.is_(None), rolled.c.last_activity_at.desc(), P.slug)
    )
    return [ProjectSummary.model_validate(row) for row in connection.execute(statement)]


def workspaces(connection: Connection, project: str | None = None) -> list[WorkspaceSummary]:
    """Return all workspaces, or a project's, with how many copies are in them and how many are unreadable."""
    files = tables.session_files.c
    counted = (
        select(
            files.project_id,
            files.workspace_id,
            func.count().label("session_files"),
            count_of(files.error.is_not(None)).label("errors"),
        )
        .where(files.missing_since.is_(None), *of_project(files.project_id, project))
        .group_by(files.project_id, files.workspace_id)
        .subquery()
    )
    place = tables.workspaces.c
    statement = (
        select(
            place.workspace_id,
            P.slug.label("project_slug"),
            tables.hosts.c.name.label("host_name"),
            place.path,
            func.coalesce(counted.c.session_files, 0).label("session_files"),
            func.coalesce(counted.c.errors, 0).label("errors"),
            place.missing_since,
            place.reconciled_at,
        )
        .join(tables.projects, P.project_id == place.project_id)
        .join(tables.hosts, tables.hosts.c.host_id == place.host_id)
        .outerjoin(
            counted,
            and_(counted.c.project_id == place.project_id, counted.c.workspace_id == place.workspace_id),
        )
        .where(*of_project(place.project_id, project))
        .order_by(P.slug, place.path)
    )
    return [WorkspaceSummary.model_validate(row) for row in connection.execute(statement)]
