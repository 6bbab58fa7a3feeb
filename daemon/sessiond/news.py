"""What listeners know of a session, and what of the stored rows is news to them. No thread, no database."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sessionlib.db.queries.changes import SessionNow

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Known:
    """What listeners know of a session.

    Attributes:
        seq: The last version published.
        since: Versions recorded until then are old news, whatever their number.
        at: When the last version published was recorded.
        written_at: When the row they know of was written.
        missing: Whether its files are gone.
        error: Why its file cannot be used.
        seen: False as long as all this is what was true at the start, or what another host says.
    """

    seq: int
    since: datetime
    at: datetime
    written_at: datetime
    missing: bool
    error: str | None
    seen: bool = False

    def take(self, now: SessionNow) -> None:
        """Note that all of `now` was published."""
        self.seq = now.seq
        self.since = LONG_AGO
        self.at = now.versions[-1].at if now.versions else self.at
        self.written_at = now.written_at or self.written_at
        self.missing = now.missing_since is not None
        self.error = now.error
        self.seen = True


class News(NamedTuple):
    """One thing that listeners do not know of a session yet."""

    kind: str
    at: datetime
    seq: int
    phase: str | None = None
    status: str | None = None
    error: str | None = None


def news_of(known: Known, now: SessionNow | None, moment: datetime) -> Iterator[News]:
    """Tell what listeners do not know yet, in order; `moment` dates what the database does not."""
    if now is None:
        # Its rows went with their project.
        if known.seen and not known.missing:
            yield News("removed", moment, known.seq)
        return
    shown = now.seq, now.phase, now.status
    gone = now.missing_since
    for version in now.versions:
        kind = "created" if version.seq == 1 else "changed"
        yield News(kind, version.at, version.seq, version.phase, version.status)
    was_gone = known.missing or (gone is not None and gone <= known.since)
    if gone is not None:
        if not was_gone:
            yield News("removed", gone, *shown)
        return
    is_mended = known.error is not None and now.error is None and not now.versions
    if was_gone or is_mended:
        yield News("restored", moment, *shown)
    # A listener takes a session that changed or is back for one that can be used.
    is_broken = now.error is not None and (now.error != known.error or was_gone or bool(now.versions))
    if is_broken:
        yield News("unreadable", now.error_at or moment, *shown, now.error)
    if not (now.versions or was_gone or is_mended or is_broken) and is_rewritten(known, now.written_at):
        yield News("changed", now.written_at or moment, *shown, now.error)


def is_rewritten(known: Known, written_at: datetime | None) -> bool:
    """Tell whether a row was written at another time than the one that listeners know of."""
    if written_at is None:
        return False
    # Clocks of several hosts write these times: once a row was seen, any other time is news.
    return written_at != known.written_at if known.seen else written_at > known.written_at
