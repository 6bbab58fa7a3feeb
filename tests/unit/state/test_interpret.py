"""What a document of any generation says."""

import copy
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionlib.state.coerce import MOST_NOTES, Notes, moment
from sessionlib.state.content import (
    Checkpoint,
    Commit,
    Decision,
    DocUpdate,
    Link,
    ResearchRun,
    SessionContent,
)
from sessionlib.state.interpret import interpret
from sessionlib.state.progress import MOST_CHECKPOINTS
from tests import builders
from tests.builders import at


def time_of(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC)


def problems(content: SessionContent) -> list[str]:
    return [path for path, _ in content.warnings]


# --- generations ---------------------------------------------------------------------------------

PLANS = {"v1.1": builders.plan_tranches(4), "v1.2-finished": builders.plan(4)}


@pytest.mark.parametrize(
    ("name", "generation", "phase", "effective", "finished", "done", "total", "source", "commits"),
    [
        ("v1.0", "v1", "spec", "active", False, 0, None, None, 0),
        ("v1.0-bare", "v1", "spec", "active", False, 0, None, None, 0),
        ("v1.1", "v1", "complete", "complete", True, 4, 4, "plan", 0),
        ("v1.2-undated", "v1", "build", "active", True, 5, 5, "declared", 0),
        ("v1.2-contradicting", "v1", "build", "active", True, 5, 5, "declared", 0),
        ("v1.2-finished", "v1", "build", "active", True, 4, 4, "declared", 0),
        ("v1.3", "v1", "plan", "active", True, 6, 6, "declared", 6),
        ("v1.3-research", "v1", "spec", "active", False, 0, None, None, 0),
        ("v1.4", "v1", "plan", "active", True, 5, 5, "declared", 5),
        ("v1.4-unsteady", "v1", "plan", "active", True, 7, 7, "declared", 7),
        ("v2", "v2", "spec", "active", False, 0, None, None, 0),
        ("v2-granularity", "v2", "spec", "active", False, 0, 0, "declared", 0),
        ("v2-hybrid", "hybrid", "build", "active", True, 4, 4, "declared", 4),
        ("v2-hybrid-21", "hybrid", "docs", "active", True, 5, 5, "declared", 5),
    ],
)
def test_every_generation_says_what_it_means(  # noqa: PLR0913, PLR0917 - one row of the table
    name: str,
    generation: str,
    phase: str,
    effective: str,
    finished: bool,
    done: int,
    total: int | None,
    source: str | None,
    commits: int,
) -> None:
    """Each of the fourteen shapes is read without a warning, and no commit loses its checkpoint."""
    content = interpret(builders.SESSIONS[name](), PLANS.get(name))
    assert content.warnings == ()
    assert (content.generation, content.current_phase) == (generation, phase)
    assert (content.effective_status, content.build_finished) == (effective, finished)
    assert len(content.checkpoints_completed_ids) == done
    assert (content.checkpoints_total, content.checkpoints_total_source) == (total, source)
    assert content.current_checkpoint is None
    assert [commit.checkpoint for commit in content.commits] == list(range(1, commits + 1))
    assert len(content.checkpoints) == (total or 0)
    assert content.phase_history


def test_details_are_verbatim() -> None:
    """Words and texts come out as written: empty, overlong, unknown or absent."""
    long = "x" * 100_000
    content = interpret(
        {"session_id": "other", "topic": long, "description": "", "session_type": "feature"}
        | {"current_phase": "Building", "status": "done", "git": {"branch": "b", "base_branch": "main"}}
        | {"prior_session": "before", "parent_session": "above"}
    )
    assert (content.declared_id, content.topic, content.description) == ("other", long, "")
    assert (content.session_type, content.current_phase, content.status) == ("feature", "Building", "done")
    assert content.effective_status == "done"
    assert (content.git_branch, content.git_worktree, content.git_base_branch) == ("b", None, "main")
    assert (content.prior_session_slug, content.parent_session_slug) == ("before", "above")
    assert problems(content) == ["current_phase", "status", "session_type"]
    assert interpret({"topic": long}).warnings == ()


