"""Agents: the rule of parents, limits, and changes."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from sessionlib.models import Agent, AgentCreate, AgentKind, AgentStatus, AgentUpdate


def create(kind: AgentKind | str, **values: Any) -> AgentCreate:
    """Return a new agent of a kind."""
    base = {"project_id": uuid4(), "conversation_id": uuid4(), "native_id": "n", "kind": kind}
    return AgentCreate.model_validate(base | values)


def test_main_agent_has_no_parent() -> None:
    """The main agent stands alone."""
    assert create("main").kind is AgentKind.MAIN
    with pytest.raises(
        ValidationError, match="a spawned agent needs parent_agent_id, the main agent has none"
    ):
        create("main", parent_agent_id=uuid4())


def test_spawned_agent_has_a_parent() -> None:
    """A spawned agent cannot be made without the one that spawned it."""
    parent = uuid4()
    assert create(AgentKind.SPAWNED, parent_agent_id=parent).parent_agent_id == parent
    for values in ({}, {"parent_agent_id": None}):
        with pytest.raises(ValidationError, match="needs parent_agent_id"):
            create("spawned", **values)


def test_stored_agents_keep_the_rule() -> None:
    """A stored agent is checked like a new one."""
    row = create("main").model_dump() | {"agent_id": uuid4(), "status": "running"}
    assert Agent.model_validate(row).status is AgentStatus.RUNNING
    with pytest.raises(ValidationError, match="parent_agent_id"):
        Agent.model_validate(row | {"kind": "spawned"})


@pytest.mark.parametrize(
    "values", [{"native_id": None}, {"kind": "other"}, {"checkpoint_number": 0}, {"project_id": "x"}]
)
def test_values_that_are_refused(values: dict[str, Any]) -> None:
    """Unknown kinds and checkpoint 0 do not exist, and a main agent's empty id is one."""
    with pytest.raises(ValidationError):
        create(**({"kind": "main"} | values))


def test_update() -> None:
    """An explicit None is a change, silence is none; tokens and cost are never negative."""
    change = AgentUpdate(error=None, cost_usd=Decimal("0.10"), input_tokens=0)
    assert change.model_fields_set == {"error", "cost_usd", "input_tokens"}
    assert change.cost_usd == Decimal("0.1")
    for wrong in ({"status": None}, {"input_tokens": -1}, {"output_tokens": None}, {"cost_usd": -1}):
        with pytest.raises(ValidationError):
            AgentUpdate.model_validate(wrong)
