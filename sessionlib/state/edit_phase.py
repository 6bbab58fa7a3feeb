"""Edits that move a session through its phases, in the words of its document's generation."""

from typing import Any

from sessionlib.errors import PhaseNotAllowedError
from sessionlib.models.base import Phase, Status
from sessionlib.state.draft import Draft
from sessionlib.state.interpret import TIMED_PHASES
from sessionlib.state.phases import allowed

_ORDER = {phase.value: position for position, phase in enumerate(Phase)}
_V1_END_KEYS = ("finalized_at", "completed_at")
_V1_DONE = {"spec": "finalized", "plan": "finalized", "build": "completed", "docs": "completed"}
_V1_OPEN = {"spec": "draft", "plan": "in_progress", "build": "in_progress", "docs": "in_progress"}


def transition(draft: Draft, wanted: str) -> None:
    """Go to another phase; to be there already is no change.

    Going forward ends the phase that is left, unless it was ended before. A phase that is entered (again) is
    open: it keeps its first start and loses its end. A session that enters ``complete`` has the status
    complete; one that is reopened is active.

    Raises:
        PhaseNotAllowedError: The phase cannot follow; the error names those that can.
        StateRefusedError: There is no such phase.
    """
    wanted = _known_phase(draft, wanted)
    current = draft.content.current_phase
    if wanted == current:
        return
    options = allowed(draft.content.session_type, current)
    if wanted not in options:
        raise PhaseNotAllowedError(current, wanted, options, session_dir=draft.session_dir)
    if current in _ORDER and _ORDER[wanted] > _ORDER[current]:
        _finish(draft, current)
    if wanted in TIMED_PHASES:
        _open(draft, wanted)
    draft.document["current_phase"] = wanted
    _follow_with_status(draft, current, wanted)


def complete(draft: Draft, phase: str | None) -> None:
    """Note that a phase (the current one by default) is done, without leaving it.

    Raises:
        StateRefusedError: The phase has no end, or was not reached yet.
    """
    current = draft.content.current_phase
    chosen = _known_phase(draft, phase if phase is not None else current)
    if chosen not in TIMED_PHASES:
        message = f"phase {chosen} has no end of its own"
        raise draft.refuse(message, f"choose one of: {', '.join(TIMED_PHASES)}")
    if current in _ORDER and _ORDER[chosen] > _ORDER[current]:
        message = f"phase {chosen} was not reached yet; the session is in {current}"
        raise draft.refuse(message, f"go there first, or complete {current}")
    _finish(draft, chosen)


def _known_phase(draft: Draft, phase: object) -> str:
    if isinstance(phase, str) and phase in _ORDER:
        return str(phase)
    message = f"there is no phase {phase!r}"
    raise draft.refuse(message, f"choose one of: {', '.join(_ORDER)}")


def _finish(draft: Draft, phase: str) -> None:
    if phase in TIMED_PHASES and f"{phase}_completed_at" not in draft.content.phase_history:
        _set_end(draft, phase, draft.now)


def _open(draft: Draft, phase: str) -> None:
    if f"{phase}_started_at" not in draft.content.phase_history:
        for holder, own in _places(draft, phase):
            holder["started_at" if own else f"{phase}_started_at"] = draft.now
    _set_end(draft, phase, None)


def _set_end(draft: Draft, phase: str, moment: str | None) -> None:
    for holder, own in _places(draft, phase):
        if not own:
            holder[f"{phase}_completed_at"] = moment
            continue
        present = [key for key in _V1_END_KEYS if key in holder]
        usual = "finalized_at" if _V1_DONE[phase] == "finalized" else "completed_at"
        for key in present or [usual]:
            holder[key] = moment
        holder["status"] = _V1_OPEN[phase] if moment is None else _V1_DONE[phase]


def _places(draft: Draft, phase: str) -> list[tuple[dict[str, Any], bool]]:
    """Return where the phase's times are kept: (object, whether it is the phase's own).

    A v1 document has an object for each phase, a v2 document one for all. A hybrid that carries both is
    written in both, or the older one would show through where the newer one is emptied.
    """
    if draft.content.generation == "v1":
        return [(draft.section(phase, draft.section("phases")), True)]
    places = [(draft.section("phase_history"), False)]
    phases = draft.document.get("phases")
    own = phases.get(phase) if isinstance(phases, dict) else None
    return [*places, (own, True)] if isinstance(own, dict) else places


def _follow_with_status(draft: Draft, left: str | None, entered: str) -> None:
    """Keep the status in step at the end of the way; v1 documents have none and get none."""
    status = draft.content.status
    if status is None and draft.content.generation == "v1":
        return
    if entered == Phase.COMPLETE:
        draft.document["status"] = Status.COMPLETE.value
    elif left == Phase.COMPLETE and status == Status.COMPLETE:
        draft.document["status"] = Status.ACTIVE.value