def test_empty_object() -> None:
    """An object that says nothing is an active session without anything."""
    content = interpret({})
    assert content.warnings == ()
    assert content.generation == "v1"
    assert content.effective_status == "active"
    assert content.current_phase is None
    assert content.stamps == ()


@pytest.mark.parametrize(
    ("state", "effective"),
    [
        ({"status": "paused", "current_phase": "complete"}, "paused"),
        ({"current_phase": "complete"}, "complete"),
        ({"status": "", "current_phase": "complete"}, "complete"),
        ({"status": None, "current_phase": "build"}, "active"),
    ],
)
def test_effective_status(state: dict, effective: str) -> None:
    """The declared status wins, else the phase tells."""
    assert interpret(state).effective_status == effective


# --- phases --------------------------------------------------------------------------------------


def test_phase_times_are_resolved_one_by_one() -> None:
    """Each time comes from the history, and where that has none from the older place."""
    content = interpret(
        {
            "phase_history": {"spec_started_at": at(1), "spec_completed_at": None, "plan_started_at": "soon"},
            "phases": {
                "spec": {"started_at": at(9), "finalized_at": at(2)},
                "plan": {"started_at": at(3), "finalized_at": None, "completed_at": at(4)},
                "docs": {"started_at": at(5)},
                "build": "in_progress",
                "complete": {"started_at": at(6)},
                "_status_values": [],
            },
        }
    )
    assert content.phase_history == {
        "spec_started_at": time_of(at(1)),
        "spec_completed_at": time_of(at(2)),
        "plan_started_at": time_of(at(3)),
        "plan_completed_at": time_of(at(4)),
        "docs_started_at": time_of(at(5)),
    }
    assert problems(content) == ["phase_history.plan_started_at"]


@pytest.mark.parametrize(
    ("state", "finished"),
    [
        ({"phases": {"build": {"status": "complete"}}}, True),
        ({"phases": {"build": {"status": "completed"}}}, True),
        ({"phases": {"build": {"status": "in_progress"}}}, False),
        ({"phases": {"build": "completed"}}, False),
        ({"phases": []}, False),
        ({"phase_history": {"build_completed_at": at(1)}}, True),
        ({"build_progress": {"checkpoints_total": 2, "checkpoints_completed": [1, 2]}}, True),
        ({"build_progress": {"checkpoints_total": 2, "checkpoints_completed": [2]}}, False),
        ({"build_progress": {"checkpoints_total": 0, "checkpoints_completed": []}}, False),
    ],
)
def test_build_finished(state: dict, finished: bool) -> None:
    """A build is finished when its checkpoints or its phase say so."""
    assert interpret(state).build_finished is finished


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-02-21T17:30:28Z", datetime(2026, 2, 21, 17, 30, 28, tzinfo=UTC)),
        (" 2026-02-21t17:30:28z ", datetime(2026, 2, 21, 17, 30, 28, tzinfo=UTC)),
        ("2026-02-21T17:30:28.566903+00:00", datetime(2026, 2, 21, 17, 30, 28, 566903, tzinfo=UTC)),
        ("2026-02-21T17:30:28.5669031234+05:30", datetime(2026, 2, 21, 12, 0, 28, 566903, tzinfo=UTC)),
        ("2026-02-21T17:30:28-16:00", datetime(2026, 2, 22, 9, 30, 28, tzinfo=UTC)),
        ("2026-02-16", datetime(2026, 2, 16, tzinfo=UTC)),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_become_utc(written: str, expected: datetime) -> None:
    """Every spelling of a time that leaves no doubt is taken."""
    notes = Notes()
    found = moment(written, notes, "t")
    assert found == expected
    assert found.tzinfo is UTC
    assert notes.all() == ()


