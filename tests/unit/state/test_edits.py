"""The verbs over all generations: each shows exactly its change, and keeps all else."""

import copy
import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sessionlib.errors import PhaseNotAllowedError, StateRefusedError
from sessionlib.models.base import utc_now
from sessionlib.state.content import SessionContent
from sessionlib.state.manager import StateManager
from tests import builders

GENERATIONS = pytest.mark.parametrize("name", builders.SESSIONS)
TIMES = {"updated_at", "stamps"}
PLANS = {"v1.1": builders.plan_tranches(4)}


def make(tmp_path: Path, document: dict[str, Any], plan: dict | None = None) -> StateManager:
    return StateManager(builders.make_session(tmp_path / "agents/sessions", "s1", document, plan))


def make_generation(tmp_path: Path, name: str, **overrides: Any) -> StateManager:
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
    return moment is not None and abs((utc_now() - moment).total_seconds()) < 60


# --- over all generations ------------------------------------------------------------------------


@GENERATIONS
def test_set_status(tmp_path: Path, name: str) -> None:
    """The status is set also where a document had none."""
    changed = change(make_generation(tmp_path, name), lambda m: m.set_status("paused"))
    assert changed == {"status": "paused", "effective_status": "paused"}


@GENERATIONS
def test_set_git(tmp_path: Path, name: str) -> None:
    """The git details are set also where a document had none."""
    changed = change(make_generation(tmp_path, name), lambda m: m.set_git(branch="b", worktree="w"))
    assert changed == {"git_branch": "b", "git_worktree": "w"}


@GENERATIONS
def test_set_details(tmp_path: Path, name: str) -> None:
    """Topic, description and prior session are set, and cleared."""
    manager = make_generation(tmp_path, name, description="old", prior_session="old")
    changed = change(manager, lambda m: m.set_details(topic="T", description="", prior_session="p"))
    assert changed == {"topic": "T", "description": None, "prior_session_slug": "p"}
    assert change(manager, lambda m: m.set_details(prior_session=None)) == {"prior_session_slug": None}


@GENERATIONS
def test_add_commit(tmp_path: Path, name: str) -> None:
    """A commit is added with its checkpoint, in the words of the document."""
    manager = make_generation(tmp_path, name)
    before = manager.content.commits
    changed = change(manager, lambda m: m.add_commit("abc1234567", "m"))
    assert list(changed) == ["commits"]
    assert changed["commits"][:-1] == before
    added = changed["commits"][-1]
    assert (added.sha, added.message, added.checkpoint) == ("abc1234567", "m", None)
    assert is_recent(added.created_at)


@GENERATIONS
def test_add_decision(tmp_path: Path, name: str) -> None:
    """A decision is added after the others, in the words of the document."""
    manager = make_generation(tmp_path, name)
    before = manager.content.decisions
    changed = change(manager, lambda m: m.add_decision("T", "R", "S"))
    assert list(changed) == ["decisions"]
    assert changed["decisions"][:-1] == before
    added = changed["decisions"][-1]
    assert (added.title, added.rationale, added.source) == ("T", "R", "S")
    assert is_recent(added.decided_at)


@GENERATIONS
def test_add_doc_update(tmp_path: Path, name: str) -> None:
    """A change to the documentation is added."""
    manager = make_generation(tmp_path, name)
    before = manager.content.doc_updates
    changed = change(manager, lambda m: m.add_doc_update("L3", "docs/x.md", "x"))
    assert list(changed) == ["doc_updates"]
    assert changed["doc_updates"][:-1] == before
    added = changed["doc_updates"][-1]
    assert (added.kind, added.path, added.description) == ("L3", "docs/x.md", "x")


@GENERATIONS
def test_link_conversation(tmp_path: Path, name: str) -> None:
    """A conversation and an agent of it are linked, each once."""
    manager = make_generation(tmp_path, name)
    changed = change(manager, lambda m: m.link_conversation("c", "n", source="cli"))
    assert list(changed) == ["links"]
    assert (changed["links"][0].client, changed["links"][0].source) == ("c", "cli")
    assert is_recent(changed["links"][0].linked_at)
    changed = change(manager, lambda m: m.link_conversation("c", "n", "a"))
    assert [link.agent_native_id for link in changed["links"]] == [None, "a"]


