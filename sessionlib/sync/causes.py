"""What has most likely made rows differ from their files, and what to do about it."""

import os
import shlex
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sessionlib.db.comparing import PRESENCE, Difference
from sessionlib.db.damage import is_damaged
from sessionlib.state.layout import STATE_FILE
from sessionlib.sync.anew import is_gone, is_lost
from sessionlib.sync.damages import Damaged
from sessionlib.sync.mapping import time_of
from sessionlib.sync.places import stored_name

_SIGNATURE = frozenset({"dev", "inode", "size", "mtime_ns", "ctime_ns", "extras"})
_CONTENT = frozenset({"content_hash", "inputs_hash"})


_DAMAGED = "the row was damaged: no such value is ever written there"


class Drift(NamedTuple):
    """One value of the mirror that is not what the files say, or one row too few or too many.

    Attributes:
        path: The session's folder, as it is stored; or the sessions root.
        table: Where.
        key: The row's key, column to value.
        column: Which one; None for the whole row.
        stored: What is stored; None where there is no row.
        expected: What the files say; None where there should be no row.
        cause: What has most likely made it so, in one clause.
        advice: The command that mends it.
    """

    path: str
    table: str
    key: dict[str, Any]
    column: str | None
    stored: Any
    expected: Any
    cause: str
    advice: str


def explained(
    folder: Path, found: Sequence[Difference], now: datetime, damages: Sequence[Damaged] = ()
) -> list[Drift]:
    """Return the drifts of one session, each with its cause.

    Args:
        folder: The session's folder; of its copies the one that it should show.
        found: How what is stored differs.
        now: The time.
        damages: Values of its rows that cannot be read; what differs for that reason is told of them.
    """
    path = stored_name(str(folder))
    bad = {_mark(one.value.table, one.value.key, one.value.column): one for one in damages}
    sound = [one for one in found if _mark(one.table, one.key, one.column) not in bad]
    told = [(one, *_cause(one, sound, folder, now)) for one in sound]
    damaged = [_of_damage(one, found) for one in damages]
    return [
        Drift(
            path, one.table, dict(one.key), one.column, one.stored, one.expected, cause, _advice(verb, folder)
        )
        for one, cause, verb in [*told, *damaged]
    ]


def _advice(verb: str, folder: Path) -> str:
    return f"sessionctl {verb} {shlex.quote(str(folder))}"


def _mark(table: str, key: Sequence[tuple[str, Any]], column: str | None) -> tuple[Any, ...]:
    return table, tuple((name, str(value)) for name, value in key), column


def _of_damage(one: Damaged, found: Sequence[Difference]) -> tuple[Difference, str, str]:
    """Return a damaged value as a difference, from what the files say where they do."""
    value = one.value
    mark = _mark(value.table, value.key, value.column)
    expected = [other.expected for other in found if _mark(other.table, other.key, other.column) == mark]
    told = Difference(
        UUID(int=0), value.table, value.key, value.column, value.stored, next(iter(expected), one.expected)
    )
    return told, _DAMAGED, "rebuild"


def unknown(root: Path, count: int) -> Drift:
    """Return the drift of a sessions root that is not registered."""
    return Drift(
        stored_name(str(root)),
        "workspace_roots",
        {"path": stored_name(str(root))},
        None,
        None,
        f"a root with {count} sessions",
        "the workspace is unknown: nothing in it is mirrored",
        f"sessionctl sync {shlex.quote(str(root))}",
    )


def unbacked(path: Path, key: dict[str, Any]) -> Drift:
    """Return the drift of a session that no copy backs, and that is not marked as gone."""
    return Drift(
        stored_name(str(path)),
        "sessions",
        key,
        PRESENCE,
        None,
        "a tombstone",
        "its last copy went without it being marked as gone",
        f"sessionctl rebuild {shlex.quote(str(path))}",
    )


_Told = tuple[str, str]
"""A cause, and the verb that mends it."""


def _cause(one: Difference, found: Sequence[Difference], folder: Path, now: datetime) -> _Told:
    """Return what has made a difference.

    Args:
        one: The difference.
        found: All of its session.
        folder: The session's folder.
        now: The time.
    """
    if is_lost(one):
        return "the document was damaged, and no file here holds it: save its state.json anew", "rebuild"
    return _of_presence(one, found) or _of_copies(one, found, folder, now) or _of_rows(one)


def _of_presence(one: Difference, found: Sequence[Difference]) -> _Told | None:
    if is_gone(one):
        return "the folder is gone, and not marked as gone", "rescan"
    if one.column != PRESENCE:
        return None
    if one.expected is None:
        # A rescan writes the copies that are marked, and then their session.
        is_marked = any((other.table, other.column) == ("session_files", PRESENCE) for other in found)
        return "marked as gone, and there again", "rescan" if is_marked else "rebuild"
    return "all its folders are gone, and it is not marked as gone", "rebuild"


def _of_copies(one: Difference, found: Sequence[Difference], folder: Path, now: datetime) -> _Told | None:
    """Return what explains a difference, where the rows of its session's copies tell."""
    columns = {other.column for other in found if other.table == "session_files"}
    if None in columns or _has_moved(columns):
        return (f"not mirrored yet: {_saved(folder, now)}", "rescan") if _is_carried(one, found) else None
    if columns == {"mapping_version"} and len(found) == 1:
        return "the row was written by another version of the mapping", "rescan"
    if _CONTENT.issubset(columns):
        cause = (
            "the file changed without a change of its size and times (a restored backup, or twice at once)"
        )
        return cause, "rebuild"
    return None


def _is_carried(one: Difference, found: Sequence[Difference]) -> bool:
    """Tell whether a rescan, which writes copies that have changed, writes this row of their session too."""
    if one.table == "session_files":
        return True
    marks = {(other.table, other.column) for other in found}
    if one.table == "documents":
        return one.column is None
    if one.table == "session_inputs":
        return bool(marks & {("session_files", "inputs_hash"), ("session_files", None)})
    return bool(marks & {("sessions", "inputs_hash"), ("sessions", None)})


def _of_rows(one: Difference) -> _Told:
    if one.column is not None and is_damaged(one.table, one.column, one.stored):
        return _DAMAGED, "rebuild"
    if one.column == "mapping_version":
        return "the row was written by another version of the mapping", "rebuild"
    if one.column is not None:
        return "the row was edited behind the mirror", "rebuild"
    deed = "added" if one.expected is None else "deleted"
    return f"the row was {deed} behind the mirror", "rebuild"


def _has_moved(columns: Collection[str | None]) -> bool:
    """Tell whether a file has another signature: its ctime moves with everything, alone for its rights."""
    return "ctime_ns" in columns or len(_SIGNATURE.intersection(columns)) > 1


def _saved(folder: Path, now: datetime) -> str:
    try:
        age = (now - time_of(os.lstat(folder / STATE_FILE).st_mtime_ns)).total_seconds()
    except OSError:
        return "its file cannot be seen any more"
    return f"the file was saved {max(age, 0.0):.0f} s ago"
