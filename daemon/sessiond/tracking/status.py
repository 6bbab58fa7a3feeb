"""`TrackingStatus`: what the tracker tells of itself."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TrackingStatus:
    """How the tracker stands at one moment.

    Attributes:
        spooled: Deliveries of hooks that wait.
        dropped: Deliveries that were lost because the spool was full.
        stored: Deliveries stored since the start.
        buried: Deliveries put aside since the start.
        lines: Lines of transcripts read since the start.
        unlinked: Active conversations that work on no session that is known; None before the first look.
        last_delivery_at: When the last hook ran that was heard of.
        error: Why nothing is stored at present.
    """

    spooled: int
    dropped: int
    stored: int
    buried: int
    lines: int
    unlinked: int | None
    last_delivery_at: datetime | None
    error: str | None
