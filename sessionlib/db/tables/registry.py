"""The registry, which the database owns: hosts, identities, projects, aliases, workspaces and their roots."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Table,
    UniqueConstraint,
)

from sessionlib.db.tables.base import OBSERVED, flag, json, key, metadata, number, ref, text, time
from sessionlib.db.types import TextType

hosts = Table(
    "hosts",
    metadata,
    key("host_id"),
    text("name", null=False),
    time("heartbeat_at", info=OBSERVED),
    time("created_at", null=False, info=OBSERVED),
)

identities = Table(
    "identities",
    metadata,
    key("identity_id"),
    text("name", null=False),
    text("platform"),
    text("description"),
    text("status", null=False),
    time("created_at", null=False, info=OBSERVED),
    time("updated_at", null=False, info=OBSERVED),
    UniqueConstraint("name"),
    CheckConstraint("status IN ('active', 'archived')", name="status"),
)

projects = Table(
    "projects",
    metadata,
    key("project_id"),
    text("slug", null=False),
    text("name", null=False),
    text("status", null=False),
    text("phase"),
    text("description"),
    ref("default_identity_id", null=True),
    text("minted_from", null=False),
    time("created_at", null=False, info=OBSERVED),
    time("updated_at", null=False, info=OBSERVED),
    UniqueConstraint("slug"),
    ForeignKeyConstraint(["default_identity_id"], ["identities.identity_id"]),
    CheckConstraint("status IN ('active', 'paused', 'archived')", name="status"),
)

project_aliases = Table(
    "project_aliases",
    metadata,
    key("alias", TextType),
    ref("project_id"),
    time("created_at", null=False, info=OBSERVED),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"], ondelete="CASCADE"),
)

workspaces = Table(
    "workspaces",
    metadata,
    key("project_id"),
    key("workspace_id"),
    ref("host_id"),
    text("path", null=False),
    number("dev", BigInteger(), null=False, info=OBSERVED),
    number("inode", BigInteger(), null=False, info=OBSERVED),
    flag("registered"),
    text("project_type"),
    json("overrides", null=True),
    time("missing_since", info=OBSERVED),
    time("reconciled_at", info=OBSERVED),
    time("created_at", null=False, info=OBSERVED),
    UniqueConstraint("project_id", "host_id", "path"),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["host_id"], ["hosts.host_id"]),
)

workspace_roots = Table(
    "workspace_roots",
    metadata,
    key("project_id"),
    key("workspace_id"),
    key("root", TextType),
    number("dev", BigInteger(), null=False, info=OBSERVED),
    number("inode", BigInteger(), null=False, info=OBSERVED),
    time("missing_since", info=OBSERVED),
    time("reconciled_at", info=OBSERVED),
    ForeignKeyConstraint(
        ["project_id", "workspace_id"],
        ["workspaces.project_id", "workspaces.workspace_id"],
        ondelete="CASCADE",
    ),
)

__all__ = ["hosts", "identities", "project_aliases", "projects", "workspace_roots", "workspaces"]
