"""From documents to rows. Pure: the same documents give the same rows, on any host and at any time.

`MAPPING_VERSION` counts the changes of this module and of `sessionlib.state`'s reading: rows written by an
older version are written again by the next reconcile, whatever their hashes say.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from sessionlib.db.rows import (
    CheckpointRow,
    CommitRow,
    DecisionRow,
    DocUpdateRow,
    LinkRow,
    ResearchRunRow,
    SessionRow,
)
from sessionlib.db.store import Batch
from sessionlib.state.content import SessionContent
from sessionlib.sync.digests import dump_json

MAPPING_VERSION = 3

FUTURE_SLACK = timedelta(seconds=60)
"""A stamp later than its copy's own mtime by more than this was invented, and does not rank the copy."""

_MAX_WARNINGS = 100
_MOST_INDEXED = 500
MOST_WORD = 150
"""Characters of a phase or a status: one index holds both beside a slug, and PostgreSQL takes 2,700 bytes."""
_MOST_KEY = 200
"""Characters that fit an index entry of PostgreSQL (2,704 bytes) in any script; three keys share one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAR_US = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


class Observed(NamedTuple):
    """What a session row records besides its documents: when the daemon saw what."""

    first_seen_at: datetime
    content_changed_at: datetime
    synced_at: datetime
    missing_since: datetime | None
    error: str | None
    version_seq: int
    phase_since_us: int | None = None
    phase_stood_us: int | None = None


class Origin(NamedTuple):
    """Which copy a session row shows; `activity_at` is given where the file's own time says nothing."""

    project_id: UUID
    session_id: UUID
    root: str
    slug: str
    workspace_id: UUID
    content_hash: str
    inputs_hash: str
    mtime_ns: int
    activity_at: datetime | None = None


