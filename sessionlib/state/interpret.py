"""What a document of any generation says, field by field, each with its own fallbacks.

The generation is told by keys, and only reported: hybrids exist, so no field is read on its word. Nothing in
any JSON object makes `interpret` raise; what does not fit is left out and noted.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sessionlib.models.base import Phase, SessionType, Status
from sessionlib.state.coerce import Notes, entries, integer_of, is_remark, mapping, moment_of, text_of
from sessionlib.state.content import (
    Commit,
    Decision,
    DocUpdate,
    Link,
    ResearchRun,
    SessionContent,
)
from sessionlib.state.progress import list_checkpoints, outline, read_progress

TIMED_PHASES = (Phase.SPEC, Phase.PLAN, Phase.BUILD, Phase.DOCS)
"""The phases with a start and an end; ``complete`` is where a session rests."""

MOST_PARTS = 2_000
"""How many entries of each list become rows: far more than honest sessions have, and no table is filled."""

DONE_WORDS = ("complete", "completed")
V1_MARKS = ("phases", "plan_state", "goals", "open_questions", "key_decisions", "research_artifacts")
V2_MARKS = ("phase_history", "build_progress")
DECISION_LISTS = ("key_decisions", "decisions")
DECISION_TITLES = ("decision", "title")
DECISION_TIMES = ("date", "made_at", "decided_at", "created_at")

_PHASE_WORDS = frozenset(Phase)
_STATUS_WORDS = frozenset(Status)
_TYPE_WORDS = frozenset(SessionType)
_EDGES = tuple(
    (phase.value, f"{phase}_{edge}_at", keys)
    for phase in TIMED_PHASES
    for edge, keys in (("started", ("started_at",)), ("completed", ("finalized_at", "completed_at")))
)
_MET_OF_TOTAL = re.compile(r"\s*([0-9]{1,9})\s*(?:of|/)\s*([0-9]{1,9})\s*")


def interpret(
    state: dict[str, Any],
    plan: dict[str, Any] | None = None,
    research: Sequence[tuple[str, dict[str, Any]]] = (),
) -> SessionContent:
    """Say what a session's documents mean.

    Args:
        state: The decoded state.json.
        plan: The decoded plan.json; None when it is missing or broken.
        research: (research id, decoded state.json) of each research run.

    Returns:
        The content; equal for equal documents, whatever the order of their keys.
    """
    notes = Notes()
    phase = _word(state, "current_phase", _PHASE_WORDS, notes)
    status = _word(state, "status", _STATUS_WORDS, notes)
    history = _phase_history(state, notes)
    plan_outline = outline(plan)
    progress = read_progress(state, plan_outline, notes)
    git = mapping(state.get("git"), notes, "git")
    updated_at = moment_of(state, "updated_at", notes)
    commits = _commits(state, notes)
    return SessionContent(
        declared_id=text_of(state, "session_id", notes),
        topic=text_of(state, "topic", notes),
        description=text_of(state, "description", notes),
        session_type=_word(state, "session_type", _TYPE_WORDS, notes),
        current_phase=phase,
        status=status,
        effective_status=status
        or (Status.COMPLETE.value if phase == Phase.COMPLETE else Status.ACTIVE.value),
        build_finished=_build_finished(state, history, progress.total, len(progress.completed)),
        phase_history=history,
        checkpoints_total=progress.total,
        checkpoints_total_source=progress.source,
        checkpoints_completed_ids=progress.completed,
        current_checkpoint=progress.current,
        git_branch=text_of(git, "branch", notes, "git"),
        git_worktree=text_of(git, "worktree", notes, "git"),
        git_base_branch=text_of(git, "base_branch", notes, "git"),
        prior_session_slug=text_of(state, "prior_session", notes),
        parent_session_slug=text_of(state, "parent_session", notes),
        created_at=moment_of(state, "created_at", notes),
        updated_at=updated_at,
        generation=generation_of(state),
        checkpoints=list_checkpoints(progress, plan_outline, notes),
        commits=commits,
        decisions=_decisions(state, notes),
        doc_updates=_doc_updates(state, notes),
        research_runs=_research_runs(state, research, notes),
        links=_links(state, notes),
        stamps=_stamps(updated_at, history, commits),
        warnings=notes.all(),
    )


def generation_of(state: dict[str, Any]) -> str:
    """Tell ``v1``, ``v2`` and ``hybrid`` apart by their keys; ``$schema`` is free text and often absent."""
    if state.keys().isdisjoint(V2_MARKS):
        return "v1"
    return "v2" if state.keys().isdisjoint(V1_MARKS) else "hybrid"


def _word(state: dict[str, Any], key: str, known: frozenset[str], notes: Notes) -> str | None:
    word = text_of(state, key, notes)
    if word is not None and word not in known:
        notes.add(key, f"is an unknown word: {word[:40]!r}")
    return word


def _phase_history(state: dict[str, Any], notes: Notes) -> dict[str, datetime]:
    history = mapping(state.get("phase_history"), notes, "phase_history")
    phases = mapping(state.get("phases"), notes, "phases")
    found = {}
    for phase, key, older_keys in _EDGES:
        value = moment_of(history, key, notes, "phase_history")
        if value is None and phases:
            older = phases.get(phase)
            if isinstance(older, dict):
                value = _first_moment(older, older_keys, notes, f"phases.{phase}")
        if value is not None:
            found[key] = value
    return found


def _first_moment(holder: dict[str, Any], keys: tuple[str, ...], notes: Notes, path: str) -> datetime | None:
    for key in keys:
        if value := moment_of(holder, key, notes, path):
            return value
    return None


def _build_finished(
    state: dict[str, Any], history: dict[str, datetime], total: int | None, done: int
) -> bool:
    if "build_completed_at" in history or (total and done >= total):
        return True
    phases = state.get("phases")
    build = phases.get("build") if isinstance(phases, dict) else None
    return isinstance(build, dict) and build.get("status") in DONE_WORDS


def _stamps(
    updated_at: datetime | None, history: dict[str, datetime], commits: tuple[Commit, ...]
) -> tuple[datetime, ...]:
    found = {*history.values(), *(commit.created_at for commit in commits), updated_at}
    return tuple(sorted(stamp for stamp in found if stamp is not None))


def _objects(
    state: dict[str, Any], key: str, notes: Notes, *, word: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, object) of a list's entries; with `word`, a bare string stands for {word: string}."""
    listed = entries(state.get(key), notes, key)
    if len(listed) > MOST_PARTS:
        notes.add(key, f"are more than {MOST_PARTS:,}; the rest have no rows")
    for position, entry in enumerate(listed[:MOST_PARTS]):
        path = f"{key}[{position}]"
        if isinstance(entry, dict):
            if not is_remark(entry):
                yield path, entry
        elif word is not None and isinstance(entry, str):
            yield path, {word: entry}
        elif entry is not None:
            notes.add(path, "is not an object; left out")


