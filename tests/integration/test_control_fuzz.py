"""Thousands of hostile frames: the server answers or closes, logs no defect, and is as quick as before.

More of them by ``SESSIOND_TEST_FUZZ_FRAMES=100000 pytest tests/integration/test_control_fuzz.py``;
the same again: ``SESSIOND_TEST_FUZZ_SEED``.
"""

import gc
import json
import os
import random
import secrets
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from sessiond.control.backend import RootCounts, Target
from sessionlib.db.engine import Database
from tests import frames
from tests.conftest import Wait
from tests.controls import TOKEN, House, PlayedDaemon, connected, counts, house
from tests.ctl import Ctl, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures

FRAMES = int(os.environ.get("SESSIOND_TEST_FUZZ_FRAMES", "5000"))
SEED = int(os.environ.get("SESSIOND_TEST_FUZZ_SEED", "0")) or secrets.randbits(32)

PAGE = "http://localhost:3000"
CLIENTS = 4
SECONDS = 60 + FRAMES // 40
"""Time for one listener's half of the frames."""

EXPECTED = {200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 503, 504}
ALSO = {100}
"""What asks for a body that was announced."""

GROWTH_MOST = 100 * 1024 * 1024
"""Bytes that the process may be larger at the end; a leak of each frame would be more by far."""


class ReadyDaemon(PlayedDaemon):
    """A daemon whose work is done at once."""

    @override
    def rescan(self, target: Target) -> "Future[list[RootCounts]]":
        """Answer with one root."""
        os.fsencode(str(target.path))
        future: Future[list[RootCounts]] = Future()
        future.set_result([counts()])
        return future

    @override
    def reload(self) -> "Future[dict[str, Any]]":
        """Answer that nothing was changed."""
        future: Future[dict[str, Any]] = Future()
        future.set_result({"applied": [], "needs_restart": []})
        return future


@pytest.fixture
def home(mirrored: Ctl, mirror_database: Database) -> Iterator[House]:
    """A control server with both listeners over a database with sessions in it."""
    assert mirrored.code.exists()
    daemon = ReadyDaemon(mirror_database)
    with house(daemon, request_timeout=0.5, listen="127.0.0.1:0", token=TOKEN, origins=[PAGE]) as made:
        yield made


class Attack:
    """Frames for one of the listeners.

    Args:
        home: Where they go.
        over_tcp: To the loopback port.
    """

    def __init__(self, home: House, *, over_tcp: bool) -> None:
        assert home.server.address is not None
        self._path = home.socket
        self._address = home.server.address if over_tcp else None
        host, port = home.server.address
        self._door = frames.Door(f"{host}:{port}", TOKEN) if over_tcp else frames.Door("x", "")
        self._lingering: list[socket.socket] = []
        self._lock = threading.Lock()

    def run(self, first: int, count: int) -> None:
        """Throw so many frames, several at a time."""
        with ThreadPoolExecutor(CLIENTS) as pool, ExitStack() as stack:
            for _ in pool.map(self.throw, range(first, first + count)):
                pass
            for made in self._lingering:
                stack.enter_context(made)
        self._lingering.clear()

    def throw(self, number: int) -> None:
        """Send one frame and look at what comes back; a defect names the frame."""
        dice = random.Random(f"{SEED}/{number}")
        frame = frames.draw(dice, self._door)
        made = self._connect()
        try:
            received = send(made, frame, dice)
            judge(frame, received)
        except (AssertionError, ValueError) as error:
            made.close()
            pytest.fail(f"{error}; seed {SEED}, frame {number}: {frame.data[:300]!r}")
        if dice.random() < 0.05:
            self._linger(made)
        else:
            made.close()

    def _connect(self) -> socket.socket:
        for _ in range(50):
            try:
                if self._address is not None:
                    return socket.create_connection(self._address, 10)
                return connected(self._path, 10)
            except BlockingIOError:
                time.sleep(0.05)  # its queue of connections is full for the moment
        pytest.fail(f"the server accepts no connections; seed {SEED}")

    def _linger(self, made: socket.socket) -> None:
        """Keep a connection open beside the next ones."""
        with self._lock:
            self._lingering.append(made)
            gone = self._lingering.pop(0) if len(self._lingering) > 16 else None
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
    """Return how long a status takes, in the middle of 21 times."""
    seconds = []
    for _ in range(21):
        before = time.perf_counter()
        home.get("/status")
        seconds.append(time.perf_counter() - before)
    return statistics.median(seconds)


def memory() -> int:
    """Return the resident memory of this process, in bytes; 0 where the system does not tell."""
    gc.collect()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - the names are numbers


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("over_tcp", [False, True], ids=["unix", "tcp"])
def test_hostile_frames_change_nothing(
    home: House, over_tcp: bool, caplog: pytest.LogCaptureFixture, wait_until: Wait
) -> None:
    """After all of them the server is as quick as before, and holds no more files or memory."""
    print(f"seed {SEED}, frames {FRAMES // 4}")  # noqa: T201 - pytest shows it when the test fails
    attack = Attack(home, over_tcp=over_tcp)
    # What is imported and cached at the first request of each kind is no growth.
    attack.run(0, 100)
    before, open_before, size_before = quickness(home), descriptors(), memory()
    attack.run(100, FRAMES // 4 - 100)
    wait_until(lambda: descriptors() <= open_before + 2, "the connections to be closed", seconds=60)
    wait_until(lambda: quickness(home) <= 5 * before + 0.05, f"a status within 5 x {before:.4f} s")
    assert memory() - size_before <= GROWTH_MOST, SEED
    assert home.server.ping() is not None
    defects = [record for record in caplog.records if getattr(record, "event", "") == "control.failed"]
    assert defects == [], SEED
    assert not [record for record in caplog.records if record.name.startswith(("asyncio", "aiohttp"))], SEED
