"""Workspaces: one checkout of a project on one host, and the sessions roots in it."""

from uuid import UUID

from pydantic import Field, JsonValue

from sessionlib.models.base import Model, UtcDatetime


class WorkspaceCreate(Model):
    """What is needed to register a workspace; `dev` and `inode` identify the folder when it moves."""

    project_id: UUID
    host_id: UUID
    path: str = Field(min_length=1)
    dev: int
    inode: int
    registered: bool = False


class WorkspaceUpdate(Model):
    """A change; only the fields that were set are written, and None writes NULL."""

    path: str = Field(default="", min_length=1)
    dev: int = 0
    inode: int = 0
    registered: bool = False
    project_type: str | None = None
    overrides: dict[str, JsonValue] | None = None
    missing_since: UtcDatetime | None = None
    reconciled_at: UtcDatetime | None = None


class Workspace(Model):
    """A registered workspace. `missing_since` is set while its folder cannot be found."""

    project_id: UUID
    workspace_id: UUID
    host_id: UUID
    path: str
    dev: int
    inode: int
    registered: bool
    project_type: str | None
    overrides: dict[str, JsonValue] | None
    missing_since: UtcDatetime | None
    reconciled_at: UtcDatetime | None
    created_at: UtcDatetime


class WorkspaceSummary(Model):
    """A workspace with the number of session files it holds and of those that cannot be read."""

    workspace_id: UUID
    project_slug: str
    host_name: str
    path: str
    session_files: int
    errors: int
    missing_since: UtcDatetime | None
    reconciled_at: UtcDatetime | None
