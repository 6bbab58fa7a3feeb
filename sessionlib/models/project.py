"""Projects: a piece of work with a name, and one or more workspaces."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from sessionlib.models.base import Model, UtcDatetime


class ProjectStatus(StrEnum):
    """Whether anybody works on a project."""

    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class ProjectCreate(Model):
    """What is needed to register a project; the id is minted from `minted_from`, its first key."""

    slug: str = Field(min_length=1, max_length=200)
    name: str = Field(min_length=1)
    minted_from: str = Field(min_length=1)
    status: ProjectStatus = ProjectStatus.ACTIVE
    phase: str | None = None
    description: str | None = None
    default_identity_id: UUID | None = None


class ProjectUpdate(Model):
    """A change; only the fields that were set are written, and None writes NULL."""

    slug: str = Field(default="", min_length=1, max_length=200)
    name: str = Field(default="", min_length=1)
    status: ProjectStatus = ProjectStatus.ACTIVE
    phase: str | None = None
    description: str | None = None
    default_identity_id: UUID | None = None


class Project(Model):
    """A registered project."""

    project_id: UUID
    slug: str
    name: str
    status: ProjectStatus
    phase: str | None
    description: str | None
    default_identity_id: UUID | None
    minted_from: str
    created_at: UtcDatetime
    updated_at: UtcDatetime


class ProjectSummary(Model):
    """A project with what its sessions add up to."""

    project_id: UUID
    slug: str
    name: str
    status: str
    workspaces: int
    sessions: int
    active: int
    in_build: int
    complete: int
    checkpoints_completed: int
    checkpoints_total: int
    last_activity_at: UtcDatetime | None


class ProjectAlias(Model):
    """One key by which a project is known: ``path:…``, ``git:…``, ``remote:…`` or ``name:…``."""

    alias: str
    project_id: UUID
    created_at: UtcDatetime
