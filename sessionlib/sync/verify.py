"""Recompute every derived column of the mirror from the files, and compare it with the database.

Nothing is written. A first pass takes no locks, so it may meet rows and files that are just changing. What
differs is looked at again under the sessions' locks; and where a daemon may be about to mirror it, or the
file is new, again for up to three seconds. Only what differs in the same way in every look is drift.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sessionlib.db.comparing import Difference
from sessionlib.db.engine import Database
from sessionlib.db.unbacked import unbacked
from sessionlib.models.base import utc_now
from sessionlib.state.layout import STATE_FILE
from sessionlib.sync import anew, causes
from sessionlib.sync.anew import Portion
from sessionlib.sync.causes import Drift
from sessionlib.sync.checking import Suspect, checked
from sessionlib.sync.damages import Damaged, damaged_in
from sessionlib.sync.mapping import time_of
from sessionlib.sync.places import Place, real_name, stored_name
from sessionlib.sync.second import SecondProcess
from sessionlib.sync.surveying import Survey, by_project, stored_in

_LOCKED = 16
"""Sessions that are locked at once: read and compared within a few milliseconds."""
_AT_ONCE = 2_000
"""Sessions that are looked at for a second time together; each keeps its differences in memory."""
_PATIENCE = 3.0
"""Seconds for what is under way to arrive."""
_PAUSE = 0.25
_YOUNG = 10.0
"""Seconds after a save in which its row may be still to come."""
_TORN = 2.0
"""Seconds after which what looks like half of a write is none any more."""

Progress = Callable[[int, int], None]
"""Told how many sessions of how many were compared."""


@dataclass(slots=True)
class Verified:
    """What a verification has found.

    Attributes:
        sessions: How many were compared.
        stored: How many there are of this host: compared, or with a copy in a root that is there.
        drifted: How many of them, and of sessions roots, differ.
        count: How many differences there are.
        drifts: The first of them, as many as were asked for.
        unreadable: (path, reason) of files that cannot be read or used; their last good content counts.
        missing: Sessions roots that are not there; what they held counts as it is committed.
        problems: (path, reason) of what could not be listed, so that not everything was seen.
    """

    sessions: int = 0
    stored: int = 0
    drifted: int = 0
    count: int = 0
    drifts: list[Drift] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


class Looked(NamedTuple):
    """One session, looked at under its lock.

    Attributes:
        suspect: Which.
        found: How what is stored differs; None while its file looks like half of a write.
        shown: The workspace whose copy it should show.
    """

    suspect: Suspect
    found: list[Difference] | None
    shown: UUID


class Verifier:
    """Compares what a survey has found with the database; belongs to one thread.

    Args:
        database: With the current schema.
        known: Returns the sessions roots that are registered on this host now.
        is_live: Whether a daemon mirrors into the database: what differs may be about to arrive.
        limit: Most differences to keep.
    """

    def __init__(
        self,
        database: Database,
        known: Callable[[], Collection[Place]],
        *,
        is_live: bool = False,
        limit: int = 1_000,
    ) -> None:
        self._database = database
        self._known = known
        self._is_live = is_live
        self._limit = limit
        self._broken: dict[str, str] = {}

    def run(self, survey: Survey, progress: Progress, second: SecondProcess | None = None) -> Verified:
        """Compare everything; blocks for about half a millisecond a session, and a few seconds for drift.

        Args:
            survey: What there is.
            progress: Told how far the first pass is.
            second: Compares along if there are many sessions.

        Raises:
            DatabaseError: The database does not answer.
        """
        first = checked(self._database, survey, progress, second=second)
        damages: dict[Path, list[Damaged]] = {}
        for value in damaged_in(self._database, survey):
            damages.setdefault(value.path, []).append(value)
        result = Verified(
            sessions=first.sessions,
            stored=self._stored(survey),
            missing=[stored_name(str(place.path)) for place in survey.missing],
            problems=survey.problems,
        )
        for start in range(0, len(first.suspects), _AT_ONCE):
            for one in self.confirmed(first.suspects[start : start + _AT_ONCE]):
                folder = _path_in(one.suspect.places, one.shown) / one.suspect.slug
                folders = [place.path / one.suspect.slug for place in one.suspect.places]
                bad = [value for path in folders for value in damages.pop(path, ())]
                self._add(result, causes.explained(folder, one.found or [], utc_now(), bad))
        for path, bad in sorted(damages.items()):
            self._add(result, causes.explained(path, [], utc_now(), bad))
        for path, key in unbacked_in(self._database, survey):
            self._add(result, [causes.unbacked(path, key)])
        for path, count in self._unknown(survey).items():
            self._add(result, [causes.unknown(path, count)])
        result.unreadable = sorted({*first.unreadable, *self._broken.items()})
        return result

    def _add(self, result: Verified, drifts: Sequence[Drift]) -> None:
        result.drifted += 1
        result.count += len(drifts)
        result.drifts += drifts[: max(0, self._limit - len(result.drifts))]

    def confirmed(self, suspects: Sequence[Suspect]) -> Iterator[Looked]:
        """Look at suspects under their locks until each is cleared, or has differed long enough.

        Raises:
            DatabaseError: The database does not answer.
        """
        began = time.monotonic()
        standing: dict[Suspect, dict[Any, Difference]] = {}
        waiting: Sequence[Suspect] = suspects
        while waiting:
            waited = time.monotonic() - began
            still: list[Suspect] = []
            for looked in self._looked_at(waiting, is_over=waited >= _TORN):
                suspect = looked.suspect
                if looked.found is not None:
                    standing[suspect] = _in_both(standing.get(suspect), looked.found)
                    if not standing[suspect]:
                        continue
                    if waited >= _PATIENCE or not self._may_come(suspect):
                        yield looked._replace(found=list(standing.pop(suspect).values()))
                        continue
                if waited < _PATIENCE:
                    still.append(suspect)
            waiting = still
            if waiting:
                time.sleep(_PAUSE)

    def _may_come(self, suspect: Suspect) -> bool:
        """Tell whether the mirror may be about to write a session."""
        return self._is_live or any(_age(place.path / suspect.slug) < _YOUNG for place in suspect.places)

    def _looked_at(self, suspects: Sequence[Suspect], *, is_over: bool) -> Iterator[Looked]:
        groups: dict[tuple[Place, ...], list[str]] = {}
        for suspect in suspects:
            groups.setdefault(suspect.places, []).append(suspect.slug)
        for places, slugs in groups.items():
            for start in range(0, len(slugs), _LOCKED):
                left = Portion(places, tuple(slugs[start : start + _LOCKED]))
                while left.slugs:
                    some = self._look(left, is_over=is_over)
                    yield from some
                    left = left._replace(slugs=left.slugs[len(some) :])

    def _look(self, portion: Portion, *, is_over: bool) -> list[Looked]:
        """Look at the first sessions of a portion, at least one, under their locks; nothing is written."""
        settled = [slug for slug in portion.slugs if is_over or _is_old(portion, slug)]
        # Where nobody may write, both databases give a transaction for reading.
        with self._database.write() as connection:
            held = anew.stored(connection, portion, locked=True)
            readings = anew.read(portion, settled)
            examined = anew.examine(connection, portion, readings, held, utc_now())
        torn = anew.torn(readings)
        # What looked half written at first, and does so still.
        some = {slug: copies for slug, copies in readings.items() if slug in settled}
        self._broken.update(anew.unread(portion, some))
        first = portion.places[0].workspace_id
        return [
            Looked(
                Suspect(portion.places, slug),
                None if slug in torn else examined.found.get(slug, []),
                examined.shown.get(slug, first),
            )
            for slug in readings
        ]

    def _stored(self, survey: Survey) -> int:
        return len(survey.sessions | stored_in(self._database, self._known()))

    def _unknown(self, survey: Survey) -> dict[Path, int]:
        """Return the sessions roots that are not registered, also a moment later."""
        began = time.monotonic()
        unknown = survey.unknown
        while unknown and self._is_live and time.monotonic() - began < _PATIENCE:
            time.sleep(_PAUSE)
            there = {place.path for place in self._known()}
            unknown = {path: count for path, count in unknown.items() if path not in there}
        return unknown


def unbacked_in(database: Database, survey: Survey) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Return the folder and the key of each session that no copy backs, and that is not marked as gone.

    Only those whose row names a sessions root that was asked for as a whole. What has a folder, or a copy
    that is not marked as gone, was compared.
    """
    compared = survey.sessions
    for project_id, places in by_project(survey.whole).items():
        at = {(place.workspace_id, place.root): place for place in places}
        with database.read() as connection:
            rows = unbacked(connection, project_id)
        for row in rows:
            place = at.get((row.workspace_id, row.root))
            if place is not None and (project_id, row.root, real_name(row.slug)) not in compared:
                key = {"project_id": project_id, "session_id": row.session_id}
                yield place.path / real_name(row.slug), key


def _in_both(before: dict[Any, Difference] | None, found: Sequence[Difference]) -> dict[Any, Difference]:
    """Return what differs in the same way as before: a value that has changed meanwhile is no drift."""
    same = {(one.table, one.key, one.column, repr(one.stored)): one for one in found}
    return same if before is None else {mark: one for mark, one in same.items() if mark in before}


def _path_in(places: Sequence[Place], workspace_id: UUID) -> Path:
    return next((place.path for place in places if place.workspace_id == workspace_id), places[0].path)


def _is_old(portion: Portion, slug: str) -> bool:
    return all(_age(place.path / slug) > _YOUNG for place in portion.places)


def _age(session_dir: Path) -> float:
    """Return how many seconds ago a session was saved; long ago when it is not there."""
    try:
        saved = time_of(os.lstat(session_dir / STATE_FILE).st_mtime_ns)
    except OSError:
        return float("inf")
    return abs((utc_now() - saved).total_seconds())
