"""One daemon for each state folder: a lock held for life. The pid in the file is for people."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from sessionlib.errors import ConfigError, InstanceLockedError

LOCK_NAME = "sessiond.lock"


class InstanceLock:
    """The exclusive lock on a state folder; released by the kernel however the process ends.

    Args:
        state_dir: The state folder; made (0700) if it does not exist.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / LOCK_NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once or not at all.

        Raises:
            InstanceLockedError: Another process holds it; names that process.
            ConfigError: The state folder cannot be used.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigError(
                f"the state folder {self.path.parent} cannot be used: {error.strerror}",
                key="daemon.state_dir",
                hint="name another with --state-dir or SESSIOND_STATE_DIR",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise InstanceLockedError(
                f"another sessiond (process {holder}) holds {self.path.parent}",
                hint="stop that one, or run with another --state-dir",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock up; the file stays, since unlinking it would let two hold "the" lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