@GENERATIONS
def test_reset_progress_and_walk_through_it(tmp_path: Path, name: str) -> None:
    """Progress is kept where the document has it, from the first checkpoint to the last."""
    manager = make_generation(tmp_path, name)
    manager.init_build_progress(3, reset=True)
    content = manager.content
    assert (content.checkpoints_total, content.checkpoints_total_source) == (3, "declared")
    assert (content.checkpoints_completed_ids, content.current_checkpoint) == ((), 1)
    walk = [(1, (1,), 2), (2, (1, 2), 3), (3, (1, 2, 3), None)]
    for number, done, current in walk:
        finished = number == 3 and not content.build_finished
        changed = change(manager, lambda m, number=number: m.complete_checkpoint(number))
        assert changed.pop("checkpoints_completed_ids") == done
        assert changed.pop("current_checkpoint") == current
        assert {c.number for c in changed.pop("checkpoints") if c.completed} == set(done)
        assert changed == ({"build_finished": True} if finished else {})


@GENERATIONS
def test_progress_twice_wipes_nothing(tmp_path: Path, name: str) -> None:
    """To say again, or newly, how many checkpoints there are keeps those that are done."""
    manager = make_generation(tmp_path, name)
    done = manager.content.checkpoints_completed_ids
    manager.init_build_progress(9)
    assert manager.content.checkpoints_completed_ids == done
    assert manager.content.current_checkpoint == len(done) + 1
    assert not manager.init_build_progress(9)


@GENERATIONS
def test_whole_way_through_the_phases(tmp_path: Path, name: str) -> None:
    """Forward to complete and back again, every step is read as it was made."""
    manager = make_generation(tmp_path, name, current_phase="spec")
    generation = manager.content.generation
    for before, after in (("spec", "plan"), ("plan", "build"), ("build", "docs"), ("docs", "complete")):
        changed = change(manager, lambda m, after=after: m.transition_to_phase(after))
        assert changed["current_phase"] == after
        assert f"{before}_completed_at" in manager.content.phase_history
        if after != "complete":
            assert f"{after}_started_at" in manager.content.phase_history
            assert f"{after}_completed_at" not in manager.content.phase_history
    assert manager.content.effective_status == "complete"
    assert manager.content.status == (None if generation == "v1" else "complete")
    history = manager.content.phase_history
    change(manager, lambda m: m.transition_to_phase("build"))
    assert manager.content.effective_status == "active"
    assert manager.content.phase_history["build_started_at"] == history["build_started_at"]
    assert "build_completed_at" not in manager.content.phase_history
    assert manager.content.phase_history["docs_completed_at"] == history["docs_completed_at"]
    change(manager, lambda m: m.transition_to_phase("plan"))
    assert "plan_completed_at" not in manager.content.phase_history


@GENERATIONS
def test_completing_the_current_phase(tmp_path: Path, name: str) -> None:
    """A phase is ended without being left, and only once."""
    manager = make_generation(tmp_path, name, current_phase="docs")
    before = manager.content.phase_history
    manager.complete_phase()
    assert manager.content.current_phase == "docs"
    if "docs_completed_at" in before:
        assert manager.content.phase_history == before
    else:
        assert is_recent(manager.content.phase_history["docs_completed_at"])
    assert not manager.complete_phase("docs")


@GENERATIONS
def test_no_key_is_lost(tmp_path: Path, name: str) -> None:
    """After one of everything the document has all its keys, and foreign ones untouched."""
    foreign = {"future": {"deep": [1.50, None]}, "$extra": "x"}
    manager = make_generation(tmp_path, name, **foreign, current_phase="spec")
    before = copy.deepcopy(manager.document)
    manager.transition_to_phase("plan")
    manager.init_build_progress(8)
    manager.start_checkpoint(8)
    manager.add_commit("abcdef0", "m", 8)
    manager.set_git(branch="b")
    manager.add_decision("d")
    after = manager.document
    assert set(before) <= set(after)
    for key in (
        "future",
        "$extra",
        "goals",
        "open_questions",
        "granularity",
        "artifacts",
        "research_artifacts",
    ):
        assert after.get(key) == before.get(key)
    for key in ("commits", "key_decisions"):
        assert (after.get(key) or [])[: len(before.get(key) or [])] == (before.get(key) or [])


# --- phases --------------------------------------------------------------------------------------


def test_refused_transition_names_what_is_allowed(tmp_path: Path) -> None:
    """The error carries the phases that can follow, for a person and for a program."""
    manager = make(tmp_path, builders.v2())
    with pytest.raises(
        PhaseNotAllowedError, match="from phase spec to docs; allowed from here: plan"
    ) as caught:
        manager.transition_to_phase("docs")
    assert caught.value.allowed == ("plan",)
    assert manager.content.current_phase == "spec"


