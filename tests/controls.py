"""A control server for tests: real sockets around a daemon that is played."""

import http.client
import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection

from sessiond.control.backend import Freshness, RootCounts, Target
from sessiond.control.exports import Exports
from sessiond.control.server import ControlServer
from sessiond.feed import Change, Feed
from sessionlib.control.status import (
    ConfigState,
    DatabaseState,
    OwedFolder,
    PartState,
    QueueState,
    RootState,
    Status,
    WorkspaceState,
)
from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseUnavailableError
from sessionlib.models import utc_now

TOKEN = "correct-horse-battery-staple"


def status_of(**changed: Any) -> Status:
    """Return a snapshot of a healthy daemon with one root and one workspace."""
    values: dict[str, Any] = {
        "version": "9.8.7",
        "pid": 1,
        "host_id": "h",
        "started_at": "2026-01-05T09:00:00Z",
        "state": "ready",
        "at": "2026-01-05T10:00:00Z",
        "as_of": "2026-01-05T09:59:58.500000Z",
        "age_s": 1.5,
        "stale": False,
        "reasons": (),
        "oldest_unsynced_s": None,
        "overflows": 2,
        "events": 400,
        "hints": 80,
        "log_lost": 4,
        "subscribers": 3,
        "changes": 44,
        "socket": "/run/user/1/sessiond/control.sock",
        "listen": None,
        "database": DatabaseState(name="sqlite:////m.db", backend="sqlite", up=True),
        "queue": QueueState(
            workers=1,
            waiting=5,
            running=1,
            delayed=2,
            owed=1,
            behind=1,
            synced=70,
            written=60,
            failed=7,
            retried=6,
        ),
        "config": ConfigState(source="the defaults"),
        "unreadable": 3,
        "owed": (OwedFolder(path="/p/a", error="no"),),
        "roots": (
            RootState(path="/p", mode="events", reason=None, watches=12, sessions_roots=1, degraded=False),
        ),
        "workspaces": (
            WorkspaceState(
                project="shop",
                path="/p/shop/agents/sessions",
                reconciled_at="2026-01-05T09:59:58Z",
                age_s=2.0,
                sessions=4,
                missing=False,
                complete=True,
            ),
        ),
        "parts": (PartState(name="queue", alive=True, stuck=False, idle_s=0.1),),
    }
    return Status(**values | changed)


def counts(path: str = "/p/shop/agents/sessions", **changed: Any) -> RootCounts:
    """Return what a comparison found in one root: four sessions, one of them written."""
    values: dict[str, Any] = {
        "project": "shop",
        "path": path,
        "sessions": 4,
        "written": 1,
        "unchanged": 3,
        "absent": 0,
        "tombstoned": 0,
        "held": 0,
        "unreadable": 0,
        "left": 0,
        "missing": False,
    }
    return RootCounts(**values | changed)


def change(slug: str = "wall", kind: str = "changed", seq: int = 1) -> Change:
    """Return a change of a session."""
    return Change(
        kind=kind,
        at="2026-01-05T09:00:00Z",
        project="shop",
        project_id="p",
        session_id="s",
        root="agents/sessions",
        slug=slug,
        seq=seq,
        phase="build",
        status="active",
        host_id="h",
    )


class PlayedDaemon:
    """A backend whose answers the test sets, and that remembers what it was asked."""

    def __init__(self, database: Database | None = None) -> None:
        self.feed = Feed()
        self.database = database
        self.database_name = "sqlite:////m.db"
        self.snapshot = status_of()
        self.fresh: Freshness | None = None
        self.targets: list[Target] = []
        self.rescans: list[Future[list[RootCounts]]] = []
        self.added: list[Path] = []
        self.reloads: list[Future[dict[str, Any]]] = []
        self.error: Exception | None = None
        self.exports: Exports | None = None

    def status(self) -> Status:
        """Return the snapshot that was set."""
        if self.error is not None:
            raise self.error
        return self.snapshot

    def freshness(self) -> Freshness:
        """Return the freshness that was set; without one everything is mirrored now."""
        return self.fresh or Freshness(utc_now(), stale=False, reasons=())

    def stale_for(self, seconds: float, *reasons: str) -> None:
        """Let the mirror be so old, for these reasons."""
        self.fresh = Freshness(utc_now() - timedelta(seconds=seconds), stale=bool(reasons), reasons=reasons)

    def rescan(self, target: Target, *, keep: bool = False) -> "Future[list[RootCounts]]":
        """Remember the request; the test ends its future."""
        del keep
        if self.error is not None:
            raise self.error
        future: Future[list[RootCounts]] = Future()
        self.targets.append(target)
        self.rescans.append(future)
        return future

    def add_project(self, path: Path) -> dict[str, Any]:
        """Remember the path."""
        if self.error is not None:
            raise self.error
        self.added.append(path)
        return {"slug": path.name, "path": str(path)}

    def canary(self) -> dict[str, Any] | None:
        """Say that it was heard."""
        if self.error is not None:
            raise self.error
        return {"arrived": True, "after_s": 0.001, "mode": "events", "reason": None}

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction of the test's database; without one it is down."""
        if self.error is not None:
            raise self.error
        if self.database is None:
            raise DatabaseUnavailableError("the database does not answer: refused")
        with self.database.read() as connection:
            yield connection

    def reload(self) -> "Future[dict[str, Any]]":
        """Remember the request; the test ends its future."""
        future: Future[dict[str, Any]] = Future()
        self.reloads.append(future)
        return future


