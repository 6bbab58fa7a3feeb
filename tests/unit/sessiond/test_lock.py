"""The instance lock."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sessiond.lock import Holder, InstanceLock, holder, holds
from sessionlib.errors import ConfigError, InstanceLockedError


def test_the_second_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    """The holder's process id stands in the error."""
    with InstanceLock(tmp_path), pytest.raises(InstanceLockedError, match=str(os.getpid())):
        InstanceLock(tmp_path).acquire()


def test_it_is_free_after_release(tmp_path: Path) -> None:
    """The lock can be taken again, and the file is still there."""
    with InstanceLock(tmp_path):
        pass
    with InstanceLock(tmp_path) as lock:
        assert lock.path.exists()


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"1\n", b"999999999\n"])
def test_what_a_dead_process_left_in_the_file_does_not_matter(tmp_path: Path, content: bytes) -> None:
    """The lock is the truth, the text in its file is not."""
    (tmp_path / "sessiond.lock").write_bytes(content)
    with InstanceLock(tmp_path) as lock:
        assert lock.path.read_text() == f"{os.getpid()}\n"


def test_a_killed_holder_frees_it(tmp_path: Path) -> None:
    """After kill -9 of the holder the next one gets the lock at once."""
    code = (
        "import sys, time, pathlib; from sessiond.lock import InstanceLock; "
        "InstanceLock(pathlib.Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(InstanceLockedError):
            InstanceLock(tmp_path).acquire()
        holder.kill()
        holder.wait()
    InstanceLock(tmp_path).acquire()


def test_the_folder_is_private(tmp_path: Path) -> None:
    """A state folder that we make is 0700, and the lock file 0600."""
    with InstanceLock(tmp_path / "a" / "state") as lock:
        assert stat.S_IMODE(lock.path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600


def test_an_unusable_folder_is_a_configuration_error(tmp_path: Path) -> None:
    """A file where the folder should be ends in one clear sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        InstanceLock(tmp_path / "file").acquire()


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    """No state folder, no lock file, or a free lock: nobody holds it, and nothing is made by looking."""
    assert holder(tmp_path / "nowhere") is None
    assert holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    with InstanceLock(tmp_path):
        assert holder(tmp_path) == Holder(os.getpid())
    assert holder(tmp_path) is None


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"garbage\n", b"1\n", b"999999999\n", b"\x1b[31m7\n", b"9" * 40]
)
def test_the_holder_is_found_whatever_its_file_says(tmp_path: Path, content: bytes) -> None:
    """An empty, garbled or wrong file, or an id that another process has now: the real one is named."""
    with InstanceLock(tmp_path) as lock:
        lock.path.write_bytes(content)
        assert holder(tmp_path) == Holder(os.getpid())
        assert holds(os.getpid(), tmp_path)
        assert not holds(os.getppid(), tmp_path)
        with pytest.raises(InstanceLockedError, match=rf"\(process {os.getpid()}\)"):
            InstanceLock(tmp_path).acquire()


def test_a_shorter_id_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    """The file holds one line with one number after every change of hands."""
    with InstanceLock(tmp_path) as lock:
        lock.path.write_text("12345678901234567890\nmore\n")
        lock.adopt()
        assert lock.path.read_text() == f"{os.getpid()}\n"


def test_a_lock_that_is_not_held_has_no_descriptor(tmp_path: Path) -> None:
    """Asking is a mistake that shows."""
    lock = InstanceLock(tmp_path)
    with pytest.raises(ValueError, match="not held"):
        lock.fileno()
    with lock:
        assert not os.get_inheritable(lock.fileno())


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    """Nobody else's file is opened, locked or written through the name."""
    (tmp_path / "sessiond.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match="cannot be used"):
        InstanceLock(tmp_path).acquire()
    assert not (tmp_path / "victim").exists()


FORKED = """
import os, sys, time, pathlib
from sessiond.lock import InstanceLock
lock = InstanceLock(pathlib.Path(sys.argv[1]))
lock.acquire()
child = os.fork()
if child == 0:
    lock.adopt()
    print(os.getpid(), flush=True)
    time.sleep(60)
lock.release()
os.waitpid(child, 0)
print("gone", flush=True)
sys.stdin.read()
"""


def test_the_lock_passes_to_a_child_that_adopts_it(tmp_path: Path) -> None:
    """After a fork and the parent's release the child holds it, is named, and frees it when it is killed."""
    command = [sys.executable, "-c", FORKED, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert (tmp_path / "sessiond.lock").read_text() == f"{child}\n"
        assert holder(tmp_path) == Holder(child)
        with pytest.raises(InstanceLockedError, match=f"process {child}"):
            InstanceLock(tmp_path).acquire()
        os.kill(child, signal.SIGKILL)
        assert parent.stdout.readline() == "gone\n"
        assert holder(tmp_path) is None
        parent.communicate(timeout=10)


CROWD = """
import os, sys, time, pathlib
from sessiond.lock import InstanceLock
from sessionlib.errors import InstanceLockedError
start, go = os.pipe()
over, end = os.pipe()
children = []
for _ in range(100):
    child = os.fork()
    if child:
        children.append(child)
        continue
    os.close(go)
    os.close(end)
    os.read(start, 1)
    lock = InstanceLock(pathlib.Path(sys.argv[1]))
    try:
        lock.acquire()
    except InstanceLockedError as error:
        os._exit(error.exit_code)
    os.read(over, 1)
    os._exit(0)
os.close(go)
codes = []
while len(codes) < 99:
    codes.append(os.waitstatus_to_exitcode(os.wait()[1]))
os.close(end)
codes.append(os.waitstatus_to_exitcode(os.wait()[1]))
print(codes.count(0), codes.count(75))
"""


def test_of_a_hundred_at_once_one_wins(tmp_path: Path) -> None:
    """All others are told that it is taken, though somebody looks at the lock all the time."""
    command = [sys.executable, "-c", CROWD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as crowd:
        deadline = time.monotonic() + 30
        while crowd.poll() is None and time.monotonic() < deadline:
            holder(tmp_path)
        crowd.kill()
        assert crowd.stdout is not None
        assert crowd.stdout.read() == "1 99\n"


def test_looking_refuses_nobody(tmp_path: Path) -> None:
    """Whoever starts while another looks gets the lock a moment later, and those who look see nobody."""
    with (tmp_path / "sessiond.lock").open("w") as looker:
        fcntl.flock(looker, fcntl.LOCK_SH)
        assert holder(tmp_path) is None
        over = threading.Timer(0.2, fcntl.flock, (looker, fcntl.LOCK_UN))
        over.start()
        started = time.monotonic()
        with InstanceLock(tmp_path):
            assert time.monotonic() - started > 0.1
            assert holder(tmp_path) == Holder(os.getpid())
        over.join()


def test_a_shared_lock_that_stays_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that only looks, but for ever, ends in a refusal and not in a hang."""
    monkeypatch.setattr("sessiond.lock._LONGEST_WAIT", 0.2)
    with (tmp_path / "sessiond.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with pytest.raises(InstanceLockedError, match="unknown"):
            InstanceLock(tmp_path).acquire()


def test_a_lone_loser_is_told_at_once(tmp_path: Path) -> None:
    """A held lock is not waited for."""
    with InstanceLock(tmp_path):
        started = time.monotonic()
        with pytest.raises(InstanceLockedError):
            InstanceLock(tmp_path).acquire()
        assert time.monotonic() - started < 1.0


def test_a_folder_that_everybody_may_change_is_refused(tmp_path: Path) -> None:
    """Anybody could put a lock or a database there; nothing is made in it."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="by everybody") as refusal:
        InstanceLock(folder).acquire()
    assert refusal.value.exit_code == 78
    assert "chmod 700" in (refusal.value.hint or "")
    assert list(folder.iterdir()) == []