def test_transition_to_the_same_phase_is_no_change(tmp_path: Path) -> None:
    """An agent that tries again what already worked is not told that it failed."""
    manager = make(tmp_path, builders.v2())
    assert manager.transition_to_phase("plan")
    assert not manager.transition_to_phase("plan")


@pytest.mark.parametrize("phase", ["review", "", None, 7, ["plan"]])
def test_unknown_phase_is_refused(tmp_path: Path, phase: Any) -> None:
    """A word that is no phase is refused with those that are."""
    manager = make(tmp_path, builders.v2())
    with pytest.raises(StateRefusedError, match="there is no phase") as caught:
        manager.transition_to_phase(phase)
    assert "spec, plan, build, docs, complete" in (caught.value.hint or "")


def test_odd_phases_can_be_left(tmp_path: Path) -> None:
    """A session without a phase begins, one with an unknown phase goes anywhere; nothing is ended by it."""
    for phase, wanted in ((None, "spec"), ("implementing", "docs")):
        manager = make(tmp_path, builders.v2(current_phase=phase, phase_history=None))
        assert manager.transition_to_phase(wanted)
        assert list(manager.content.phase_history) == [f"{wanted}_started_at"]


def test_earlier_end_is_kept(tmp_path: Path) -> None:
    """A phase that was completed before it is left keeps that time."""
    manager = make(tmp_path, builders.v2())
    manager.complete_phase()
    ended = manager.content.phase_history["spec_completed_at"]
    manager.transition_to_phase("plan")
    assert manager.content.phase_history["spec_completed_at"] == ended


@pytest.mark.parametrize(
    ("status", "there", "back"),
    [("active", "complete", "active"), ("failed", "complete", "active"), ("paused", "complete", "active")],
)
def test_status_follows_completion(tmp_path: Path, status: str, there: str, back: str) -> None:
    """Complete is a status too; reopened work is active."""
    manager = make(tmp_path, builders.v2_building(status=status))
    manager.transition_to_phase("complete")
    assert manager.content.status == there
    manager.transition_to_phase("docs")
    assert manager.content.status == back


def test_status_set_by_hand_stays(tmp_path: Path) -> None:
    """A complete session that was then declared failed stays failed when reopened."""
    manager = make(tmp_path, builders.v2_building())
    manager.transition_to_phase("complete")
    manager.set_status("failed")
    manager.transition_to_phase("build")
    assert manager.content.status == "failed"


def test_research_and_quick_ways(tmp_path: Path) -> None:
    """Research ends with its spec and can ask further; quick sessions need no spec."""
    manager = make(tmp_path, builders.v2(session_type="research"))
    manager.transition_to_phase("complete")
    assert manager.content.status == "complete"
    manager.transition_to_phase("spec")
    assert manager.content.status == "active"
    quick = make(tmp_path, builders.v2(session_type="quick"))
    quick.transition_to_phase("build")
    assert "build_started_at" in quick.content.phase_history


@pytest.mark.parametrize(
    ("current", "phase", "words"),
    [
        ("spec", "complete", "no end of its own"),
        ("complete", None, "no end of its own"),
        ("plan", "docs", "not reached yet"),
        (None, None, "there is no phase None"),
    ],
)
def test_phase_that_cannot_be_completed(
    tmp_path: Path, current: str | None, phase: str | None, words: str
) -> None:
    """Only phases that were reached, and have an end, can be completed."""
    manager = make(tmp_path, builders.v2(current_phase=current))
    with pytest.raises(StateRefusedError, match=words):
        manager.complete_phase(phase)


def test_earlier_phase_can_be_completed_late(tmp_path: Path) -> None:
    """A forgotten end of an earlier phase can be noted, also where the current one is unknown."""
    for current in ("docs", "implementing"):
        manager = make(tmp_path, builders.v2(current_phase=current))
        assert manager.complete_phase("plan")
        assert is_recent(manager.content.phase_history["plan_completed_at"])


