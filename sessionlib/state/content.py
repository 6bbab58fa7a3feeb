"""What a session's document says, whatever its generation: plain frozen values, no behaviour.

They are dataclasses, not pydantic models: thousands are made in one reconcile, from values that
`sessionlib.state.interpret` has already checked one by one.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from typing_extensions import override


class Part:
    """Base of frozen dataclasses that travel between processes by the thousand.

    A dataclass with slots is pickled by asking for its fields again and again; its values are enough.
    """

    __slots__: tuple[str, ...] = ()

    @override
    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """Return how to make it again: of its values, in order."""
        kind = type(self)
        return kind, tuple([getattr(self, name) for name in kind.__slots__])


@dataclass(frozen=True, slots=True)
class Checkpoint(Part):
    """One checkpoint of the plan; `number` counts from 1."""

    number: int
    title: str | None
    completed: bool
    current: bool


@dataclass(frozen=True, slots=True)
class Commit(Part):
    """One commit as the document names it; git may not know it (any more)."""

    sha: str
    message: str
    checkpoint: int | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Decision(Part):
    """One decision with its reason."""

    title: str
    rationale: str | None
    decided_at: datetime | None
    source: str | None


@dataclass(frozen=True, slots=True)
class DocUpdate(Part):
    """One change to the documentation; `kind` is a level such as ``L2``, or ``none`` without a path."""

    kind: str | None
    path: str | None
    description: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class ResearchRun(Part):
    """One research run: its folder's name, and what its own state file says."""

    research_id: str
    request: str | None
    status: str | None
    complexity_tier: str | None
    created_at: datetime | None
    completed_at: datetime | None
    criteria_met: int | None
    criteria_total: int | None
    declared_id: str | None


@dataclass(frozen=True, slots=True)
class Link(Part):
    """This conversation (or this agent of it) worked on the session from `linked_at` on."""

    client: str
    native_id: str
    agent_native_id: str | None
    linked_at: datetime | None
    source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionContent:
    """The content of one session. All times are aware and in UTC.

    Attributes:
        session_type: Verbatim, as are `current_phase` and `status`; unknown words are kept and warned of.
        effective_status: `status`, else ``complete`` in that phase, else ``active``.
        build_finished: All checkpoints are done, or the build phase says that it is.
        phase_history: Of the eight ``<phase>_started_at`` and ``<phase>_completed_at`` those with a time.
        checkpoints_total: None when nothing believable says it.
        checkpoints_total_source: ``declared`` (state.json), ``plan`` (plan.json) or None.
        checkpoints_completed_ids: Sorted, each once, all positive.
        generation: ``v1``, ``v2`` or ``hybrid``, told by the keys.
        checkpoints: One for each number up to the total and for each completed one beyond; at most 1,000.
        stamps: Every time at which the document says that it was worked on; its age is the latest.
        warnings: (JSON path, what is odd about it), in the order of the fields here.
    """

    declared_id: str | None
    topic: str | None
    description: str | None
    session_type: str | None
    current_phase: str | None
    status: str | None
    effective_status: str
    build_finished: bool
    phase_history: dict[str, datetime]
    checkpoints_total: int | None
    checkpoints_total_source: str | None
    checkpoints_completed_ids: tuple[int, ...]
    current_checkpoint: int | None
    git_branch: str | None
    git_worktree: str | None
    git_base_branch: str | None
    prior_session_slug: str | None
    parent_session_slug: str | None
    created_at: datetime | None
    updated_at: datetime | None
    generation: str
    checkpoints: tuple[Checkpoint, ...]
    commits: tuple[Commit, ...]
    decisions: tuple[Decision, ...]
    doc_updates: tuple[DocUpdate, ...]
    research_runs: tuple[ResearchRun, ...]
    links: tuple[Link, ...]
    stamps: tuple[datetime, ...]
    warnings: tuple[tuple[str, str], ...]
