"""What lies in the workspaces: each distinct content once, and one row for each copy of a session."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
)

from sessionlib.db.tables.base import OBSERVED, json, key, metadata, number, ref, text, time
from sessionlib.db.types import TextType

documents = Table(
    "documents",
    metadata,
    key("project_id"),
    key("content_hash", TextType),
    json("body"),
    number("size", BigInteger(), null=False),
    time("document_time"),
    time("created_at", null=False, info=OBSERVED),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"], ondelete="CASCADE"),
)

session_files = Table(
    "session_files",
    metadata,
    key("project_id"),
    key("workspace_id"),
    key("root", TextType),
    key("slug", TextType),
    ref("session_id"),
    text("path", null=False),
    number("dev", BigInteger(), null=False),
    number("inode", BigInteger(), null=False),
    number("size", BigInteger(), null=False),
    number("mtime_ns", BigInteger(), null=False),
    number("ctime_ns", BigInteger(), null=False),
    number("folder_mtime_ns", BigInteger(), null=False, info=OBSERVED),
    text("extras", null=False),
    ref("content_hash", TextType, null=True),
    text("inputs_hash"),
    number("mapping_version", Integer(), null=False),
    time("document_time"),
    text("error", info=OBSERVED),
    number("absent_looks", Integer(), null=False, info=OBSERVED),
    time("absent_since", info=OBSERVED),
    time("missing_since", info=OBSERVED),
    time("observed_at", null=False, info=OBSERVED),
    ForeignKeyConstraint(
        ["project_id", "workspace_id"],
        ["workspaces.project_id", "workspaces.workspace_id"],
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(["project_id", "content_hash"], ["documents.project_id", "documents.content_hash"]),
    CheckConstraint("absent_looks >= 0", name="absent_looks"),
    Index("ix_session_files_session", "project_id", "session_id"),
)
Index(
    "ix_session_files_error",
    session_files.c.project_id,
    session_files.c.session_id,
    # As ix_sessions_mismatched says it.
    info={"where": session_files.c.error.is_not(None)},
)

session_inputs = Table(
    "session_inputs",
    metadata,
    key("project_id"),
    key("workspace_id"),
    key("root", TextType),
    key("slug", TextType),
    key("name", TextType),
    ref("content_hash", TextType, null=True),
    text("problem"),
    ForeignKeyConstraint(
        ["project_id", "workspace_id", "root", "slug"],
        [
            "session_files.project_id",
            "session_files.workspace_id",
            "session_files.root",
            "session_files.slug",
        ],
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(["project_id", "content_hash"], ["documents.project_id", "documents.content_hash"]),
)

__all__ = ["documents", "session_files", "session_inputs"]
