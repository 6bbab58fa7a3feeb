"""Detaching for real: small daemons that use the modules as `sessiond run --detach` does."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.lock import Holder, InstanceLock, holder, holds
from sessionlib.errors import InstanceLockedError
from tests.conftest import Wait

COMMAND = """
import logging, os, signal, subprocess, sys, threading, time
from pathlib import Path
from sessiond.detach import detached, ensure_standard_streams
from sessiond.lock import InstanceLock
from sessiond.signals import Signals
from sessionlib.errors import ConfigError, SessionlibError

ensure_standard_streams()
os.umask(0o022)
home = Path(sys.argv[1])
deadline = 60.0

def serve(readiness, note=None):
    signals = Signals()
    signals.install()
    (home / "made").write_text("")
    readiness.ready(note)
    signals.stop.wait()
    print("the end")
    return 0

def start(readiness):
    return serve(readiness)

#MORE
try:
    with InstanceLock(home) as lock:
        print(detached(start, lock=lock, log_file=home / "log", deadline=deadline))
    code = 0
except SessionlibError as error:
    print("sessiond:", error.message, "/", error.hint, file=sys.stderr)
    code = error.exit_code
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
"""


class Home:
    """The state folder of a detached daemon, and the command that starts one there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def command(self, more: str = "") -> list[str]:
        """The command, with code of the test's own before it detaches."""
        return [sys.executable, "-c", COMMAND.replace("#MORE", more), str(self.path)]

    def detach(self, more: str = "", **options: object) -> subprocess.CompletedProcess[str]:
        """Run the command to its end; nothing of the daemon may keep its output open."""
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            self.command(more), capture_output=True, text=True, timeout=30, check=False, **options
        )

    @property
    def pid(self) -> int:
        """The process that holds the folder."""
        found = holder(self.path)
        assert found is not None
        assert found.pid is not None
        return found.pid

    @property
    def log(self) -> str:
        """What stands in the log."""
        return (self.path / "log").read_text()


@pytest.fixture
def home(wait_until: Wait) -> Iterator[Home]:
    """A folder of its own; whoever holds it at the end is killed."""
    with tempfile.TemporaryDirectory() as folder:
        yield Home(Path(folder))
        found = holder(Path(folder))
        if found is not None and found.pid is not None:
            os.kill(found.pid, signal.SIGKILL)
        wait_until(lambda: holder(Path(folder)) is None, "the end of the daemon")


def fields(pid: int) -> list[str]:
    """The fields of a process's stat file from the state on: state, parent, group, session, terminal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def in_session(session: int) -> list[int]:
    """The processes of a session that live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state = fields(int(entry.name))
            except OSError:
                continue
            if int(state[3]) == session and state[0] != "Z":
                found.append(int(entry.name))
    return found


def test_the_command_tells_which_process_runs_and_where_it_logs(home: Home) -> None:
    """One sentence, exit code 0, and the process named is the one that holds the folder."""
    done = home.detach()
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"sessiond runs as process {home.pid}; it logs to {home.path}/log\n"
    assert done.stderr == ""
    assert (home.path / "sessiond.lock").read_text() == f"{home.pid}\n"


