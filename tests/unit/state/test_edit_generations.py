"""The verbs over all generations: each shows exactly its change, and keeps all else."""

import copy
from pathlib import Path

from tests.edits import GENERATIONS, change, is_recent, make_generation


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
