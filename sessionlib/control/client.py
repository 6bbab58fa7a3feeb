"""A client of the running daemon, for programs: the routes as methods.

with ControlClient.find() as client:
    client.rescan(path=Path("~/code/shop"))
    print(client.sessions(phase="build")["rows"])
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event as Flag
from threading import Lock
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from sessionlib import locations
from sessionlib.control import faults, finding
from sessionlib.control.events import RESYNC, Event, EventParser
from sessionlib.control.protocol import Exchange, Unanswered, fetch
from sessionlib.control.status import Status
from sessionlib.errors import ControlError

_OK = range(200, 300)
_UNAVAILABLE = 503
_SLOW = 30.0
"""Seconds for what writes to the database or reads the configuration anew."""

_SILENCE = 45.0
"""Seconds without a sign of life on the feed, which has one every 15 s, until it is taken for dead."""


class ControlClient:
    """Asks one daemon. Safe to use from any thread; each call is a connection of its own and blocks for it.

    Every call raises DaemonNotRunningError when nothing listens, ControlRefusedError when the daemon answers
    with an error (its own sentence, hint and exit code), and ControlError when there is no usable answer
    within the time.

    Args:
        socket: The daemon's control socket.
        timeout: Seconds for one answer.
    """

    def __init__(self, socket: Path, *, timeout: float = 5.0) -> None:
        self.socket = Path(socket)
        self.timeout = timeout
        self._closed = Flag()
        self._streams: set[Exchange] = set()
        self._lock = Lock()

    @classmethod
    def find(
        cls,
        state_dir: Path | None = None,
        runtime_dir: Path | None = None,
        config: Path | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        timeout: float = 5.0,
    ) -> Self:
        """Return a client of the daemon that these folders, or else environment and configuration, mean.

        Nothing is connected yet; whether a daemon is there is seen by the first call.

        Raises:
            ConfigError: The configuration that would say so cannot be read, or there is no home folder.
        """
        try:
            place = finding.find(_path(state_dir), _path(runtime_dir), _path(config), environ)
        except finding.Unreadable as error:
            raise faults.unreadable(error) from error
        return cls(Path(place.socket), timeout=timeout)

    def status(self) -> Status:
        """Return the daemon's snapshot of itself."""
        try:
            return Status.from_json(self._get("/status"))
        except ValueError as error:
            raise ControlError(
                str(error), hint="is sessiond another version than this? restart it"
            ) from error

    def freshness(self, max_age: float | None = None, wait: float | None = None) -> dict[str, Any]:
        """Return how fresh the mirror is: as_of, stale, reasons, database.

        Args:
            max_age: Refuse unless everything on disk so many seconds ago is mirrored.
            wait: Seconds to wait for that.
        """
        return self._get("/freshness", {"max_age": max_age, "wait": wait}, patience=wait or 0.0)

    def rescan(
        self,
        path: Path | str | None = None,
        project: str | None = None,
        *,
        accept_missing: bool = False,
        wait: bool = True,
        timeout: float = 60.0,
    ) -> dict[str, Any]:
        """Compare a path, a project or everything with the mirror; return what was found, after the commit.

        Args:
            path: A folder of a project, or above projects; made absolute here.
            project: Name, alias or id.
            accept_missing: Believe it when most sessions of a root are gone.
            wait: False returns at once.
            timeout: Seconds to wait for the end; the comparison goes on after them.
        """
        asked: dict[str, Any] = {"accept_missing": accept_missing, "wait": wait, "timeout": timeout}
        if path is not None:
            asked["path"] = str(locations.absolute(path))
        if project is not None:
            asked["project"] = project
        return self._post("/rescan", asked, self.timeout + (timeout if wait else 0.0))

    def add_project(self, path: Path | str) -> dict[str, Any]:
        """Register the project at a folder, and watch it from now on; return it."""
        return self._post("/projects", {"path": str(locations.absolute(path))}, max(self.timeout, _SLOW))

    def reload(self) -> dict[str, Any]:
        """Let the daemon read its configuration again; return what was applied and what needs a restart."""
        return self._post("/reload", {}, max(self.timeout, _SLOW))

    def canary(self) -> dict[str, Any]:
        """Have the daemon's watcher hear of a file in the state folder.

        Return `arrived`, `after_s` (seconds), `mode` (events, polling, mixed), `reason`; no row comes of it.
        """
        return self._post("/canary", {}, max(self.timeout, _SLOW))

    def sessions(self, **filters: Any) -> dict[str, Any]:
        """Return sessions; the filters are those of ``sessionctl sessions``, and max_age in seconds."""
        return self._read("/sessions", filters)

    def session(self, ref: str, **parameters: Any) -> dict[str, Any]:
        """Return one session with all its parts, by slug, a part of one, declared id or id."""
        return self._read(f"/sessions/{quote(ref, safe='')}", parameters)

    def projects(self, **parameters: Any) -> dict[str, Any]:
        """Return the projects."""
        return self._read("/projects", parameters)

    def conversations(self, **filters: Any) -> dict[str, Any]:
        """Return conversations; the filters are those of ``sessionctl conversations``."""
        return self._read("/conversations", filters)

    def agents(self, **filters: Any) -> dict[str, Any]:
        """Return agents; the filters are those of ``sessionctl agents``."""
        return self._read("/agents", filters)

    def costs(self, **filters: Any) -> dict[str, Any]:
        """Return tokens and cost, added up as ``sessionctl cost`` does; ``total`` stands beside the rows."""
        return self._read("/costs", filters)

    def tools(self, **filters: Any) -> dict[str, Any]:
        """Return what the calls of each tool add up to; ``mcp=True`` leaves the client's own tools out."""
        return self._read("/tools", filters)

    def logs(self, **filters: Any) -> dict[str, Any]:
        """Return a page of the log of a ``session`` or a ``conversation``, by the cursors of its rows."""
        return self._read("/logs", filters)

    def timeline(self, session: str, **parameters: Any) -> dict[str, Any]:
        """Return what happened to a session, and in it, in the order of time."""
        return self._read("/timeline", {"session": session} | parameters)

    def todos(self, **filters: Any) -> dict[str, Any]:
        """Return what agents have noted to do and not done."""
        return self._read("/todos", filters)

    def queries(self) -> dict[str, Any]:
        """Return the named questions, and what each takes."""
        return self._get("/queries")

    def query(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Answer a named question."""
        return self._read(f"/queries/{quote(name, safe='')}", parameters)

    def metrics(self) -> str:
        """Return the metrics, in Prometheus' text format."""
        return self._ask("GET", "/metrics", None, self.timeout).decode()

    def events(self, after: str | None = None, *, patience: float | None = None) -> Iterator[Event]:
        """Yield changes as they are committed, until `close`.

        A connection that is lost is made again, and goes on after the last event. Where changes may have been
        missed there is an event of the kind resync. Ends without an error after `close`, from any thread.

        Args:
            after: The id of the last event that is known; None begins with the next change.
            patience: Seconds to try for a daemon that has gone; None tries for ever. The first connection
                must succeed at once.
        """
        parser = EventParser(after)
        connected = False
        lost_at = 0.0
        while not self._closed.is_set():
            try:
                for event in self._stream(parser):
                    lost_at = 0.0
                    if event is not None:
                        yield event
                    elif connected and parser.last_id is None:
                        # Nothing to resume from: nobody knows what happened meanwhile.
                        yield Event(RESYNC)
                    connected = True
            except ControlError as error:
                if self._closed.is_set():
                    return
                lost_at = lost_at or time.monotonic()
                too_long = patience is not None and time.monotonic() - lost_at > patience
                if too_long or not (connected and _may_pass(error)):
                    raise
            self._closed.wait(parser.retry)

    def close(self) -> None:
        """End all feeds. Further calls but `events` still work."""
        self._closed.set()
        with self._lock:
            for stream in self._streams:
                stream.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _stream(self, parser: EventParser) -> Iterator[Event | None]:
        """Yield None once connected, then the events of one connection."""
        target = "/events" if parser.last_id is None else f"/events?after={quote(parser.last_id, safe='')}"
        exchange = None
        try:
            exchange = Exchange(str(self.socket), self.timeout)
            with self._lock:
                self._streams.add(exchange)
            if self._closed.is_set():
                return
            status, headers = exchange.ask("GET", target)
            if status not in _OK:
                raise faults.refused(status, exchange.body(headers))
            yield None
            yield from parser.events(exchange.parts(headers, _SILENCE))
        except Unanswered as error:
            raise faults.unanswered(error, str(self.socket), self.timeout) from error
        finally:
            if exchange is not None:
                with self._lock:
                    self._streams.discard(exchange)
                    exchange.close()

    def _read(self, target: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        patience = float(parameters.get("wait", 10.0)) if parameters.get("max_age") is not None else 0.0
        return self._get(target, parameters, patience=patience)

    def _get(
        self, target: str, parameters: Mapping[str, Any] | None = None, *, patience: float = 0.0
    ) -> dict[str, Any]:
        given = {name: _text(value) for name, value in (parameters or {}).items() if value is not None}
        target = f"{target}?{urlencode(given)}" if given else target
        return self._tree(self._ask("GET", target, None, self.timeout + patience))

    def _post(self, target: str, body: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        return self._tree(self._ask("POST", target, json.dumps(body).encode(), timeout))

    def _ask(self, method: str, target: str, body: bytes | None, timeout: float) -> bytes:
        try:
            status, answer = fetch(str(self.socket), method, target, body=body, timeout=timeout)
        except Unanswered as error:
            raise faults.unanswered(error, str(self.socket), timeout) from error
        if status not in _OK:
            raise faults.refused(status, answer)
        return answer

    def _tree(self, answer: bytes) -> dict[str, Any]:
        try:
            tree = json.loads(answer)
        except (ValueError, RecursionError):
            tree = None
        if not isinstance(tree, dict):
            raise ControlError(f"what listens on {self.socket} does not answer like sessiond: no JSON object")
        return tree


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _may_pass(error: ControlError) -> bool:
    """Tell whether connecting again can help: nobody is there now, it was cut off, is stopping or full."""
    return isinstance(error.__cause__, Unanswered) or getattr(error, "status", None) == _UNAVAILABLE
