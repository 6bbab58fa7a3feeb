"""The tables people see of what agents did, by what their rows are."""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from sessionlib.cli.answer import Column
from sessionlib.cli.columns import phase_style
from sessionlib.cli.text import duration

_STATUSES = {"failed": "red", "running": "yellow", "active": "yellow", "complete": "green"}
_STATUSES |= {"interrupted": "magenta", "abandoned": "dim", "phantom": "dim", "unpriced": "yellow"}
_SHORT = 8
_LEAST = Decimal("0.0001")
_LARGE = 100
_THOUSAND, _MILLION = 1000, 1_000_000


def _status_style(text: str) -> str:
    return _STATUSES.get(text, "")


def money(amount: Any) -> str | None:
    """Return an amount of US dollars as people read it; None for None."""
    if amount is None:
        return None
    # Of a daemon's JSON it is a binary fraction, of the database an exact number: both must round alike.
    exact = Decimal(str(amount))
    size = abs(exact)
    sign = "-" if exact < 0 else ""
    if 0 < size < _LEAST:
        return f"{sign}<$0.0001"
    places = Decimal("0.01") if size >= _LARGE else _LEAST
    return f"{sign}${size.quantize(places, ROUND_HALF_EVEN):,}"


def count(number: int) -> str:
    """Return a large number in thousands or millions: ``950``, ``12.3k``, ``4.5M``."""
    if number < _THOUSAND:
        return str(number)
    if number < _MILLION:
        return f"{number / _THOUSAND:.1f}k"
    return f"{number / _MILLION:.1f}M"


def milliseconds(number: int | None) -> str | None:
    """Return a time as people read it: ``12 ms``, ``3.4 s``, ``5 min``; None for None."""
    if number is None:
        return None
    if number < _THOUSAND:
        return f"{number} ms"
    return f"{number / _THOUSAND:.1f} s" if number < 60 * _THOUSAND else duration(number / _THOUSAND)


def second(moment: datetime) -> str:
    """Return a time on this machine's clock, to the second."""
    try:
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return moment.isoformat(" ", "seconds")


def _cost(row: Any) -> str | None:
    if row.cost_usd is None and row.unpriced:
        return "unpriced"
    return money(row.cost_usd)


def _short(native_id: str) -> str:
    return native_id[:_SHORT]


def _ran(row: Any) -> str | None:
    if row.started_at is None or row.ended_at is None:
        return None
    took: timedelta = row.ended_at - row.started_at
    return duration(took.total_seconds())


def _agent(row: Any) -> str:
    return "main" if row.kind == "main" else row.agent_type or row.native_id


COST = Column("cost", _cost, right=True, style=_status_style)
UNPRICED_COUNT = Column("unpriced", lambda row: row.unpriced or None, right=True, style="yellow")
_TOKENS = (
    Column("in", lambda row: count(row.input_tokens), right=True),
    Column("out", lambda row: count(row.output_tokens), right=True),
    Column("cache read", lambda row: count(row.cache_read_tokens), right=True),
    Column("cache write", lambda row: count(row.cache_write_tokens), right=True),
)

CONVERSATIONS = (
    Column("conversation", lambda row: _short(row.native_id), style="bold"),
    Column("project", lambda row: row.project_slug),
    Column("status", lambda row: row.status, style=_status_style),
    Column("identity", lambda row: row.identity),
    Column("sessions", lambda row: ", ".join(row.sessions)),
    Column("agents", lambda row: row.agents, right=True),
    Column("failed", lambda row: row.agents_failed or None, right=True, style="red"),
    Column("responses", lambda row: row.messages, right=True),
    COST,
    UNPRICED_COUNT,
    Column("last active", lambda row: row.last_activity_at),
    Column("title", lambda row: row.title),
)

AGENTS = (
    Column("agent", _agent, style="bold"),
    Column("status", lambda row: row.status, style=_status_style),
    Column("project", lambda row: row.project_slug),
    Column("session", lambda row: row.session),
    Column("phase", lambda row: row.phase, style=phase_style),
    Column("parent", lambda row: row.parent_type),
    Column("conversation", lambda row: _short(row.conversation)),
    Column("started", lambda row: row.started_at),
    Column("ran", _ran, right=True),
    Column("out", lambda row: count(row.output_tokens), right=True),
    COST,
    Column("error", lambda row: row.error, style="red"),
    Column("task", lambda row: row.task),
)

TOOLS = (
    Column("server", lambda row: row.server),
    Column("tool", lambda row: row.tool_name, style="bold"),
    Column("calls", lambda row: row.calls, right=True),
    Column("ok", lambda row: row.ok, right=True),
    Column("failed", lambda row: row.failed or None, right=True, style="red"),
    Column("denied", lambda row: row.denied or None, right=True),
    Column("interrupted", lambda row: row.interrupted or None, right=True),
    Column("open", lambda row: row.open or None, right=True),
    Column("median", lambda row: milliseconds(row.p50_ms), right=True),
    Column("mean", lambda row: milliseconds(row.mean_ms), right=True),
    Column("longest", lambda row: milliseconds(row.max_ms), right=True),
)

LOG = (
    Column("at", lambda row: second(row.at)),
    Column("agent", lambda row: row.agent, style="bold"),
    Column("event", lambda row: row.event_type),
    Column("detail", lambda row: row.detail),
    Column("bytes", lambda row: row.size or None, right=True),
    Column("conversation", lambda row: _short(row.conversation)),
)

TIMELINE = (
    Column("at", lambda row: second(row.at)),
    Column("what", lambda row: row.kind),
    Column("of", lambda row: row.subject, style="bold"),
    Column("status", lambda row: row.status, style=_status_style),
    Column("detail", lambda row: row.detail),
)

LISTED_ITEMS = (
    Column("status", lambda row: row.status, style=_status_style),
    Column("to do", lambda row: row.content or row.todo_key, style="bold"),
    Column("project", lambda row: row.project_slug),
    Column("sessions", lambda row: ", ".join(row.sessions)),
    Column("conversation", lambda row: _short(row.conversation)),
    Column("which is", lambda row: row.conversation_status, style=_status_style),
    Column("changed", lambda row: row.updated_at),
)

UNPRICED = (
    Column("model", lambda row: row.model, style="bold"),
    Column("without a price", lambda row: row.unpriced, right=True, style="yellow"),
    Column("of responses", lambda row: row.messages, right=True),
    Column("conversations", lambda row: row.conversations, right=True),
    Column("from", lambda row: row.first_day),
    Column("to", lambda row: row.last_day),
)

_WITH_PROJECT = frozenset({"session", "checkpoint", "conversation"})
_WITH_TITLE = frozenset({"session", "conversation"})


def _group(row: Any) -> str | None:
    return "total" if row.by == "total" else row.group


def costs(by: str) -> tuple[Column, ...]:
    """Return the columns of costs by something; a row by ``total`` may stand among the others."""
    beside = []
    if by in _WITH_PROJECT:
        beside.append(Column("project", lambda row: row.project))
    if by == "checkpoint":
        beside.append(Column("session", lambda row: row.session))
    if by in _WITH_TITLE:
        beside.append(Column("title", lambda row: row.title))
    return (
        Column(by, _group, style="bold"),
        *beside,
        Column("responses", lambda row: row.messages, right=True),
        *_TOKENS,
        UNPRICED_COUNT,
        Column("beyond responses", lambda row: money(row.client_usd), right=True),
        COST,
    )
