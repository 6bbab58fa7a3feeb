"""The instance lock."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sessiond.lock import InstanceLock
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
