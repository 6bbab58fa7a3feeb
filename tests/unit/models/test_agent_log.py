"""Agent logs: one event with a natural key."""

from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from sessionlib.models import AgentLog, AgentLogCreate, LogCategory

EVENT = {
    "project_id": uuid4(),
    "conversation_id": uuid4(),
    "agent_id": uuid4(),
    "event_key": "k",
    "category": "hook",
    "event_type": "stop",
    "at": "2026-01-05T09:00:00Z",
}


def test_event() -> None:
    """An event needs its key, its kind and an aware time; its body need not be kept."""
    made = AgentLogCreate.model_validate(EVENT | {"body": "ü", "size": 2})
    assert made.category is LogCategory.HOOK
    assert (made.body, made.size) == ("ü", 2)
    assert AgentLogCreate.model_validate(EVENT).body is None
    assert AgentLog.model_validate(EVENT).event_key == "k"


@pytest.mark.parametrize(
    "values",
    [
        {"event_key": ""},
        {"event_type": ""},
        {"category": "other"},
        {"at": "2026-01-05T09:00:00"},
        {"size": -1},
        {"body": 7},
    ],
)
def test_values_that_are_refused(values: dict[str, Any]) -> None:
    """Events without a key, a kind or a zone are not events."""
    with pytest.raises(ValidationError):
        AgentLogCreate.model_validate(EVENT | values)
