"""What has most likely made rows differ from their files, and what to do about it."""

import os
import shlex
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sessionlib.db.comparing import PRESENCE, Difference
from sessionlib.state.layout import STATE_FILE
from sessionlib.sync.anew import is_gone
from sessionlib.sync.mapping import time_of
from sessionlib.sync.places import stored_name

_SIGNATURE = frozenset({"dev", "inode", "size", "mtime_ns", "ctime_ns", "extras"})
_CONTENT = frozenset({"content_hash", "inputs_hash"})


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


def explained(folder: Path, found: Sequence[Difference], now: datetime) -> list[Drift]:
    """Return the drifts of one session, each with its cause.

    Args:
        folder: The session's folder; of its copies the one that it should show.
        found: How what is stored differs.
        now: The time.
    """
    path = stored_name(str(folder))
    files = [one for one in found if one.table == "session_files"]
    columns = {one.column for one in files}
    drifts = []
    for one in found:
        cause, verb = _cause(one, columns, folder, now)
        advice = f"sessionctl {verb} {shlex.quote(str(folder))}"
        drifts.append(
            Drift(path, one.table, dict(one.key), one.column, one.stored, one.expected, cause, advice)
        )
    return drifts


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


def _cause(one: Difference, columns: Collection[str | None], folder: Path, now: datetime) -> _Told:
    """Return what has made a difference.

    Args:
        one: The difference.
        columns: Those of the copies' rows in which the session differs; None among them for a whole row.
        folder: The session's folder.
        now: The time.
    """
    return _of_presence(one) or _of_copies(columns, folder, now) or _of_rows(one)


def _of_presence(one: Difference) -> _Told | None:
    if is_gone(one):
        return "the folder is gone, and not marked as gone", "rescan"
    if one.column != PRESENCE:
        return None
    if one.expected is None:
        return "marked as gone, and there again", "rescan"
    return "all its folders are gone, and it is not marked as gone", "rebuild"


def _of_copies(columns: Collection[str | None], folder: Path, now: datetime) -> _Told | None:
    """Return what explains all that differs in a session, where the rows of its copies tell."""
    if None in columns or _has_moved(columns):
        return f"not mirrored yet: {_saved(folder, now)}", "rescan"
    if "mapping_version" in columns:
        return "the row was written by another version of the mapping", "rescan"
    if _CONTENT.issubset(columns):
        cause = (
            "the file changed without a change of its size and times (a restored backup, or twice at once)"
        )
        return cause, "rebuild"
    return None


def _of_rows(one: Difference) -> _Told:
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
