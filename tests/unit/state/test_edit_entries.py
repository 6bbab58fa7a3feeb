"""Commits, decisions and details: the words they are written in, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionlib.errors import StateRefusedError
from sessionlib.state.manager import StateManager
from tests import builders
from tests.edits import make


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