def test_v1_phases_stay_coherent(tmp_path: Path) -> None:
    """In a v1 document status and times of each phase move together."""
    manager = make(tmp_path, builders.v1_3(current_phase="spec"))
    manager.transition_to_phase("plan")
    phases = manager.document["phases"]
    assert phases["spec"]["status"] == "finalized"
    assert (phases["plan"]["status"], phases["plan"]["finalized_at"]) == ("in_progress", None)
    manager.transition_to_phase("build")
    assert phases is not manager.document["phases"]
    assert manager.document["phases"]["plan"]["status"] == "finalized"
    assert manager.document["phases"]["build"] == {
        "status": "in_progress",
        "started_at": builders.at(8),
        "completed_at": None,
    }
    manager.transition_to_phase("docs")
    assert manager.document["phases"]["build"]["status"] == "completed"
    assert list(manager.document["phases"]["docs"]) == ["started_at", "completed_at", "status"]
    assert "phase_history" not in manager.document


def test_hybrid_with_both_histories_is_written_in_both(tmp_path: Path) -> None:
    """An older time does not show through where the newer one was emptied."""
    both = builders.v2_building(phases=builders._v1_phases("finalized", "in_progress"))
    manager = make(tmp_path, both)
    manager.transition_to_phase("plan")
    assert "plan_completed_at" not in manager.content.phase_history
    assert manager.document["phases"]["plan"]["status"] == "in_progress"
    partly = make(tmp_path, builders.v2(phases={"spec": "done"}))
    partly.transition_to_phase("plan")
    assert partly.document["phases"] == {"spec": "done"}


# --- progress ------------------------------------------------------------------------------------


def test_out_of_order_completion(tmp_path: Path) -> None:
    """The current one is the lowest not done after the one completed, else the lowest not done."""
    manager = make(tmp_path, builders.v2_building(4, []))
    currents = []
    for number in (2, 4, 1, 3):
        manager.complete_checkpoint(number)
        currents.append(manager.content.current_checkpoint)
    assert currents == [3, 1, 3, None]
    assert not manager.complete_checkpoint(2)
    assert manager.content.build_finished


@pytest.mark.parametrize("total", [0, -1, 1_001, True, 2.0, "3", None])
def test_impossible_totals_are_refused(tmp_path: Path, total: Any) -> None:
    """A build has at least one checkpoint, and no more than there can be rows."""
    with pytest.raises(StateRefusedError, match="1 to 1,000 checkpoints"):
        make(tmp_path, builders.v2()).init_build_progress(total)


def test_total_below_what_is_done_is_refused(tmp_path: Path) -> None:
    """Done work is not declared away, unless the progress is reset."""
    manager = make(tmp_path, builders.v2_building(4, [1, 3]))
    with pytest.raises(StateRefusedError, match="checkpoint 3 is completed") as caught:
        manager.init_build_progress(2)
    assert "reset" in (caught.value.hint or "")
    assert manager.init_build_progress(2, reset=True)
    assert manager.content.checkpoints_completed_ids == ()


def test_current_survives_a_new_total_where_it_can(tmp_path: Path) -> None:
    """The checkpoint in work stays current if it is still one that is to be done."""
    manager = make(tmp_path, builders.v2_building(6, [1, 2]))
    manager.start_checkpoint(5)
    manager.init_build_progress(8)
    assert manager.content.current_checkpoint == 5
    manager.init_build_progress(4)
    assert manager.content.current_checkpoint == 3
    manager.init_build_progress(2)
    assert manager.content.current_checkpoint is None


@pytest.mark.parametrize("number", [0, 5, -1, True, "2", 1.0])
def test_unknown_checkpoints_are_refused(tmp_path: Path, number: Any) -> None:
    """A checkpoint that is none can neither be started nor completed."""
    manager = make(tmp_path, builders.v2_building(4))
    for verb in (manager.start_checkpoint, manager.complete_checkpoint):
        with pytest.raises(StateRefusedError, match="they are 1 to 4"):
            verb(number)


def test_checkpoints_need_a_total(tmp_path: Path) -> None:
    """Without a known total there is nothing to start; one from the plan will do."""
    manager = make(tmp_path, builders.v2())
    with pytest.raises(StateRefusedError, match="no checkpoints yet") as caught:
        manager.start_checkpoint(1)
    assert "sessionctl session checkpoint SESSION init TOTAL" in (caught.value.hint or "")
    builders.write_json(manager.session_dir / "plan.json", builders.plan(2))
    assert manager.start_checkpoint(2)
    assert manager.complete_checkpoint(2)
    assert manager.content.checkpoints_total_source == "plan"


def test_completed_checkpoint_is_not_started_again(tmp_path: Path) -> None:
    """What is done is not in work."""
    with pytest.raises(StateRefusedError, match="completed already"):
        make(tmp_path, builders.v2_building(4, [1])).start_checkpoint(1)


