"""GET /sessions, /agents and the like: the reading verbs of the command line, with the same rows."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from sessiond.control import asking
from sessiond.control.answers import RequestError, json_answer, plain_rows, rows_answer
from sessiond.control.desk import DEFAULT_WAIT, Call
from sessiond.control.health import AGE_KINDS
from sessionlib.db import queries
from sessionlib.db.crud import projects as project_rows
from sessionlib.db.crud import sessions as session_rows
from sessionlib.db.queries import asked, named
from sessionlib.errors import UsageError

MOST_ROWS = 10_000
"""Rows of one answer; the rest is a matter of `offset`."""

_FILTER_KINDS: dict[str, asking.Kind] = {
    "phase": asking.a_text,
    "status": asking.a_text,
    "project": asking.a_text,
    "type": asking.a_text,
    "min_checkpoints": asking.a_whole(0),
    "min_completed": asking.a_whole(0),
    "text": asking.a_text,
    "branch": asking.a_text,
    "missing": asking.a_flag,
    "limit": asking.a_whole(1, MOST_ROWS),
    "offset": asking.a_whole(0),
}
_OPTION_KINDS: dict[str, asking.Kind] = {
    "project": asking.a_text,
    "days": asking.a_number(0, named.MOST_DAYS),
    "text": asking.a_text,
    "sha": asking.a_text,
    "session": asking.a_text,
    "limit": asking.a_whole(1, MOST_ROWS),
}

_WHOSE: dict[str, asking.Kind] = {
    "project": asking.a_text,
    "session": asking.a_text,
    "limit": asking.a_whole(1, MOST_ROWS),
}
_ASKED_KINDS: dict[str, dict[str, asking.Kind]] = {
    "conversations": _WHOSE
    | {
        "status": asking.a_text,
        "client": asking.a_text,
        "since": asking.a_moment,
        "unlinked": asking.a_flag,
        "offset": asking.a_whole(0),
    },
    "agents": _WHOSE
    | {
        "failed": asking.a_flag,
        "status": asking.a_text,
        "phase": asking.a_text,
        "type": asking.a_text,
        "conversation": asking.a_text,
        "since": asking.a_moment,
        "offset": asking.a_whole(0),
    },
    "costs": _WHOSE | {"by": asking.a_text, "since": asking.a_day, "until": asking.a_day},
    "tools": _WHOSE | {"server": asking.a_text, "mcp": asking.a_flag, "failed": asking.a_flag},
    "logs": _WHOSE
    | {
        "conversation": asking.a_text,
        "category": asking.a_text,
        "since": asking.a_moment,
        "after": asking.a_text,
        "before": asking.a_text,
    },
    "timeline": _WHOSE | {"since": asking.a_moment},
    "todos": {
        "project": asking.a_text,
        "conversation": asking.a_text,
        "all": asking.a_flag,
        "limit": asking.a_whole(1, MOST_ROWS),
    },
}
"""What the lists about agents' work take, by their names in `asked`."""

Found = tuple[list[Any], dict[str, Any]]
"""Rows as plain values, and what the answer says beside them."""


async def sessions(call: Call) -> web.StreamResponse:
    """List sessions, the last active first, filtered."""
    given = asking.parameters(call.request, _FILTER_KINDS | AGE_KINDS)
    chosen = {name: value for name, value in given.items() if name not in AGE_KINDS}
    chosen["session_type"] = chosen.pop("type", None)

    def ask(connection: Connection) -> Found:
        page = queries.page(connection, queries.SessionFilter(**chosen))
        return plain_rows(page.rows), {"total": page.total}

    return await _answer(call, given, ask)


async def session(call: Call) -> web.StreamResponse:
    """Show one session with all its parts."""
    given = asking.parameters(call.request, {"project": asking.a_text} | AGE_KINDS)
    # Of a path the folder's name counts; no slug holds a slash.
    name = asking.taken("the session", call.rest.rstrip("/").rsplit("/", 1)[-1], asking.a_text)

    def ask(connection: Connection) -> Found:
        project = project_rows.slug_of(connection, given.get("project"))
        found = session_rows.find(connection, name, project=project)
        return plain_rows([session_rows.detail(connection, found)]), {}

    return await _answer(call, given, ask)


async def projects(call: Call) -> web.StreamResponse:
    """List all projects with what their sessions add up to."""
    given = asking.parameters(call.request, AGE_KINDS)
    return await _answer(call, given, lambda connection: (plain_rows(queries.projects(connection)), {}))


async def catalogue(call: Call) -> web.StreamResponse:
    """List the named queries; asks no database."""
    asking.parameters(call.request, {})
    return json_answer(rows_answer(call.desk.backend.freshness(), named.catalogue()))


async def query(call: Call) -> web.StreamResponse:
    """Answer a named query."""
    question = named.lookup(call.rest)
    if question is None:
        error = named.unknown(call.rest[:100], "GET /queries")
        raise RequestError(404, error.message, hint=error.hint or "GET /queries lists them")
    given = asking.parameters(call.request, _OPTION_KINDS | AGE_KINDS)
    options = {name: value for name, value in given.items() if name not in AGE_KINDS}
    named.check(question, options, str, f"GET /queries/{question.name}?{question.needs}=VALUE")

    def ask(connection: Connection) -> Found:
        found = named.answer(connection, question, options)
        return plain_rows(found.rows), {"more": found.more}

    return await _answer(call, given, ask)


async def work(call: Call, name: str) -> web.StreamResponse:
    """Answer one of the lists about agents' work, by its name in `asked`."""
    given = asking.parameters(call.request, _ASKED_KINDS[name] | AGE_KINDS)
    options = {option: value for option, value in given.items() if option not in AGE_KINDS}

    def ask(connection: Connection) -> Found:
        found = asked.answer(connection, name, options)
        beside = dict(zip(found.more, plain_rows(list(found.more.values())), strict=True))
        return plain_rows(found.rows), beside

    return await _answer(call, given, ask)


async def _answer(
    call: Call, given: dict[str, Any], ask: Callable[[Connection], Found]
) -> web.StreamResponse:
    # Before the rows are read: they may be younger than `as_of` says, never older.
    fresh = await call.desk.freshness(given.get("max_age"), given.get("wait", DEFAULT_WAIT))

    def encoded(connection: Connection) -> bytes:
        rows, more = ask(connection)
        return rows_answer(fresh, rows, **more)

    try:
        return json_answer(await call.desk.read(encoded))
    except UsageError as error:
        raise RequestError.of(error) from error
