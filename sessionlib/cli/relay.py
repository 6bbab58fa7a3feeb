"""Rows from the running daemon in place of the database: the same answer without half a second of imports.

Only what is certain to be the same is taken from it. Whenever something is out of the ordinary (no daemon,
one of another version or on another database, a configuration that was changed since it was read, any
refusal) there is no answer here, and the verb asks the database, which is always right and says what is
wrong.

Few imports: this is what makes `sessionctl sessions` and its like quick.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from urllib.parse import unquote, urlencode

from sessionlib import __version__, locations
from sessionlib.cli.answer import Freshness
from sessionlib.control import finding
from sessionlib.control.protocol import Unanswered, fetch

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any

PATIENCE = 0.5
"""Seconds for a word from the daemon; one that hangs costs a verb so much before it asks the database."""

_LONGEST = 10.0
_OK = 200
_SETTLED = 5.0
"""Seconds by which a file must be older than the daemon's reading of it to be the one that was read."""

_DATABASE, _HOST, _CREDENTIALS = "SESSIOND_DATABASE_URL", "SESSIOND_HOST_ID", "CREDENTIALS_DIRECTORY"
_SQLITE = re.compile(r"sqlite:///([^?#%]+)", re.DOTALL)
_POSTGRES = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://(?:([^:@/?#]*)(?::[^@/?#]*)?@)?([^@#%?]*)(\?[^@#]*)?", re.DOTALL
)
_TIMES = frozenset(
    {
        "activity_at",
        "at",
        "called_at",
        "committed_at",
        "completed_at",
        "content_changed_at",
        "created_at",
        "decided_at",
        "ended_at",
        "first_seen_at",
        "last_activity_at",
        "linked_at",
        "missing_since",
        "observed_at",
        "reconciled_at",
        "since",
        "started_at",
        "synced_at",
        "updated_at",
        "workspace_missing_since",
    }
)


class Told:
    """What the daemon has answered.

    Attributes:
        rows: The rows, as ``--json`` prints them.
        freshness: As asked before the rows were read.
        more: What it said beside them.
    """

    __slots__ = ("freshness", "more", "rows")

    def __init__(self, tree: dict[str, Any], freshness: Freshness) -> None:
        self.rows: list[Any] = tree["rows"]
        self.freshness = freshness
        self.more = tree

    def views(self) -> list[Row]:
        """Return the rows as the tables for people read them."""
        return [Row(row) for row in self.rows]


class Row:
    """A row of JSON that reads like the model it was: fields as attributes, times as times."""

    __slots__ = ("_tree",)

    def __init__(self, tree: dict[str, Any]) -> None:
        self._tree = tree

    def __getattr__(self, name: str) -> Any:
        try:
            value = self._tree[name]
        except KeyError:
            raise AttributeError(name) from None
        if name in _TIMES and isinstance(value, str):
            return datetime.fromisoformat(value)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return [Row(row) for row in value]
        return Row(value) if name == "session" and isinstance(value, dict) else value


def ask(options: argparse.Namespace, target: str, parameters: Mapping[str, object]) -> Told | None:
    """Return the daemon's answer at a target; None where the database must be asked.

    Args:
        options: Those of the call; `max_age` is honoured when the mirror is that fresh already.
        target: The path of a reading route, quoted.
        parameters: Of the route; None and False are left out.
    """
    given = {name: value for name, value in parameters.items() if value is not None and value is not False}
    if options.verbose or "" in given.values():
        return None
    texts = {name: "true" if value is True else str(value) for name, value in given.items()}
    try:
        place = finding.find(_text(options.state_dir), _text(options.runtime_dir), _text(options.config))
        wanted = _database(options, place)
        if wanted is None:
            return None
        fresh = _get(place.socket, "/freshness", _age(options.max_age), PATIENCE)
        if fresh is None or _same(str(fresh.get("database"))) != wanted or fresh.get("as_of") is None:
            return None
        rows = _get(place.socket, target, texts, _LONGEST)
    except (finding.Unreadable, Unanswered, OSError, RuntimeError, ValueError):
        return None
    now = datetime.now(UTC)  # noqa: TID251 - utc_now() lies behind pydantic
    return None if rows is None else Told(rows, Freshness.told(fresh, now))


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def _age(max_age: float | None) -> dict[str, str]:
    return {} if max_age is None else {"max_age": str(max_age), "wait": "0"}


def _get(socket: str, target: str, parameters: Mapping[str, str], timeout: float) -> dict[str, Any] | None:
    target = f"{target}?{urlencode(parameters)}" if parameters else target
    status, body = fetch(socket, "GET", target, timeout=timeout)
    tree = json.loads(body) if status == _OK else None
    return tree if isinstance(tree, dict) else None


def _database(options: argparse.Namespace, place: finding.Place) -> str | None:
    """Return the database that would be opened, normalised; None where that is not plain.

    The settings must be ones that this daemon has read and found good: no other program checks them here.
    """
    last = place.last or {}
    host = os.environ.get(_HOST)
    if (
        last.get("version") != __version__
        or last.get("socket") != place.socket
        or os.environ.get(_CREDENTIALS)
        or (host and host.lower() != last.get("host_id"))
    ):
        return None
    text = _configuration(options, last)
    if text is None:
        return None
    named = options.database
    if named is not None:
        # With a password it is refused; who refuses it says so.
        return None if "@" in named and ":" in named.partition("://")[2].partition("@")[0] else _same(named)
    named = os.environ.get(_DATABASE) or _configured(text)
    if named is None:
        named = f"sqlite:///{os.path.dirname(place.status_file)}/mirror.db"  # noqa: PTH120
    found = _same(named)
    # Without its file there is no database, whatever a daemon still holds open.
    return found if found is None or not found.startswith("/") or os.path.exists(found) else None  # noqa: PTH110


def _configuration(options: argparse.Namespace, last: Mapping[str, Any]) -> str | None:
    """Return the text of the configuration file, empty without one; None unless the daemon has read it so."""
    chosen = options.config or os.environ.get(locations.CONFIG_VARIABLE)
    path = locations.absolute_text(chosen) if chosen else locations.default_config_text()
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            changed = os.fstat(file.fileno()).st_ctime
            text = file.read().decode()
    except FileNotFoundError:
        return None if chosen else ""
    state = last.get("config")
    if not isinstance(state, dict):
        return None
    read_at = datetime.fromisoformat(str(state.get("reloaded_at") or last.get("started_at"))).timestamp()
    is_read = state.get("source") == path and changed + _SETTLED < read_at
    return text if is_read and not state.get("reload_error") and not state.get("needs_restart") else None


def _configured(text: str) -> str | None:
    """Return the URL that the configuration names, if it does."""
    if "url" not in text and "\\" not in text:
        return None
    import tomllib

    settings = tomllib.loads(text).get("database", {})
    if "url_file" in settings:
        raise ValueError("the URL is in another file")
    url: str | None = settings.get("url")
    return url


def _same(url: str) -> str | None:
    """Return what tells one database from another, without password; None for a URL that is not plain."""
    if match := _SQLITE.fullmatch(url):
        return os.path.realpath(os.path.expanduser(match[1]))  # noqa: PTH111
    if match := _POSTGRES.fullmatch(url):
        return f"postgresql://{match[1] or ''}@{match[2]}{unquote(match[3] or '')}"
    return None
