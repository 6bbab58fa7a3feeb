"""What a forked hand does to a session: save it once when told to go on, or count in it many times."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sessionlib.errors import SessionlibError
from sessionlib.state.manager import StateManager
from sessionlib.state.store import SessionStore

REFUSED = 3
"""The exit code of a hand whose save failed as it may: with one of our errors, whose words are in its log."""


def save(session_dir: Path, topic: str) -> int:
    """Wait for SIGCONT, then save once."""
    manager = StateManager(session_dir)
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        manager.set_details(topic=topic)
    except SessionlibError as error:
        os.write(2, error.message.encode())
        return REFUSED
    return 0


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


def main(arguments: list[str]) -> int:
    """Do as the arguments say; the exit code is 0 when it was done."""
    try:
        if arguments[0] == "save":
            return save(Path(arguments[1]), arguments[2])
        return count(Path(arguments[1]), arguments[2], int(arguments[3]))
    except Exception as error:  # noqa: BLE001 - told to the test
        print(f"hand: {error!r}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
