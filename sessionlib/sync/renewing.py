"""What came of sessions whose rows were written anew."""

from dataclasses import dataclass, field
from typing import Self

from sessionlib.sync import anew
from sessionlib.sync.anew import Examined, Portion, Readings


@dataclass(frozen=True, slots=True)
class Renewed:
    """What came of some sessions.

    Attributes:
        sessions: How many were not as their files say.
        rows: How many of their rows were written or deleted.
        torn: Those whose file looked like half of a write, by their folders' names.
        unreadable: (path, reason) of files that cannot be read or used.
        rejected: (path, reason) of sessions that the database refuses.
    """

    sessions: int = 0
    rows: int = 0
    torn: tuple[str, ...] = ()
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, portion: Portion, readings: Readings, examined: Examined) -> Self:
        """Return what comes of sessions that were examined, once what differs is written."""
        found = {
            slug: {(one.table, one.key) for one in some if not (anew.is_gone(one) or anew.is_lost(one))}
            for slug, some in examined.found.items()
        }
        return cls(
            sum(map(bool, found.values())),
            sum(map(len, found.values())),
            tuple(anew.torn(readings)),
            anew.unread(portion, readings),
            examined.lost,
        )

    def __add__(self, other: "Renewed") -> "Renewed":
        return Renewed(
            self.sessions + other.sessions,
            self.rows + other.rows,
            self.torn + other.torn,
            self.unreadable + other.unreadable,
            self.rejected + other.rejected,
        )
