"""One session on a sheet: its facts, then a table for each kind of its parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Block, Column, Facts, Table
from sessionlib.cli.columns import progress
from sessionlib.cli.text import words

if TYPE_CHECKING:
    from sessionlib.models import SessionDetail
    from sessionlib.state.content import SessionContent

_CHECKPOINTS = (
    Column("#", lambda row: row.number, right=True),
    Column("state", lambda row: "done" if row.completed else "current" if row.is_current else "open"),
    Column("title", lambda row: row.title),
)
_COMMITS = (
    Column("sha", lambda row: row.sha[:12], style="yellow"),
    Column("checkpoint", lambda row: row.checkpoint, right=True),
    Column("at", lambda row: row.created_at),
    Column("message", lambda row: row.message),
)
_DECISIONS = (
    Column("at", lambda row: row.decided_at),
    Column("decision", lambda row: row.title),
    Column("because", lambda row: row.rationale),
    Column("source", lambda row: row.source),
)
_DOC_UPDATES = (
    Column("kind", lambda row: row.kind),
    Column("path", lambda row: row.path),
    Column("at", lambda row: row.created_at),
    Column("description", lambda row: row.description),
)
_RESEARCH = (
    Column("run", lambda row: row.research_id),
    Column("status", lambda row: row.status),
    Column("criteria", lambda row: progress(row.criteria_met or 0, row.criteria_total), right=True),
    Column("request", lambda row: row.request),
)
_LINKS = (
    Column("client", lambda row: row.client),
    Column("conversation", lambda row: row.native_id),
    Column("agent", lambda row: row.agent_native_id),
    Column("since", lambda row: row.linked_at),
    Column("source", lambda row: row.source),
)
_VERSIONS = (
    Column("#", lambda row: row.seq, right=True),
    Column("at", lambda row: row.at),
    Column("phase", lambda row: row.phase),
    Column("status", lambda row: row.status),
    Column("content", lambda row: row.content_hash[:12]),
)
_FILES = (
    Column("path", lambda row: row.path),
    Column("bytes", lambda row: row.size, right=True),
    Column("content", lambda row: row.content_hash[:12] if row.content_hash else None),
    Column("seen", lambda row: row.observed_at),
    Column("gone since", lambda row: row.missing_since),
    Column("error", lambda row: row.error, style="red"),
)
_WARNINGS = (
    Column("where", lambda row: row[0]),
    Column("what is odd", lambda row: row[1]),
)


def of_mirror(detail: "SessionDetail") -> list[Block]:
    """Return the sheet of a session as the mirror holds it."""
    session = detail.session
    facts: list[tuple[str, object]] = [
        ("session", session.slug),
        ("topic", session.topic),
        ("description", session.description),
        ("project", session.project_slug),
        ("root", session.root),
        ("type", session.session_type),
        ("phase", session.current_phase),
        ("status", session.effective_status),
        ("checkpoints", progress(session.checkpoints_completed, session.checkpoints_total)),
        ("build finished", session.build_finished),
        ("branch", session.git_branch),
        ("worktree", session.git_worktree),
        ("base branch", session.git_base_branch),
        ("prior session", session.prior_session_slug),
        ("declared id", session.declared_id if session.declared_id != session.slug else None),
        ("created", session.created_at),
        ("last active", session.content_changed_at),
        ("first seen", session.first_seen_at),
        ("gone since", session.missing_since),
        ("error", session.error),
        ("id", session.session_id),
    ]
    return [
        Facts([pair for pair in facts if pair[1] is not None]),
        Facts(list(session.phase_history.items()), title="phase times"),
        _section("checkpoint", _CHECKPOINTS, detail.checkpoints),
        _section("commit", _COMMITS, detail.commits),
        _section("decision", _DECISIONS, detail.decisions),
        _section("doc update", _DOC_UPDATES, detail.doc_updates),
        _section("research run", _RESEARCH, detail.research_runs),
        _section("link", _LINKS, detail.links),
        _section("version", _VERSIONS, detail.versions),
        _section("file", _FILES, detail.files),
        _section("warning", _WARNINGS, session.warnings),
    ]


def _section(noun: str, columns: Sequence[Column], rows: Sequence[Any]) -> Table:
    """Return a table under its count; nothing is printed for no rows."""
    return Table(columns, rows, title=words(len(rows), noun))


def of_file(path: Path, content: "SessionContent") -> list[Block]:
    """Return the sheet of a session as its files say it."""
    facts: list[tuple[str, object]] = [
        ("session", path.name),
        ("folder", path),
        ("topic", content.topic),
        ("description", content.description),
        ("type", content.session_type),
        ("phase", content.current_phase),
        ("status", content.effective_status),
        ("checkpoints", progress(len(content.checkpoints_completed_ids), content.checkpoints_total)),
        ("branch", content.git_branch),
        ("worktree", content.git_worktree),
        ("base branch", content.git_base_branch),
        ("prior session", content.prior_session_slug),
        ("created", content.created_at),
        ("updated", content.updated_at),
    ]
    state = Column("state", lambda row: "done" if row.completed else "current" if row.current else "open")
    checkpoints = (_CHECKPOINTS[0], state, _CHECKPOINTS[2])
    return [
        Facts([pair for pair in facts if pair[1] is not None]),
        _section("checkpoint", checkpoints, content.checkpoints),
        _section("commit", _COMMITS, content.commits),
        _section("decision", _DECISIONS, content.decisions),
        _section("doc update", _DOC_UPDATES, content.doc_updates),
        _section("research run", _RESEARCH, content.research_runs),
        _section("link", _LINKS, content.links),
        _section("warning", _WARNINGS, content.warnings),
    ]
