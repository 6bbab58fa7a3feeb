"""Make the mirror of this host's files right, whatever is stored: compare everything, and write what differs.

The comparison is the verification's, so what is right is not written, nor locked. What differs is looked at
again under the sessions' locks and written there, in small transactions: readers see a whole mirror at every
moment. Ids are derived and what was observed is kept; rows of other hosts are not touched.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sessionlib.db.engine import Database
from sessionlib.db.unbacked import unbacked
from sessionlib.sync.anew import Portion
from sessionlib.sync.checking import Suspect, checked
from sessionlib.sync.damages import mended
from sessionlib.sync.mirror import Mirror
from sessionlib.sync.places import Place, stored_name
from sessionlib.sync.reconcile import Reconciler, Report
from sessionlib.sync.renewing import Renewed
from sessionlib.sync.second import SecondProcess
from sessionlib.sync.surveying import Survey, by_project
from sessionlib.sync.ticket import Ticket

_TORN = 2.0
"""Seconds after which what looks like half of a write is none any more."""
CONFIRM_AFTER = 5.2
"""Seconds between two looks at what is gone, a little more than the reconcile asks for."""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild has done.

    Attributes:
        sessions: How many were compared, or written for the first time.
        written: How many of them were not as their files say, or not at all, and are now. What a second
            process wrote of a portion that it did not come to the end of is not counted, nor in `rows`.
        rows: How many of their rows were written or deleted.
        settled: Sessions that no copy backed, marked as gone.
        tombstoned: Copies that two looks did not find.
        held: Copies whose going is held back: most of their root went at once.
        unreadable: (path, reason) of files that cannot be read or used; their last good rows stand.
        rejected: (path, reason) of sessions that the database refuses.
        missing: Sessions roots that are not there; what they held is kept.
        problems: (path, reason) of what could not be listed, so that not everything was seen.
    """

    sessions: int = 0
    written: int = 0
    rows: int = 0
    settled: int = 0
    tombstoned: int = 0
    held: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


class Rebuilder:
    """Rebuilds the mirror of some sessions roots; belongs to one thread.

    Args:
        database: With the current schema.
        mirror: Writes into it.
        accept_missing: Believe a mass disappearance without another confirmation.
    """

    def __init__(self, database: Database, mirror: Mirror, *, accept_missing: bool = False) -> None:
        self._database = database
        self._mirror = mirror
        # What differs is written here, whatever a reconcile would make of it.
        self._reconciler = Reconciler(database, mirror, lambda _: Ticket(0))
        self._accept_missing = accept_missing

    def run(
        self, found: Survey, progress: Callable[[int, int], None], second: SecondProcess | None = None
    ) -> Rebuilt:
        """Rebuild; blocks for a millisecond a session, and five seconds where sessions are gone.

        Args:
            found: What there is; sessions that are gone are looked for where it is whole.
            progress: Told how many sessions of how many are done.
            second: Works along if there are many.

        Raises:
            DatabaseError: The database does not answer.
        """
        began = time.monotonic()
        result = Rebuilt(problems=list(found.problems))
        rows, sessions = mended(self._database, found, observed=True)
        gone = self._look(result, found.whole)
        done = checked(self._database, found, progress, self._mirror, second)
        result.sessions = done.sessions
        renewed = done.renewed + self._renew_torn(done.suspects)
        result.written, result.rows = sessions + renewed.sessions, rows + renewed.rows
        # What is left is of copies that cannot be read now.
        rows, sessions = mended(self._database, found, observed=False)
        result.written, result.rows = result.written + sessions, result.rows + rows
        result.rejected = sorted(renewed.rejected)
        refused = {path for path, _ in result.rejected}
        unreadable = {*done.unreadable, *renewed.unreadable}
        result.unreadable = sorted(pair for pair in unreadable if pair[0] not in refused)
        self._note_unreadable(found, (path for path, _ in result.unreadable))
        self._settle(result, found)
        if gone:
            time.sleep(max(0.0, began + CONFIRM_AFTER - time.monotonic()))
            self._look(result, gone)
        return result

    def _look(self, result: Rebuilt, places: Iterable[Place]) -> list[Place]:
        """Look for what is gone; return the places that need a second look."""
        reports: list[Report] = [
            self._reconciler.reconcile(place, accept_missing=self._accept_missing) for place in places
        ]
        result.tombstoned += sum(report.tombstoned for report in reports)
        result.held = sum(report.held for report in reports)
        missing = {stored_name(str(report.place.path)) for report in reports if report.missing}
        result.missing = sorted({*result.missing, *missing})
        return [report.place for report in reports if report.unconfirmed]

    def _renew_torn(self, suspects: Sequence[Suspect]) -> Renewed:
        """Renew what looked half written; what looks so for long is broken."""
        done = Renewed()
        if suspects:
            time.sleep(_TORN)
        for places, slug in suspects:
            done += self._mirror.renew(Portion(places, (slug,)), settled=(slug,))
        return done

    def _note_unreadable(self, found: Survey, unreadable: Iterable[str]) -> None:
        """Record on the rows of copies that cannot be read why not, where that is not done yet."""
        names = set(unreadable)
        for places, slugs in found.groups.items() if names else ():
            for place in places:
                bad = [slug for slug in slugs if stored_name(str(place.path / slug)) in names]
                if bad:
                    self._mirror.sync(place, bad, settled=bad)

    def _settle(self, result: Rebuilt, found: Survey) -> None:
        """Mark sessions as gone that no copy backs."""
        for project_id, places in by_project(found.whole).items():
            at = {(place.workspace_id, place.root) for place in places}
            with self._database.read() as connection:
                rows = unbacked(connection, project_id)
            ids = [row.session_id for row in rows if (row.workspace_id, row.root) in at]
            if ids:
                result.settled += self._mirror.settle(project_id, ids)
