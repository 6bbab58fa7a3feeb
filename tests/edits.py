"""Changing sessions through StateManager for tests: make one, apply a verb, tell what changed."""

import copy
import dataclasses
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sessionlib.models.base import utc_now
from sessionlib.state.content import SessionContent
from sessionlib.state.manager import StateManager
from tests import builders

GENERATIONS = pytest.mark.parametrize("name", builders.SESSIONS)
TIMES = {"updated_at", "stamps"}
PLANS = {"v1.1": builders.plan_tranches(4)}


def make(tmp_path: Path, document: dict[str, Any], plan: dict | None = None) -> StateManager:
    """Make a session of a document and return its manager."""
    return StateManager(builders.make_session(tmp_path / "agents/sessions", "s1", document, plan))


def make_generation(tmp_path: Path, name: str, **overrides: Any) -> StateManager:
    """Make a session of a generation and return its manager."""
    return make(tmp_path, builders.SESSIONS[name](**overrides), PLANS.get(name))


def difference(before: SessionContent, after: SessionContent) -> dict[str, Any]:
    """Return the fields that changed, but for the times every save moves."""
    return {
        field.name: getattr(after, field.name)
        for field in dataclasses.fields(SessionContent)
        if field.name not in TIMES and getattr(before, field.name) != getattr(after, field.name)
    }


def change(manager: StateManager, verb: Callable[[StateManager], bool]) -> dict[str, Any]:
    """Apply a verb; check what must hold for all of them; return what changed."""
    before, document = manager.load(), copy.deepcopy(manager.document)
    begun = utc_now().replace(microsecond=0)
    assert verb(manager)
    told = manager.content
    assert StateManager(manager.session_dir).load() == told
    assert told.updated_at is not None
    assert begun <= told.updated_at <= utc_now()
    assert told.updated_at in told.stamps
    assert told.generation == before.generation
    assert told.warnings == before.warnings
    keys = list(manager.document)
    assert [key for key in keys if key in document] == list(document)
    assert not verb(manager)
    return difference(before, told)


def is_recent(moment: datetime | None) -> bool:
    """Tell whether a moment lies within the last minute."""
    return moment is not None and abs((utc_now() - moment).total_seconds()) < 60
