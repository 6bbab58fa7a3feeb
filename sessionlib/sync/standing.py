"""How long a session stands in its phases: a sum that each new version carries on.

The time of a version is that until the next one, whatever both say; versions in a phase add up. Pure: the
same history gives the same standing, whether it is carried on one by one or counted anew.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from sessionlib.db.rows import PhaseRow, VersionRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CLOSED = frozenset({"complete", "failed"})


class Standing(NamedTuple):
    """How long a session stood, and stands, in its phases; all times in microseconds.

    Attributes:
        since_us: From when, since 1970, its present phase counts: when it was entered, moved back by the time
            the session had stood in it before. Without a phase, the time of the last version.
        stood_us: How long it stood in the present phase in the end; None while the session is open.
        left: How long it stood in each other phase that it was in.
    """

    since_us: int
    stood_us: int | None
    left: Mapping[str, int]


def micros(moment: datetime) -> int:
    """Return an aware time in microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def first(version: VersionRow) -> Standing:
    """Return how a session stands with its first version."""
    return _entered(version, {})


def carried_on(before: Standing, phase: str | None, version: VersionRow) -> Standing:
    """Return how a session stands with one version more; `phase` is that of the version before it."""
    if version.phase is not None and version.phase == phase:
        return _standing(before.since_us, version, before.left)
    left = dict(before.left)
    if phase is not None:
        left[phase] = micros(version.at) - before.since_us
    return _entered(version, left)


def of(history: Sequence[VersionRow]) -> Standing:
    """Return how a session stands after a history, which is in order and not empty."""
    found = first(history[0])
    for before, version in pairwise(history):
        found = carried_on(found, before.phase, version)
    return found


def rows(version: VersionRow, left: Mapping[str, int]) -> list[PhaseRow]:
    """Return the rows of the phases that the session of a version has left."""
    return [PhaseRow(version.project_id, version.session_id, *one) for one in left.items()]


def _entered(version: VersionRow, left: dict[str, int]) -> Standing:
    earlier = 0 if version.phase is None else left.pop(version.phase, 0)
    return _standing(micros(version.at) - earlier, version, left)


def _standing(since_us: int, version: VersionRow, left: Mapping[str, int]) -> Standing:
    is_closed = version.phase == "complete" or version.status in _CLOSED
    return Standing(since_us, micros(version.at) - since_us if is_closed else None, left)
