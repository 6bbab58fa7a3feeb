"""Which payloads lack a field that their client always sends."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sessionlib.journal.claude_code import payloads
from sessionlib.journal.claude_code.contract import at_least, missing_fields
from sessionlib.journal.facts import Drifted
from sessionlib.journal.spool import Delivery

FIXTURES = Path(__file__).parents[2] / "fixtures" / "claude_code" / "hooks"
AT = datetime(2026, 11, 21, 18, tzinfo=UTC)


def drifted(tree: dict[str, Any], **changed: Any) -> list[tuple[str, str]]:
    body = json.dumps(tree).encode()
    given = Delivery("1", "claude-code", "", AT, len(body), body, **changed)
    return [(one.field, one.since) for one in payloads.facts_of(given, tree) if isinstance(one, Drifted)]


def real(name: str) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_bytes())
    return tree


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_a_real_payload_lacks_nothing(path: Path) -> None:
    """What real clients send is the contract."""
    assert drifted(json.loads(path.read_bytes())) == []


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("PreToolUse.Bash", "tool_use_id"),
        ("PreToolUse.Bash", "tool_name"),
        ("PostToolUse.Read", "tool_response"),
        ("PostToolUseFailure.Bash", "error"),
        ("SubagentStart.sub", "agent_id"),
        ("SubagentStop.sub", "agent_transcript_path"),
        ("SessionStart.startup", "source"),
        ("SessionEnd.other", "reason"),
        ("UserPromptSubmit", "prompt"),
        ("TaskCreated", "task_id"),
        ("PreCompact.manual", "cwd"),
        ("PreCompact.manual", "transcript_path"),
    ],
)
def test_a_field_that_was_renamed_is_missed(name: str, field: str) -> None:
    """Of an event that is needed, whatever the field is called now."""
    tree = real(name)
    tree[f"new_{field}"] = tree.pop(field)
    event = tree["hook_event_name"]
    assert [one for one, _ in drifted(tree)] == [f"{event}.{field}"]


def test_ids_come_first_and_must_be_ones() -> None:
    """An id that is no text links nothing; of the entries of a list each counts."""
    tree = real("PreToolUse.Bash") | {"tool_use_id": 7}
    del tree["tool_input"]
    del tree["cwd"]
    assert [field.name for field in missing_fields("PreToolUse", tree)] == [
        "tool_use_id",
        "tool_input",
        "cwd",
    ]
    batch = real("PostToolBatch.mcp__demo__add+Read")
    del batch["tool_calls"][1]["tool_use_id"]
    assert [field.name for field in missing_fields("PostToolBatch", batch)] == ["tool_calls.tool_use_id"]


def test_old_clients_are_not_blamed_unless_they_show_that_they_are_new() -> None:
    """A payload that names its prompt is of a client that names its tool calls, too."""
    old = {"session_id": "s", "hook_event_name": "PreToolUse", "cwd": "/", "transcript_path": "/t"}
    old |= {"tool_name": "Bash", "tool_input": {}}
    assert at_least(old) is None
    assert drifted(old) == [("PreToolUse.tool_use_id", "2.0.43")]
    assert drifted(old | {"prompt_id": "p"}) == [("PreToolUse.tool_use_id", "")]
    assert drifted(old | {"duration_ms": 3}) == [("PreToolUse.tool_use_id", "")]


def test_what_was_cut_or_is_unknown_lacks_nothing() -> None:
    """Of half a payload nobody knows what it had; of an event that we do not know, what it should have."""
    tree = real("PreToolUse.Bash")
    del tree["tool_use_id"]
    assert drifted(tree, cut=10) == []
    assert drifted(tree | {"hook_event_name": "Sneeze"}) == []
