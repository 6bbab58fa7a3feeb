"""Compare a sessions root with what is stored of it, queue what differs, and decide what is really gone.

Absence is believed only from complete looks at a root that is known to be the right one: a first look notes
it, a second one at least five seconds later makes a tombstone. When a root vanishes nothing is tombstoned,
its workspace is marked missing. When most of a root vanishes at once, that waits for one more confirmation.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from sessionlib.db import store
from sessionlib.db.crud import findings, workspaces
from sessionlib.db.crud.findings import Finding
from sessionlib.db.crud.workspaces import Root
from sessionlib.db.engine import Database
from sessionlib.db.store import Fingerprint
from sessionlib.errors import StateNotFoundError, StateUnreadableError
from sessionlib.models import Workspace, WorkspaceUpdate
from sessionlib.models.base import utc_now
from sessionlib.state.files import Look, look
from sessionlib.state.listing import WHOLE_ROOT, Listing, list_sessions
from sessionlib.sync.looks import load_look
from sessionlib.sync.mapping import MAPPING_VERSION
from sessionlib.sync.mirror import Mirror
from sessionlib.sync.places import Place, real_name, stored_name
from sessionlib.sync.ticket import Ticket

_LOG = logging.getLogger("sessionlib.sync")

CONFIRM_AFTER = timedelta(seconds=5)
"""Time between the two looks that make a tombstone; an atomic replace or a checkout is over by then."""

MASS_LEAST = 10
MASS_SHARE = 0.5
"""More than ten and more than half of a root vanishing at once is held back."""

T = TypeVar("T")

_HELD = 2
_CHUNK = 200
MASS_FINDING = "mass_vanish"


@dataclass(frozen=True, slots=True)
class Report:
    """What one reconcile of one place found.

    Attributes:
        place: What was compared.
        total: Session folders there are.
        ticket: Counts the outcomes of the folders that differ.
        absent: Folders seen to be gone for the first time.
        unconfirmed: Folders that are to be confirmed gone by another look, at least five seconds later.
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
    tombstoned: int = 0
    held: int = 0
    missing: bool = False
    complete: bool = True
    problems: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Gone:
    """Absent copies, by what is to be done about them; those waiting were held back and are not due yet."""

    first: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    young: list[str] = field(default_factory=list)


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

    def reconcile(self, place: Place, *, accept_missing: bool = False) -> Report:
        """Compare one place; what differs is queued, and counted by the report's ticket.

        Args:
            place: A sessions root.
            accept_missing: Believe a mass disappearance without another confirmation.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self._database.read() as connection:
            stored = store.fingerprints(connection, place.project_id, place.workspace_id, place.root)
            roots = workspaces.roots_of(connection, place.workspace_id)
            workspace = workspaces.get(connection, place.workspace_id)
            is_held = _is_held(connection, place)
        root = roots.get(place.root)
        known = {real_name(slug): load_look(fingerprint) for slug, fingerprint in stored.items()}
        try:
            listing = list_sessions(place.path, known)
        except StateNotFoundError:
            self._root_missing(place, roots, workspace)
            return Report(place, missing=True)
        # A folder that cannot be looked at is not gone; only a root that cannot be listed hides others.
        is_whole = not any(name == WHOLE_ROOT for name, _ in listing.problems)
        if listing.identity is None:
            return Report(place, complete=False, problems=listing.problems)
        if _looks_unmounted(listing, root, stored):
            self._root_missing(place, roots, workspace)
            return Report(place, missing=True)
        self._root_there(place, root, workspace, listing.identity)
        ticket = self._submit(place.path / slug for slug in _changed(listing, stored, known))
        gone = _Gone()
        if is_whole:
            gone = self._gone(listing, stored, accept_missing=accept_missing)
            self._record(place, gone, stored, is_held=is_held)
        return Report(
            place,
            total=len(listing.sessions),
            ticket=ticket,
            absent=len(gone.first),
            unconfirmed=len(gone.first) + len(gone.young),
            tombstoned=len(gone.confirmed),
            held=len(gone.held),
            complete=is_whole,
            problems=listing.problems,
        )

    # --- the root itself -----------------------------------------------------------------------

    def _root_missing(self, place: Place, roots: Mapping[str, Root], workspace: Workspace) -> None:
        """Mark a root missing, and its workspace when it was the last one that was there.

        The sessions are settled after the mark, because which copy they show depends on it; until that is
        done the root counts as not reconciled, so that whoever is killed in between is followed by one who
        does it all.
        """
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

    def _root_there(
        self, place: Place, root: Root | None, workspace: Workspace, identity: tuple[int, int]
    ) -> None:
        """Note that a root is there, by which identity, and settle its sessions if it was missing."""
        was_missing = workspace.missing_since is not None or (
            root is not None and root.missing_since is not None
        )
        is_settled = root is not None and root.reconciled_at is not None
        if is_settled and not was_missing and root is not None and (root.dev, root.inode) == identity:
            return
        seen = Root(place.project_id, place.workspace_id, place.root, *identity, None, None)
        with self._database.write() as connection:
            if workspace.missing_since is not None:
                workspaces.change(connection, place.workspace_id, WorkspaceUpdate(missing_since=None))
            workspaces.put_root(connection, seen)
        self._settle_root(place, seen)
        if was_missing:
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

    def _gone(self, listing: Listing, stored: dict[str, Fingerprint], *, accept_missing: bool) -> _Gone:
        now = self._now()
        there = {stored_name(slug) for slug in (*listing.sessions, *dict(listing.problems))}
        live = [fingerprint for fingerprint in stored.values() if fingerprint.missing_since is None]
        absent = [fingerprint for fingerprint in live if fingerprint.slug not in there]
        gone = _Gone()
        for fingerprint in absent:
            if fingerprint.absent_since is None:
                gone.first.append(fingerprint.slug)
            elif now - fingerprint.absent_since >= CONFIRM_AFTER:
                gone.confirmed.append(fingerprint.slug)
            elif fingerprint.absent_looks < _HELD:
                gone.young.append(fingerprint.slug)
            elif accept_missing:
                # Two looks five seconds apart came before it was held back.
                gone.confirmed.append(fingerprint.slug)
            else:
                gone.waiting.append(fingerprint.slug)
        # All that are absent count, confirmed or not: a disk may take its time to vanish.
        if accept_missing or not _is_mass(len(absent), len(live)):
            return gone
        doubtful = [slug for slug in gone.confirmed if stored[slug].absent_looks < _HELD]
        sure = [slug for slug in gone.confirmed if stored[slug].absent_looks >= _HELD]
        return replace(gone, confirmed=sure, held=doubtful)

    def _record(self, place: Place, gone: _Gone, stored: dict[str, Fingerprint], *, is_held: bool) -> None:
        now = self._now()
        for chunk in _chunks(gone.first):
            with self._database.write() as connection:
                self._note(connection, place, chunk, looks=1, since=now)
        for chunk in _chunks(gone.held):
            with self._database.write() as connection:
                self._note(connection, place, chunk, looks=_HELD, since=now)
        if gone.held:
            self._report_mass(place, len(gone.held), len(stored))
        for chunk in _chunks(gone.confirmed):
            self._tombstone(place, chunk)
        if is_held and not (gone.held or gone.waiting):
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
            store.set_absence(connection, keys, looks=_HELD, since=now, missing_since=now)
            self._mirror.settle_in(connection, place.project_id, ids)


def _is_gone(session_dir: Path) -> bool:
    try:
        return look(session_dir) is None
    except StateUnreadableError:
        return False


def _is_held(connection: Connection, place: Place) -> bool:
    """Tell whether an operator was told that a disappearance from this root is held back."""
    subject = stored_name(str(place.path))
    return any(
        found.kind == MASS_FINDING and found.subject == subject for found in findings.listed(connection)
    )


def _looks_unmounted(listing: Listing, root: Root | None, stored: dict[str, Fingerprint]) -> bool:
    """Tell whether an empty folder of another file system stands where the sessions were."""
    if root is None or listing.sessions or listing.pending or listing.identity is None:
        return False
    live = any(fingerprint.missing_since is None for fingerprint in stored.values())
    return live and listing.identity[0] != root.dev


def _changed(listing: Listing, stored: dict[str, Fingerprint], known: dict[str, Look]) -> list[str]:
    """Return the folders whose row must be written, or at least looked at, again.

    Those that cannot be looked at are among them: the reason belongs on their row.
    """
    changed = [name for name, _ in listing.problems if name != WHOLE_ROOT]
    for slug, seen in listing.sessions.items():
        row = stored.get(stored_name(slug))
        if (
            row is None
            or row.mapping_version != MAPPING_VERSION
            or row.absent_looks
            or row.missing_since is not None
            or not seen.same_inputs(known[slug])
        ):
            changed.append(slug)
    return changed


def _is_mass(count: int, live: int) -> bool:
    return count > MASS_LEAST and count > live * MASS_SHARE


def _chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
