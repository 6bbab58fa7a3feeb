"""Whatever JSON stands in a document, it is understood without an error, and always alike."""

import copy
import json
import random
from datetime import UTC
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionlib.state.coerce import MOST_NOTES
from sessionlib.state.interpret import interpret
from tests import builders


def test_notes_are_capped() -> None:
    """A document that is wrong everywhere costs no more than a hundred notes."""
    content = interpret({"commits": [1] * 500})
    assert len(content.warnings) == MOST_NOTES + 1
    assert content.warnings[-1] == ("", "400 more are left out")


def shuffled(value: Any, rng: random.Random) -> Any:
    """Return the value with other key orders and whole numbers spelt as floats, as a database may do."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, rng) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**50 and rng.random() < 0.5:
        return float(value)
    return value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["spec", "complete", "2026-01-01", "2026-01-01T00:00:00Z", "1", "_x", "research"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
ENTRY_KEYS = [
    *("sha", "message", "checkpoint", "checkpoint_id", "created_at", "decision", "title", "rationale"),
    *("date", "made_at", "source", "type", "path", "client", "native_id", "research_id", "_example"),
    *("status", "started_at", "finalized_at", "completed_at", "current_checkpoint", "checkpoints_total"),
    *("checkpoints_completed", "met", "total", "id", "number", "success_criteria_met", "build", "plan"),
]
NESTED = st.recursive(
    JSON,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(ENTRY_KEYS), inner, max_size=6)
    ),
    max_leaves=10,
)
TOP_KEYS = sorted(
    {key for make in builders.SESSIONS.values() for key in make()} | {"conversations", "decisions"}
)
PATIENT = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
STATES = st.dictionaries(st.sampled_from(TOP_KEYS), NESTED, max_size=10)


@PATIENT
@given(STATES, st.none() | st.dictionaries(st.sampled_from(["checkpoints", "tranches"]), NESTED), STATES)
def test_no_object_makes_it_raise(state: dict, plan: dict | None, run: dict) -> None:
    """Whatever JSON stands where, the times are aware and the counts make sense."""
    content = interpret(state, plan, [("r", run)])
    done = len(content.checkpoints_completed_ids)
    assert content.checkpoints_total is None or content.checkpoints_total >= done
    assert all(stamp.tzinfo is UTC for stamp in content.stamps)
    assert list(content.checkpoints_completed_ids) == sorted(set(content.checkpoints_completed_ids))


@PATIENT
@given(STATES, st.randoms(use_true_random=False))
def test_key_order_and_spelling_of_numbers_do_not_matter(state: dict, rng: random.Random) -> None:
    """A document that comes back from a database says exactly the same, warnings included."""
    again = shuffled(json.loads(json.dumps(state)), rng)
    assert interpret(again) == interpret(state)


@pytest.mark.parametrize("name", builders.SESSIONS)
def test_real_shapes_survive_a_database(name: str) -> None:
    """The same for all generations."""
    document = builders.SESSIONS[name]()
    before = copy.deepcopy(document)
    content = interpret(document, builders.plan(5), [("r", builders.research_run())])
    again = shuffled(document, random.Random(7))
    assert interpret(again, builders.plan(5), [("r", builders.research_run())]) == content
    assert document == before


@pytest.mark.parametrize("wrong", [None, [], {}, "x", 7, 1.5, True, [None], [[]], {"a": []}])
@pytest.mark.parametrize("name", ["v1.4", "v2-hybrid-21"])
def test_any_one_field_may_be_wrong(name: str, wrong: Any) -> None:
    """One bad field costs that field: what does not depend on it stays."""
    document = builders.SESSIONS[name]()
    for key in document:
        content = interpret({**document, key: wrong})
        if key != "topic":
            assert content.topic == document["topic"]
        if key != "commits":
            assert len(content.commits) == len(document["commits"])
