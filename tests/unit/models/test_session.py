"""Sessions: what StateManager is asked to write, and rows as the mirror shows them."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from sessionlib.models import Commit, Phase, SessionCreate, SessionType, SessionUpdate, SessionVersion


def test_create() -> None:
    """A topic is enough; phases and types are the known ones."""
    made = SessionCreate(topic="Wall", phase=Phase.SPEC)
    assert made.session_type is SessionType.FULL
    for wrong in ({"topic": ""}, {"topic": "x", "phase": "done"}, {"topic": "x", "session_type": "huge"}):
        with pytest.raises(ValidationError):
            SessionCreate.model_validate(wrong)


def test_update() -> None:
    """None clears the description and the prior session; the topic cannot be cleared."""
    assert SessionUpdate(description=None).model_fields_set == {"description"}
    assert SessionUpdate(topic="x", prior_session=None).model_fields_set == {"topic", "prior_session"}
    for wrong in ({"topic": None}, {"topic": ""}, {"status": "complete"}):
        with pytest.raises(ValidationError):
            SessionUpdate.model_validate(wrong)


@dataclass
class Row:
    """A row as a database gives it."""

    position: int = 0
    sha: str = "abc"
    message: str | None = None
    checkpoint: int | None = None
    created_at: Any = None


def test_parts_are_read_from_rows() -> None:
    """A row's attributes become the model, and a second one with the same values is equal."""
    assert Commit.model_validate(Row()) == Commit.model_validate(Row())
    assert Commit.model_validate(Row(sha="def")) != Commit.model_validate(Row())
    with pytest.raises(ValidationError):
        Commit.model_validate(Row(created_at="2026-01-05T09:00:00"))


def test_models_are_frozen() -> None:
    """What was read cannot be changed by accident."""
    made = Commit.model_validate(Row())
    with pytest.raises(ValidationError, match="frozen"):
        made.sha = "x"
    with pytest.raises(ValidationError):
        SessionVersion.model_validate({"seq": 1, "content_hash": str(uuid4())})