def test_what_it_still_waits_for_is_told(home: Home) -> None:
    """A daemon whose database is down is up, and says so."""
    done = home.detach("def start(readiness): return serve(readiness, 'waiting for the database')")
    assert done.returncode == 0
    assert f"process {home.pid}, waiting for the database; it logs" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_only_what_is_meant_stays_open(home: Home, wait_until: Wait) -> None:
    """Null, the log twice, the lock, and the pipe of the signals: nothing of the starter, nor of the way."""
    more = "stray = [open(os.devnull) for _ in range(20)]; os.dup2(0, 500)"
    assert home.detach(more).returncode == 0
    folder = Path(f"/proc/{home.pid}/fd")
    # The pipe to the command is closed just after the word that ended it.
    wait_until(lambda: len(list(folder.iterdir())) == 6, "six open files")
    opened = {int(entry.name): str(entry.readlink()) for entry in folder.iterdir()}
    assert [opened.pop(number) for number in range(3)] == [os.devnull, *[f"{home.path}/log"] * 2]
    assert sorted(name.partition(":")[0] for name in opened.values()) == [
        f"{home.path}/sessiond.lock",
        "pipe",
        "pipe",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_is_alone_in_a_session_without_a_terminal(home: Home) -> None:
    """Started in a terminal, it has left it, for a session that it does not lead and where nobody else is."""
    spawn = f"import pty, sys; sys.exit(pty.spawn({home.command()!r}))"
    done = subprocess.run(
        [sys.executable, "-c", spawn],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    pid = home.pid
    _state, _parent, group, session, terminal, *_ = fields(pid)
    assert int(session) not in {pid, os.getsid(0)}
    assert group == session
    assert terminal == "0"
    assert in_session(int(session)) == [pid]
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")


def test_what_it_makes_is_private(home: Home) -> None:
    """Its files are the user's alone, whatever the starter's umask; its log too."""
    assert home.detach().returncode == 0
    for name in ("made", "log", "sessiond.lock"):
        assert stat.S_IMODE((home.path / name).stat().st_mode) == 0o600, name


def test_it_leaves_no_core(home: Home) -> None:
    """A crash writes no memory to disk: it may hold a password."""
    more = """
def start(readiness):
    import resource
    print(resource.getrlimit(resource.RLIMIT_CORE), os.environ.get("NOTIFY_SOCKET"))
    return serve(readiness)
"""
    assert home.detach(more, env={**os.environ, "NOTIFY_SOCKET": "/nowhere"}).returncode == 0
    os.kill(home.pid, signal.SIGTERM)
    while holder(home.path) is not None:
        time.sleep(0.01)
    assert home.log == "(0, 0) None\nthe end\n"


def test_a_stop_ends_all_of_it(home: Home, wait_until: Wait) -> None:
    """After TERM the lock is free, the log holds its last words, and no process is left."""
    assert home.detach().returncode == 0
    pid = home.pid
    session = os.getsid(pid)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: holder(home.path) is None, "a free lock")
    assert home.log == "the end\n"
    if sys.platform == "linux":
        assert in_session(session) == []


def test_kill_frees_the_lock(home: Home, wait_until: Wait) -> None:
    """After kill -9 the next one starts at once."""
    assert home.detach().returncode == 0
    os.kill(home.pid, signal.SIGKILL)
    wait_until(lambda: holder(home.path) is None, "a free lock")
    with InstanceLock(home.path):
        pass


def test_a_second_one_is_told_at_once(home: Home) -> None:
    """The lock is taken before anything is forked: exit code 75, the holder's name, nothing appended."""
    assert home.detach().returncode == 0
    pid = home.pid
    done = home.detach()
    assert done.returncode == 75
    assert f"another sessiond (process {pid}) holds" in done.stderr
    assert holder(home.path) == Holder(pid)
    with pytest.raises(InstanceLockedError, match=f"process {pid}"):
        InstanceLock(home.path).acquire()


def test_an_error_comes_back_with_its_code_and_hint(home: Home) -> None:
    """What the daemon could not do is told by the command, and stands in the log."""
    more = """
def start(readiness):
    raise ConfigError("the schema is newer", hint="upgrade this program")
"""
    done = home.detach(more)
    assert done.returncode == 78
    assert done.stderr == "sessiond: the schema is newer / upgrade this program\n"
    assert "the schema is newer" in home.log
    assert holder(home.path) is None


@pytest.mark.parametrize(
    ("ending", "code", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 1, "died without a word"),
        ("os._exit(0)", 1, "died without a word"),
        ("return 0", 1, "ended before it was up"),
        ("return 9", 9, "ended before it was up"),
        ("sys.exit(5)", 5, "ended before it was up"),
        ("1 / 0", 1, "ended by a defect (ZeroDivisionError)"),
        ("readiness.failed('no room', 69, hint='make some'); return 69", 69, "no room / make some"),
    ],
)
def test_a_daemon_that_ends_before_it_is_up_is_no_success(
    home: Home, ending: str, code: int, words: str
) -> None:
    """However it ends, the command says so, names the log, and nobody holds the folder."""
    done = home.detach(f"def start(readiness):\n    {ending}")
    assert done.returncode == code
    assert words in done.stderr
    assert f"read its log: {home.path}/log" in done.stderr or "make some" in done.stderr
    assert done.stdout == ""
    assert holder(home.path) is None
    assert ("Traceback" in home.log) == ("defect" in words)


