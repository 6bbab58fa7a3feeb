"""Every question about agents' work, at 10,000 sessions, 100,000 agents, 1,000,000 log rows: database time.

Asked and timed as in `questions`. What adds up the whole archive has a limit of its own.
"""

import statistics
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from benchmarks import daemon, deeds
from benchmarks.cases import Figure, Options, Row
from benchmarks.questions import Ask, Took, loaded, make, milliseconds, sent
from sessionlib.db import tables
from sessionlib.db.engine import Database
from sessionlib.db.queries import GROUPINGS, asked, named

NAME = "work"
GOAL = "each list ≤ 20 ms in the database; what adds up the whole archive ≤ 200 ms"

_LIMIT, _SUM_LIMIT = 20.0, 200.0
_TURNS = 9
_SHOWN = 12
_IN_A_PROJECT = 50
_SUMS = frozenset({"tools", "mcp", "mcp-usage", "unpriced", "cost-per-project", "cost-per-phase"})
_NAMED = (
    *("failed-agents", "failed-agents-in-build", "running-agents", "unlinked-conversations"),
    *("mcp-usage", "unpriced", "cost-per-project", "cost-per-phase"),
)


def run(options: Options) -> Iterator[Row]:
    """Measure on each database."""
    count = 3 if options.quick else max(1, options.sessions // _IN_A_PROJECT)
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder) / "code", count, options.sessions // count)
        for kind in options.databases:
            with daemon.databases(kind) as (url, _), loaded(kind, url, made) as database:
                rows = deeds.fill(database)
                timed = _timed(database, 2 if options.quick else _TURNS)
                yield _row(kind, rows, timed, judged=not options.quick)


def _row(kind: str, rows: Mapping[str, int], timed: Mapping[str, Took], *, judged: bool) -> Row:
    over = [name for name, took in timed.items() if took.median > limit_of(name)]
    slowest = sorted(timed, key=lambda name: timed[name].median / limit_of(name), reverse=True)
    figures: dict[str, Figure] = {
        "over the limit": len(over),
        "over it even at their best": sum(timed[name].least > limit_of(name) for name in over),
        "median ms": statistics.median(took.median for took in timed.values()),
    }
    size = f"{rows['agents']:,} agents, {rows['agent_logs']:,} log rows, {rows['tool_calls']:,} calls"
    return Row(
        f"{len(timed)} questions, {kind}, {size}",
        figures | {f"{name} ms": timed[name].median for name in slowest[:_SHOWN]},
        reached=not over if judged else None,
    )


def limit_of(name: str) -> float:
    """Return the milliseconds that a question may take."""
    is_sum = name in _SUMS or name.startswith(("cost by ", "tools"))
    return _SUM_LIMIT if is_sum else _LIMIT


def _timed(database: Database, turns: int) -> dict[str, Took]:
    with database.read() as connection:
        questions = dict(_questions(connection))
        return {
            name: milliseconds(connection, sent(connection, ask), turns) for name, ask in questions.items()
        }


def _questions(connection: Connection) -> Iterator[tuple[str, Ask]]:
    """Yield what is asked, by a name."""
    talk = tables.conversations.c
    newest: Any = connection.scalar(select(func.max(talk.last_activity_at)))
    one = connection.execute(
        select(talk.native_id, tables.projects.c.slug, tables.sessions.c.slug.label("session"))
        .join(tables.projects, tables.projects.c.project_id == talk.project_id)
        .join(tables.conversation_links, tables.conversation_links.c.conversation_id == talk.conversation_id)
        .join(tables.sessions, tables.sessions.c.session_id == tables.conversation_links.c.session_id)
        .limit(1)
    ).one()
    for label, name, given in _asked(one.slug, one.session, one.native_id, newest):
        yield label, _ask(name, given)
    for name in _NAMED:
        question = named.lookup(name)
        if question is not None:
            yield name, lambda connection, question=question: named.answer(connection, question, {})


def _ask(name: str, given: Mapping[str, Any]) -> Ask:
    return lambda connection: asked.answer(connection, name, given)


def _asked(
    project: str, session: str, talk: str, newest: datetime
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield labels, names and options."""
    lists: dict[str, dict[str, Any]] = {
        "": {},
        " of a project": {"project": project},
        " of a session": {"session": session},
        " from the middle": {"offset": 5000},
        " since": {"since": newest},
    }
    for words, given in lists.items():
        yield f"conversations{words}", "conversations", given
        yield f"agents{words}", "agents", given
    for status in ("active", "ended", "phantom"):
        yield f"conversations {status}", "conversations", {"status": status}
    yield "conversations of nobody", "conversations", {"client": "nobody"}
    for status in ("failed", "running", "interrupted", "complete"):
        yield f"agents {status}", "agents", {"status": status}
        yield f"agents {status} of a project", "agents", {"status": status, "project": project}
        for phase in ("build", "complete"):
            yield f"agents {status} in {phase}", "agents", {"status": status, "phase": phase}
    yield "agents in build", "agents", {"phase": "build"}
    yield "agents in no phase", "agents", {"phase": "nowhere"}
    yield "failed agents in no phase", "agents", {"phase": "nowhere", "failed": True}
    for kind in ("Explore", "main", "nobody"):
        yield f"agents of type {kind}", "agents", {"type": kind}
    yield "agents of a conversation", "agents", {"conversation": talk[:13]}
    for by in GROUPINGS:
        yield f"cost by {by}", "costs", {"by": by}
        yield f"a project's cost by {by}", "costs", {"by": by, "project": project}
        yield f"a session's cost by {by}", "costs", {"by": by, "session": session}
    yield "cost by day since", "costs", {"by": "day", "since": "2025-06-01"}
    yield "tools", "tools", {}
    yield "tools that failed", "tools", {"failed": True}
    yield "tools of a server", "tools", {"server": "server-1"}
    yield "tools in a project", "tools", {"project": project}
    yield "calls in a session", "tools", {"session": session}
    yield "mcp", "tools", {"mcp": True}
    yield "logs of a session", "logs", {"session": session}
    yield "logs of a conversation", "logs", {"conversation": talk}
    yield "timeline", "timeline", {"session": session}
    yield "todos", "todos", {}
    yield "todos of a project", "todos", {"project": project}
    yield "all todos", "todos", {"all": True}
