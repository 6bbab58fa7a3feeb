"""Both programs started with standard streams that are closed, full, or read by nobody."""

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sessionlib.control import ControlClient
from sessionlib.errors import ControlError
from sessionlib.state.manager import StateManager
from tests import builders
from tests.acceptance.processes import direct, environment
from tests.conftest import Wait

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc"),
]

BIN = Path(sys.executable).parent
SHUT = "<&- >&- 2>&-"

CALLS = {
    "sessionctl status": 3,
    "sessionctl sessions": 0,
    "sessionctl session phase wall plan": 0,
    "sessionctl nonsense": 2,
    "sessiond check-config": 0,
    "sessiond stop": 3,
}
"""Commands with the exit code each has while its streams are well."""

SILENT = {"sessionctl nonsense", "sessiond stop"}
"""Those that have nothing to say on standard output."""


class Place:
    """A project with one session that is mirrored, and a state folder."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.project = builders.make_project(folder / "code/garden", ["wall"])
        self.session = self.project / "agents/sessions/wall"
        self.state = folder / "state"
        self.environ = environment(url, self.state, HOME=str(folder), LANG="C.UTF-8")
        self.started: list[subprocess.Popen[bytes]] = []

    def start(
        self, redirection: str, *words: str, stdout: int = -3, stderr: int = -3
    ) -> subprocess.Popen[bytes]:
        """Start a program by a shell that redirects its streams."""
        shell = f'exec "$@" {redirection}'
        command = ["sh", "-c", shell, "sh", str(BIN / words[0]), *words[1:]]
        process = subprocess.Popen(
            command,
            env=self.environ,
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        self.started.append(process)
        return process

    def run(self, redirection: str, *words: str) -> tuple[int, str, str]:
        """Run a program to its end; return its exit code and what it said."""
        process = self.start(redirection, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=60)
        return process.returncode, out.decode(), err.decode()

    def check_whole(self) -> None:
        """See that nobody has written into a file that is not a stream."""
        with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert isinstance(json.loads((self.session / "state.json").read_bytes()), dict)
        for lock in (self.session / ".state.lock", self.state / "sessiond.lock"):
            assert not lock.exists() or not lock.read_bytes().strip(b"0123456789\n"), lock


def leads_to(pid: int) -> dict[int, str]:
    """Return where the descriptors of a process lead."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except OSError:
            continue  # closed meanwhile
    return found


def streams(pid: int) -> set[str]:
    """Return where the first three descriptors of a process lead; "closed" stands for what leads nowhere."""
    found = leads_to(pid)
    return {found.get(number, "closed") for number in range(3)}


def is_itself(pid: int) -> bool:
    """Tell whether a process is the program by now, and not the shell that starts it."""
    return Path(f"/proc/{pid}/exe").readlink() == Path(sys.executable).resolve()


@pytest.fixture
def place(tmp_path: Path, sqlite_url: str) -> Iterator[Place]:
    """A place in which `sessionctl sync` has been; whatever was started is ended."""
    made = Place(tmp_path, sqlite_url)
    assert made.run("", "sessionctl", "sync", str(tmp_path / "code"))[0] == 0
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.wait(20)