def test_one_that_takes_too_long_is_left_running(home: Home) -> None:
    """After the deadline the command says that it goes on; it is not ended, nor hurt by its late word."""
    more = """
deadline = 0.5
def start(readiness):
    time.sleep(1)
    return serve(readiness)
"""
    done = home.detach(more)
    assert done.returncode == 1
    assert f"sessiond (process {home.pid}) is not up after 0.5 s; it goes on starting" in done.stderr
    deadline = time.monotonic() + 10
    while not (home.path / "made").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    assert holder(home.path) is not None


def test_an_interrupted_command_takes_its_daemon_along(home: Home, wait_until: Wait) -> None:
    """Who presses Ctrl-C while it starts wants no daemon: it is told to stop."""
    more = """
def start(readiness):
    (home / "begun").write_text("")
    time.sleep(60)
"""
    with subprocess.Popen(home.command(more), stderr=subprocess.PIPE, text=True) as command:
        wait_until((home.path / "begun").exists, "the daemon")
        pid = home.pid
        assert not holds(command.pid, home.path)
        command.send_signal(signal.SIGINT)
        _, told = command.communicate(timeout=10)
    assert command.returncode == 130
    assert f"interrupted; sessiond (process {pid}) was told to stop" in told
    wait_until(lambda: holder(home.path) is None, "a free lock")


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.02, 0.05])
def test_an_interruption_at_any_moment_leaves_no_daemon(home: Home, wait_until: Wait, delay: float) -> None:
    """Also in the moments between the fork and the daemon's first word."""
    more = "def start(readiness):\n    time.sleep(60)"
    with subprocess.Popen(home.command(more), stderr=subprocess.PIPE, text=True) as command:
        wait_until((home.path / "log").exists, "the log, opened just before the fork")
        time.sleep(delay)
        command.send_signal(signal.SIGINT)
        _, told = command.communicate(timeout=20)
    assert command.returncode != 0, told
    wait_until(lambda: holder(home.path) is None, "a free lock")


def test_threads_are_refused(home: Home) -> None:
    """A fork would copy their locks without them; nothing is forked."""
    more = "threading.Thread(target=time.sleep, args=(1,), daemon=True).start()"
    done = home.detach(more)
    assert done.returncode != 0
    assert "a process with 2 threads cannot be detached" in done.stderr
    assert not (home.path / "log").exists()


def test_a_log_that_cannot_be_opened_is_told_before(home: Home) -> None:
    """A folder in its place ends in one sentence and 78, with no process left."""
    (home.path / "log").mkdir()
    done = home.detach()
    assert done.returncode == 78
    assert "the log file" in done.stderr
    assert "cannot be opened" in done.stderr
    assert holder(home.path) is None


def test_started_without_standard_streams(home: Home, wait_until: Wait) -> None:
    """With all three closed the lock does not get one of their numbers, and holds."""
    shell = 'exec "$@" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", shell, "sh", *home.command()], timeout=30, check=False)
    assert done.returncode == 0
    pid = home.pid
    with pytest.raises(InstanceLockedError):
        InstanceLock(home.path).acquire()
    if sys.platform == "linux":
        assert Path(f"/proc/{pid}/fd/0").readlink() == Path(os.devnull)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: holder(home.path) is None, "a free lock")
    assert home.log == "the end\n"


def test_a_relative_log_is_where_the_command_was_given(home: Home) -> None:
    """The path is made absolute before the working folder changes."""
    more = "home = home.resolve(); os.chdir(home)"
    script = COMMAND.replace("#MORE", more).replace('home / "log"', 'Path("log")')
    done = subprocess.run(
        [sys.executable, "-c", script, str(home.path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"it logs to {home.path.resolve()}/log\n")
    assert (home.path / "log").exists()


def test_a_huge_limit_of_open_files_costs_no_time(home: Home) -> None:
    """Containers allow a thousand million; closing each of them in turn would take minutes."""
    more = """
from daemon import daemon as internals
internals._total_file_descriptor_range = range(1 << 30)
closerange = os.closerange
def careful(low, high):
    assert high < 100_000, "one by one"
    closerange(low, high)
os.closerange = careful
"""
    done = home.detach(more)
    assert done.returncode == 0, done.stderr
