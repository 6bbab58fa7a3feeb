"""`sessiond stop`: ask the daemon of a state folder to stop, and wait until it has.

Only the process that holds the lock is ever signalled, never one that is merely named in a file, since ids
are used again. Where the system can pin a process, it is pinned before the last look.
"""

import os
import signal
import sys
import time
from pathlib import Path

from sessiond.lock import Holder, holder, holds
from sessionlib.errors import ControlError, DaemonNotRunningError
from sessionlib.locations import Locations

_LOOK_EVERY = 0.02
"""Seconds between two looks at the lock."""
_NAMING = 1.0
"""Seconds for a daemon that starts at this moment to write its id."""


def stop_daemon(locations: Locations, timeout: float) -> str:
    """Stop the daemon of a state folder; blocks until its lock is free, at most `timeout` seconds.

    Returns:
        A sentence for the person who asked: which process stopped, and how long that took.

    Raises:
        DaemonNotRunningError: No daemon holds the state folder.
        ControlError: It may not be signalled, it did not stop in time, or another runs in its place.
    """
    state_dir = locations.state_dir
    pid = _find(state_dir)
    started = time.monotonic()
    if not _ask(pid, state_dir):
        raise _not_running(state_dir)
    last = _wait(pid, state_dir, started + timeout)
    took = time.monotonic() - started
    if last is None:
        return f"sessiond (process {pid}) has stopped after {took:.1f} s"
    if last.pid == pid or last.pid is None:
        raise ControlError(
            f"sessiond (process {pid}) has not stopped within {timeout:g} s",
            hint=f"it goes on stopping; ask again to make it leave at once, or end it with: kill -9 {pid}",
        )
    raise ControlError(
        f"sessiond (process {pid}) has stopped, and process {last.pid} runs in its place",
        hint="a service manager starts it again: sessionctl service stop",
    )


def _find(state_dir: Path) -> int:
    """Return the daemon's process id; wait a moment for one that is just starting."""
    deadline = time.monotonic() + _NAMING
    while True:
        found = _look(state_dir)
        if found is None:
            raise _not_running(state_dir)
        if found.pid is not None:
            return found.pid
        if time.monotonic() > deadline:
            raise ControlError(
                f"a process that cannot be seen from here holds {state_dir}",
                hint="it belongs to another user or container: stop it there",
            )
        time.sleep(_LOOK_EVERY)


def _look(state_dir: Path) -> Holder | None:
    try:
        return holder(state_dir)
    except OSError as error:
        raise ControlError(
            f"cannot see whether a sessiond runs in {state_dir}: {error.strerror}",
            hint="ask as the user it runs as, or name another folder with --state-dir",
        ) from error


def _ask(pid: int, state_dir: Path) -> bool:
    """Send TERM to the process if it still holds the lock; False when it does not any more."""
    try:
        pinned = _pin(pid)
        try:
            # A pinned process keeps its id to itself from here on.
            if not holds(pid, state_dir):
                return False
            if sys.platform == "linux" and pinned is not None:
                signal.pidfd_send_signal(pinned, signal.SIGTERM)
            else:
                os.kill(pid, signal.SIGTERM)
        finally:
            if pinned is not None:
                os.close(pinned)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise ControlError(
            f"sessiond (process {pid}) belongs to another user", hint="stop it as that user"
        ) from error
    return True


def _pin(pid: int) -> int | None:
    """Return a descriptor of the process; None where the kernel or a container has no such thing."""
    pinned = None
    if sys.platform == "linux":
        try:
            pinned = os.pidfd_open(pid)
        except OSError as error:
            if isinstance(error, ProcessLookupError):
                raise
    return pinned


def _wait(pid: int, state_dir: Path, deadline: float) -> Holder | None:
    """Wait until the process does not hold the lock any more; return who does then, or at the deadline."""
    while True:
        found = _look(state_dir)
        if found is None or found.pid not in {pid, None} or time.monotonic() >= deadline:
            return found
        time.sleep(_LOOK_EVERY)


def _not_running(state_dir: Path) -> DaemonNotRunningError:
    return DaemonNotRunningError(
        f"no sessiond runs in {state_dir}",
        hint="start one with: sessiond run, or name another folder with --state-dir",
    )
