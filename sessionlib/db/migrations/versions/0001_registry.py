"""The registry: hosts, identities with the fallback seeded, projects, workspaces, findings."""

import sqlalchemy as sa
from alembic import op

from sessionlib.db import types
from sessionlib.models.base import utc_now
from sessionlib.models.identity import FALLBACK_IDENTITY_ID

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_tables()
    _seed_identities()


def _seed_identities() -> None:
    now = utc_now()
    op.bulk_insert(
        sa.table(
            "identities",
            sa.column("identity_id", types.Guid()),
            sa.column("name", types.TextType),
            sa.column("description", types.TextType),
            sa.column("status", types.TextType),
            sa.column("created_at", types.UtcTime()),
            sa.column("updated_at", types.UtcTime()),
        ),
        [
            {
                "identity_id": FALLBACK_IDENTITY_ID,
                "name": "unassigned",
                "description": "Stands where no rule names an identity.",
                "status": "active",
                "created_at": now,
                "updated_at": now,
            }
        ],
    )


def _create_tables() -> None:
    op.create_table(
        "hosts",
        sa.Column("host_id", types.Guid(), nullable=False),
        sa.Column("name", types.TextType, nullable=False),
        sa.Column("heartbeat_at", types.UtcTime(), nullable=True),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("host_id", name=op.f("pk_hosts")),
    )
    op.create_table(
        "identities",
        sa.Column("identity_id", types.Guid(), nullable=False),
        sa.Column("name", types.TextType, nullable=False),
        sa.Column("platform", types.TextType, nullable=True),
        sa.Column("description", types.TextType, nullable=True),
        sa.Column("status", types.TextType, nullable=False),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.CheckConstraint("status IN ('active', 'archived')", name=op.f("ck_identities_status")),
        sa.PrimaryKeyConstraint("identity_id", name=op.f("pk_identities")),
        sa.UniqueConstraint("name", name=op.f("uq_identities_name")),
    )
    op.create_table(
        "projects",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("slug", types.TextType, nullable=False),
        sa.Column("name", types.TextType, nullable=False),
        sa.Column("status", types.TextType, nullable=False),
        sa.Column("phase", types.TextType, nullable=True),
        sa.Column("description", types.TextType, nullable=True),
        sa.Column("default_identity_id", types.Guid(), nullable=True),
        sa.Column("minted_from", types.TextType, nullable=False),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.CheckConstraint("status IN ('active', 'paused', 'archived')", name=op.f("ck_projects_status")),
        sa.ForeignKeyConstraint(
            ["default_identity_id"],
            ["identities.identity_id"],
            name=op.f("fk_projects_default_identity_id_identities"),
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_projects")),
        sa.UniqueConstraint("slug", name=op.f("uq_projects_slug")),
    )
    op.create_table(
        "project_aliases",
        sa.Column("alias", types.TextType, nullable=False),
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.project_id"],
            name=op.f("fk_project_aliases_project_id_projects"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("alias", name=op.f("pk_project_aliases")),
    )
    op.create_table(
        "workspaces",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("workspace_id", types.Guid(), nullable=False),
        sa.Column("host_id", types.Guid(), nullable=False),
        sa.Column("path", types.TextType, nullable=False),
        sa.Column("dev", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("registered", sa.Boolean(), nullable=False),
        sa.Column("project_type", types.TextType, nullable=True),
        sa.Column("overrides", types.JsonType, nullable=True),
        sa.Column("missing_since", types.UtcTime(), nullable=True),
        sa.Column("reconciled_at", types.UtcTime(), nullable=True),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.host_id"], name=op.f("fk_workspaces_host_id_hosts")),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.project_id"],
            name=op.f("fk_workspaces_project_id_projects"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "workspace_id", name=op.f("pk_workspaces")),
        sa.UniqueConstraint(
            "project_id", "host_id", "path", name=op.f("uq_workspaces_project_id_host_id_path")
        ),
    )
    op.create_table(
        "findings",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("finding_id", types.Guid(), nullable=False),
        sa.Column("workspace_id", types.Guid(), nullable=True),
        sa.Column("kind", types.TextType, nullable=False),
        sa.Column("subject", types.TextType, nullable=False),
        sa.Column("message", types.TextType, nullable=False),
        sa.Column("first_seen_at", types.UtcTime(), nullable=False),
        sa.Column("last_seen_at", types.UtcTime(), nullable=False),
        sa.Column("resolved_at", types.UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "workspace_id"],
            ["workspaces.project_id", "workspaces.workspace_id"],
            name=op.f("fk_findings_project_id_workspace_id_workspaces"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.project_id"],
            name=op.f("fk_findings_project_id_projects"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "finding_id", name=op.f("pk_findings")),
    )
    op.create_table(
        "workspace_roots",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("workspace_id", types.Guid(), nullable=False),
        sa.Column("root", types.TextType, nullable=False),
        sa.Column("dev", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("missing_since", types.UtcTime(), nullable=True),
        sa.Column("reconciled_at", types.UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "workspace_id"],
            ["workspaces.project_id", "workspaces.workspace_id"],
            name=op.f("fk_workspace_roots_project_id_workspace_id_workspaces"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "workspace_id", "root", name=op.f("pk_workspace_roots")),
    )
