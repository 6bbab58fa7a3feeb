"""The lists about agents' work, asked by the names that the command line and the control routes share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from sessionlib.db.crud.changes import nearest
from sessionlib.db.queries.agent_lists import AgentFilter, agents
from sessionlib.db.queries.conversation_lists import ConversationFilter, conversations
from sessionlib.db.queries.cost_sums import GROUPINGS, CostFilter, costs
from sessionlib.db.queries.log_pages import LogFilter, logs
from sessionlib.db.queries.scoping import Listing
from sessionlib.db.queries.timelines import timeline
from sessionlib.db.queries.todo_lists import todos
from sessionlib.db.queries.tool_sums import ToolFilter, tools
from sessionlib.errors import UsageError


class Found(NamedTuple):
    """The rows of an answer, and what is said beside them: models or plain values."""

    rows: Sequence[Any]
    more: Mapping[str, Any]


def answer(connection: Connection, name: str, given: Mapping[str, Any]) -> Found:
    """Answer a question.

    Args:
        connection: Open for reading.
        name: One of `NAMES`.
        given: Its options that were given, in Python's types.

    Raises:
        RecordNotFoundError: There is no such project, session or conversation.
        UsageError: Options that do not go together, several sessions fit, and the like.
    """
    return _ASKED[name](connection, dict(given))


def _listed(found: Listing) -> Found:
    return Found(found.rows, {"more": found.more})


def _conversations(connection: Connection, given: dict[str, Any]) -> Found:
    return _listed(conversations(connection, ConversationFilter(**given)))


def _agents(connection: Connection, given: dict[str, Any]) -> Found:
    if given.pop("failed", False):
        if given.get("status", "failed") != "failed":
            raise UsageError(
                "an agent that failed has no other status", hint="give just one of failed and status"
            )
        given["status"] = "failed"
    if "type" in given:
        given["agent_type"] = given.pop("type")
    return _listed(agents(connection, AgentFilter(**given)))


def _costs(connection: Connection, given: dict[str, Any]) -> Found:
    by = given.setdefault("by", "project")
    if by not in GROUPINGS:
        close = nearest(by, list(GROUPINGS))
        hint = f"did you mean: {', '.join(close)}?" if close else f"there are {', '.join(GROUPINGS)}"
        raise UsageError(f"cost is not added up by {by[:100]!r}", hint=hint)
    found = costs(connection, CostFilter(**given))
    return Found(found.rows, {"total": found.total, "groups": found.groups})


def _tools(connection: Connection, given: dict[str, Any]) -> Found:
    return _listed(tools(connection, ToolFilter(**given)))


def _logs(connection: Connection, given: dict[str, Any]) -> Found:
    return _listed(logs(connection, LogFilter(**given)))


def _timeline(connection: Connection, given: dict[str, Any]) -> Found:
    if "session" not in given:
        raise UsageError("a timeline is that of a session", hint="name one with session")
    return _listed(timeline(connection, given.pop("session"), **given))


def _todos(connection: Connection, given: dict[str, Any]) -> Found:
    everything = given.pop("all", False)
    return _listed(todos(connection, everything=everything, **given))


_ASKED: dict[str, Callable[[Connection, dict[str, Any]], Found]] = {
    "conversations": _conversations,
    "agents": _agents,
    "costs": _costs,
    "tools": _tools,
    "logs": _logs,
    "timeline": _timeline,
    "todos": _todos,
}
NAMES = tuple(_ASKED)
"""What can be asked."""