def _first_text(entry: dict[str, Any], keys: tuple[str, ...], notes: Notes, path: str) -> str | None:
    for key in keys:
        if entry.get(key) and (value := text_of(entry, key, notes, path)):
            return value
    return None


def _commits(state: dict[str, Any], notes: Notes) -> tuple[Commit, ...]:
    found = []
    for path, entry in _objects(state, "commits", notes, word="sha"):
        sha = text_of(entry, "sha", notes, path)
        if not sha:
            notes.add(path, "has no sha; left out")
            continue
        checkpoint = integer_of(entry, "checkpoint", notes, path)
        if checkpoint is None:
            checkpoint = integer_of(entry, "checkpoint_id", notes, path)
        message = text_of(entry, "message", notes, path) or ""
        created_at = moment_of(entry, "created_at", notes, path)
        found.append(Commit(sha, message, checkpoint, created_at))
    return tuple(found)


def _decisions(state: dict[str, Any], notes: Notes) -> tuple[Decision, ...]:
    found = []
    for key in DECISION_LISTS:
        for path, entry in _objects(state, key, notes, word="decision"):
            title = _first_text(entry, DECISION_TITLES, notes, path)
            if title is None:
                notes.add(path, "has neither decision nor title; left out")
                continue
            rationale = text_of(entry, "rationale", notes, path)
            source = text_of(entry, "source", notes, path)
            decided_at = _first_moment(entry, DECISION_TIMES, notes, path)
            found.append(Decision(title, rationale, decided_at, source))
    return tuple(found)


