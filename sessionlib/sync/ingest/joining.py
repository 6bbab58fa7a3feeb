"""Joining two observations of one thing: of each field the least or the greatest stays.

That is commutative, associative and idempotent, so what is stored in the end does not depend on which source
was read first, or twice. A field whose value alone cannot be ordered is observed as a list that begins with
what decides: a time as fixed-width text, or a weight.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sessionlib.db.types import encode_time

Observed = dict[str, Any]
"""Fields as JSON has them: texts, numbers, lists of such."""


def least(known: Any, seen: Any) -> Any:
    """Return the lesser of two; None is no observation."""
    if known is None or seen is None:
        return seen if known is None else known
    return min(known, seen)


def greatest(known: Any, seen: Any) -> Any:
    """Return the greater of two; None is no observation."""
    if known is None or seen is None:
        return seen if known is None else known
    return max(known, seen)


def observe(into: Observed, field: str, value: Any, firsts: Collection[str]) -> None:
    """Join one observation of a field; those in `firsts` keep the least."""
    known = into.get(field)
    # Two that are equal are one.
    if known is None or (value != known and (value < known) == (field in firsts)):
        into[field] = value


def joined(one: Mapping[str, Any], other: Mapping[str, Any], firsts: Collection[str]) -> Observed:
    """Return two observations of one thing as one."""
    whole = dict(one)
    for field, value in other.items():
        observe(whole, field, value, firsts)
    return whole


def stamp(moment: datetime | None) -> str:
    """Return a time as text that sorts as times do; no time sorts before all others."""
    return "" if moment is None else encode_time(moment)