@pytest.mark.parametrize(
    "redirection", ["<&-", ">&-", "2>&-", SHUT, ">/dev/full", "2>/dev/full", ">/dev/full 2>&1"]
)
def test_every_ending_has_its_code(place: Place, redirection: str) -> None:
    """Closed streams change nothing; an answer that is lost is 1; a complaint that is keeps its code."""
    for call, usual in CALLS.items():
        code, out, err = place.run(redirection, *call.split())
        lost = redirection.startswith(">/dev/full") and call not in SILENT
        assert code == (1 if lost else usual), (call, out, err)
        assert "Traceback" not in err + out, (call, err)
        assert "Exception ignored" not in err, (call, err)
        if lost and "2>" not in redirection:
            assert "cannot write the answer: No space left on device\n  hint: " in err, call
    place.check_whole()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_has_left(place: Place, stream: str) -> None:
    """Without a reader an answer ends with 141, as others in a pipe do, and a complaint with its own code."""
    for call, usual in CALLS.items():
        reading, writing = os.pipe()
        os.close(reading)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writing}
        process = place.start("", *call.split(), **streams)
        os.close(writing)
        out, err = process.communicate(timeout=60)
        is_lost = stream == "stdout" and call not in SILENT
        assert process.returncode == (141 if is_lost else usual), (call, out, err)
        said = (out or b"") + (err or b"")
        assert b"Traceback" not in said, (call, said)
        assert b"Exception ignored" not in said, (call, said)
        if is_lost:
            assert b"sessionctl: " not in said
    place.check_whole()


def test_no_database_gets_the_number_of_a_stream(place: Place, wait_until: Wait) -> None:
    """While a sync waits for the database, which it has open, the first three lead to the null device."""
    builders.make_session(place.session.parent, "arch")
    file = place.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        process = place.start(SHUT, "sessionctl", "sync", str(place.project))
        wait_until(lambda: file in leads_to(process.pid).values(), "the database to be open", seconds=30)
        found = streams(process.pid)
        held.execute("ROLLBACK")
    assert found == {os.devnull}
    assert process.wait(60) == 0
    place.check_whole()
    assert len(direct(place.url, "SELECT slug FROM sessions")) == 2


def test_no_lock_gets_the_number_of_a_stream(place: Place, wait_until: Wait) -> None:
    """While an edit tries to get the session's lock, the first three lead to the null device all the time."""
    lock = os.open(place.session / ".state.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    process = place.start(SHUT, "sessionctl", "session", "phase", "wall", "plan")
    wait_until(
        lambda: is_itself(process.pid) and streams(process.pid) == {os.devnull}, "the streams", seconds=30
    )
    looks = [streams(process.pid) for _ in range(2000)]
    os.close(lock)
    assert all(found == {os.devnull} for found in looks)
    assert process.wait(60) == 0
    place.check_whole()
    assert json.loads((place.session / "state.json").read_bytes())["current_phase"] == "plan"


@pytest.mark.parametrize("redirection", [SHUT, ">&- 2>&-", "2>/dev/full", "a reader that left", "--detach"])
def test_a_daemon_without_streams_mirrors_and_stops(place: Place, wait_until: Wait, redirection: str) -> None:
    """It comes up, mirrors a save, dumps stacks to nobody, and ends with 0; no file has a stream's number."""
    words = ["sessiond", "run", "--allow-root", str(place.project.parent)]
    if redirection == "a reader that left":
        reading, writing = os.pipe()
        os.close(reading)
        process = place.start("", *words, stderr=writing)
        os.close(writing)
    elif redirection == "--detach":
        process = place.start(SHUT, *words, "--detach")
        assert process.wait(60) == 0
    else:
        process = place.start(redirection, *words)
    client = ControlClient(place.state / "run/control.sock")

    def is_ready() -> bool:
        try:
            return client.status().state == "ready" and not client.status().stale
        except ControlError:
            return False

    wait_until(is_ready, "a fresh mirror", seconds=60)
    pid = client.status().pid
    found = leads_to(pid)
    for number in range(3):
        where = found[number]
        assert where in {os.devnull, "/dev/full"} or where.startswith("pipe:") or number > 0, found
        assert not any(name in where for name in ("mirror", ".lock", "socket", "eventpoll")), found
    os.kill(pid, signal.SIGUSR2)
    StateManager(place.session).set_details(topic="without streams")
    wait_until(lambda: client.sessions()["rows"][0]["topic"] == "without streams", "the save")
    if redirection in {"2>/dev/full", "a reader that left"}:
        assert client.status().log_lost > 0
    if redirection == "--detach":
        assert place.run("", "sessiond", "stop")[0] == 0
    else:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    place.check_whole()
