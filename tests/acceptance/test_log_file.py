"""The real daemon's log file: rotated under load, in both formats, with hostile names in it."""

import itertools
import os
import shutil
import signal
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests import builders, loglines
from tests.acceptance.processes import Daemon, environment

pytestmark = pytest.mark.timeout(180)

Wait = Callable[..., None]
ROOT = "agents/sessions"
SESSIONS = 40
SAVES = 320
ROTATIONS = 10


class FileDaemon(Daemon):
    """A daemon that logs into a file; what it says on standard error is kept beside it."""

    @property
    def file(self) -> Path:
        """The log file."""
        return self.log_path.parent / "logs" / "sessiond.log"

    @property
    def log(self) -> str:
        """What stands in the file now."""
        return self.file.read_text(errors="replace") if self.file.exists() else ""

    @property
    def files(self) -> list[Path]:
        """The file and those it was rotated into."""
        return sorted(self.file.parent.iterdir())

    def lines(self) -> list[str]:
        """Return every line of all files; none may be torn."""
        return [line for path in self.files for line in loglines.lines(path.read_bytes())]


@pytest.fixture
def daemon(tmp_path: Path, sqlite_url: str) -> Iterator[FileDaemon]:
    """A daemon over a project of forty sessions that logs everything into a file; not started."""
    builders.make_project(tmp_path / "code" / "shop", [f"s{number}" for number in range(SESSIONS)])
    made = FileDaemon([tmp_path / "code"], environment(sqlite_url, tmp_path / "state"), tmp_path / "stderr")
    made.options += ["--log-file", str(made.file), "--log-level", "debug"]
    yield made
    made.stop(signal.SIGKILL)


def save(daemon: Daemon, number: int) -> None:
    """Save one of the sessions."""
    builders.make_session(
        daemon.roots[0] / "shop" / ROOT, f"s{number % SESSIONS}", builders.v2(topic=f"save {number}")
    )


class Load:
    """Saves sessions on a thread of its own until the end of the block, which waits for all saves."""

    def __init__(self, daemon: Daemon, count: int = SAVES) -> None:
        self.saved = 0
        self._daemon = daemon
        self._count = count
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for number in range(self._count):
            save(self._daemon, number)
            self.saved = number + 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)


def settle(daemon: FileDaemon, wait_until: Wait) -> int:
    """Wait until everything is mirrored; return how often the daemon has written a session."""
    wait_until(lambda: daemon.client.sessions(text=f"save {SAVES - 1}")["total"] == 1, "the last save", 60)
    daemon.client.rescan()
    return daemon.client.status().queue.written


def written_to(file: Path) -> bool:
    """Tell whether a log is there and has lines; it has one for each question that it was asked before."""
    return file.exists() and file.stat().st_size > 0


def synced(lines: list[str]) -> Counter[tuple[str, ...]]:
    """Count what the log says of sessions that were mirrored: when, and which."""
    parsed = [loglines.fields(line) for line in lines]
    return Counter((line["ts"], line["path"]) for line in parsed if line["event"] == "session.synced")


def test_renaming_loses_and_doubles_nothing(daemon: FileDaemon, wait_until: Wait) -> None:
    """Ten rotations by rename under load, with and without a new file: every line is there once, whole."""
    daemon.start()
    with Load(daemon) as load:
        for number in range(ROTATIONS):
            wait_until(
                lambda number=number: load.saved >= number * SAVES // (ROTATIONS + 1), "some saves", 60
            )
            daemon.file.rename(daemon.file.with_name(f"sessiond.log.{number}"))
            if number % 2:
                daemon.file.touch(0o600)
            wait_until(lambda: daemon.client.status() and written_to(daemon.file), "the new file", 30)
    written = settle(daemon, wait_until)
    assert len(daemon.files) == ROTATIONS + 1
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in daemon.files)
    assert daemon.stop() == 0
    told = synced(daemon.lines())
    assert told.total() == written
    assert written > SESSIONS
    assert set(told.values()) == {1}
    assert daemon.log_path.read_text() == ""


