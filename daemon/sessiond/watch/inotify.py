"""One inotify instance: the system calls, the masks, and nothing that knows what a session is.

The bindings are watchdog's. Its own reader (`InotifyFD`) is not used, because it makes an object of every raw
event, drops what was read before an overflow and swallows EACCES (``watching.md`` section 5).
Linux only: importing this module elsewhere raises `watchdog.utils.UnsupportedLibcError`.
"""

import contextlib
import ctypes
import errno
import os
import select
import struct
import sys
from collections.abc import Iterator

from watchdog.observers.inotify_c import (
    InotifyConstants,
    WatchDescriptor,
    inotify_add_watch,
    inotify_init,
    inotify_rm_watch,
)

IN_CREATE = int(InotifyConstants.IN_CREATE)
IN_DELETE = int(InotifyConstants.IN_DELETE)
IN_MOVED_FROM = int(InotifyConstants.IN_MOVED_FROM)
IN_MOVED_TO = int(InotifyConstants.IN_MOVED_TO)
IN_CLOSE_WRITE = int(InotifyConstants.IN_CLOSE_WRITE)
IN_DELETE_SELF = int(InotifyConstants.IN_DELETE_SELF)
IN_MOVE_SELF = int(InotifyConstants.IN_MOVE_SELF)
IN_UNMOUNT = int(InotifyConstants.IN_UNMOUNT)
IN_Q_OVERFLOW = int(InotifyConstants.IN_Q_OVERFLOW)
IN_IGNORED = int(InotifyConstants.IN_IGNORED)
IN_ISDIR = int(InotifyConstants.IN_ISDIR)

# Adding to the mask instead of replacing it: one inode may be watched for two reasons (a watch root inside
# another, a bind mount), and the kernel keeps one mask an inode and instance.
_ALWAYS = IN_DELETE_SELF | IN_MOVE_SELF | int(InotifyConstants.IN_ONLYDIR) | int(InotifyConstants.IN_MASK_ADD)
_COME_AND_GO = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO

CHAIN_MASK = _ALWAYS | _COME_AND_GO
"""For folders in which only subfolders matter: candidates, ancestors of a sessions root, the root itself."""

SESSION_MASK = _ALWAYS | _COME_AND_GO | IN_CLOSE_WRITE | int(InotifyConstants.IN_EXCL_UNLINK)
"""For folders whose state.json matters.

IN_CREATE is in it although it costs a fourth event for each atomic save: without it a new `research/` folder,
or a state.json that is hard-linked into place, would wait for the next reconcile. Opening, reading and
closing a file that was opened for reading are not in it, so that our own reading raises no event.
"""

DONT_FOLLOW = int(InotifyConstants.IN_DONT_FOLLOW)

GONE = IN_DELETE | IN_MOVED_FROM
ITSELF = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED

# What os.fsencode does, without its checks: this is called for every session.
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()

_HEADER = struct.Struct("iIII")
_BUFFER_BYTES = 65536  # below malloc's threshold for a fresh mapping, so that a read costs no page faults
_LARGEST_EVENT = 272  # a read that leaves more room than this has emptied the queue
_BATCH_BYTES = 1 << 20  # about what the default queue of 16,384 events can hold


def padded(name: str) -> bytes:
    """Return a name as the kernel writes it into an event: with at least one NUL, to a multiple of 16 bytes.

    Comparing padded names saves stripping every name that nobody is interested in.
    """
    raw = os.fsencode(name)
    return raw + b"\0" * (_HEADER.size - len(raw) % _HEADER.size)


def events_in(batch: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (watch descriptor, mask, padded name) of each event of one `Inotify.read`."""
    unpack, head = _HEADER.unpack_from, _HEADER.size
    offset, size = 0, len(batch)
    while offset < size:
        wd, mask, _cookie, length = unpack(batch, offset)
        start = offset + head
        offset = start + length
        yield wd, mask, batch[start:offset]


class Inotify:
    """An open inotify instance and the means to wake its reader.

    `watch`, `unwatch` and `wake` may be called from any thread; `read` belongs to one. `close` is safe to
    call twice and must come after the reader has left `read`.

    Raises:
        OSError: EMFILE when the user's instances or the process's descriptors are used up.
    """

    def __init__(self) -> None:
        self._fd = inotify_init()
        if self._fd < 0:
            raise _last_error("inotify_init")
        # watchdog binds inotify_init, not inotify_init1: the flags are set after the fact.
        os.set_inheritable(self._fd, False)  # noqa: FBT003 - its signature
        os.set_blocking(self._fd, False)
        try:
            self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:
            os.close(self._fd)
            raise
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(self._wake_fd, select.POLLIN)
        self._closed = False

    def fileno(self) -> int:
        """Return the descriptor, for looking it up below /proc/self/fdinfo."""
        return self._fd

    def watch(self, path: str, mask: int) -> int:
        """Watch a folder and return its watch descriptor.

        The same inode always gives the same descriptor, so that asking again tells whether a path still leads
        to the folder that is being watched.

        Raises:
            OSError: ENOENT, ENOTDIR (also for a link with `DONT_FOLLOW`), EACCES, ENOSPC at the watch limit.
        """
        wd = inotify_add_watch(self._fd, path.encode(_ENCODING, _ERRORS), mask)
        if wd < 0:
            raise _last_error(path)
        return int(wd)

    def unwatch(self, wd: int) -> None:
        """Stop watching; without effect when the kernel has dropped the watch already."""
        if inotify_rm_watch(self._fd, WatchDescriptor(wd)) < 0 and ctypes.get_errno() != errno.EINVAL:
            raise _last_error(f"watch {wd}")

    def read(self) -> bytes:
        """Block until there are events or `wake` was called; return the raw events, or nothing when woken.

        Under load everything that is queued is taken, up to a megabyte: the kernel's queue is the scarce one.
        """
        ready = dict(self._poll.poll())
        if self._wake_fd in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake_fd)
        return self._drain() if self._fd in ready else b""

    def _drain(self) -> bytes:
        batch = b""
        with contextlib.suppress(BlockingIOError):
            while len(batch) < _BATCH_BYTES:
                piece = os.read(self._fd, _BUFFER_BYTES)
                batch = batch + piece if batch else piece
                if len(piece) < _BUFFER_BYTES - _LARGEST_EVENT:
                    break
        return batch

    def wake(self) -> None:
        """Make a blocked `read` return."""
        if not self._closed:
            os.eventfd_write(self._wake_fd, 1)

    def close(self) -> None:
        """Give the descriptors back; the kernel drops every watch with them."""
        if not self._closed:
            self._closed = True
            descriptors = self._fd, self._wake_fd
            # Whoever still comes gets EBADF, and not somebody else's file of that number.
            self._fd = self._wake_fd = -1
            for descriptor in descriptors:
                os.close(descriptor)


def _last_error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
