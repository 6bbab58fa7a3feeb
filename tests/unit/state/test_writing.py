"""Writing a file whole or not at all."""

import errno
import fcntl
import os
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sessionlib.errors import StateWriteError
from sessionlib.state import layout, writing
from sessionlib.state.writing import write_atomic


def strays(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{layout.TEMP_PREFIX}*"))


def test_new_file_gets_the_usual_mode(tmp_path: Path) -> None:
    """A new file obeys the umask like any other."""
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "state.json", b"{}")
    finally:
        os.umask(old)
    assert (tmp_path / "state.json").read_bytes() == b"{}"
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o640
    assert strays(tmp_path) == []


def test_replaced_file_keeps_its_mode_and_gets_a_new_inode(tmp_path: Path) -> None:
    """Readers of the old file keep it; the new one is as readable as the old."""
    path = tmp_path / "state.json"
    path.write_text("old")
    path.chmod(0o604)
    before = path.stat()
    with path.open() as reader:
        write_atomic(path, b"new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert path.stat().st_ino != before.st_ino


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    """A save by root does not take the file from its user."""
    path = tmp_path / "state.json"
    path.write_text("old")
    os.chown(path, 12345, 23456)
    write_atomic(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_owner_that_cannot_be_kept_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may not give files away still saves."""
    path = tmp_path / "state.json"
    path.write_text("old")
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refused)
    monkeypatch.setattr(writing.os, "fstat", lambda _: os.stat_result((0,) * 10))
    write_atomic(path, b"new")
    assert path.read_text() == "new"


def test_empty_and_long_contents(tmp_path: Path) -> None:
    """Nothing and several megabytes are written as they are."""
    for data in (b"", os.urandom(3_000_000)):
        write_atomic(tmp_path / "state.json", data)
        assert (tmp_path / "state.json").read_bytes() == data


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that takes only a few bytes is followed by another."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:3])))
    write_atomic(tmp_path / "state.json", b"0123456789")
    assert (tmp_path / "state.json").read_bytes() == b"0123456789"


LIMITED = """
import resource, sys
from pathlib import Path
from sessionlib.errors import StateWriteError
from sessionlib.state.writing import write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic(Path(sys.argv[1]), b"x" * 5000)
except StateWriteError as error:
    print(error)
"""


def test_full_disk_leaves_the_old_file_and_no_temp(tmp_path: Path) -> None:
    """A real refusal in the middle of a write (a limit on file sizes) changes nothing."""
    path = tmp_path / "state.json"
    path.write_text("old")
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True
    )
    assert "File too large" in result.stdout
    assert str(path) in result.stdout
    assert path.read_text() == "old"
    assert strays(tmp_path) == []


def test_no_descriptors_left(tmp_path: Path) -> None:
    """Without a free descriptor the old file stays."""
    path = tmp_path / "state.json"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(StateWriteError, match="Too many open files"):
            write_atomic(path, b"new")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", ["fsync", "replace", "write"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_any_failure_removes_the_temp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    """Whatever interrupts a save, the old file is untouched and no temp file stays."""
    path = tmp_path / "state.json"
    path.write_text("old")

    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, name, failing)
    expected = StateWriteError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_atomic(path, b"new")
    assert path.read_text() == "old"
    assert strays(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT])
def test_content_that_cannot_be_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Some network file systems tell only then that they have not taken all: the old file stays."""
    path = tmp_path / "state.json"
    path.write_text("old")
    real = os.close

    def failing(fd: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        real(fd)
        if not is_folder:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "close", failing)
    with pytest.raises(StateWriteError, match=f"cannot write .*{os.strerror(code)}"):
        write_atomic(path, b"new")
    assert path.read_text() == "old"
    assert strays(tmp_path) == []


def test_folder_that_cannot_be_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that was synced is synced, whatever closing it says."""
    real = os.close

    def failing(fd: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        real(fd)
        if is_folder:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", failing)
    write_atomic(tmp_path / "state.json", b"new")
    assert (tmp_path / "state.json").read_bytes() == b"new"


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL])
def test_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A file system without fsync for folders is fine; a failing one is told, with the file in place."""
    real = os.fsync

    def failing(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(code, os.strerror(code))
        real(fd)

    monkeypatch.setattr(os, "fsync", failing)
    if code == errno.EIO:
        with pytest.raises(StateWriteError, match="is written, but its folder could not be synced") as caught:
            write_atomic(tmp_path / "state.json", b"new")
        assert caught.value.hint
    else:
        write_atomic(tmp_path / "state.json", b"new")
    assert (tmp_path / "state.json").read_bytes() == b"new"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """A link stays a link, and its target is not written."""
    target = tmp_path / "target"
    target.write_text("old")
    (tmp_path / "state.json").symlink_to(target)
    with pytest.raises(StateWriteError, match="not a regular file"):
        write_atomic(tmp_path / "state.json", b"new")
    assert (tmp_path / "state.json").is_symlink()
    assert target.read_text() == "old"


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that is gone is a failed write, which names it."""
    with pytest.raises(StateWriteError, match="No such file") as caught:
        write_atomic(tmp_path / "gone" / "state.json", b"")
    assert caught.value.session_dir == tmp_path / "gone"


def test_old_strays_are_swept(tmp_path: Path) -> None:
    """Temp files of killed writers go after an hour; young ones and other people's stay."""
    names = {
        "old": ".state.json.77-0123456789abcdef.tmp",
        "young": ".state.json.78-0123456789abcdef.tmp",
        "foreign": ".state.json.swp",
        "other": ".state.json.12-xyz.tmp",
    }
    long_ago = time.time_ns() - 2 * writing.STRAY_AGE_NS
    for kind, name in names.items():
        (tmp_path / name).touch()
        if kind != "young":
            os.utime(tmp_path / name, ns=(long_ago, long_ago))
    write_atomic(tmp_path / "state.json", b"{}")
    assert strays(tmp_path) == sorted(name for kind, name in names.items() if kind != "old")


def test_failing_sweep_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be listed is saved into all the same."""

    def failing(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "scandir", failing)
    write_atomic(tmp_path / "state.json", b"{}")
    assert (tmp_path / "state.json").exists()


def test_our_temp_names_are_hidden_and_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temp file begins with the prefix, is swept by its whole name, and never looks like a state.json."""
    names = []
    monkeypatch.setattr(os, "replace", lambda temp, _: names.append(Path(temp).name))
    write_atomic(tmp_path / "state.json", b"{}")
    write_atomic(tmp_path / "state.json", b"{}")
    assert len(set(names)) == 2
    assert all(layout.TEMP_NAME.fullmatch(name) for name in names)
    assert all(name.startswith(layout.TEMP_PREFIX) for name in names)


@pytest.mark.parametrize("works", [True, False])
def test_full_sync_of_macos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool) -> None:
    """Where the system has a stronger sync it is used, and fsync where that fails."""
    calls = []

    def full(fd: int, word: int) -> int:
        calls.append(word)
        if not works:
            raise OSError(errno.ENOTSUP, "no")
        return 0

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", full)
    monkeypatch.setattr(os, "fsync", lambda _: calls.append("fsync"))
    with (tmp_path / "f").open("wb") as file:
        writing.sync(file.fileno())
    assert calls == ([51] if works else [51, "fsync"])
