"""Whatever a file holds, both databases take its rows, and alike."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionlib.state.document import decode, interpret
from sessionlib.sync import digests, mapping
from sessionlib.sync.mirror import Outcome
from tests import builders, mirrors
from tests.mirrors import World, outcomes


def test_the_same_bytes_may_be_a_state_and_a_part(world: World, root: Path) -> None:
    """A document's row says the same whether its bytes came first as a state.json or as something else."""
    builders.make_session(root, "a", builders.v2(), builders.v2_building(), {"r": builders.v1_3()})
    builders.make_session(root, "b", builders.v2_building())
    builders.make_session(root, "c", builders.v1_3())
    by_part = {}
    for order in (("a", "b", "c"), ("c", "b", "a")):
        mirrors.empty(world.database)
        world.registrar.forget()
        for slug in order:
            world.sync(root / slug)
        by_part[order] = world.everything(("key", "derived"))["documents"]
    assert len(set(map(str, by_part.values()))) == 1


def test_values_only_one_database_would_take_are_cut_alike(world: World, root: Path) -> None:
    """What does not fit an index of PostgreSQL is cut or left out on both, and noted."""
    # Random-looking text: an index entry is compressed, so that repetitions would fit.
    noise = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(5000))
    document = builders.v2(
        current_phase=noise,
        status=noise,
        commits=[{"sha": noise, "message": noise}],
        conversations=[
            {"client": "c", "native_id": noise},
            {"client": "c" * 200, "native_id": noise[:200], "agent_native_id": noise[200:400]},
        ],
        research_artifacts=[{"research_id": noise}, {"research_id": "fine"}],
        key_decisions=[{"decision": noise, "rationale": noise}],
        topic=noise,
    )
    folder = builders.make_session(root, "one", document)
    assert outcomes(world, folder) == [Outcome.WRITTEN]
    row = world.session("one")
    assert row["current_phase"] == row["effective_status"] == noise[:149] + "…"
    assert row["topic"] == noise
    assert [part["research_id"] for part in world.rows("research_runs")] == ["fine"]
    assert [part["client"] for part in world.rows("session_links")] == ["c" * 200]
    assert {path for path, _ in row["warnings"]} >= {
        "current_phase",
        "status",
        "commits",
        "conversations",
        "research_artifacts",
    }


def test_folders_whose_names_are_spelled_alike(world: World, root: Path) -> None:
    """A name that is not UTF-8, and a name that looks like its escaped form, are two sessions."""
    names = ["x-\udcff", "x-\\xff", "x-\\\\xff", "é"]
    folders = [builders.make_session(root, name, builders.v2(topic=repr(name))) for name in names]
    results = world.sync(*folders)
    assert [r.outcome for r in results] == [Outcome.WRITTEN] * 4
    assert {row["topic"] for row in world.rows("sessions")} == {repr(name) for name in names}
    assert world.reconcile(root).ticket.total == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(sorted(builders.hybrid_21_keys()) + sorted(builders.v1_3()) + ["conversations"])
TIMES = st.sampled_from(
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1969-12-31", "2026-01-01T00:00:00+14:00"]
)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        "conversations": st.lists(
            st.fixed_dictionaries(
                {"client": st.text(max_size=3), "native_id": st.text(max_size=3)},
                optional={"agent_native_id": st.text(max_size=2) | st.none(), "linked_at": TIMES},
            ),
            max_size=4,
        ),
        "commits": st.lists(
            st.fixed_dictionaries({"sha": st.text(max_size=4)}, optional={"created_at": TIMES}), max_size=3
        ),
        "research_artifacts": st.lists(
            st.fixed_dictionaries({"research_id": st.text(max_size=3), "created_at": TIMES}), max_size=3
        ),
        "phase_history": st.dictionaries(
            st.sampled_from(["spec_started_at", "build_completed_at"]), TIMES, max_size=2
        ),
        "updated_at": TIMES,
        "created_at": TIMES,
    },
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    document=st.dictionaries(KEYS | st.text(max_size=5), JSON, max_size=8),
    lists=LISTS,
    plan=st.none() | st.dictionaries(st.sampled_from(["checkpoints", "tranches", "x"]), JSON, max_size=2),
)
def test_any_json_object_has_rows_that_both_databases_take(
    world: World, root: Path, document: dict[str, Any], lists: dict[str, Any], plan: dict[str, Any] | None
) -> None:
    """Whatever object a file holds, its rows are stored, and stay the same when restored from documents."""
    data = json.dumps(document | lists).encode("utf-8", "surrogatepass")
    folder = builders.make_session(root, "any", data, plan)
    if plan is None:
        (folder / "plan.json").unlink(missing_ok=True)
    result = world.sync(folder)[0]
    tree = decode(data, session_dir=folder)
    assert result.outcome in {Outcome.WRITTEN, Outcome.TOUCHED}
    assert result.error is None
    row = world.session("any")
    content = mapping.storable(interpret(tree, plan))
    assert row["topic"] == content.topic
    assert row["phase_history"] == json.loads(digests.dump_json(content.phase_history))
    assert len(world.rows("session_links")) == len(content.links)
