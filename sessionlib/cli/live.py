"""What a running daemon can do for a verb: say how fresh the mirror is, and act where it watches.

A daemon is asked only when it mirrors into the database that the verb works on; otherwise it is as if there
were none. One that hangs costs a verb `PATIENCE` seconds.
"""

import os
import time
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Freshness
from sessionlib.cli.text import duration
from sessionlib.control import ControlClient
from sessionlib.errors import (
    ControlError,
    ControlRefusedError,
    DaemonNotRunningError,
    MirrorStaleError,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from sessionlib.config import Config
    from sessionlib.db.engine import Database

PATIENCE = 1.0
"""Seconds for an answer that needs no waiting."""

MOST_WAITING = 10.0
"""Seconds that ``--max-age`` waits for a mirror that is fresh enough."""

_SLICE = 1.0
_TOO_OLD = 504
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", ""})
_PORT = 5432


def client_of(config: "Config", *, config_file: Any = None, timeout: float = PATIENCE) -> ControlClient:
    """Return a client of the daemon that belongs to a configuration; nothing is connected yet."""
    return ControlClient.find(config.state_dir, config.daemon.runtime_dir, config_file, timeout=timeout)


class Daemon:
    """A daemon, if one runs, that mirrors into a database.

    Args:
        client: Of the daemon that belongs to the configuration.
        database: What the verb works on; not connected to.
    """

    def __init__(self, client: ControlClient, database: "Database") -> None:
        self._client = client
        self._url = database.url

    def ask(self) -> dict[str, Any] | None:
        """Return how fresh the mirror is, in the daemon's words; None without a daemon on this database.

        Raises:
            ControlError: A daemon is there and does not answer as it should.
        """
        try:
            told = self._client.freshness()
        except DaemonNotRunningError:
            return None
        return told if same_database(self._url, str(told.get("database"))) else None

    def freshness(self, max_age: float | None) -> Freshness | None:
        """Return how fresh the mirror is; None when there is no daemon that could say so.

        Args:
            max_age: Wait, at most `MOST_WAITING` seconds, until what was on disk so long ago is mirrored.

        Raises:
            MirrorStaleError: It did not get that fresh.
            ControlError: The daemon does not answer, and `max_age` needs its answer.
        """
        from sessionlib.models.base import utc_now

        try:
            told = self.ask()
        except ControlError as error:
            if max_age is not None:
                raise
            return Freshness(None, None, stale=True, reasons=(error.message,))
        if told is not None and max_age is not None:
            told = self._fresh_enough(max_age, told)
        return None if told is None else Freshness.told(told, utc_now())

    def _fresh_enough(self, max_age: float, told: dict[str, Any]) -> dict[str, Any]:
        ends = time.monotonic() + MOST_WAITING
        while (left := ends - time.monotonic()) > 0:
            try:
                return self._client.freshness(max_age, min(left, _SLICE))
            except ControlRefusedError as error:
                if error.status != _TOO_OLD:
                    raise
        reasons = told.get("reasons") or ["nothing says why"]
        why = "; ".join(map(str, reasons))
        raise MirrorStaleError(
            f"the mirror did not get as fresh as {max_age:g} s within {MOST_WAITING:g} s: {why}",
            hint="`sessionctl status` tells more",
        )


def require(fresh: Freshness, max_age: float | None) -> None:
    """Check what the heartbeat says, where no daemon can be waited for.

    Raises:
        MirrorStaleError: It is older than so many seconds.
    """
    if max_age is None or (fresh.age is not None and fresh.age <= max_age):
        return
    seen = "nothing has vouched for the mirror yet"
    if fresh.age is not None:
        seen = f"the mirror was last vouched for {duration(fresh.age)} ago, more than {max_age:g} s"
    raise MirrorStaleError(
        f"{seen}, and no daemon follows it now",
        hint="start sessiond, or run `sessionctl sync` first",
    )


def same_database(ours: "URL", name: str) -> bool:
    """Tell whether a database that a daemon names, without its password, is ours; when in doubt it is not."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        theirs = make_url(name)
    except (ArgumentError, ValueError):
        return False
    kinds = {ours.get_backend_name(), theirs.get_backend_name()}
    if kinds == {"sqlite"}:
        return _file(ours) == _file(theirs)
    return kinds <= {"postgresql", "postgres"} and _server(ours) == _server(theirs)


def _file(url: "URL") -> str:
    if "uri" in url.query:
        return str(url.render_as_string(hide_password=True))
    return os.path.realpath(os.path.expanduser(str(url.database)))  # noqa: PTH111


def _server(url: "URL") -> tuple[object, ...]:
    host = url.host or url.query.get("host", "")
    port = url.port or url.query.get("port", _PORT)
    return ("localhost" if host in _LOCAL else host, int(str(port)), url.database or url.username)
