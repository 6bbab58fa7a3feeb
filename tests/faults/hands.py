"""What a forked hand does to a session: save or make it once when told to go on, or work on it many times."""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessionlib.errors import SessionlibError
from sessionlib.state.manager import StateManager
from sessionlib.state.store import SessionStore

REFUSED = 3
"""The exit code of a hand whose save failed as it may: with one of our errors, whose words are in its log."""


def _once(change: Callable[[], object]) -> int:
    """Wait for SIGCONT, then do a change once."""
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        change()
    except SessionlibError as error:
        os.write(2, error.message.encode())
        return REFUSED
    return 0


def save(session_dir: Path, topic: str) -> int:
    """Wait for SIGCONT, then save once."""
    manager = StateManager(session_dir)
    return _once(lambda: manager.set_details(topic=topic))


def create(session_dir: Path, topic: str) -> int:
    """Wait for SIGCONT, then make a session."""
    manager = StateManager(session_dir)
    return _once(lambda: manager.create(topic))


def count(session_dir: Path, name: str, times: int) -> int:
    """Add one to a number in the document so many times; a byte in the log for each that was acknowledged."""
    store = SessionStore(session_dir, None, read_only=False, lock_timeout=60.0)

    def edit(draft: Any) -> None:
        counts = draft.document.setdefault("counts", {})
        counts[name] = counts.get(name, 0) + 1

    for _ in range(times):
        store.change(edit, if_hash=None)
        os.write(2, b".")
    return 0


def place(number: int) -> str:
    """Return the session that a toiling hand puts a number in: each fourth is a new one's."""
    return "one" if number % 4 else f"new-{number}"


def words(number: int) -> str:
    """Return the description that goes with a number: long enough for a torn file to show."""
    return f"{number} " * 1500


def toil(folder: Path, first: int, *, careless: bool) -> int:
    """Save one number after the other until that fails; a line in the log for each that was acknowledged.

    Args:
        folder: Of the sessions.
        first: The first number.
        careless: Sync nothing.
    """
    if careless:
        os.fsync = lambda fd: None
    for number in itertools.count(first):
        manager = StateManager(folder / place(number))
        try:
            if number % 4:
                manager.set_details(topic=str(number), description=words(number))
            else:
                manager.create(str(number), description=words(number))
        except SessionlibError:
            return REFUSED
        os.write(2, b"%d\n" % number)
    return 0


def main(arguments: list[str]) -> int:
    """Do as the arguments say; the exit code is 0 when it was done."""
    verb, path, *more = arguments
    folder = Path(path)
    try:
        if verb == "count":
            return count(folder, more[0], int(more[1]))
        if verb == "toil":
            return toil(folder, int(more[0]), careless=more[1] == "careless")
        return {"save": save, "create": create}[verb](folder, more[0])
    except Exception as error:  # noqa: BLE001 - told to the test
        print(f"hand: {error!r}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
