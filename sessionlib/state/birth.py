"""The document a new session begins with."""

from pathlib import Path
from typing import Any

from sessionlib.errors import PhaseNotAllowedError, StateRefusedError
from sessionlib.models.base import SessionType, Status
from sessionlib.state.draft import Draft
from sessionlib.state.interpret import TIMED_PHASES, interpret
from sessionlib.state.phases import allowed


def first_draft(session_dir: Path, session_type: str, phase: str | None, now: str) -> Draft:
    """Return a v2 document in its first phase, for the usual edits to fill in the details.

    Raises:
        StateRefusedError: There is no such session type.
        PhaseNotAllowedError: A session of this type does not begin with this phase.
    """
    if session_type not in list(SessionType):
        message = f"there is no session type {session_type!r}"
        hint = f"choose one of: {', '.join(SessionType)}"
        raise StateRefusedError(message, session_dir=session_dir, hint=hint)
    options = allowed(session_type, None)
    first = options[0] if phase is None else phase
    if first not in options:
        raise PhaseNotAllowedError(None, first, options, session_dir=session_dir)
    history: dict[str, str | None] = {
        f"{name}_{edge}_at": None for name in TIMED_PHASES for edge in ("started", "completed")
    }
    history[f"{first}_started_at"] = now
    document: dict[str, Any] = {
        "session_id": session_dir.name,
        "topic": None,
        "description": None,
        "session_type": str(session_type),
        "created_at": now,
        "updated_at": now,
        "current_phase": str(first),
        "status": Status.ACTIVE.value,
        "phase_history": history,
        "build_progress": {
            "checkpoints_total": None,
            "checkpoints_completed": [],
            "current_checkpoint": None,
        },
        "git": {"branch": None, "worktree": None, "base_branch": None},
        "commits": [],
        "artifacts": {"spec": "spec.md", "plan": "plan.json", "plan_readable": "plan.md"},
    }
    return Draft(document, interpret(document), now, session_dir)
