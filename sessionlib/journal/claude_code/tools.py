"""What tool calls of Claude Code mean, whether a hook or a transcript tells of them."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson

from sessionlib.journal.facts import AgentEnded, AgentSeen, Ending, Todo, Weight
from sessionlib.journal.trees import count_of, text_of

_MCP = "mcp__"
_LIST_TOOLS = frozenset({"TaskCreate", "TaskUpdate", "TodoWrite"})
_NAMES = {"Task": "Agent"}
"""Tools that were renamed, by their old name."""


def server_of(name: str, named: str | None = None) -> str | None:
    """Return the MCP server of a tool; None for one of the client's own.

    Args:
        name: The tool's whole name, ``mcp__<server>__<tool>``.
        named: The server as the payload names it, which newer clients do; its name may hold ``__`` itself.
    """
    if named is not None:
        return named
    if not name.startswith(_MCP):
        return None
    return name[len(_MCP) :].partition("__")[0] or None


def kind_of(name: str, named: str | None = None) -> str:
    """Return the tool's name, without its server's."""
    if not name.startswith(_MCP):
        return _NAMES.get(name, name)
    if named is not None:
        whole = f"{_MCP}{_as_spelled(named)}__"
        if name.startswith(whole):
            return name[len(whole) :]
    return name[len(_MCP) :].partition("__")[2] or name


def _as_spelled(server: str) -> str:
    """Return a server's name as it stands in its tools' names."""
    return "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in server)


def size_of(value: Any) -> int | None:
    """Return the bytes of an input or an answer: of a text itself, of anything else as JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace"))
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        return None


def lists_todos(name: str | None) -> bool:
    """Tell whether a tool keeps the agent's own list."""
    return name in _LIST_TOOLS


def spawns(name: str) -> bool:
    """Tell whether a tool starts an agent."""
    return _NAMES.get(name, name) == "Agent"


def todos_of(name: str, given: Any, answer: Any, at: datetime) -> Iterator[Todo]:
    """Yield what one successful call of such a tool changed.

    Items of `TodoWrite` have no id: their words are it, so that a list that leaves one out deletes nothing.
    """
    given = given if isinstance(given, dict) else {}
    answer = answer if isinstance(answer, dict) else {}
    if name == "TaskCreate":
        task = answer.get("task")
        key = _key(task, "id") if isinstance(task, dict) else None
        if key is not None:
            yield Todo(key, at, text_of(given, "subject"), "pending", text_of(given, "description"))
    elif name == "TaskUpdate":
        key = _key(given, "taskId")
        if key is not None and answer.get("success") is not False:
            yield Todo(
                key, at, text_of(given, "subject"), text_of(given, "status"), text_of(given, "description")
            )
    else:
        items = given.get("todos")
        for item in items if isinstance(items, list) else []:
            content = text_of(item, "content") if isinstance(item, dict) else None
            if content is not None:
                yield Todo(_key_of_words(content), at, content, text_of(item, "status"))


def spawned_by(
    call: str, parent: str, given: Any, answer: Any, at: datetime, weight: Weight
) -> Iterator[AgentSeen | AgentEnded]:
    """Yield which agent a call has spawned, and how that went; nothing for a call that has spawned none.

    Args:
        call: The call's id.
        parent: The agent that called.
        given: The call's input.
        answer: Its structured answer.
        at: When it returned.
        weight: How far what told of it is to be believed.
    """
    agent = text_of(answer, "agentId")
    if agent is None:
        return
    yield AgentSeen(
        agent,
        None,
        agent_type=text_of(answer, "agentType") or text_of(given, "subagent_type"),
        task=text_of(given, "description") or text_of(answer, "description"),
        model=text_of(answer, "resolvedModel"),
        parent=parent,
        call=call,
        weight=weight,
    )
    if text_of(answer, "status") == "completed":
        yield AgentEnded(agent, at, Ending.COMPLETE, Weight.RESULT)


def _key_of_words(content: str) -> str:
    # Not the words themselves: a key is stored as it is, and they may hold a secret.
    return f"words:{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()[:32]}"


def _key(tree: Any, name: str) -> str | None:
    """Return an item's id, which some versions give as a number."""
    number = count_of(tree, name)
    return text_of(tree, name) if number is None else str(number)
