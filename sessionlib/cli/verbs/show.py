"""`sessionctl show`: one session with all its parts, from the mirror."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Answer, Block, Column, Document, Facts, Table
from sessionlib.cli.columns import progress
from sessionlib.cli.context import Context
from sessionlib.cli.text import words

if TYPE_CHECKING:
    from sessionlib.models import SessionDetail

CHECKPOINTS = (
    Column("#", lambda row: row.number, right=True),
    Column("state", lambda row: "done" if row.completed else "current" if row.is_current else "open"),
    Column("title", lambda row: row.title),
)
COMMITS = (
    Column("sha", lambda row: row.sha[:12], style="yellow"),
    Column("checkpoint", lambda row: row.checkpoint, right=True),
    Column("at", lambda row: row.created_at),
    Column("message", lambda row: row.message),
)
DECISIONS = (
    Column("at", lambda row: row.decided_at),
    Column("decision", lambda row: row.title),
    Column("because", lambda row: row.rationale),
    Column("source", lambda row: row.source),
)
DOC_UPDATES = (
    Column("kind", lambda row: row.kind),
    Column("path", lambda row: row.path),
    Column("at", lambda row: row.created_at),
    Column("description", lambda row: row.description),
)
RESEARCH = (
    Column("run", lambda row: row.research_id),
    Column("status", lambda row: row.status),
    Column("criteria", lambda row: progress(row.criteria_met or 0, row.criteria_total), right=True),
    Column("request", lambda row: row.request),
)
LINKS = (
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
WARNINGS = (
    Column("where", lambda row: row[0]),
    Column("what is odd", lambda row: row[1]),
)


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "show",
        parents=[common],
        allow_abbrev=False,
        help="show one session with all its parts",
        description="Show one session: state, checkpoints, commits, decisions, links, versions, files.",
    )
    parser.add_argument("session", metavar="SESSION", help="slug, a part of one, declared id, id or folder")
    parser.add_argument("--project", metavar="P", help="name, alias or id of its project")
    parser.add_argument("--document", action="store_true", help="print the stored document instead")
    parser.set_defaults(run=run)


def run(context: Context) -> Answer:
    """Show the session."""
    from sessionlib.db.crud import projects, sessions

    options = context.options
    with context.reading() as connection:
        project = options.project
        if project is not None:
            project = projects.find(connection, project).slug
        session = sessions.find(connection, _name(options.session), project=project)
        detail = sessions.detail(connection, session)
        freshness = context.freshness(connection)
    if options.document:
        return Answer(rows=[detail.document], blocks=[Document(detail.document)], freshness=freshness)
    return Answer(rows=[detail], blocks=_blocks(detail), freshness=freshness)


def _name(text: str) -> str:
    """Return the slug where a path was given; no slug holds a slash."""
    return text.rstrip("/").rsplit("/", 1)[-1] or text


def _blocks(detail: "SessionDetail") -> list[Block]:
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
        ("last active", session.activity_at),
        ("first seen", session.first_seen_at),
        ("gone since", session.missing_since),
        ("error", session.error),
        ("id", session.session_id),
    ]
    return [
        Facts([pair for pair in facts if pair[1] is not None]),
        Facts([(name, when) for name, when in session.phase_history.items()], title="phase times")
        if session.phase_history
        else Facts([]),
        section("checkpoint", CHECKPOINTS, detail.checkpoints),
        section("commit", COMMITS, detail.commits),
        section("decision", DECISIONS, detail.decisions),
        section("doc update", DOC_UPDATES, detail.doc_updates),
        section("research run", RESEARCH, detail.research_runs),
        section("link", LINKS, detail.links),
        section("version", _VERSIONS, detail.versions),
        section("file", _FILES, detail.files),
        section("warning", WARNINGS, session.warnings),
    ]


def section(noun: str, columns: Sequence[Column], rows: Sequence[Any]) -> Table:
    """Return a table under its count; nothing is printed for no rows."""
    return Table(columns, rows, title=words(len(rows), noun))
