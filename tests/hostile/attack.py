"""Hostile frames thrown at a control server, several at a time, and what is wrong with what comes back."""

import json
import logging
import os
import random
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

from sessiond.control.backend import RootCounts, Target
from sessiond.control.exports import Exports
from sessionlib.db.engine import Database
from sessionlib.journal.adapters import ADAPTERS
from sessionlib.journal.spool import Spool
from tests import frames
from tests.controls import TOKEN, House, PlayedDaemon, connected, counts, house

PAGE = "http://localhost:3000"
CLIENTS = 4
SLOWER_MOST = 5
"""How many times as long a status may take as before, and a moment."""

EXPECTED = {200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 503, 504}
ALSO = {100}
"""What asks for a body that was announced."""

_LINGERING = 16
"""Connections that stay open beside the next ones."""


class ReadyDaemon(PlayedDaemon):
    """A daemon whose work is done at once."""

    @override
    def rescan(self, target: Target, *, keep: bool = False) -> "Future[list[RootCounts]]":
        """Answer with one root."""
        del keep
        os.fsencode(str(target.path))
        future: Future[list[RootCounts]] = Future()
        future.set_result([counts()])
        return future

    @override
    def add_project(self, path: os.PathLike[str]) -> dict[str, Any]:
        """Take it, and remember nothing."""
        return {"path": os.fsencode(path).decode(errors="backslashreplace")}

    @override
    def reload(self) -> "Future[dict[str, Any]]":
        """Answer that nothing was changed."""
        future: Future[dict[str, Any]] = Future()
        future.set_result({"applied": [], "needs_restart": []})
        return future


class Defects(logging.Handler):
    """Collects what a server logs that no request may make it log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a defect, and whatever the HTTP library or the loop complains of."""
        is_theirs = record.name.startswith(("asyncio", "aiohttp"))
        if is_theirs or record.exc_info or getattr(record, "event", "") == "control.failed":
            self.lines.append(f"{record.name}: {record.getMessage()} {record.exc_info or ''}")


@contextmanager
def besieged(database: Database) -> Iterator[tuple[House, Defects]]:
    """Run a control server with both listeners over a database; yield it, and the defects it logs."""
    defects = Defects()
    logging.getLogger().addHandler(defects)
    try:
        daemon = ReadyDaemon(database)
        listening: dict[str, Any] = {"listen": "127.0.0.1:0", "token": TOKEN, "origins": [PAGE]}
        with tempfile.TemporaryDirectory() as folder, house(daemon, request_timeout=0.5, **listening) as home:
            daemon.exports = Exports(Spool(Path(folder, "spool")), ADAPTERS)
            yield home, defects
    finally:
        logging.getLogger().removeHandler(defects)


class Attack:
    """Frames for one of the listeners.

    Args:
        home: Where they go.
        seed: The same seed draws the same frames.
        over_tcp: To the loopback port.
    """

    def __init__(self, home: House, seed: int, *, over_tcp: bool) -> None:
        assert home.server.address is not None
        self.failures: list[str] = []
        self._seed = seed
        self._path = home.socket
        self._address = home.server.address if over_tcp else None
        host, port = home.server.address
        self._door = frames.Door(f"{host}:{port}", TOKEN) if over_tcp else frames.Door("x", "")
        self._lingering: list[socket.socket] = []
        self._lock = threading.Lock()

    def run(self, numbers: Sequence[int], until: Callable[[], bool] = lambda: False) -> int:
        """Throw the frames of these numbers, until told to stop; return how many were thrown."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            thrown = sum(pool.map(lambda number: not until() and self.throw(number), numbers))
        for made in self._lingering:
            made.close()
        self._lingering.clear()
        return thrown

    def throw(self, number: int) -> bool:
        """Send one frame and look at what comes back; a defect is noted with the frame."""
        dice = random.Random(f"{self._seed}/{number}")
        frame = frames.draw(dice, self._door)
        made = None
        try:
            made = self._connect()
            judge(frame, send(made, frame, dice))
        except (AssertionError, ValueError, OSError) as error:
            self.failures.append(f"{error}; seed {self._seed}, frame {number}: {frame.data[:300]!r}")
        if made is not None:
            self._leave(made, linger=dice.random() < 0.05)
        return True

    def _connect(self) -> socket.socket:
        for _ in range(50):
            try:
                if self._address is not None:
                    return socket.create_connection(self._address, 10)
                return connected(self._path, 10)
            except BlockingIOError:
                time.sleep(0.05)  # its queue of connections is full for the moment
        raise AssertionError("the server accepts no connections")

    def _leave(self, made: socket.socket, *, linger: bool) -> None:
        """Close a connection, or keep it open beside the next ones."""
        gone: socket.socket | None = made
        if linger:
            with self._lock:
                self._lingering.append(made)
                gone = self._lingering.pop(0) if len(self._lingering) > _LINGERING else None
        if gone is not None:
            gone.close()


def send(made: socket.socket, frame: frames.Frame, dice: random.Random) -> bytes:
    """Send a frame, perhaps in pieces; return what came by the time the client has had enough."""
    received = b""
    step = len(frame.data) // dice.randrange(1, 4) + 1
    try:
        for start in range(0, len(frame.data), step):
            made.sendall(frame.data[start : start + step])
            if dice.random() < 0.05:
                time.sleep(0.01)
        if not frame.proper and dice.random() < 0.3:
            made.shutdown(socket.SHUT_WR)
        if not frame.proper:
            if dice.random() < 0.2:
                return b""
            made.settimeout(0.02)
        while part := made.recv(65536):
            received += part
    except OSError:
        # Closed by the server, or not answered yet: both are its right where this is no HTTP.
        pass
    return received


def judge(frame: frames.Frame, received: bytes) -> None:
    """Look at what was said: HTTP, known statuses, and every refusal in words with a hint."""
    found = frames.answers(received)
    if frame.proper:
        assert len(found) == 1, f"{len(found)} answers: {received[:300]!r}"
    for said in found:
        assert said.status in EXPECTED | ALSO, f"status {said.status}: {said.body[:300]!r}"
        if said.status < 400 or not said.body or b"json" not in said.head:
            continue
        assert said.body.isascii() or said.body.decode().isprintable(), said.body[:300]
        tree = json.loads(said.body)
        if "ok" in tree:
            continue
        assert set(tree) == {"error", "hint", "kind"}, tree
        assert all(isinstance(text, str) and text and text.isprintable() for text in tree.values()), tree


def quickness(home: House) -> float:
    """Return how many seconds a status takes, in the middle of 21 times."""
    seconds = []
    for _ in range(21):
        before = time.perf_counter()
        home.get("/status")
        seconds.append(time.perf_counter() - before)
    return statistics.median(seconds)


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - the names are numbers


def settled(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait until a condition holds; False when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