def test_naive_time_is_utc_with_a_note() -> None:
    """A time without a zone is taken as UTC, and said."""
    notes = Notes()
    assert moment("2026-02-16 10:00", notes, "t") == datetime(2026, 2, 16, 10, tzinfo=UTC)
    assert notes.all() == (("t", "has no time zone; taken as UTC"),)


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+02:00",
        "9999-12-31T23:59:59-01:00",
        "2026-02-16T10:00:61Z",
        "2026-02-16T10:00:00+25:00",
        "20260216",
        "2026-W07-1",
        "   ",
        1_770_000_000,
        True,
        [],
    ],
)
def test_impossible_times_are_none_with_a_note(written: Any) -> None:
    """A time that cannot be, or cannot be UTC within the years 1 to 9999, is left out."""
    notes = Notes()
    assert moment(written, notes, "t") is None
    assert len(notes.all()) == 1


def test_absent_times_are_silent() -> None:
    """Null and the empty text are no time, and nothing to warn of."""
    notes = Notes()
    assert moment(None, notes, "t") is None
    assert moment("", notes, "t") is None
    assert notes.all() == ()


def test_stamps_are_sorted_and_leave_creation_out() -> None:
    """The document's age is told by updates, phases and commits, each moment once."""
    state = builders.v2_building(2, [1], created_at=at(0), updated_at=at(4))
    content = interpret(state)
    assert content.stamps == tuple(time_of(at(hours)) for hours in (0, 2, 4, 11))[0:]
    assert content.created_at == time_of(at(0))


# --- progress ------------------------------------------------------------------------------------


def progress(
    build: Any = None, older: Any = None, plan: dict | None = None, **more: Any
) -> tuple[int | None, str | None, tuple[int, ...], int | None]:
    content = interpret({"build_progress": build, "plan_state": older, **more}, plan)
    return (
        content.checkpoints_total,
        content.checkpoints_total_source,
        content.checkpoints_completed_ids,
        content.current_checkpoint,
    )


def box(total: Any = None, completed: Any = None, current: Any = None) -> dict:
    return {
        "checkpoints_total": total,
        "checkpoints_completed": completed,
        "current_checkpoint": current,
    }


def test_untouched_template_gives_way_to_plan_state() -> None:
    """A v2 template filled in by hands that know the v1 names shows what they wrote."""
    for untouched in (box(None, []), box(0, [], None), {}, None):
        assert progress(untouched, box(4, [1, 2], 3)) == (4, "declared", (1, 2), 3)
    assert progress(box(5, [1], 2), box(4, [1, 2], 3)) == (5, "declared", (1,), 2)


def test_fields_fall_back_one_by_one() -> None:
    """What the believed place leaves open is asked of the other one; a present null current is an answer."""
    assert progress({"current_checkpoint": 2}, box(4, [1])) == (4, "declared", (1,), 2)
    assert progress({"checkpoints_completed": [1]}, box(4, [9], 3)) == (4, "declared", (1,), 3)
    assert progress(box(4, [1, 2, 3, 4], None), box(4, [1], 2)) == (4, "declared", (1, 2, 3, 4), None)


def test_current_checkpoint_of_the_phases_is_the_last_resort() -> None:
    """The copy in the build phase counts only where no other place has the key."""
    phases = {"build": {"current_checkpoint": 2}}
    assert progress(phases=phases)[3] == 2
    assert progress(None, {"checkpoints_total": 3}, phases=phases)[3] == 2
    assert progress(None, box(3, [], None), phases=phases)[3] is None


@pytest.mark.parametrize(
    ("declared", "done", "planned", "total", "source"),
    [
        (4, [1], None, 4, "declared"),
        (4, [1], 6, 4, "declared"),
        (None, [1, 2, 3, 4], 4, 4, "plan"),
        (0, [1, 2, 3, 4], 4, 4, "plan"),
        (0, [1, 2, 3, 4], None, None, None),
        (2, [1, 2, 3], 5, 5, "plan"),
        (2, [1, 2, 3], None, None, None),
        (2, [1, 2, 3], 2, None, None),
        (None, [1, 2], None, None, None),
        (0, [], None, 0, "declared"),
        (0, [], 3, 3, "plan"),
        (None, [], 3, 3, "plan"),
        (None, [], 0, None, None),
        (-3, [], None, None, None),
        (2**31, [], None, None, None),
        (True, [], None, None, None),
        ("4", [], None, 4, "declared"),
        (4.0, [], None, 4, "declared"),
        (4.5, [], None, None, None),
    ],
)
def test_total_is_never_less_than_done(
    declared: Any, done: list[int], planned: int | None, total: int | None, source: str | None
) -> None:
    """The first believable number wins and says where it is from; 4/0 is never shown."""
    plan = None if planned is None else builders.plan(planned)
    assert progress(box(declared, done), None, plan)[:2] == (total, source)


