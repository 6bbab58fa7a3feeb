"""Which of the copies that were not found may be believed to be gone, and which wait for another look."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sessionlib.db.pictures import CopyState

CONFIRM_AFTER = timedelta(seconds=5)
"""Time between the two looks that make a tombstone; an atomic replace or a checkout is over by then."""

MASS_LEAST = 10
MASS_SHARE = 0.5
"""More than ten and more than half of a root vanishing at once is held back."""

HELD_LOOKS = 2
"""The number of looks that is noted of a copy whose going is held back, or believed."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Absent copies by their slugs, by what is to be done about them.

    Attributes:
        first: Not found for the first time.
        young: Not found before, but less than five seconds ago.
        confirmed: Gone.
        held: To be held back, because most of the root vanished with them.
        waiting: Held back before, and not due yet.
    """

    first: list[str] = field(default_factory=list)
    young: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def judged(
    absent: Mapping[str, CopyState | None], live: int, now: datetime, *, accept_missing: bool = False
) -> Gone:
    """Sort the copies that a complete look did not find.

    Args:
        absent: What is stored of each by its slug; None for one that was there the last time.
        live: How many copies the root has, these included.
        now: The time of the look.
        accept_missing: Believe a mass disappearance without another confirmation.
    """
    gone = Gone()
    for slug, copy in absent.items():
        since = None if copy is None else copy.absent_at()
        if copy is None or since is None:
            gone.first.append(slug)
        elif now - since >= CONFIRM_AFTER:
            gone.confirmed.append(slug)
        elif accept_missing and copy.absent_looks >= HELD_LOOKS:
            # Two looks five seconds apart came before it was held back.
            gone.confirmed.append(slug)
        elif since > now:
            # The clock was set back: by what it says now, this is the first look.
            gone.first.append(slug)
        elif copy.absent_looks < HELD_LOOKS:
            gone.young.append(slug)
        else:
            gone.waiting.append(slug)
    # All that are absent count, confirmed or not: a disk may take its time to vanish.
    if accept_missing or not _is_mass(len(absent), live):
        return gone
    sure = [slug for slug in gone.confirmed if _looks(absent[slug]) >= HELD_LOOKS]
    doubtful = [slug for slug in gone.confirmed if _looks(absent[slug]) < HELD_LOOKS]
    return replace(gone, confirmed=sure, held=doubtful)


def soonest(gone: Gone, absent: Mapping[str, CopyState | None], now: datetime) -> float:
    """Return the seconds until the first of what is not confirmed yet can be."""
    since = [copy.absent_at() for slug in gone.young if (copy := absent[slug]) is not None]
    waits = [CONFIRM_AFTER - (now - at) for at in since if at is not None]
    return min(waits, default=CONFIRM_AFTER).total_seconds()


def _looks(copy: CopyState | None) -> int:
    return 0 if copy is None else copy.absent_looks


def _is_mass(count: int, live: int) -> bool:
    return count > MASS_LEAST and count > live * MASS_SHARE