def test_strange_entries_among_the_completed_stay(tmp_path: Path) -> None:
    """Entries nobody understands are somebody's; a count becomes the ids it stood for."""
    manager = make(
        tmp_path, builders.v1_3(plan_state={"checkpoints_total": 4, "checkpoints_completed": ["CP1"]})
    )
    manager.complete_checkpoint(2)
    assert manager.document["plan_state"]["checkpoints_completed"] == ["CP1", 2]
    counted = make(tmp_path, builders.v1_3(plan_state={"checkpoints_total": 4, "checkpoints_completed": 2}))
    counted.complete_checkpoint(4)
    assert counted.document["plan_state"]["checkpoints_completed"] == [1, 2, 4]


def test_stale_copy_in_the_phases_is_kept_in_step(tmp_path: Path) -> None:
    """The second copy of the current checkpoint moves with the first."""
    manager = make(tmp_path, builders.v1_2_contradicting())
    manager.init_build_progress(6)
    assert manager.document["phases"]["build"]["current_checkpoint"] == 6


def test_untouched_template_is_not_chosen_over_plan_state(tmp_path: Path) -> None:
    """Progress is written where it is read from."""
    both = builders.v2(plan_state={"checkpoints_total": 4, "checkpoints_completed": [1]})
    manager = make(tmp_path, both)
    manager.complete_checkpoint(2)
    assert manager.document["plan_state"]["checkpoints_completed"] == [1, 2]
    assert manager.document["build_progress"]["checkpoints_completed"] == []
    assert manager.content.checkpoints_completed_ids == (1, 2)


# --- commits, decisions, details -----------------------------------------------------------------


def test_commit_known_by_a_prefix_is_updated(tmp_path: Path) -> None:
    """Short and full sha are one commit; the longer one and the newer message stay."""
    manager = make(tmp_path, builders.v2_building(commits=[]))
    assert manager.add_commit("abcdef1", "short", 1)
    assert manager.add_commit("ABCDEF1234", "long")
    assert manager.add_commit("abcdef1", "again", 2)
    (commit,) = manager.content.commits
    assert (commit.sha, commit.message, commit.checkpoint) == ("ABCDEF1234", "again", 2)
    assert not manager.add_commit("abcdef1", "again", 2)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"checkpoint_id": 1}, {"checkpoint_id": 2}),
        ({"checkpoint": None, "checkpoint_id": 1}, {"checkpoint": 2, "checkpoint_id": 2}),
        ({}, {"checkpoint": 2}),
    ],
)
def test_updated_commit_keeps_its_words(tmp_path: Path, entry: dict, expected: dict) -> None:
    """The checkpoint of a known commit is written where it has one."""
    known = {"sha": "abcdef1", "message": "m", **entry}
    manager = make(tmp_path, builders.v2_building(commits=["loose", {"sha": 5}, {"sha": "zz"}, known]))
    manager.add_commit("abcdef1", "m", 2)
    written = manager.document["commits"][-1]
    assert {key: written[key] for key in written if key.startswith("checkpoint")} == expected
    assert manager.document["commits"][:2] == ["loose", {"sha": 5}]


@pytest.mark.parametrize(
    ("document", "key"),
    [
        (builders.v1_0(), "checkpoint_id"),
        (builders.v1_3(), "checkpoint_id"),
        (builders.hybrid_21_keys(), "checkpoint_id"),
        (builders.v2(), "checkpoint"),
        (builders.hybrid(), "checkpoint"),
    ],
)
def test_new_commit_speaks_as_the_others(tmp_path: Path, document: dict, key: str) -> None:
    """The key of the checkpoint is the one the document uses."""
    manager = make(tmp_path, document)
    manager.add_commit("fedcba9", "m", 1)
    assert manager.document["commits"][-1][key] == 1
    assert manager.content.commits[-1].checkpoint == 1


@pytest.mark.parametrize("sha", ["", "abc", "g" * 8, "a" * 65, 1234567, None])
def test_impossible_shas_are_refused(tmp_path: Path, sha: Any) -> None:
    """What is no commit id is refused."""
    with pytest.raises(StateRefusedError, match="no commit id"):
        make(tmp_path, builders.v2()).add_commit(sha, "m")


@pytest.mark.parametrize("checkpoint", [0, 5, True, "1"])
def test_commit_of_an_unknown_checkpoint_is_refused(tmp_path: Path, checkpoint: Any) -> None:
    """A commit belongs to a checkpoint that is there."""
    with pytest.raises(StateRefusedError, match="checkpoint"):
        make(tmp_path, builders.v2_building(4)).add_commit("abcdef1", "m", checkpoint)


