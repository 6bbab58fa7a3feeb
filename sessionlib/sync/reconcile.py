"""Compare a sessions root with what is stored of it, queue what differs, and decide what is really gone.

Absence is believed only from complete looks at a root that is known to be the right one: a first look notes
it, a second one at least five seconds later makes a tombstone. When a root vanishes nothing is tombstoned,
its workspace is marked missing. When most of a root vanishes at once, that waits for one more confirmation.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from sessionlib.db import store
from sessionlib.db.crud import findings, workspaces
from sessionlib.db.crud.findings import Finding
from sessionlib.db.crud.workspaces import Root
from sessionlib.db.engine import Database
from sessionlib.db.pictures import CopyState
from sessionlib.errors import StateNotFoundError, StateUnreadableError
from sessionlib.models import WorkspaceUpdate
from sessionlib.models.base import utc_now
from sessionlib.state.files import look
from sessionlib.state.listing import WHOLE_ROOT, Listing, list_sessions
from sessionlib.sync.absences import HELD_LOOKS, Gone, judged, soonest
from sessionlib.sync.mirror import Mirror
from sessionlib.sync.picture import MASS_FINDING, Picture, StoredRoot, draw
from sessionlib.sync.places import Place, real_name, stored_name
from sessionlib.sync.ticket import Ticket

_LOG = logging.getLogger("sessionlib.sync")

T = TypeVar("T")

_CHUNK = 200


@dataclass(frozen=True, slots=True)
class Report:
    """What one reconcile of one place found.

    Attributes:
        place: What was compared.
        total: Session folders there are.
        ticket: Counts the outcomes of the folders that differ.
        absent: Folders seen to be gone for the first time.
        unconfirmed: Folders that are to be confirmed gone by another look, at least five seconds later.
        confirm_in: Seconds until the first of those can be.
        tombstoned: Folders now believed to be gone.
        held: Folders whose going is held back for one more confirmation.
        missing: True when the root itself is not there.
        complete: False when the root could not be listed; then nothing was taken for absent.
        problems: (folder, what is wrong), for what could not be listed.
    """

    place: Place
    total: int = 0
    ticket: Ticket = field(default_factory=lambda: Ticket(0))
    absent: int = 0
    unconfirmed: int = 0
    confirm_in: float = 0.0
    tombstoned: int = 0
    held: int = 0
    missing: bool = False
    complete: bool = True
    problems: tuple[tuple[str, str], ...] = ()


class Reconciler:
    """Compares places with the database and mends the difference.

    Args:
        database: With the current schema.
        mirror: Recomputes the sessions whose copies have gone.
        submit: Queues the folders that differ as batch work and returns their ticket.
        now: The clock for observed times.
    """

    def __init__(
        self,
        database: Database,
        mirror: Mirror,
        submit: Callable[[Iterable[Path]], Ticket],
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._mirror = mirror
        self._submit = submit
        self._now = now

    def picture(self, places: Sequence[Place]) -> Picture:
        """Read what is stored of some places, for comparing many of them at little cost each.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self._database.read() as connection:
            return draw(connection, places)

    def reconcile(
        self, place: Place, *, accept_missing: bool = False, picture: Picture | None = None
    ) -> Report:
        """Compare one place; what differs is queued, and counted by the report's ticket.

        Args:
            place: A sessions root.
            accept_missing: Believe a mass disappearance without another confirmation.
            picture: What was stored a moment ago. When the place is as the picture shows it, the database is
                not asked again; when something seems to be gone or the root is another one, it is.

        Raises:
            RecordNotFoundError: The workspace is not registered any more.
            DatabaseError: The database does not answer.
        """
        if picture is not None and not accept_missing:
            report = self._glance(place, picture.take(place))
            if report is not None:
                return report
        with self._database.read() as connection:
            stored = draw(connection, [place]).take(place) or StoredRoot()
            if stored.state is None:
                workspaces.get(connection, place.workspace_id)
        return self._reconcile(place, stored, accept_missing=accept_missing)

    def _glance(self, place: Place, stored: StoredRoot | None) -> Report | None:
        """Compare a place with a picture of it; None when nothing less than what is stored now will do."""
        if stored is None or stored.state is None or stored.is_held:
            return None
        try:
            listing = list_sessions(place.path, stored.looks, beneath=place.workspace_path)
        except StateNotFoundError:
            return Report(place, missing=True) if stored.state.is_settled_missing else None
        if not stored.state.is_settled_at(listing.identity):
            return None
        if listing.is_whole and _absent(listing, stored):
            return None
        return self._queued(place, listing, stored)

    def _reconcile(self, place: Place, stored: StoredRoot, *, accept_missing: bool) -> Report:
        state = stored.state
        try:
            listing = list_sessions(place.path, stored.looks, beneath=place.workspace_path)
        except StateNotFoundError:
            self._root_missing(place)
            return Report(place, missing=True)
        if listing.identity is None:
            return Report(place, complete=False, problems=listing.problems)
        if state is not None and listing.looks_unmounted(state.dev, stored.count):
            self._root_missing(place)
            return Report(place, missing=True)
        if state is None or not state.is_settled_at(listing.identity):
            self._root_there(place, listing.identity)
        report = self._queued(place, listing, stored)
        if not listing.is_whole:
            return report
        absent = _absent(listing, stored)
        now = self._now()
        gone = judged(absent, stored.count, now, accept_missing=accept_missing)
        self._record(place, gone, stored)
        return replace(
            report,
            absent=len(gone.first),
            unconfirmed=len(gone.first) + len(gone.young),
            confirm_in=soonest(gone, absent, now),
            tombstoned=len(gone.confirmed),
            held=len(gone.held),
        )

    def _queued(self, place: Place, listing: Listing, stored: StoredRoot) -> Report:
        """Queue what differs; return the report of a place from which nothing has gone."""
        changed = _changed(listing, stored)
        return Report(
            place,
            total=len(listing.sessions),
            ticket=self._submit(place.path / slug for slug in changed) if changed else Ticket(0),
            # A folder that cannot be looked at is not gone; only a root that cannot be listed hides others.
            complete=listing.is_whole,
            problems=listing.problems,
        )

    # --- the root itself -----------------------------------------------------------------------

    def _root_missing(self, place: Place) -> None:
        """Mark a root missing, and its workspace when it was the last one that was there.

        The sessions are settled after the mark, because which copy they show depends on it; until that is
        done the root counts as not reconciled, so that whoever is killed in between is followed by one who
        does it all.
        """
        with self._database.read() as connection:
            roots = workspaces.roots_of(connection, place.workspace_id)
            workspace = workspaces.get(connection, place.workspace_id)
        root = roots.get(place.root)
        if root is None:
            return
        is_last = all(other.missing_since is not None for name, other in roots.items() if name != place.root)
        is_marked = root.missing_since is not None and (workspace.missing_since is not None or not is_last)
        if is_marked and root.reconciled_at is not None:
            return
        now = self._now()
        marked = root._replace(missing_since=root.missing_since or now, reconciled_at=None)
        with self._database.write() as connection:
            if is_last and workspace.missing_since is None:
                workspaces.change(connection, place.workspace_id, WorkspaceUpdate(missing_since=now))
            workspaces.put_root(connection, marked)
        self._settle_root(place, marked)
        _LOG.warning(
            "workspace missing; its sessions are kept" if is_last else "root missing; its sessions are kept",
            extra={"event": "workspace.missing", "fields": {"path": stored_name(str(place.path))}},
        )

    def _root_there(self, place: Place, identity: tuple[int, int]) -> None:
        """Note that a root is there, by which identity, and settle its sessions if it was missing."""
        seen = Root(place.project_id, place.workspace_id, place.root, *identity, None, None)
        with self._database.write() as connection:
            root = workspaces.roots_of(connection, place.workspace_id).get(place.root)
            workspace = workspaces.get(connection, place.workspace_id)
            if workspace.missing_since is not None:
                workspaces.change(connection, place.workspace_id, WorkspaceUpdate(missing_since=None))
            workspaces.put_root(connection, seen)
        self._settle_root(place, seen)
        if workspace.missing_since is not None or (root is not None and root.missing_since is not None):
            _LOG.info(
                "workspace is back",
                extra={"event": "workspace.back", "fields": {"path": stored_name(str(place.path))}},
            )

    def _settle_root(self, place: Place, root: Root) -> None:
        self._settle_all(place)
        with self._database.write() as connection:
            workspaces.put_root(connection, root._replace(reconciled_at=self._now()))

    def _settle_all(self, place: Place) -> None:
        with self._database.read() as connection:
            ids = store.session_ids_in(connection, place.project_id, place.workspace_id)
        for chunk in _chunks(ids):
            self._mirror.settle(place.project_id, chunk)

    # --- absent copies -------------------------------------------------------------------------

    def _record(self, place: Place, gone: Gone, stored: StoredRoot) -> None:
        now = self._now()
        for chunk in _chunks(gone.first):
            with self._database.write() as connection:
                self._note(connection, place, chunk, looks=1, since=now)
        for chunk in _chunks(gone.held):
            with self._database.write() as connection:
                self._note(connection, place, chunk, looks=HELD_LOOKS, since=now)
        if gone.held:
            self._report_mass(place, len(gone.held), stored.count)
        for chunk in _chunks(gone.confirmed):
            self._tombstone(place, chunk)
        if stored.is_held and not (gone.held or gone.waiting):
            # All are confirmed or there again.
            with self._database.write() as connection:
                subject = stored_name(str(place.path))
                findings.resolve(connection, place.project_id, place.workspace_id, MASS_FINDING, subject)

    def _note(
        self, connection: Connection, place: Place, slugs: Sequence[str], *, looks: int, since: datetime
    ) -> None:
        keys = [(place.project_id, place.workspace_id, place.root, slug) for slug in slugs]
        store.set_absence(connection, keys, looks=looks, since=since, missing_since=None)

    def _report_mass(self, place: Place, count: int, total: int) -> None:
        subject = stored_name(str(place.path))
        message = (
            f"{count} of {total} sessions vanished at once from {subject}; they stay until the next "
            "confirmation, or run: sessionctl rescan --accept-missing"
        )
        with self._database.write() as connection:
            finding = Finding(MASS_FINDING, subject, message)
            findings.open_finding(connection, place.project_id, place.workspace_id, finding)
        _LOG.warning(
            "many sessions vanished at once, held back",
            extra={
                "event": "reconcile.held",
                "fields": {"path": subject, "held": count, "of": total},
            },
        )

    def _tombstone(self, place: Place, slugs: Sequence[str]) -> None:
        now = self._now()
        with self._database.write() as connection:
            names = {slug: real_name(slug) for slug in slugs}
            ids = [place.session_id(name) for name in names.values()]
            store.lock_sessions(connection, ids)
            # Under the lock, once more: a folder that came back meanwhile is not gone.
            gone = [slug for slug, name in names.items() if _is_gone(place.path / name)]
            keys = [(place.project_id, place.workspace_id, place.root, slug) for slug in gone]
            store.set_absence(connection, keys, looks=HELD_LOOKS, since=now, missing_since=now)
            self._mirror.settle_in(connection, place.project_id, ids)


def _is_gone(session_dir: Path) -> bool:
    try:
        return look(session_dir) is None
    except StateUnreadableError:
        return False


def _changed(listing: Listing, stored: StoredRoot) -> list[str]:
    """Return the folders whose row must be written, or at least looked at, again.

    Those that cannot be looked at are among them: the reason belongs on their row.
    """
    changed = [name for name, _ in listing.problems if name != WHOLE_ROOT]
    looks = stored.looks
    for name, seen in listing.sessions.items():
        known = looks.get(name)
        # Mostly the very same object, see `list_sessions`.
        if seen is not known and not seen.same_inputs(known):
            changed.append(name)
    return changed


def _absent(listing: Listing, stored: StoredRoot) -> dict[str, CopyState | None]:
    """Return the copies that a whole listing does not show, by slug; None for what was there last time."""
    there = listing.sessions.keys() | dict(listing.problems).keys()
    absent: dict[str, CopyState | None] = {stored_name(name): None for name in stored.looks.keys() - there}
    return absent | {copy.slug: copy for name, copy in stored.odd.items() if name not in there}


def _chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
