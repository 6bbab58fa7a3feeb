"""From any JSON value to the type a field needs; what does not fit becomes None and a note.

A document comes straight from its file or back from a database's JSON column, where key order, duplicate
keys and the spelling of numbers are lost. So nothing here may depend on them, the notes included.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sessionlib.state.decoding import json_kind

MOST_NOTES = 100
"""How many notes one document may cause; a hostile one must not cost more than a broken one."""

_INT32 = 1 << 31
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}")


class Notes:
    """Collects (JSON path, problem) pairs, up to a limit."""

    __slots__ = ("_dropped", "_pairs")

    def __init__(self) -> None:
        self._pairs: list[tuple[str, str]] = []
        self._dropped = 0

    def add(self, path: str, problem: str) -> None:
        """Note one oddity."""
        if len(self._pairs) < MOST_NOTES:
            self._pairs.append((path, problem))
        else:
            self._dropped += 1

    def all(self) -> tuple[tuple[str, str], ...]:
        """Return the notes, the last one saying how many were left out."""
        left_out = (("", f"{self._dropped:,} more are left out"),) if self._dropped else ()
        return (*self._pairs, *left_out)


def text_of(holder: Mapping[str, Any], key: str, notes: Notes, where: str = "") -> str | None:
    """Return `text` of an object's entry; `where` is the object's own path.

    This and its siblings spell the path of a value only when there is something to note.
    """
    value = holder.get(key)
    if value is None or isinstance(value, str):
        return value
    return text(value, notes, _path(where, key))


def integer_of(holder: Mapping[str, Any], key: str, notes: Notes, where: str = "") -> int | None:
    """Return `integer` of an object's entry; see `text_of`."""
    value = holder.get(key)
    return None if value is None else integer(value, notes, _path(where, key))


def moment_of(holder: Mapping[str, Any], key: str, notes: Notes, where: str = "") -> datetime | None:
    """Return `moment` of an object's entry; see `text_of`."""
    value = holder.get(key)
    if value is None:
        return None
    # The time as nearly all write it; whatever else it is, `moment` knows.
    if isinstance(value, str) and value[10:11] == "T" and (found := _parsed(value)) and found.tzinfo is UTC:
        return found
    return moment(value, notes, _path(where, key))


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def text(value: object, notes: Notes, path: str) -> str | None:
    """Return a string verbatim."""
    if isinstance(value, str) or value is None:
        return value
    notes.add(path, f"is {json_kind(value)}, not a string")
    return None


def integer(value: object, notes: Notes, path: str) -> int | None:
    """Return a whole number within signed 32 bit; 1e2 and (with a note) "100" are 100, true is not 1."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        notes.add(path, "is a string, taken as a number")
        number = int(value)
    else:
        notes.add(path, f"is {json_kind(value)}, not a whole number")
        return None
    if not -_INT32 <= number < _INT32:
        notes.add(path, "is out of range")
        return None
    return number


def moment(value: object, notes: Notes, path: str) -> datetime | None:
    """Return a time in UTC; one without a zone is taken as UTC (with a note), a bare date as its midnight."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        notes.add(path, f"is {json_kind(value)}, not a time")
        return None
    parsed = _parsed(value) or _parsed(value.strip().upper())
    if parsed is None:
        notes.add(path, "is not a possible time")
        return None
    if parsed.tzinfo is not None:
        return parsed
    if len(value.strip()) > len("2026-02-16"):
        notes.add(path, "has no time zone; taken as UTC")
    return parsed.replace(tzinfo=UTC)


def _parsed(written: str) -> datetime | None:
    # The parser also takes week dates and dates without dashes; those are more likely not times at all.
    if not written[4:5] == written[7:8] == "-":
        return None
    try:
        parsed = datetime.fromisoformat(written)
        zone = parsed.tzinfo
        return parsed if zone is None or zone is UTC else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def mapping(value: object, notes: Notes, path: str) -> dict[str, Any]:
    """Return an object, or an empty one for null and (with a note) for anything else."""
    if isinstance(value, dict):
        return value
    if value is not None:
        notes.add(path, f"is {json_kind(value)}, not an object")
    return {}


def entries(value: object, notes: Notes, path: str) -> list[Any]:
    """Return a list, or an empty one for null and (with a note) for anything else."""
    if isinstance(value, list):
        return value
    if value is not None:
        notes.add(path, f"is {json_kind(value)}, not a list")
    return []


def is_remark(entry: object) -> bool:
    """Tell whether a list's entry only documents the format: ``_example``, or nothing but such keys."""
    if not isinstance(entry, dict):
        return False
    if "_example" in entry:
        return True
    for key in entry:
        if not key.startswith("_"):
            return False
    return bool(entry)
