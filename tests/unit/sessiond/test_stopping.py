"""Stopping a daemon: small ones of the test's own, with the real lock and the real signals."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessiond.lock import holder
from sessiond.stopping import _ask, stop_daemon
from sessionlib.errors import ControlError, DaemonNotRunningError
from sessionlib.locations import Locations

DAEMON = """
import os, sys, time
from pathlib import Path
from sessiond.lock import InstanceLock
from sessiond.signals import Signals
signals = Signals()
signals.install()
lock = InstanceLock(Path(sys.argv[1]))
lock.acquire()
print("up", flush=True)
signals.stop.wait()
time.sleep(float(sys.argv[2]))
os._exit(0)
"""


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    """The places of a daemon."""
    return Locations(tmp_path / "state", tmp_path / "run")


@contextmanager
def running(locations: Locations, drains: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    """A daemon that takes so many seconds to stop; killed at the end if it is still there."""
    command = [sys.executable, "-c", DAEMON, str(locations.state_dir), str(drains)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        try:
            yield process
        finally:
            process.kill()


def test_nothing_to_stop_is_exit_3(locations: Locations) -> None:
    """No folder, or one that nobody holds: said with a hint, and nothing is made."""
    with pytest.raises(DaemonNotRunningError, match="no sessiond runs in") as caught:
        stop_daemon(locations, 5)
    assert caught.value.exit_code == 3
    assert caught.value.hint is not None
    assert "sessiond run" in caught.value.hint
    assert not locations.state_dir.exists()


def test_it_stops_and_says_how_long_that_took(locations: Locations) -> None:
    """The call returns when the lock is free; a second one finds nothing to stop."""
    with running(locations, drains=0.3) as process:
        told = stop_daemon(locations, 10)
        assert holder(locations.state_dir) is None
        found = re.fullmatch(rf"sessiond \(process {process.pid}\) has stopped after (\d+\.\d) s", told)
        assert found is not None
        assert 0.3 <= float(found[1]) < 5
        assert process.wait(5) == 0
    with pytest.raises(DaemonNotRunningError):
        stop_daemon(locations, 5)


def test_one_that_drains_too_long_goes_on(locations: Locations) -> None:
    """After the timeout: exit 1, what to do next; asked again, it leaves at once."""
    with running(locations, drains=60) as process:
        with pytest.raises(ControlError, match=r"has not stopped within 0\.2 s") as caught:
            stop_daemon(locations, 0.2)
        assert caught.value.exit_code == 1
        assert caught.value.hint is not None
        assert f"kill -9 {process.pid}" in caught.value.hint
        assert process.poll() is None
        stop_daemon(locations, 10)
        assert process.wait(5) == 128 + signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="only there is the holder known for sure")
@pytest.mark.parametrize("content", ["", "garbage\n", "INNOCENT\n", "999999999\n", "0\n", "-1\n"])
def test_only_the_holder_is_signalled(locations: Locations, content: str) -> None:
    """An empty, garbled or stale file, or another process's id: the daemon is stopped and nobody else."""
    sleep = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    with subprocess.Popen(sleep, stdout=subprocess.PIPE) as innocent, running(locations) as process:
        try:
            locations.lock_file.write_text(content.replace("INNOCENT", str(innocent.pid)))
            assert f"(process {process.pid}) has stopped" in stop_daemon(locations, 10)
            assert process.wait(5) == 0
            assert innocent.poll() is None
        finally:
            innocent.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only there is the holder known for sure")
def test_one_that_gave_the_lock_up_meanwhile_is_spared(locations: Locations) -> None:
    """Between the look and the signal the process may change: the last look is at the one that is pinned."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as innocent:
        try:
            with running(locations):
                assert not _ask(innocent.pid, locations.state_dir)
            assert innocent.poll() is None
        finally:
            innocent.kill()
    assert not _ask(innocent.pid, locations.state_dir)


def test_a_file_without_a_lock_stops_nobody(locations: Locations) -> None:
    """What a killed daemon left behind names a process that may be anybody now."""
    locations.state_dir.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as innocent:
        try:
            locations.lock_file.write_text(f"{innocent.pid}\n")
            with pytest.raises(DaemonNotRunningError):
                stop_daemon(locations, 5)
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_two_that_stop_the_same_one(locations: Locations) -> None:
    """Both return when it has gone; at worst one of them comes too late and finds nothing."""
    told: list[str] = []

    def stop() -> None:
        try:
            told.append(stop_daemon(locations, 10))
        except DaemonNotRunningError as error:
            told.append(error.message)

    with running(locations, drains=0.2) as process:
        stoppers = [threading.Thread(target=stop) for _ in range(2)]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join()
        assert process.wait(5) in {0, 128 + signal.SIGTERM}
    assert len(told) == 2
    assert all("has stopped" in text or "no sessiond runs" in text for text in told)


HANDS_OVER = """
import os, sys
from pathlib import Path
from sessiond.lock import InstanceLock
from sessiond.signals import Signals
lock = InstanceLock(Path(sys.argv[1]))
lock.acquire()
wait, tell = os.pipe()
child = os.fork()
if child == 0:
    os.close(tell)
    os.read(wait, 1)
    lock.adopt()
    sys.stdin.read()
    os._exit(0)
signals = Signals()
signals.install()
print(child, flush=True)
signals.stop.wait()
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only there is the holder known for sure")
def test_one_that_is_started_again_is_told(locations: Locations) -> None:
    """Another process in its place does not make the wait endless, and does not look like success."""
    command = [sys.executable, "-c", HANDS_OVER, str(locations.state_dir)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout is not None
        successor = int(first.stdout.readline())
        started = time.monotonic()
        with pytest.raises(ControlError, match=rf"process {successor} runs in its place") as caught:
            stop_daemon(locations, 30)
        assert time.monotonic() - started < 10
        assert caught.value.exit_code == 1
        assert first.wait(5) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be somebody else for a moment")
def test_another_users_daemon_is_not_ours_to_stop(locations: Locations) -> None:
    """Exit 1 with a sentence; the daemon goes on."""
    code = """
import os, sys
from pathlib import Path
from sessiond.stopping import stop_daemon
from sessionlib.errors import ControlError
from sessionlib.locations import Locations
os.setgid(65534)
os.setuid(65534)
try:
    stop_daemon(Locations(Path(sys.argv[1]), Path("/nowhere")), 5)
except ControlError as error:
    print(error.exit_code, error.message)
"""
    with running(locations) as process:
        done = subprocess.run(
            [sys.executable, "-c", code, str(locations.state_dir)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.startswith("1 "), done
        assert "Permission denied" in done.stdout or "cannot be seen" in done.stdout
        assert process.poll() is None