def test_decisions_keep_the_words_of_the_last(tmp_path: Path) -> None:
    """title or decision, date or made_at: as the document has it."""
    manager = make(tmp_path, builders.v1_4())
    manager.add_decision("T")
    assert list(manager.document["key_decisions"][-1]) == ["title", "rationale", "date"]
    manager = make(tmp_path, builders.v1_2_finished())
    manager.add_decision("T", source="S")
    assert list(manager.document["key_decisions"][-1]) == ["decision", "rationale", "made_at", "source"]
    manager = make(tmp_path, builders.v2())
    manager.add_decision("T")
    assert list(manager.document["decisions"][-1]) == ["title", "rationale", "date"]
    assert not manager.add_decision("T", "")
    assert manager.add_decision("T", "for another reason")


BAD_CALLS: dict[str, Callable[[StateManager], bool]] = {
    "numeric-message": lambda m: m.add_commit("abcdef1", 7),
    "empty-decision": lambda m: m.add_decision(""),
    "numeric-rationale": lambda m: m.add_decision("t", 7),
    "blank-source": lambda m: m.add_decision("t", source=" "),
    "empty-kind": lambda m: m.add_doc_update(""),
    "numeric-path": lambda m: m.add_doc_update("L2", path=7),
    "no-client": lambda m: m.link_conversation("", "n"),
    "blank-id": lambda m: m.link_conversation("c", " "),
    "numeric-branch": lambda m: m.set_git(branch=7),
    "empty-topic": lambda m: m.set_details(topic=""),
    "cleared-topic": lambda m: m.set_details(topic=None),
    "listed-prior": lambda m: m.set_details(prior_session=["x"]),
    "unknown-status": lambda m: m.set_status("sleeping"),
    "no-status": lambda m: m.set_status(None),
    "listed-status": lambda m: m.set_status(["active"]),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_empty_and_wrong_values_are_refused(tmp_path: Path, name: str) -> None:
    """What says nothing is refused, and nothing is written."""
    manager = make(tmp_path, builders.v2())
    before = manager.content_hash
    with pytest.raises(StateRefusedError):
        BAD_CALLS[name](manager)
    assert StateManager(manager.session_dir).content_hash == before


@pytest.mark.parametrize(
    ("broken", "verb", "words"),
    [
        (
            {"commits": {}},
            lambda m: m.add_commit("abcdef1", "m"),
            "commits holds an object where a list belongs",
        ),
        ({"git": "main"}, lambda m: m.set_git(branch="b"), "git holds a string where an object belongs"),
        ({"phase_history": []}, lambda m: m.transition_to_phase("plan"), "phase_history holds a list"),
        ({"build_progress": 4}, lambda m: m.init_build_progress(4), "build_progress holds a number"),
        ({"decisions": "x"}, lambda m: m.add_decision("t"), "decisions holds a string"),
    ],
)
def test_wrong_shapes_are_not_overwritten(
    tmp_path: Path, broken: dict, verb: Callable[[StateManager], bool], words: str
) -> None:
    """What stands in the way of a change is named, and kept."""
    manager = make(tmp_path, builders.v2(**broken))
    with pytest.raises(StateRefusedError, match=words) as caught:
        verb(manager)
    assert "by hand" in (caught.value.hint or "")


@pytest.mark.parametrize("key", ["commits", "git", "phase_history", "build_progress", "artifacts"])
def test_null_places_are_filled(tmp_path: Path, key: str) -> None:
    """A null where an object or a list belongs is no obstacle."""
    manager = make(tmp_path, builders.v2(**{key: None}))
    manager.add_commit("abcdef1", "m")
    manager.set_git(branch="b")
    manager.transition_to_phase("plan")
    manager.init_build_progress(2)
    content = manager.content
    assert (len(content.commits), content.git_branch, content.current_phase) == (1, "b", "plan")
    assert content.checkpoints_total == 2


def test_time_is_written_as_others_do(tmp_path: Path) -> None:
    """updated_at is UTC with milliseconds and Z."""
    manager = make(tmp_path, builders.v1_2_undated())
    manager.set_status("active")
    written = json.loads((manager.session_dir / "state.json").read_text())["updated_at"]
    assert len(written) == len("2026-01-01T00:00:00.000Z")
    assert written.endswith("Z")
