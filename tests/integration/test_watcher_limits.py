"""The watcher when the kernel refuses or loses something: limits of watches and instances, lost events."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sessiond.hints import Hint
from tests.watching import Listener, inotify_watches, make_session, make_watcher, save, sessions_root

_MAX_QUEUED = Path("/proc/sys/fs/inotify/max_queued_events")

_PRELUDE = """
import logging, sys, time
from pathlib import Path
from tests.watching import Listener, inotify_watches, make_watcher, save

top, sessions = Path(sys.argv[1]), sorted(Path(sys.argv[1]).glob("*/agents/sessions/*"))
records = []
class Keep(logging.Handler):
    def emit(self, record):
        records.append(record)
logging.getLogger("sessiond.watch").addHandler(Keep())
logging.getLogger("sessiond.watch").setLevel(logging.INFO)
listener = Listener()
watcher = make_watcher(listener, retry_interval=0.2)

def limit(name, value):
    Path("/proc/sys/user/max_inotify_" + name).write_text(str(value))

def wait(condition, what):
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, (what, watcher.status(), listener.hints[:9])
        time.sleep(0.01)

def all_ring(text):
    listener.clear()
    for session in sessions:
        save(session, text)
    wait(lambda: set(sessions) <= set(listener.sessions()), "every session to ring")

def warnings(event):
    return [r for r in records if r.levelno >= logging.WARNING and getattr(r, "event", "") == event]
"""

_WATCH_LIMIT = (
    _PRELUDE
    + """
limit("watches", 12)
watcher.start()
watcher.add_root(top)
(status,) = watcher.status()
assert status.mode == "mixed" and status.watches == 12 == inotify_watches(), status
assert "No space left" in status.reason, status
all_ring("{1}")
all_ring("{22}")
(warning,) = warnings("watch.limit")
assert "sysctl fs.inotify.max_user_watches=" in warning.getMessage()
run = sessions[-1] / "research" / "run"
run.mkdir(parents=True)
listener.clear()
save(run, "{3}")
wait(lambda: sessions[-1] in listener.sessions(), "the run to ring")
new = top / "new" / "agents" / "sessions" / "one"
new.mkdir(parents=True)
wait(lambda: new.parent in listener.roots(), "a project that cannot be watched")
limit("watches", 10000)
wait(lambda: watcher.status()[0].mode == "events", "the watches to be granted")
sessions.append(new)
all_ring("{333}")
assert len(warnings("watch.limit")) == 1
watcher.stop()
print("passed")
"""
)

_INSTANCE_LIMIT = (
    _PRELUDE
    + """
limit("instances", 0)
watcher.start()
watcher.add_root(top)
(status,) = watcher.status()
assert status.mode == "polling" and "inotify instance" in status.reason, status
assert len(warnings("watch.instances")) == 1
assert watcher.is_alive()
all_ring("{1}")
limit("instances", 10)
wait(lambda: watcher.status()[0].mode == "events", "events to be back")
wait(lambda: listener.roots("retry"), "a hint for the roots")
all_ring("{22}")
assert len(warnings("watch.instances")) == 1
watcher.stop()
print("passed")
"""
)


def _in_a_namespace(script: str, tmp_path: Path) -> None:
    """Run a script as root of a user namespace of its own, whose limits are nobody else's."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    root = sessions_root(tmp_path / "watched" / "project")
    for number in range(30):
        make_session(root, f"s{number}")
    file = tmp_path / "script.py"
    file.write_text(script)
    probe = subprocess.run(
        ["unshare", "-Ur", "test", "-w", "/proc/sys/user/max_inotify_watches"],
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip(f"user namespaces are not permitted here: {probe.stderr.strip()}")
    done = subprocess.run(
        ["unshare", "-Ur", sys.executable, str(file), str(tmp_path / "watched")],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.stdout.strip() == "passed", done.stderr


def test_watch_limit(tmp_path):
    """At the watch limit the rest is polled, one warning names the remedy; more watches are taken later."""
    _in_a_namespace(_WATCH_LIMIT, tmp_path)


def test_instance_limit(tmp_path):
    """Without an inotify instance everything is polled, with one warning, and events come back later."""
    _in_a_namespace(_INSTANCE_LIMIT, tmp_path)


class _SlowListener(Listener):
    """Holds the reader's thread while told to, as a listener must not."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.go_on.set()
        self.waiting = threading.Event()

    def __call__(self, hint: Hint) -> None:
        super().__call__(hint)
        if not self.go_on.is_set():
            self.waiting.set()
            self.go_on.wait(30)


def _fill_the_queue(folder: Path) -> None:
    queued = int(_MAX_QUEUED.read_text())
    if queued > 65536:
        pytest.skip("the queue is too long to be filled in a test")
    for number in range(queued // 3 + 100):  # created, closed, deleted
        file = folder / f"f{number % 7}"
        file.touch()
        file.unlink()


@pytest.fixture
def listener():
    """A listener that can be made slow; it goes on when the test is over."""
    listener = _SlowListener()
    yield listener
    listener.go_on.set()


def test_overflow(tmp_path, listener, wait_until, caplog):
    """Lost events are told for every root once the tree is right; the status says so until it is clean."""
    top = tmp_path / "watched"
    roots = [sessions_root(top / name) for name in ("one", "two")]
    sessions = [make_session(root, f"s{number}") for root in roots for number in range(3)]
    watcher = make_watcher(listener)
    watcher.start()
    try:
        watcher.add_root(top)
        listener.go_on.clear()
        save(sessions[0], "{1}")
        wait_until(listener.waiting.is_set)
        _fill_the_queue(sessions[1])
        # All of this goes unheard.
        new = make_session(roots[0], "new")
        late = make_session(sessions_root(top / "late"))
        outside = sessions[2].rename(tmp_path / "outside")
        shutil.rmtree(sessions[3])
        make_session(roots[1], sessions[3].name)
        listener.go_on.set()
        wait_until(lambda: {*roots, late.parent} <= set(listener.roots("overflow")))
        assert top in listener.projects("overflow")
        assert watcher.status()[0].degraded
        for session in (new, late, sessions[3], sessions[4]):
            listener.clear()
            save(session, "{2}")
            wait_until(lambda session=session: session in listener.sessions())
        listener.clear()
        save(outside, "{2}")
        save(new, "{3}")
        wait_until(lambda: new in listener.sessions())
        assert sessions[2] not in listener.sessions()
        # The watch root; three projects of agents, sessions and themselves; and the sessions.
        assert inotify_watches() == watcher.status()[0].watches == 1 + 3 * 3 + 7
        watcher.mark_clean(top)
        assert not watcher.status()[0].degraded
    finally:
        watcher.stop()
    assert [record.event for record in caplog.records if record.levelname == "WARNING"] == ["watch.lost"]


def test_mark_clean_waits_for_the_hints(tmp_path, wait_until, monkeypatch):
    """While the hints about lost events are still to come, an entry cannot be marked clean."""
    root = sessions_root(tmp_path / "project")
    make_session(root)
    listener = Listener()
    watcher = make_watcher(listener, poll_interval=0.5)
    watcher.start()
    try:
        watcher.add_project(tmp_path / "project")
        with watcher._watches.lock:
            watcher._distrust("overflow", None)
            watcher.mark_clean(tmp_path / "project")
            assert watcher.status()[0].degraded
        wait_until(lambda: root in listener.roots("overflow"))
        watcher.mark_clean(tmp_path / "project")
        assert not watcher.status()[0].degraded
    finally:
        watcher.stop()
