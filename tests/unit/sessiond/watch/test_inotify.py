"""The inotify instance: raw events in, raw events out."""

import errno
import threading

import pytest

from sessiond.watch.inotify import (
    CHAIN_MASK,
    DONT_FOLLOW,
    IN_CREATE,
    IN_ISDIR,
    SESSION_MASK,
    Inotify,
    events_in,
    padded,
)


@pytest.fixture
def inotify():
    """An open instance."""
    inotify = Inotify()
    yield inotify
    inotify.close()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 255])
def test_padded_names_are_the_kernels(inotify, tmp_path, length):
    """A padded name equals what the kernel writes into an event, whatever its length."""
    wd = inotify.watch(str(tmp_path), CHAIN_MASK)
    (tmp_path / ("x" * length)).mkdir()
    assert list(events_in(inotify.read())) == [(wd, IN_CREATE | IN_ISDIR, padded("x" * length))]


def test_same_folder_same_descriptor(inotify, tmp_path):
    """Watching a folder again, for whatever reason, gives the same descriptor and keeps the first mask."""
    (tmp_path / "f").mkdir()
    wd = inotify.watch(str(tmp_path / "f"), SESSION_MASK)
    assert inotify.watch(str(tmp_path / "f"), CHAIN_MASK) == wd
    (tmp_path / "f" / "state.json").write_text("{}")
    assert padded("state.json") in {name for _, _, name in events_in(inotify.read())}


def test_errors_carry_their_number(inotify, tmp_path):
    """What cannot be watched raises with errno: a missing folder, a file, a link."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name, number in (("none", errno.ENOENT), ("file", errno.ENOTDIR), ("link", errno.ENOTDIR)):
        with pytest.raises(OSError, match=name) as raised:
            inotify.watch(str(tmp_path / name), CHAIN_MASK | DONT_FOLLOW)
        assert raised.value.errno == number


def test_unwatch_twice(inotify, tmp_path):
    """A watch that is gone can be removed again."""
    wd = inotify.watch(str(tmp_path), CHAIN_MASK)
    inotify.unwatch(wd)
    inotify.unwatch(wd)


def test_wake(inotify):
    """wake makes a blocked read return nothing."""
    threading.Timer(0.01, inotify.wake).start()
    assert inotify.read() == b""


def test_everything_queued_is_read_at_once(inotify, tmp_path):
    """One read empties the kernel's queue, also when it is longer than the buffer."""
    inotify.watch(str(tmp_path), CHAIN_MASK)
    for number in range(1500):
        (tmp_path / f"{number:040}").touch()
    assert len(list(events_in(inotify.read()))) == 1500


def test_closed_twice(tmp_path):
    """An instance can be closed twice; waking it afterwards is harmless."""
    inotify = Inotify()
    inotify.close()
    inotify.close()
    inotify.wake()
