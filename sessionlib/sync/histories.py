"""What a sync adds to the history of sessions: a version for each new content, and the time in each phase."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import store
from sessionlib.db.rows import VersionRow
from sessionlib.db.store import Batch, Shown
from sessionlib.sync import standing
from sessionlib.sync.standing import Standing


class Histories:
    """Plans the history of sessions inside one transaction.

    Args:
        connection: Under the sessions' locks; None where none of them is stored.
        project_id: The project of all of them.
        ids: Those that are stored.
    """

    def __init__(self, connection: Connection | None, project_id: UUID, ids: Collection[UUID]) -> None:
        self._connection = connection
        self._project_id = project_id
        self._ids = ids
        self._left: dict[UUID, dict[str, int]] | None = None

    def add(self, batch: Batch, known: Shown | None, version: VersionRow) -> tuple[int | None, int | None]:
        """Plan the history of a session as it is shown now.

        A save that stays in its phase reads nothing and writes its version alone. A content that is
        understood anew, by another version of the mapping, stays the version that it is.

        Args:
            batch: What is to be written.
            known: What the session's row shows; None without one.
            version: What it will show; it has the number that the row has, or the next one.

        Returns:
            From when the session's phase counts, and how long it stood in it in the end, in microseconds.
        """
        if known is None:
            batch.versions.append(version)
            return standing.first(version)[:2]
        told = known.version_seq, known.current_phase, known.effective_status
        if told == (version.seq, version.phase, version.status):
            return known.phase_since_us, known.phase_stood_us
        if known.version_seq == version.seq or known.phase_since_us is None:
            return self._recount(batch, version)
        batch.versions.append(version)
        left = {} if known.current_phase == version.phase else self._phases_left(known.session_id)
        before = Standing(known.phase_since_us, None, left)
        found = standing.carried_on(before, known.current_phase, version)
        self._add_phases(batch, version, found, is_back=version.phase in left)
        return found[:2]

    def _recount(self, batch: Batch, version: VersionRow) -> tuple[int | None, int | None]:
        """Count a session's whole history once more."""
        history = store.versions(self._open, version.project_id, version.session_id)
        if history and history[-1].seq == version.seq:
            last = history.pop()
            version = version._replace(at=last.at, observed_at=last.observed_at)
        batch.versions.append(version)
        found = standing.of([*history, version])
        self._add_phases(batch, version, found, is_back=True)
        return found[:2]

    def _phases_left(self, session_id: UUID) -> dict[str, int]:
        """Return how long a session stood in the phases it has left; all sessions' are read at once."""
        if self._left is None:
            self._left = store.phases_left(self._open, self._project_id, self._ids)
        return self._left[session_id]

    @staticmethod
    def _add_phases(batch: Batch, version: VersionRow, found: Standing, *, is_back: bool) -> None:
        batch.phases += standing.rows(version, found.left)
        if is_back:
            owner = version.project_id, version.session_id
            batch.replaced.setdefault("session_phases", []).append(owner)

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise AssertionError("of new sessions nothing is stored")
        return self._connection
