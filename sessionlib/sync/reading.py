"""What reading one session folder brought, and the second look at it under the lock."""

from dataclasses import dataclass
from pathlib import Path

from sessionlib.errors import StateInvalidError, StateUnreadableError
from sessionlib.state.files import look
from sessionlib.sync import snapshot
from sessionlib.sync.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Reading:
    """A snapshot, or why there is none: no state.json, half of a write, or what the system said."""

    snapshot: Snapshot | None = None
    torn: bool = False
    unreadable: str | None = None


def read(session_dir: Path, *, give_up: bool) -> Reading:
    """Read a folder; with `give_up` what looks torn is an error like any."""
    try:
        return Reading(snapshot.take(session_dir, give_up=give_up))
    except StateInvalidError:
        return Reading(torn=True)
    except StateUnreadableError as error:
        return Reading(unreadable=error.message)


def look_again(session_dir: Path, early: Reading, *, give_up: bool) -> Reading:
    """Return the early reading if the folder still looks as it was read, else read it anew."""
    if early.torn or early.unreadable is not None:
        return early
    before = early.snapshot.look if early.snapshot is not None else None
    try:
        now = look(session_dir, before)
    except StateUnreadableError as error:
        return Reading(unreadable=error.message)
    if now is None and before is None:
        return early
    if now is not None and now.same_inputs(before):
        return early
    return read(session_dir, give_up=give_up)
