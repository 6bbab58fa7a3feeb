"""What documents are made of: times, commits, decisions; and the documents beside a state.json."""

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]
T0 = "2026-01-05T09:00:00Z"
"""The moment most synthetic documents begin at."""


def at(hours: int) -> str:
    """Return a time some hours (0 to 500) after `T0`, as documents write it."""
    day, hour = divmod(9 + hours, 24)
    return f"2026-01-{5 + day:02d}T{hour:02d}:00:00Z"


def time_of(written: str) -> datetime:
    """Return the moment that a document's time names."""
    return datetime.fromisoformat(written).astimezone(UTC)


def made(base: Document, overrides: Mapping[str, Any]) -> Document:
    """Return a copy of a document with these keys instead."""
    document = copy.deepcopy(base)
    document.update(copy.deepcopy(dict(overrides)))
    return document


def make_commits(count: int, key: str = "checkpoint") -> list[Document]:
    """Return commits, one for each checkpoint from 1; `key` names the checkpoint's key."""
    return [
        {
            "sha": f"{number:07x}",
            "message": f"feat: lay brick {number}",
            key: number,
            "created_at": at(10 + number),
        }
        for number in range(1, count + 1)
    ]


def make_decisions(count: int, *keys: str) -> list[Document]:
    """Return decisions with these keys (title or decision, rationale, a time key, source, implications)."""
    values: dict[str, Callable[[int], Any]] = {
        "decision": lambda n: f"use brick {n}",
        "title": lambda n: f"use brick {n}",
        "rationale": lambda n: f"it is {n} times as strong",
        "date": lambda _: "2026-01-06",
        "made_at": at,
        "source": lambda _: "review",
        "implications": lambda _: ["thicker walls"],
    }
    return [{key: values[key](number) for key in keys} for number in range(1, count + 1)]


def research_run(**overrides: Any) -> Document:
    """The state of a research run, which has no session id, topic or ``updated_at``."""
    return made(
        {
            "id": "soil_20260128",
            "request": "What soil carries a wall?",
            "report_style": "cookbook",
            "status": "complete",
            "phase": None,
            "triggered_by": None,
            "research_plan": {
                "file": "research-plan.md",
                "created_at": at(1),
                "success_criteria": [
                    {"id": "SC1", "description": "names three soils", "met": True},
                    {"id": "SC2", "description": "says why", "met": False},
                ],
            },
            "complexity_tier": "simple",
            "total_subagents_spawned": 2,
            "subtasks": [{"id": "T1", "objective": "look", "boundaries": "clay only", "status": "done"}],
            "iterations": [],
            "execution_trace": {"criteria_completion": {"met": 3, "total": 4}},
            "created_at": T0,
            "completed_at": at(6),
        },
        overrides,
    )


def plan(count: int = 4, key: str = "checkpoints", **overrides: Any) -> Document:
    """A plan.json with titled checkpoints, all of them "pending" as they always are."""
    items = [
        {"id": number, "title": f"Course {number}", "status": "pending", "task_groups": []}
        for number in range(1, count + 1)
    ]
    return made({"session_id": "any", key: items}, overrides)


def plan_tranches(count: int = 4) -> Document:
    """An older plan.json, which calls its checkpoints tranches."""
    return plan(count, "tranches")
