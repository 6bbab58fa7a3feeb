"""The recorder in the client's settings: merged in, taken out, and nothing else touched."""

import copy
import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.journal.claude_code import events, settings
from sessionlib.journal.claude_code.events import EVENTS, known_to, parse_version

NEW = (2, 1, 330)
COMMAND = ["/opt/py thon/bin/python3", "-I", "-S", "/opt/x/sessionlib/hooks/entry.py", "--spool", "/s/spool"]
OTHER = {"type": "command", "command": "/usr/local/bin/notify --quiet", "timeout": 3}


def install(tree: dict[str, Any], version: events.Version | None = NEW) -> dict[str, Any]:
    return settings.installed(tree, known_to(version), COMMAND, version)


def test_what_a_new_client_gets() -> None:
    """Each event has one handler, as a program with its arguments; only those of tools have a matcher."""
    hooks = install({})["hooks"]
    assert list(hooks) == [event.name for event in EVENTS]
    assert hooks["Stop"] == [
        {"hooks": [{"type": "command", "command": COMMAND[0], "args": [*COMMAND[1:], "Stop"], "timeout": 5}]}
    ]
    assert [group["matcher"] for group in hooks["PreToolUse"]] == ["*"]
    assert hooks["SessionEnd"][0]["hooks"][0]["timeout"] == 10


def test_an_older_client_gets_a_line_for_its_shell() -> None:
    """Paths with spaces are quoted, and events that it does not know are left out."""
    hooks = install({}, (2, 1, 20))["hooks"]
    assert shlex.split(hooks["Stop"][0]["hooks"][0]["command"]) == [*COMMAND, "Stop"]
    assert "args" not in hooks["Stop"][0]["hooks"][0]
    assert "SubagentStart" in hooks
    assert {"PostToolBatch", "TaskCompleted", "PostCompact", "StopFailure"}.isdisjoint(hooks)


def test_nothing_new_is_risked_with_an_unknown_client() -> None:
    """A client that says no version gets what an old one knows: one unknown event costs it its settings."""
    assert set(install({}, None)["hooks"]) == set(install({}, (2, 0, 76))["hooks"])
    assert set(install({}, (1, 0, 62))["hooks"]) == {
        *("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "SubagentStop"),
        *("PreCompact", "Stop", "Notification"),
    }


def test_what_is_not_ours_stays() -> None:
    """Other keys, other hooks of the same events, their order and their matchers are as they were."""
    mine: dict[str, Any] = {
        "permissions": {"allow": ["Bash(ls:*)"]},
        "hooks": {
            "WorktreeCreate": [{"hooks": [OTHER]}],
            "PreToolUse": [{"matcher": "Bash", "hooks": [OTHER]}, {"matcher": "Edit", "hooks": [OTHER]}],
        },
        "model": "opus",
    }
    before = copy.deepcopy(mine)
    made = install(mine)
    assert mine == before
    assert list(made) == ["permissions", "hooks", "model"]
    assert made["hooks"]["PreToolUse"][:2] == before["hooks"]["PreToolUse"]
    assert len(made["hooks"]["PreToolUse"]) == 3
    assert settings.uninstalled(made) == before


def test_a_second_installation_replaces_the_first() -> None:
    """After an upgrade elsewhere there is still one handler an event, where the old one stood."""
    old = settings.installed(
        {}, known_to(NEW), ["/old/python", "/old/lib/sessionlib/hooks/entry.py"], (2, 1, 100)
    )
    old["hooks"]["Stop"].append({"hooks": [OTHER]})
    made = install(old)
    assert [one.handler["command"] for one in settings.found(made)] == [COMMAND[0]] * len(EVENTS)
    assert made["hooks"]["Stop"][1] == {"hooks": [OTHER]}
    assert list(made["hooks"]) == list(old["hooks"])


def test_a_group_that_is_shared_keeps_its_others() -> None:
    """A handler of ours that somebody has put beside another one is taken out of there alone."""
    ours = settings.handler_of(EVENTS[-1], COMMAND, NEW)
    shared = {"hooks": {"SessionEnd": [{"hooks": [ours, OTHER]}]}}
    assert settings.uninstalled(shared) == {"hooks": {"SessionEnd": [{"hooks": [OTHER]}]}}


@pytest.mark.parametrize(
    "handler",
    [
        {"type": "command", "command": "session-hook Stop"},
        {"type": "command", "command": "/usr/bin/session-hook", "args": ["Stop"]},
        {"type": "command", "command": "'/a b/python' -I '/x y/sessionlib/hooks/entry.py' Stop"},
        {"command": "python", "args": ["-I", "/x/sessionlib/hooks/entry.py", "Stop"]},
    ],
)
def test_ours_is_known_by_its_program(handler: dict[str, Any]) -> None:
    """Whatever version or hand has written it."""
    assert settings.is_ours(handler)


@pytest.mark.parametrize(
    "handler",
    [
        OTHER,
        {"type": "command", "command": "echo 'session-hook"},
        {"type": "http", "url": "http://127.0.0.1/session-hook"},
        {"command": 3},
        {"command": "grep", "args": [7, "session-hooks"]},
        "session-hook",
        None,
    ],
)
def test_what_is_not_ours_is_known_too(handler: Any) -> None:
    """A likeness is not enough."""
    assert not settings.is_ours(handler)


@pytest.mark.parametrize(
    "tree",
    [
        {"hooks": []},
        {"hooks": {"Stop": {}}},
        {"hooks": {"Stop": ["x"]}},
        {"hooks": {"Stop": [{"hooks": {"type": "command"}}]}},
    ],
)
def test_a_shape_that_no_client_takes_is_refused(tree: dict[str, Any]) -> None:
    """It is not repaired, and not made worse."""
    for edit in (install, settings.uninstalled, lambda tree: list(settings.found(tree))):
        with pytest.raises(settings.BadSettingsError):
            edit(tree)


_HANDLERS = st.lists(
    st.sampled_from([OTHER, {"type": "command", "command": "session-hook X"}, {"type": "prompt"}]), max_size=3
)
_HOOKS = st.dictionaries(
    st.sampled_from([*(event.name for event in EVENTS), "WorktreeCreate"]),
    st.lists(st.fixed_dictionaries({"hooks": _HANDLERS}, optional={"matcher": st.just("Bash")}), max_size=3),
    max_size=5,
)


@given(_HOOKS, st.sampled_from([None, (2, 0, 76), (2, 1, 120), NEW]))
def test_installing_is_idempotent_and_is_undone(hooks: dict[str, Any], version: Any) -> None:
    """Twice is once; and what is left after taking it out is what was there without ours."""
    tree = {"hooks": hooks, "model": "opus"}
    once = install(tree, version)
    assert install(once, version) == once
    assert json.dumps(install(once, version)) == json.dumps(once)
    assert settings.uninstalled(once).get("hooks", {}) == {
        name: groups for name, groups in settings.uninstalled(tree).get("hooks", {}).items() if groups
    }
    assert len(list(settings.found(once))) == len(known_to(version))


@pytest.mark.parametrize(
    ("told", "version"),
    [("2.1.330 (Claude Code)\n", NEW), ("v1.0.128", (1, 0, 128)), ("", None), ("two", None), ("9" * 9, None)],
)
def test_versions_are_read_from_what_clients_say(told: str, version: Any) -> None:
    """The number alone counts."""
    assert parse_version(told) == version


def test_a_setting_that_silences_hooks_is_named() -> None:
    """Else somebody looks for a fault of ours."""
    assert settings.silenced_by({"disableAllHooks": True}) == "disableAllHooks"
    assert settings.silenced_by({"disableAllHooks": "yes"}) is None
