"""Commits, decisions, documents, conversations and research runs in all their spellings."""

from datetime import UTC, datetime

from sessionlib.state.content import (
    Commit,
    Decision,
    DocUpdate,
    Link,
    ResearchRun,
)
from sessionlib.state.interpret import MOST_PARTS, interpret
from tests import builders
from tests.builders import at, time_of
from tests.states import problems


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


def test_lists_without_end() -> None:
    """Only so many entries of a list become rows, and that there are more is noted."""
    content = interpret(
        {
            "commits": [{"sha": f"{number:07x}"} for number in range(MOST_PARTS + 1)],
            "key_decisions": ["d"] * MOST_PARTS,
        }
    )
    assert (len(content.commits), content.commits[-1].sha) == (MOST_PARTS, f"{MOST_PARTS - 1:07x}")
    assert len(content.decisions) == MOST_PARTS
    assert content.warnings == (("commits", "are more than 2,000; the rest have no rows"),)