def time_of(mtime_ns: int) -> datetime:
    """Return a file's time as a datetime; times no calendar holds become the nearest it holds."""
    return _EPOCH + timedelta(microseconds=min(max(mtime_ns // 1000, 0), _FAR_US))


def document_time(stamps: Sequence[datetime], mtime_ns: int) -> datetime | None:
    """Return the latest stamp of a document that its copy's own time makes believable."""
    latest_possible = time_of(mtime_ns) + FUTURE_SLACK
    return max([stamp for stamp in stamps if stamp <= latest_possible], default=None)


def storable(content: SessionContent) -> SessionContent:
    """Return the content with what is too long for an index cut short, or left out, and noted.

    SQLite would take it and PostgreSQL would not; no honest phase, commit or id comes near the limits.
    """
    if _is_storable(content):
        return content
    links = tuple(part for part in content.links if _fits(part.client, part.native_id, part.agent_native_id))
    runs = tuple(part for part in content.research_runs if _fits(part.research_id))
    commits = tuple(
        part if len(part.sha) <= _MOST_INDEXED else replace(part, sha=_cut(part.sha))
        for part in content.commits
    )
    words = content.current_phase, content.status, content.effective_status
    current_phase, status, effective_status = (
        word if word is None else _cut(word, MOST_WORD) for word in words
    )
    declared_id = content.declared_id and _cut(content.declared_id)
    odd = (
        ("session_id", declared_id != content.declared_id, "is too long; cut"),
        ("conversations", len(links) < len(content.links), "have too long ids; left out"),
        ("research_artifacts", len(runs) < len(content.research_runs), "have too long ids; left out"),
        ("commits", commits != content.commits, "have too long shas; cut"),
        ("current_phase", current_phase != content.current_phase, "is too long; cut"),
        ("status", status != content.status, "is too long; cut"),
    )
    notes = tuple((path, problem) for path, is_odd, problem in odd if is_odd)
    return replace(
        content,
        declared_id=declared_id,
        links=links,
        research_runs=runs,
        commits=commits,
        current_phase=current_phase,
        status=status,
        effective_status=effective_status or content.effective_status,
        warnings=notes + content.warnings,
    )


def _is_storable(content: SessionContent) -> bool:
    """Tell whether nothing is too long, as in every honest session."""
    words = content.current_phase or "", content.status or ""
    return (
        max(map(len, words)) <= MOST_WORD
        and len(content.declared_id or "") <= _MOST_INDEXED
        and all(len(part.sha) <= _MOST_INDEXED for part in content.commits)
        and all(_fits(part.client, part.native_id, part.agent_native_id) for part in content.links)
        and all(_fits(part.research_id) for part in content.research_runs)
    )


def _fits(*ids: str | None) -> bool:
    return all(one is None or len(one) <= _MOST_KEY for one in ids)


def _cut(text: str, most: int = _MOST_INDEXED) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def add_session(
    batch: Batch, origin: Origin, content: SessionContent, observed: Observed, stored_parts: str | None
) -> None:
    """Add the rows of one session, and of those of its parts that have changed, to a batch.

    Args:
        batch: What is to be written.
        origin: Which copy the session shows.
        content: What that copy says, as `storable` returned it.
        observed: When the daemon saw what.
        stored_parts: The digests in the session's row now; None if it has none, or they cannot be trusted.
    """
    owner = origin.project_id, origin.session_id
    parts = _parts(owner, content)
    digests = [_digest(rows) for rows in parts.values()]
    stored = stored_parts.split(",") if stored_parts else []
    if len(stored) != len(digests):
        stored = [_UNKNOWN] * len(digests)
    for (name, rows), now, before in zip(parts.items(), digests, stored, strict=True):
        if now != before:
            getattr(batch, name).extend(rows)
            if stored_parts is not None and before:
                batch.replaced.setdefault(_TABLES.get(name, name), []).append(owner)
    batch.sessions.append(session_row(origin, content, observed, ",".join(digests)))


_UNKNOWN = "?"
_TABLES = {"links": "session_links"}


def _digest(rows: Sequence[tuple[Any, ...]]) -> str:
    """Return a digest of parts without their owner's ids, which a merge changes; empty for none."""
    if not rows:
        return ""
    return blake2b(orjson.dumps([row[2:] for row in rows]), digest_size=8).hexdigest()


def _parts(owner: tuple[UUID, UUID], content: SessionContent) -> dict[str, list[Any]]:
    """Return the rows of all parts by the batch's field names."""
    links = {(part.client, part.native_id, part.agent_native_id or ""): part for part in content.links}
    return {
        "checkpoints": [
            CheckpointRow(*owner, part.number, part.title, part.completed, part.current)
            for part in content.checkpoints
        ],
        "commits": [
            CommitRow(*owner, position, part.sha.lower(), part.message, part.checkpoint, part.created_at)
            for position, part in enumerate(content.commits)
        ],
        "decisions": [
            DecisionRow(*owner, position, part.title, part.rationale, part.source, part.decided_at)
            for position, part in enumerate(content.decisions)
        ],
        "doc_updates": [
            DocUpdateRow(*owner, position, part.kind, part.path, part.description, part.created_at)
            for position, part in enumerate(content.doc_updates)
        ],
        "research_runs": [
            ResearchRunRow(
                *owner,
                part.research_id,
                part.request,
                part.status,
                part.complexity_tier,
                part.criteria_met,
                part.criteria_total,
                part.created_at,
                part.completed_at,
            )
            for part in content.research_runs
        ],
        "links": [LinkRow(*owner, *key, part.linked_at, part.source) for key, part in links.items()],
    }


def session_row(origin: Origin, content: SessionContent, observed: Observed, parts: str) -> SessionRow:
    """Return the row of one session."""
    completed = content.checkpoints_completed_ids
    return SessionRow(
        project_id=origin.project_id,
        session_id=origin.session_id,
        root=origin.root,
        slug=origin.slug,
        workspace_id=origin.workspace_id,
        declared_id=content.declared_id,
        topic=content.topic,
        description=content.description,
        session_type=content.session_type,
        generation=content.generation,
        current_phase=content.current_phase,
        status=content.status,
        effective_status=content.effective_status,
        build_finished=content.build_finished,
        phase_history=dump_json(content.phase_history),
        checkpoints_total=content.checkpoints_total,
        checkpoints_total_source=content.checkpoints_total_source,
        checkpoints_completed=len(completed),
        checkpoints_completed_ids=dump_json(list(completed)),
        current_checkpoint=content.current_checkpoint,
        git_branch=content.git_branch,
        git_worktree=content.git_worktree,
        git_base_branch=content.git_base_branch,
        prior_session_slug=content.prior_session_slug,
        parent_session_slug=content.parent_session_slug,
        warnings=dump_json(content.warnings[:_MAX_WARNINGS]),
        content_hash=origin.content_hash,
        inputs_hash=origin.inputs_hash,
        parts=parts,
        mapping_version=MAPPING_VERSION,
        created_at=content.created_at,
        updated_at=content.updated_at,
        activity_at=origin.activity_at or activity_at(content.stamps, origin.mtime_ns),
        first_seen_at=observed.first_seen_at,
        content_changed_at=observed.content_changed_at,
        synced_at=observed.synced_at,
        missing_since=observed.missing_since,
        error=observed.error,
        version_seq=observed.version_seq,
        phase_since_us=observed.phase_since_us,
        phase_stood_us=observed.phase_stood_us,
    )


def activity_at(stamps: Sequence[datetime], mtime_ns: int) -> datetime:
    """Return when the session was last worked on: its document's time, else its file's."""
    return document_time(stamps, mtime_ns) or time_of(mtime_ns)
