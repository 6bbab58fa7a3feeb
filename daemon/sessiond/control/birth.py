"""The birth of the control socket: only its owner can ever open it, and it takes no living daemon's place.

A socket is as private as its folder: that must be ours alone before anything is put into it. The socket is
bound under another name and renamed over the old one, so that its proper name always leads to a socket that
listens, or to none, and has had mode 0600 since it came to that name. The umask is left alone: it belongs to
the whole process, and other threads make files meanwhile.
"""

import errno
import os
import secrets
import socket
import stat
from pathlib import Path
from typing import NamedTuple

from sessionlib.errors import ConfigError, InstanceLockedError
from sessionlib.locations import SOCKET_PATH_MOST

BACKLOG = 128

_PROBE = 1.0
"""Seconds that a socket found in our place has for a sign of life."""


_ANOTHER = "name a folder of its own, that this user may write: daemon.runtime_dir"


class Born(NamedTuple):
    """A socket that listens at `path`, and which file that is."""

    listener: socket.socket
    path: Path
    identity: tuple[int, int]

    def bury(self) -> None:
        """Remove the file, unless it is another's by now; never fails."""
        try:
            if _identity(self.path.lstat()) == self.identity:
                self.path.unlink()
        except OSError:
            return


def bear(path: Path) -> Born:
    """Return a listening Unix socket at `path`, of mode 0600, in a folder that is ours alone.

    The folder is made if it is not there. A socket that nobody listens to is replaced. The caller holds the
    instance lock. Blocks for at most a second.

    Raises:
        ConfigError: The folder is not private, the path is too long, something else is there, or the system
            refuses.
        InstanceLockedError: Another process listens there.
    """
    # Hidden, as long as the name it gets at most, and not to be guessed.
    temporary = path.with_name("." + secrets.token_hex(8)[: max(len(os.fsencode(path.name)) - 1, 4)])
    _check_length(path, temporary)
    try:
        _make_private(path.parent)
        _check_place(path)
        listener = _bind(temporary)
    except OSError as error:
        raise _unmade(path, error) from error
    try:
        identity = _identity(temporary.lstat())
        temporary.rename(path)
    except OSError as error:
        listener.close()
        temporary.unlink(missing_ok=True)
        raise _unmade(path, error) from error
    return Born(listener, path, identity)


def _check_length(*paths: Path) -> None:
    longest = max(len(os.fsencode(path)) for path in paths)
    if longest > SOCKET_PATH_MOST:
        raise _refused(
            f"the control socket's path is {longest} bytes long; the system takes {SOCKET_PATH_MOST}: "
            f"{paths[0]}",
            hint="name a folder with a shorter path: daemon.runtime_dir",
        )


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = folder.lstat()
    if stat.S_ISLNK(seen.st_mode):
        raise _refused(f"the runtime folder {folder} is a symbolic link", hint="name the folder itself")
    if seen.st_uid != os.geteuid():
        raise _refused(
            f"the runtime folder {folder} belongs to another user (uid {seen.st_uid})", hint=_ANOTHER
        )
    mode = stat.S_IMODE(seen.st_mode)
    if mode & 0o077:
        # A sticky folder, /tmp for one, is everybody's on purpose: closing it would break the machine.
        raise _refused(
            f"the runtime folder {folder} is open to others (mode {mode:04o})",
            hint=_ANOTHER if mode & stat.S_ISVTX else f"chmod 700 {folder}",
        )


def _check_place(path: Path) -> None:
    """See that nothing is at the path, or a socket that nobody listens to."""
    try:
        seen = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(seen.st_mode):
        raise _refused(f"{path} is in the control socket's place and is no socket", hint="move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except (BlockingIOError, TimeoutError):
            # Its queue of connections is full: whoever listens is alive, if busy.
            pass
    raise InstanceLockedError(
        f"another process listens on {path}", hint="stop it, or name another folder: daemon.runtime_dir"
    )


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        path.unlink(missing_ok=True)
        raise
    return listener


def bind_loopback(host: str, port: int) -> socket.socket:
    """Return a TCP socket that listens on a loopback address; port 0 takes any free one.

    Raises:
        ConfigError: The address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        raise ConfigError(
            f"control.listen: {host} port {port} cannot be listened on: {error.strerror or error}",
            key="control.listen",
            hint="another program has this port; name another" if taken else None,
        ) from error
    return listener


def _identity(seen: os.stat_result) -> tuple[int, int]:
    return seen.st_dev, seen.st_ino


def _unmade(path: Path, error: OSError) -> ConfigError:
    return _refused(f"the control socket {path} cannot be made: {error.strerror or error}", hint=_ANOTHER)


def _refused(message: str, hint: str | None = None) -> ConfigError:
    return ConfigError(message, key="daemon.runtime_dir", hint=hint)
