"""Opening a folder beneath another one, so that nothing on the way between the two can be a link.

A path that was looked at a moment ago may lead elsewhere by now: whoever may write into a project can swap
one of its folders for a link at any time. So the kernel walks the way in one step (``openat2``), or, where it
or a sandbox does not offer that, each folder is opened through the descriptor of the one above it.
"""

import errno
import functools
import os
import struct
from collections.abc import Callable

LINK_ERRNOS = frozenset({errno.ELOOP, errno.ENOTDIR})
"""What opening says when something on the way is a link, or no folder; not every system tells them apart."""

_DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Passing through a folder takes no right to list it, where the system can say so.
_STEP_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

# See openat2(2): one number on every architecture, as for all calls that were added since Linux 5.0.
_SYS_OPENAT2 = 437
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_HOW = struct.pack("=QQQ", _DIR_FLAGS, 0, _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH)
_ATTEMPTS = 5

Opener = Callable[[int, str], int]
"""Opens a relative path beneath an open folder; raises OSError."""


def open_beneath(top: str, folder: str) -> int:
    """Open a folder for reading; the caller closes the descriptor.

    Args:
        top: Where the way begins; it may itself be reached through links.
        folder: What to open: a path that begins with `top`, without ``..``; the rest of it may hold no link.

    Raises:
        OSError: One of `LINK_ERRNOS` for a link on the way; ENOENT, EACCES and so on as ever.
        ValueError: The path does not lead downwards from `top`.
    """
    above, below = top.rstrip("/") + "/", folder.rstrip("/") + "/"
    if not below.startswith(above) or "/../" in below or "\0" in below:
        raise ValueError(f"{folder!r} does not lie beneath {top!r}")
    start = os.open(top, _STEP_FLAGS)
    try:
        return _opener()(start, below[len(above) :] or ".")
    finally:
        os.close(start)


@functools.cache
def _opener() -> Opener:
    """Return the way of opening this system offers: a sandbox may refuse what its kernel has."""
    if os.uname().sysname != "Linux":
        return _step_by_step
    at_once = _bound()
    root = os.open("/", _STEP_FLAGS)
    try:
        os.close(at_once(root, "."))
    except OSError:
        return _step_by_step
    finally:
        os.close(root)
    return at_once


def _bound() -> Opener:
    """Bind openat2, which the C library does not offer by its name."""
    import ctypes  # noqa: PLC0415 - a command line that reads nothing need not wait for it

    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)

    def at_once(start: int, below: str) -> int:
        path = os.fsencode(below)
        code = 0
        for _ in range(_ATTEMPTS):
            opened: int = call(_SYS_OPENAT2, start, path, _HOW, len(_HOW))
            if opened >= 0:
                return opened
            code = ctypes.get_errno()
            # The kernel asks to try again when a rename elsewhere kept it from being sure.
            if code not in {errno.EAGAIN, errno.EINTR}:
                break
        raise OSError(code, os.strerror(code), below)

    return at_once


def _step_by_step(start: int, below: str) -> int:
    """Open each folder on the way through the one above it, refusing links."""
    names = [name for name in below.split("/") if name not in {"", "."}]
    at = start
    try:
        for name in names[:-1]:
            above, at = at, os.open(name, _STEP_FLAGS | os.O_NOFOLLOW, dir_fd=at)
            if above != start:
                os.close(above)
        return os.open(names[-1] if names else ".", _DIR_FLAGS | os.O_NOFOLLOW, dir_fd=at)
    finally:
        if at != start:
            os.close(at)