def _doc_updates(state: dict[str, Any], notes: Notes) -> tuple[DocUpdate, ...]:
    return tuple(
        DocUpdate(
            kind=text_of(entry, "type", notes, path),
            path=text_of(entry, "path", notes, path),
            description=text_of(entry, "description", notes, path),
            created_at=moment_of(entry, "created_at", notes, path),
        )
        for path, entry in _objects(state, "doc_updates", notes, word="path")
    )


def _links(state: dict[str, Any], notes: Notes) -> tuple[Link, ...]:
    found: dict[tuple[str, str, str | None], Link] = {}
    for path, entry in _objects(state, "conversations", notes):
        client = text_of(entry, "client", notes, path)
        native_id = text_of(entry, "native_id", notes, path)
        agent = text_of(entry, "agent_native_id", notes, path)
        if not client or not native_id:
            notes.add(path, "names no conversation; left out")
            continue
        linked_at = moment_of(entry, "linked_at", notes, path)
        source = text_of(entry, "source", notes, path)
        # A link holds from its time on, so of two equal ones the first says it all.
        found.setdefault((client, native_id, agent), Link(client, native_id, agent, linked_at, source))
    return tuple(found.values())


def _research_runs(
    state: dict[str, Any], research: Sequence[tuple[str, dict[str, Any]]], notes: Notes
) -> tuple[ResearchRun, ...]:
    """Return the runs that have a folder, then those that only the session's own list knows."""
    found = {
        research_id: _research_run(research_id, run, notes, f"research/{research_id}")
        for research_id, run in research
    }
    for path, entry in _objects(state, "research_artifacts", notes, word="path"):
        research_id = text_of(entry, "research_id", notes, path)
        if research_id and research_id not in found:
            found[research_id] = _listed_run(research_id, entry, notes, path)
    return tuple(found.values())


def _research_run(research_id: str, run: dict[str, Any], notes: Notes, path: str) -> ResearchRun:
    trace = mapping(run.get("execution_trace"), notes, f"{path}.execution_trace")
    where = f"{path}.execution_trace.criteria_completion"
    criteria = mapping(trace.get("criteria_completion"), notes, where)
    met = integer_of(criteria, "met", notes, where)
    total = integer_of(criteria, "total", notes, where)
    if met is None and total is None:
        plan = mapping(run.get("research_plan"), notes, f"{path}.research_plan")
        where = f"{path}.research_plan.success_criteria"
        wanted = entries(plan.get("success_criteria"), notes, where)
        if wanted:
            total = len(wanted)
            met = sum(1 for one in wanted if isinstance(one, dict) and one.get("met") is True)
    return ResearchRun(
        research_id=research_id,
        request=text_of(run, "request", notes, path),
        status=text_of(run, "status", notes, path),
        complexity_tier=text_of(run, "complexity_tier", notes, path),
        created_at=moment_of(run, "created_at", notes, path),
        completed_at=moment_of(run, "completed_at", notes, path),
        criteria_met=met,
        criteria_total=total,
        declared_id=text_of(run, "id", notes, path),
    )


def _listed_run(research_id: str, entry: dict[str, Any], notes: Notes, path: str) -> ResearchRun:
    said = text_of(entry, "success_criteria_met", notes, path)
    match = _MET_OF_TOTAL.fullmatch(said) if said else None
    return ResearchRun(
        research_id=research_id,
        request=None,
        status=None,
        complexity_tier=text_of(entry, "complexity_tier", notes, path),
        created_at=moment_of(entry, "created_at", notes, path),
        completed_at=None,
        criteria_met=int(match[1]) if match else None,
        criteria_total=int(match[2]) if match else None,
        declared_id=None,
    )
