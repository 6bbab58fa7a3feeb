"""The mirror: documents, files, sessions with their parts and history, and the views on them."""

import sqlalchemy as sa
from alembic import op

from sessionlib.db import types, views

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_tables()
    _compress_documents()
    for statement in views.statements(op.get_bind().dialect.name):
        op.execute(statement)


def _compress_documents() -> None:
    """Compress documents with lz4 where PostgreSQL (14+) has it: pglz costs a third of the speed."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    methods = connection.scalar(
        sa.text(
            "SELECT array_to_string(enumvals, ',') FROM pg_settings WHERE name = 'default_toast_compression'"
        )
    )
    if methods and "lz4" in methods.split(","):
        op.execute("ALTER TABLE documents ALTER COLUMN body SET COMPRESSION lz4")


def _create_tables() -> None:
    op.create_table(
        "documents",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("content_hash", types.TextType, nullable=False),
        sa.Column("body", types.JsonType, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("document_time", types.UtcTime(), nullable=True),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.project_id"],
            name=op.f("fk_documents_project_id_projects"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "content_hash", name=op.f("pk_documents")),
    )
    op.create_table(
        "session_files",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("workspace_id", types.Guid(), nullable=False),
        sa.Column("root", types.TextType, nullable=False),
        sa.Column("slug", types.TextType, nullable=False),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("path", types.TextType, nullable=False),
        sa.Column("dev", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("ctime_ns", sa.BigInteger(), nullable=False),
        sa.Column("folder_mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("extras", types.TextType, nullable=False),
        sa.Column("content_hash", types.TextType, nullable=True),
        sa.Column("inputs_hash", types.TextType, nullable=True),
        sa.Column("mapping_version", sa.Integer(), nullable=False),
        sa.Column("document_time", types.UtcTime(), nullable=True),
        sa.Column("error", types.TextType, nullable=True),
        sa.Column("absent_looks", sa.Integer(), nullable=False),
        sa.Column("absent_since", types.UtcTime(), nullable=True),
        sa.Column("missing_since", types.UtcTime(), nullable=True),
        sa.Column("observed_at", types.UtcTime(), nullable=False),
        sa.CheckConstraint("absent_looks >= 0", name=op.f("ck_session_files_absent_looks")),
        sa.ForeignKeyConstraint(
            ["project_id", "content_hash"],
            ["documents.project_id", "documents.content_hash"],
            name=op.f("fk_session_files_project_id_content_hash_documents"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "workspace_id"],
            ["workspaces.project_id", "workspaces.workspace_id"],
            name=op.f("fk_session_files_project_id_workspace_id_workspaces"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "workspace_id", "root", "slug", name=op.f("pk_session_files")),
    )
    op.create_index(
        "ix_session_files_error",
        "session_files",
        ["project_id", "session_id"],
        unique=False,
        postgresql_where=sa.text("error IS NOT NULL"),
        sqlite_where=sa.text("error IS NOT NULL"),
    )
    op.create_index("ix_session_files_session", "session_files", ["project_id", "session_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("root", types.TextType, nullable=False),
        sa.Column("slug", types.TextType, nullable=False),
        sa.Column("workspace_id", types.Guid(), nullable=False),
        sa.Column("declared_id", types.TextType, nullable=True),
        sa.Column("topic", types.TextType, nullable=True),
        sa.Column("description", types.TextType, nullable=True),
        sa.Column("session_type", types.TextType, nullable=True),
        sa.Column("generation", types.TextType, nullable=False),
        sa.Column("current_phase", types.TextType, nullable=True),
        sa.Column("status", types.TextType, nullable=True),
        sa.Column("effective_status", types.TextType, nullable=False),
        sa.Column("build_finished", sa.Boolean(), nullable=False),
        sa.Column("phase_history", types.JsonType, nullable=False),
        sa.Column("checkpoints_total", sa.Integer(), nullable=True),
        sa.Column("checkpoints_total_source", types.TextType, nullable=True),
        sa.Column("checkpoints_completed", sa.Integer(), nullable=False),
        sa.Column("checkpoints_completed_ids", types.JsonType, nullable=False),
        sa.Column("current_checkpoint", sa.Integer(), nullable=True),
        sa.Column("git_branch", types.TextType, nullable=True),
        sa.Column("git_worktree", types.TextType, nullable=True),
        sa.Column("git_base_branch", types.TextType, nullable=True),
        sa.Column("prior_session_slug", types.TextType, nullable=True),
        sa.Column("parent_session_slug", types.TextType, nullable=True),
        sa.Column("warnings", types.JsonType, nullable=False),
        sa.Column("content_hash", types.TextType, nullable=False),
        sa.Column("inputs_hash", types.TextType, nullable=False),
        sa.Column("parts", types.TextType, nullable=False),
        sa.Column("mapping_version", sa.Integer(), nullable=False),
        sa.Column("created_at", types.UtcTime(), nullable=True),
        sa.Column("updated_at", types.UtcTime(), nullable=True),
        sa.Column("activity_at", types.UtcTime(), nullable=False),
        sa.Column("first_seen_at", types.UtcTime(), nullable=False),
        sa.Column("content_changed_at", types.UtcTime(), nullable=False),
        sa.Column("synced_at", types.UtcTime(), nullable=False),
        sa.Column("missing_since", types.UtcTime(), nullable=True),
        sa.Column("error", types.TextType, nullable=True),
        sa.Column("version_seq", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "checkpoints_total_source IS NULL OR checkpoints_total_source IN ('declared', 'plan')",
            name=op.f("ck_sessions_checkpoints_total_source"),
        ),
        sa.CheckConstraint("checkpoints_completed >= 0", name=op.f("ck_sessions_checkpoints_completed")),
        sa.ForeignKeyConstraint(
            ["project_id", "content_hash"],
            ["documents.project_id", "documents.content_hash"],
            name=op.f("fk_sessions_project_id_content_hash_documents"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "workspace_id"],
            ["workspaces.project_id", "workspaces.workspace_id"],
            name=op.f("fk_sessions_project_id_workspace_id_workspaces"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.project_id"],
            name=op.f("fk_sessions_project_id_projects"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "session_id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("project_id", "root", "slug", name=op.f("uq_sessions_project_id_root_slug")),
    )
    op.create_index("ix_sessions_content_changed_at", "sessions", ["content_changed_at"], unique=False)
    op.create_index(
        "ix_sessions_completed_activity",
        "sessions",
        ["checkpoints_completed", "content_changed_at"],
        unique=False,
    )
    op.create_index(
        "ix_sessions_current_phase_content_changed_at",
        "sessions",
        ["current_phase", "content_changed_at"],
        unique=False,
    )
    op.create_index(
        "ix_sessions_effective_status_content_changed_at",
        "sessions",
        ["effective_status", "content_changed_at"],
        unique=False,
    )
    op.create_index(
        "ix_sessions_project_activity", "sessions", ["project_id", "content_changed_at"], unique=False
    )
    op.create_index(
        "ix_sessions_project_phase_activity",
        "sessions",
        ["project_id", "current_phase", "content_changed_at"],
        unique=False,
    )
    op.create_index("ix_sessions_session_id", "sessions", ["session_id"], unique=False)
    op.create_index("ix_sessions_slug", "sessions", ["slug"], unique=False)
    op.create_index(
        "ix_sessions_total_activity", "sessions", ["checkpoints_total", "content_changed_at"], unique=False
    )
    op.create_table(
        "checkpoints",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", types.TextType, nullable=True),
        sa.Column("completed", sa.Boolean(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "session_id"],
            ["sessions.project_id", "sessions.session_id"],
            name=op.f("fk_checkpoints_project_id_session_id_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "session_id", "number", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "commits",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sha", types.TextType, nullable=False),
        sa.Column("message", types.TextType, nullable=True),
        sa.Column("checkpoint", sa.Integer(), nullable=True),
        sa.Column("created_at", types.UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "session_id"],
            ["sessions.project_id", "sessions.session_id"],
            name=op.f("fk_commits_project_id_session_id_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "session_id", "position", name=op.f("pk_commits")),
    )
    op.create_index("ix_commits_sha", "commits", ["sha"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("title", types.TextType, nullable=False),
        sa.Column("rationale", types.TextType, nullable=True),
        sa.Column("source", types.TextType, nullable=True),
        sa.Column("decided_at", types.UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "session_id"],
            ["sessions.project_id", "sessions.session_id"],
            name=op.f("fk_decisions_project_id_session_id_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "session_id", "position", name=op.f("pk_decisions")),
    )
    op.create_table(
        "doc_updates",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", types.TextType, nullable=True),
        sa.Column("path", types.TextType, nullable=True),
        sa.Column("description", types.TextType, nullable=True),
        sa.Column("created_at", types.UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "session_id"],
            ["sessions.project_id", "sessions.session_id"],
            name=op.f("fk_doc_updates_project_id_session_id_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "session_id", "position", name=op.f("pk_doc_updates")),
    )
    op.create_table(
        "research_runs",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("research_id", types.TextType, nullable=False),
        sa.Column("request", types.TextType, nullable=True),
        sa.Column("status", types.TextType, nullable=True),
        sa.Column("complexity_tier", types.TextType, nullable=True),
        sa.Column("criteria_met", sa.Integer(), nullable=True),
        sa.Column("criteria_total", sa.Integer(), nullable=True),
        sa.Column("created_at", types.UtcTime(), nullable=True),
        sa.Column("completed_at", types.UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "session_id"],
            ["sessions.project_id", "sessions.session_id"],
            name=op.f("fk_research_runs_project_id_session_id_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "session_id", "research_id", name=op.f("pk_research_runs")),
    )
    op.create_table(
        "session_inputs",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("workspace_id", types.Guid(), nullable=False),
        sa.Column("root", types.TextType, nullable=False),
        sa.Column("slug", types.TextType, nullable=False),
        sa.Column("name", types.TextType, nullable=False),
        sa.Column("content_hash", types.TextType, nullable=True),
        sa.Column("problem", types.TextType, nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "content_hash"],
            ["documents.project_id", "documents.content_hash"],
            name=op.f("fk_session_inputs_project_id_content_hash_documents"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "workspace_id", "root", "slug"],
            [
                "session_files.project_id",
                "session_files.workspace_id",
                "session_files.root",
                "session_files.slug",
            ],
            name=op.f("fk_session_inputs_project_id_workspace_id_root_slug_session_files"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "project_id", "workspace_id", "root", "slug", "name", name=op.f("pk_session_inputs")
        ),
    )
    op.create_table(
        "session_links",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("client", types.TextType, nullable=False),
        sa.Column("native_id", types.TextType, nullable=False),
        sa.Column("agent_native_id", types.TextType, nullable=False),
        sa.Column("linked_at", types.UtcTime(), nullable=True),
        sa.Column("source", types.TextType, nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "session_id"],
            ["sessions.project_id", "sessions.session_id"],
            name=op.f("fk_session_links_project_id_session_id_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "project_id",
            "session_id",
            "client",
            "native_id",
            "agent_native_id",
            name=op.f("pk_session_links"),
        ),
    )
    op.create_index("ix_session_links_native_id", "session_links", ["client", "native_id"], unique=False)
    op.create_table(
        "session_versions",
        sa.Column("project_id", types.Guid(), nullable=False),
        sa.Column("session_id", types.Guid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("content_hash", types.TextType, nullable=False),
        sa.Column("phase", types.TextType, nullable=True),
        sa.Column("status", types.TextType, nullable=True),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("observed_at", types.UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "content_hash"],
            ["documents.project_id", "documents.content_hash"],
            name=op.f("fk_session_versions_project_id_content_hash_documents"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "session_id"],
            ["sessions.project_id", "sessions.session_id"],
            name=op.f("fk_session_versions_project_id_session_id_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "session_id", "seq", name=op.f("pk_session_versions")),
    )
