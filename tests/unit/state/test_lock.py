"""The lock of a session folder."""

import errno
import fcntl
import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from sessionlib.errors import StateLockedError, StateNotFoundError, StateWriteError
from sessionlib.state.layout import LOCK_FILE
from sessionlib.state.lock import SessionLock, locked


def test_lock_file_stays(tmp_path: Path) -> None:
    """The sidecar is made once and never unlinked."""
    with locked(tmp_path):
        inode = (tmp_path / LOCK_FILE).stat().st_ino
    with locked(tmp_path):
        pass
    assert (tmp_path / LOCK_FILE).stat().st_ino == inode


def test_held_lock_times_out(tmp_path: Path) -> None:
    """A waiter gives up in time, and says which file and how long."""
    begin = time.monotonic()
    with (
        locked(tmp_path),
        pytest.raises(StateLockedError, match=r"\.state\.lock is held .* waited 0\.1 s") as caught,
        locked(tmp_path, 0.1),
    ):
        pytest.fail("entered")
    assert 0.1 <= time.monotonic() - begin < 2
    assert caught.value.hint
    assert caught.value.session_dir == tmp_path
    with locked(tmp_path, 0):
        pass


def test_lock_is_free_after_an_error(tmp_path: Path) -> None:
    """An exception in the block frees the lock and closes its descriptor."""
    descriptors = Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path, 0):
        pass
    assert len(list(descriptors.iterdir())) == before


def test_leaving_twice_is_harmless(tmp_path: Path) -> None:
    """A lock that is not held is freed without ado."""
    lock = SessionLock(tmp_path)
    with lock:
        pass
    lock.__exit__(None, None, None)


def test_descriptor_is_not_inherited(tmp_path: Path) -> None:
    """A program started meanwhile does not keep the lock."""
    with locked(tmp_path) as lock:
        assert lock._fd is not None
        assert not os.get_inheritable(lock._fd)


def test_missing_folder(tmp_path: Path) -> None:
    """There is nothing to lock where there is no folder."""
    with pytest.raises(StateNotFoundError, match="no session folder"), locked(tmp_path / "gone"):
        pytest.fail("entered")


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_lock_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    """A link, a folder and a pipe in its place are not used, and do not hang."""
    path = tmp_path / LOCK_FILE
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(StateWriteError, match="cannot lock") as caught, locked(tmp_path):
        pytest.fail("entered")
    assert caught.value.hint
    assert not (tmp_path / "elsewhere").exists()


def test_foreign_lock_file_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock file of another user serves, opened for reading."""
    real = os.open

    def read_only(path, flags, *args, **kwargs):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *args, **kwargs)

    (tmp_path / LOCK_FILE).touch()
    monkeypatch.setattr(os, "open", read_only)
    with (
        locked(tmp_path),
        pytest.raises(StateLockedError),
        locked(tmp_path, 0),
    ):
        pytest.fail("entered")


def test_folder_that_takes_no_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unwritable folder without a lock file is told as refused, not as missing."""
    real = os.open

    def read_only(path, flags, *args, **kwargs):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", read_only)
    with (
        pytest.raises(StateWriteError, match=r"cannot lock .*: Permission denied") as caught,
        locked(tmp_path),
    ):
        pytest.fail("entered")
    assert isinstance(caught.value.__cause__, PermissionError)
    with pytest.raises(StateNotFoundError), locked(tmp_path / "none"):
        pytest.fail("entered")


def test_file_system_without_flock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where flock fails for good, nobody waits."""

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(StateWriteError, match="No locks available"), locked(tmp_path):
        pytest.fail("entered")


def test_error_of_closing_a_held_lock_is_no_other_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits in vain hears that the lock is held, and nothing of the descriptor tried with."""
    real = os.close

    def failing(fd: int) -> None:
        real(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with locked(tmp_path):
        monkeypatch.setattr(os, "close", failing)
        with pytest.raises(StateLockedError):
            locked(tmp_path, timeout=0).__enter__()
        monkeypatch.undo()


def test_lock_file_swept_away_while_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock on a file that lost its name is not believed."""
    real = fcntl.flock
    swept = []

    def sweeping(fd: int, operation: int) -> None:
        real(fd, operation)
        if operation & fcntl.LOCK_EX and len(swept) < 2:
            swept.append(fd)
            (tmp_path / LOCK_FILE).unlink()
            if len(swept) == 2:
                (tmp_path / LOCK_FILE).touch()

    monkeypatch.setattr(fcntl, "flock", sweeping)
    with locked(tmp_path) as lock:
        assert lock._fd is not None
        assert os.fstat(lock._fd).st_ino == (tmp_path / LOCK_FILE).stat().st_ino
    assert len(swept) == 2


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    """Eight threads that read, wait and write lose no count."""
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(10):
            with locked(tmp_path, 30):
                value = int(counter.read_text())
                time.sleep(0.0005)
                counter.write_text(str(value + 1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "80"


def _count(folder: str, times: int) -> None:
    counter = Path(folder) / "counter"
    for _ in range(times):
        with locked(Path(folder), 30):
            counter.write_text(str(int(counter.read_text()) + 1))


def test_processes_exclude_each_other(tmp_path: Path) -> None:
    """Three processes lose no count."""
    (tmp_path / "counter").write_text("0")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count, args=(str(tmp_path), 50)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert (tmp_path / "counter").read_text() == "150"


def _hold_for_ever(folder: str, ready: str) -> None:
    with locked(Path(folder)):
        Path(ready).touch()
        time.sleep(600)


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """A holder that is killed leaves nothing to clean up."""
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=_hold_for_ever, args=(str(tmp_path), str(tmp_path / "ready")))
    worker.start()
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "ready").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(StateLockedError), locked(tmp_path, 0):
            pytest.fail("entered")
    finally:
        worker.kill()
        worker.join()
    with locked(tmp_path, 5):
        pass