def test_copytruncate_loses_only_what_the_copy_missed(daemon: FileDaemon, wait_until: Wait) -> None:
    """While the daemon holds still, copy and truncation lose nothing; while it writes they tear nothing."""
    daemon.start()
    numbers = itertools.count()

    def rotate() -> None:
        copy = daemon.file.with_name(f"sessiond.log.{next(numbers)}")
        shutil.copyfile(daemon.file, copy)
        os.truncate(daemon.file, 0)

    with Load(daemon) as load:
        for number in range(ROTATIONS):
            wait_until(
                lambda number=number: load.saved >= number * SAVES // (ROTATIONS + 1), "some saves", 60
            )
            os.kill(daemon.pid, signal.SIGSTOP)
            try:
                assert os.WIFSTOPPED(os.waitpid(daemon.pid, os.WUNTRACED)[1])
                rotate()
            finally:
                os.kill(daemon.pid, signal.SIGCONT)
    written = settle(daemon, wait_until)
    told = synced(daemon.lines())
    assert told.total() == written
    assert set(told.values()) == {1}
    with Load(daemon) as load:
        for number in range(ROTATIONS):
            wait_until(
                lambda number=number: load.saved >= number * SAVES // (ROTATIONS + 1), "some saves", 60
            )
            rotate()
    written = settle(daemon, wait_until)
    assert daemon.stop() == 0
    told = synced(daemon.lines())
    assert set(told.values()) == {1}
    assert written - SAVES // 2 < told.total() <= written


def test_json_is_one_object_a_line(daemon: FileDaemon, wait_until: Wait) -> None:
    """Every line parses, with the same names as logfmt has, and values keep their kinds."""
    daemon.options += ["--log-format", "json"]
    daemon.start(ready=False)
    wait_until(lambda: '"event":"sessiond.ready"' in daemon.log, "the start", 30)
    for number in range(SAVES):
        save(daemon, number)
    written = settle(daemon, wait_until)
    assert daemon.stop() == 0
    parsed = [loglines.tree(line) for line in daemon.lines()]
    events = Counter(line["event"] for line in parsed)
    assert events["session.synced"] == written
    assert events["sessiond.starting"] == events["sessiond.stopped"] == 1
    done = next(line for line in parsed if line["event"] == "rescan.done")
    assert (done["sessions"], type(done["for_s"])) == (SESSIONS, float)


HOSTILE = (
    b"two\nts=2026-01-01T00:00:00.000Z level=error event=forged.line msg=x",
    b"return\rts=2026-01-01T00:00:00.000Z level=error event=forged.line msg=x",
    b'quote" event=forged.line x="',
    b"\x1b[31mred\x1b[0m\x1b]0;title\x07",
    b"back\x08\x08\x08\x7f",
    b"\xff\xfe not UTF-8",
    "separators \u2028\u2029\u0085 and \u202e bidi".encode(),
    b"x" * 255,
    ("\U0001f3e1" * 63).encode(),
    b"  = spaces = ",
)


@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_hostile_names_forge_nothing(
    daemon: FileDaemon, tmp_path: Path, wait_until: Wait, style: str
) -> None:
    """Sessions and a project with names that would write lines of their own: each line is one of ours."""
    daemon.options += ["--log-format", style]
    shop = daemon.roots[0] / "shop" / ROOT
    for name in HOSTILE:
        builders.make_session(shop, os.fsdecode(name), builders.v2(topic="hostile"))
    daemon.start(ready=False)
    wait_until(lambda: "sessiond.ready" in daemon.log, "the start", 30)
    builders.make_project(daemon.roots[0] / os.fsdecode(HOSTILE[0]), ["inside"])
    for name in HOSTILE:
        builders.make_session(shop, os.fsdecode(name), builders.v2(topic="more hostile"))
        builders.make_session(shop, os.fsdecode(name), b"{broken")
    wait_until(lambda: daemon.log.count("session.unreadable") >= len(HOSTILE), "all to be refused", 30)
    wait_until(lambda: daemon.client.projects()["rows"][1:], "the project", 30)
    daemon.client.rescan()
    told = daemon.client.status()
    assert daemon.stop() == 0
    read: Callable[[str], dict[str, Any]] = loglines.tree if style == "json" else loglines.fields
    parsed = [read(line) for line in daemon.lines()]
    assert not [line for line in parsed if line["event"].startswith("forged")]
    assert not [line for line in parsed if line["level"] == "error"]
    unreadable = {line["path"] for line in parsed if line["event"] == "session.unreadable"}
    assert len(unreadable) == len(HOSTILE)
    assert str(shop / ("x" * 255)) in unreadable
    assert len(told.workspaces) == 2
