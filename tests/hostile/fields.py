"""Every known field with a value of every JSON type, and numbers of every size in every place for one."""

import json
from typing import Any

from tests import builders
from tests.hostile.entry import PLAN, RUN, STATE, Entry, refused, taken, text_of, with_field
from tests.hostile.sizes import full_document

KINDS: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "number": 3,
    "fraction": 2.5,
    "string": "word",
    "list": [1, "two", None, [], {}],
    "object": {"a": 1, "": None},
}
_TEXT, _TIME, _NUMBER = ("string", "null"), ("null",), ("number", "null")
_LIST, _OBJECT = ("list", "null"), ("object", "null")

FIELDS = {
    "session_id": _TEXT,
    "topic": _TEXT,
    "description": _TEXT,
    "session_type": ("null",),
    "current_phase": ("null",),
    "status": ("null",),
    "created_at": _TIME,
    "updated_at": _TIME,
    "phase_history": _OBJECT,
    "phase_history.build_started_at": _TIME,
    "phases": _OBJECT,
    "build_progress": _OBJECT,
    "build_progress.checkpoints_total": _NUMBER,
    "build_progress.current_checkpoint": _NUMBER,
    "plan_state": _OBJECT,
    "git": _OBJECT,
    "git.branch": _TEXT,
    "git.worktree": _TEXT,
    "git.base_branch": _TEXT,
    "prior_session": _TEXT,
    "parent_session": _TEXT,
    "commits": _LIST,
    "commits.0": ("string", "object", "null"),
    "commits.0.sha": ("string", "null"),
    "commits.0.message": _TEXT,
    "commits.0.created_at": _TIME,
    "key_decisions": _LIST,
    "key_decisions.0": ("string", "object", "null"),
    "key_decisions.0.title": ("string", "null"),
    "key_decisions.0.rationale": _TEXT,
    "key_decisions.0.date": _TIME,
    "doc_updates": _LIST,
    "doc_updates.0.type": _TEXT,
    "doc_updates.0.path": _TEXT,
    "doc_updates.0.description": _TEXT,
    "doc_updates.0.created_at": _TIME,
    "research_artifacts": _LIST,
    "research_artifacts.0.research_id": _TEXT,
    "conversations": _LIST,
    "conversations.0.client": ("string", "null"),
    "conversations.0.native_id": ("string", "null"),
    "conversations.0.linked_at": _TIME,
}
"""The fields that a value of a wrong type is warned of, each with the types it takes without a warning."""

QUIET_FIELDS = ("phases.build", "phases.build.status", "goals", "artifacts", "$schema", "open_questions")
"""Fields of which nothing is said, whatever they hold."""

INTEGER_PLACES = (
    "build_progress.checkpoints_total",
    "build_progress.checkpoints_completed",
    "build_progress.checkpoints_completed.0",
    "build_progress.current_checkpoint",
    "plan_state.checkpoints_total",
    "plan_state.checkpoints_completed",
    "commits.0.checkpoint",
    "commits.0.checkpoint_id",
)
NUMBERS = {
    "2^31 - 1": "2147483647",
    "2^31": "2147483648",
    "-2^31": "-2147483648",
    "2^63 - 1": "9223372036854775807",
    "2^63": "9223372036854775808",
    "-2^63 - 1": "-9223372036854775809",
    "2^64": "18446744073709551616",
    "4,000 digits": "9" * 4_000,
    "minus zero": "-0",
    "minus zero point": "-0.0",
    "1e2": "1e2",
    "1e308": "1e308",
    "1e-999": "1e-999",
    "a third": "0.33333333333333333333333333333",
}

_PLAN_FIELDS = ("checkpoints", "checkpoints.0", "checkpoints.0.id", "checkpoints.0.title", "session_id")
_RUN_FIELDS = (
    "id",
    "request",
    "status",
    "complexity_tier",
    "created_at",
    "completed_at",
    "execution_trace",
    "execution_trace.criteria_completion",
    "execution_trace.criteria_completion.met",
    "research_plan",
    "research_plan.success_criteria",
)


def entries() -> list[Entry]:
    """Return the entries."""
    return [*_types(), *_numbers(), *_beside()]


def _types() -> list[Entry]:
    full = full_document()
    found = []
    for field, fitting in FIELDS.items():
        for kind, value in KINDS.items():
            warned = () if kind in fitting else (_spoken(field),)
            found.append(taken(f"{field} is {kind}", with_field(full, field, value), *warned))
    for field in QUIET_FIELDS:
        for kind, value in KINDS.items():
            found.append(taken(f"{field} is {kind}", with_field(full, field, value)))
    everything = {field: value for field in full for value in [KINDS["list"]]}
    return [
        *found,
        taken("everything is a list", everything, "topic", "git", "phase_history"),
        taken("everything is an object", {key: {"a": {}} for key in full}, "topic", "commits"),
        taken("everything is null", dict.fromkeys(full)),
        taken("everything is true", dict.fromkeys(full, True), "topic", "commits", "created_at"),
    ]


def _spoken(field: str) -> str:
    """Return a dotted path as warnings write it."""
    return field.replace(".0", "[0]")


def _numbers() -> list[Entry]:
    full = with_field(full_document(), "commits.0.checkpoint", 1)
    found = []
    for name, digits in NUMBERS.items():
        document = full
        for place in INTEGER_PLACES:
            if not place.endswith("completed.0"):
                document = with_field(document, place, "@")
        found.append(taken(f"{name} in every place", json.dumps(document).replace('"@"', digits)))
        listed = with_field(full, "build_progress.checkpoints_completed.0", "@")
        found.append(taken(f"{name} in a list", json.dumps(listed).replace('"@"', digits)))
    endless = json.dumps(with_field(full, "build_progress.checkpoints_total", "@"))
    return [
        *found,
        refused("100,000 digits", endless.replace('"@"', "9" * 100_000), "an integer of 100,000 digits"),
        refused("1e400 in a place", endless.replace('"@"', "1e400"), "the number 1e400 is too large"),
    ]


def _beside() -> list[Entry]:
    found = []
    for file, whole, fields in (
        (PLAN, builders.plan(3), _PLAN_FIELDS),
        (RUN, builders.research_run(), _RUN_FIELDS),
    ):
        for field in fields:
            for kind, value in KINDS.items():
                changed = text_of(with_field(whole, field, value))
                found.append(taken(f"{file.split('/')[0]} {field} is {kind}", changed, file=file))
    return [entry for entry in found if entry.file != STATE]