class Answer(NamedTuple):
    """One answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which is JSON."""
        assert self.headers["Content-Type"] == "application/json; charset=utf-8"
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = connected(self._path, self.timeout)


def connected(path: Path, timeout: float | None = 10.0) -> socket.socket:
    """Return a socket that is connected to a Unix socket."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(timeout)
    try:
        made.connect(str(path))
    except BaseException:
        made.close()
        raise
    return made


class House:
    """A running control server, its socket and its played daemon."""

    def __init__(self, daemon: PlayedDaemon, folder: Path, **settings: Any) -> None:
        self.daemon = daemon
        self.folder = folder
        self.socket = folder / "run" / "control.sock"
        self.server = ControlServer(daemon, socket_path=self.socket, version="9.8.7", **settings)

    def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        timeout: float = 10.0,
    ) -> Answer:
        """Ask over the Unix socket; a body that is not bytes is sent as JSON."""
        return exchanged(UnixConnection(self.socket, timeout), method, target, body, headers)

    def ask_tcp(
        self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Ask over TCP; no token is sent by itself."""
        assert self.server.address is not None
        host, port = self.server.address
        return exchanged(http.client.HTTPConnection(host, port, timeout=10), method, target, body, headers)

    def get(self, target: str) -> Any:
        """Return the JSON of a GET that goes well."""
        answer = self.ask("GET", target)
        assert answer.status == 200, answer
        return answer.json

    def raw(self, sent: bytes, timeout: float = 10.0) -> bytes:
        """Send bytes and return all that comes until the server closes."""
        with connected(self.socket, timeout) as made:
            made.sendall(sent)
            return read_all(made)


def exchanged(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request and return its answer."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    try:
        connection.request(method, target, body, headers or {})
        got = connection.getresponse()
        return Answer(got.status, got.msg, got.read())
    finally:
        connection.close()


def read_all(made: socket.socket) -> bytes:
    """Return all that comes until the end; a reset is one."""
    parts = []
    try:
        while part := made.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@contextmanager
def house(daemon: PlayedDaemon | None = None, **settings: Any) -> Iterator[House]:
    """Run a control server in a folder with a short path; after it no thread of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="ctl"))
    made = House(daemon or PlayedDaemon(), folder, **settings)
    made.server.start()
    try:
        yield made
    finally:
        made.server.stop(timeout=5)
        shutil.rmtree(folder)
        assert not [thread for thread in threading.enumerate() if thread.name == "control"]


class Listener:
    """A client of the change feed that reads events one by one."""

    def __init__(self, path: Path, after: str | None = None, *, target: str = "/events") -> None:
        self.connection = UnixConnection(path)
        headers = {} if after is None else {"Last-Event-ID": after}
        self.connection.request("GET", target, headers=headers)
        self.answer = self.connection.getresponse()

    def block(self) -> list[str]:
        """Return the lines up to the next empty one; empty at the end of the stream."""
        lines: list[str] = []
        while line := self.answer.readline():
            text = line.decode().removesuffix("\n")
            if not text:
                break
            lines.append(text)
        return lines

    def event(self) -> dict[str, str]:
        """Return the fields of the next event that has data."""
        while lines := self.block():
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if "data" in fields:
                return fields
        return {}

    def close(self) -> None:
        """Go away."""
        self.answer.close()
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Asking:
    """A request that is under way inside the block, and answered after it."""

    def __init__(self, home: House, method: str, target: str, body: Any = None) -> None:
        self.answer: Answer | None = None
        self._thread = threading.Thread(target=self._ask, args=(home, method, target, body))

    @property
    def done(self) -> Answer:
        """The answer; waits for it at most 30 s."""
        self._thread.join(30)
        assert self.answer is not None
        return self.answer

    def _ask(self, home: House, method: str, target: str, body: Any) -> None:
        self.answer = home.ask(method, target, body, timeout=30)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)