@pytest.mark.parametrize(
    ("written", "ids", "notes"),
    [
        ([3, 1, 2, 1], (1, 2, 3), 0),
        ([1e0, 2.0], (1, 2), 0),
        (["1", 2], (1, 2), 1),
        ([0, -1, 2], (2,), 2),
        ([True, None, {}, "CP1", 2], (2,), 3),
        (3, (1, 2, 3), 1),
        ("2", (1, 2), 2),
        ({"1": True}, (), 1),
        (True, (), 1),
        (None, (), 0),
    ],
)
def test_completed_ids_are_coerced(written: Any, ids: tuple[int, ...], notes: int) -> None:
    """Ids are whole, positive, sorted and each once; what is odd is noted."""
    content = interpret({"plan_state": {"checkpoints_completed": written}})
    assert content.checkpoints_completed_ids == ids
    assert len(content.warnings) == notes


def test_checkpoints_have_titles_and_states() -> None:
    """One row for each number, titled by the plan, plus the completed ones beyond the total."""
    content = interpret(builders.v2_building(3, [1, 7], commits=[]), builders.plan(2))
    assert content.checkpoints == (
        Checkpoint(1, "Course 1", completed=True, current=False),
        Checkpoint(2, "Course 2", completed=False, current=True),
        Checkpoint(3, None, completed=False, current=False),
        Checkpoint(7, None, completed=True, current=False),
    )


@pytest.mark.parametrize(
    ("items", "titles"),
    [
        ([{"id": 2, "title": "b"}, {"id": 1, "title": "a"}], ["a", "b"]),
        ([{"number": 1, "name": "a"}, {"checkpoint_id": 2, "title": "b"}], ["a", "b"]),
        ([{"id": 0, "title": "a"}, {"id": 1, "title": "b"}], ["a", "b"]),
        ([{"id": 1, "title": "a"}, {"id": 1, "title": "b"}], ["a", "b"]),
        ([{"id": "CP-1", "title": "a"}, {"title": ""}], ["a", None]),
        (["a", None, "b"], ["a", "b"]),
        ([{"_note": "x"}, {"title": 5, "name": "a"}, 7], ["a", None]),
    ],
)
def test_plans_of_all_kinds(items: list, titles: list[str | None]) -> None:
    """Numbers count when they are whole and distinct, else the order does."""
    content = interpret({}, {"checkpoints": items})
    assert [checkpoint.title for checkpoint in content.checkpoints] == titles


@pytest.mark.parametrize("plan", [{}, {"checkpoints": {}}, {"checkpoints": None, "tranches": "4"}])
def test_plans_without_checkpoints(plan: dict) -> None:
    """A plan that lists nothing says nothing."""
    assert interpret({}, plan).checkpoints_total is None


def test_checkpoint_rows_are_capped() -> None:
    """A huge total is believed, but does not make a million rows."""
    content = interpret({"build_progress": box(2_000_000, [1, 3_000_000])})
    assert content.checkpoints_total == 2_000_000
    assert len(content.checkpoints) == MOST_CHECKPOINTS
    assert problems(content) == ["checkpoints"]
    beyond = interpret({"build_progress": box(999, [5000, 5001, 5002])})
    assert len(beyond.checkpoints) == MOST_CHECKPOINTS
    assert problems(beyond) == ["checkpoints"]


# --- lists ---------------------------------------------------------------------------------------


def test_commits() -> None:
    """Both keys of the checkpoint are read, a 0 is not taken for none, and a bare sha is a commit."""
    content = interpret(
        {
            "commits": [
                {"sha": "a1", "message": "m", "checkpoint": 1, "checkpoint_id": 2, "created_at": at(1)},
                {"sha": "a2", "checkpoint": None, "checkpoint_id": 2},
                {"sha": "a3", "checkpoint": 0, "checkpoint_id": 2},
                {"sha": "a4", "message": 7, "checkpoint": 2**31},
                "a5",
                {"message": "no sha"},
                {"_example": {"sha": "x"}},
                None,
                17,
            ]
        }
    )
    assert content.commits == (
        Commit("a1", "m", 1, time_of(at(1))),
        Commit("a2", "", 2, None),
        Commit("a3", "", 0, None),
        Commit("a4", "", None, None),
        Commit("a5", "", None, None),
    )
    assert problems(content) == ["commits[3].checkpoint", "commits[3].message", "commits[5]", "commits[8]"]


def test_decisions() -> None:
    """All key sets are read, examples are not decisions, and both lists count."""
    content = interpret(
        {
            "key_decisions": [
                {"decision": "a", "title": "t", "rationale": "r", "date": "2026-02-16"},
                {"title": "b", "made_at": at(1), "source": "s"},
                {"_example": True, "decision": "no"},
                {"_note": "no"},
                {"decision": "", "title": ""},
                {},
                "c",
            ],
            "decisions": [{"title": "d", "decided_at": "soon", "created_at": at(2)}],
        }
    )
    assert content.decisions == (
        Decision("a", "r", datetime(2026, 2, 16, tzinfo=UTC), None),
        Decision("b", None, time_of(at(1)), "s"),
        Decision("c", None, None, None),
        Decision("d", None, time_of(at(2)), None),
    )
    assert problems(content) == ["key_decisions[4]", "key_decisions[5]", "decisions[0].decided_at"]


def test_doc_updates() -> None:
    """A kind of none has no path; a bare text is a path."""
    content = interpret(
        {"doc_updates": [{"type": "none", "description": "d", "created_at": at(1)}, "docs/a.md"]}
    )
    assert content.doc_updates == (
        DocUpdate("none", None, "d", time_of(at(1))),
        DocUpdate(None, "docs/a.md", None, None),
    )


def test_links() -> None:
    """A conversation and its agents are links of their own, each once, the earliest first."""
    content = interpret(
        {
            "conversations": [
                {"client": "c", "native_id": "n", "linked_at": at(1), "source": "hook"},
                {"client": "c", "native_id": "n", "linked_at": at(5)},
                {"client": "c", "native_id": "n", "agent_native_id": "a"},
                {"client": "c"},
                {"native_id": "n", "client": ""},
            ]
        }
    )
    assert content.links == (
        Link("c", "n", None, time_of(at(1)), "hook"),
        Link("c", "n", "a", None, None),
    )
    assert problems(content) == ["conversations[3]", "conversations[4]"]


def test_research_runs() -> None:
    """Runs with a folder come first; the session's own list adds those it alone knows."""
    artifact = {"research_id": "r9", "success_criteria_met": "4 of 5", "complexity_tier": "medium"}
    content = interpret(
        {"research_artifacts": [artifact, {"research_id": "r1"}, {"path": "p"}, {"research_id": "r8"}]},
        None,
        [
            ("r1", builders.research_run(id="other")),
            ("r2", builders.research_run(execution_trace=None)),
            ("r3", {"research_plan": {"success_criteria": []}}),
        ],
    )
    first, second, third, listed, bare = content.research_runs
    assert first == ResearchRun(
        "r1", "What soil carries a wall?", "complete", "simple", time_of(at(0)), time_of(at(6)), 3, 4, "other"
    )
    assert (second.criteria_met, second.criteria_total) == (1, 2)
    assert third == ResearchRun("r3", None, None, None, None, None, None, None, None)
    assert listed == ResearchRun("r9", None, None, "medium", None, None, 4, 5, None)
    assert (bare.research_id, bare.criteria_met) == ("r8", None)


# --- robustness ----------------------------------------------------------------------------------


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
