"""From journals that grow by lines into the database: each line once, how far was read beside its rows."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sessionlib.db import execution
from sessionlib.db.engine import Database
from sessionlib.db.execution import CursorsSum
from sessionlib.db.execution_rows import CursorRow
from sessionlib.errors import DamagedValueError, RowRejectedError
from sessionlib.journal.adapter import Adapter, JournalFile
from sessionlib.journal.tail import Cursor, NotReadableError, Portion, read_on
from sessionlib.models.base import utc_now
from sessionlib.sync.ingest.drafts import Clean, Draft
from sessionlib.sync.ingest.hearing import BESIDE, Hearing, Piece, is_same
from sessionlib.sync.ingest.ingester import CursorsMovedError, Ingested, Ingester
from sessionlib.sync.places import stored_name

logger = logging.getLogger("sessionlib.ingest")

PORTION, SMALL_PORTION = 256 * 1024, 64 * 1024
"""Bytes read and stored at once: 350 lines, which take the only writer of SQLite some 25 ms; or, while
others wait for it, a quarter of that at a third of the time."""
_RELOADS = 5
"""Times that cursors are loaded while one journal is read; then the next look goes on."""
_SINGLED_OUT = 32
"""Lines of a portion that are found by storing parts of it; it takes a dozen transactions each."""


class Looked(NamedTuple):
    """What one look at a journal brought."""

    lines: int
    size: int


class _Work(NamedTuple):
    """A portion on its way: from which journal, read on from which cursor, and how the file looked."""

    adapter: Adapter
    journal: JournalFile
    known: CursorRow | None
    portion: Portion
    size: int
    mtime_ns: int

    @property
    def before(self) -> CursorRow | None:
        """The cursor of what stands before the portion; None where it is the file's beginning."""
        return None if self.portion.is_anew else self.known


class Transcripts:
    """Reads journals on, and remembers how far; used by one thread at a time.

    Attributes:
        is_pressed: Tells whether others wait for the database, so that transactions are to be short.
        loads: How often cursors were loaded; once more means that the database is not what it was.

    Args:
        database: With the current schema.
        ingester: Stores what they say.
        host_id: The machine they lie on.
        clean: Takes secrets out of texts.
        bodies: Characters of an event's text that are kept; 0 for none.
        is_pressed: See above.
    """

    def __init__(
        self,
        database: Database,
        ingester: Ingester,
        host_id: UUID,
        clean: Clean,
        *,
        bodies: int = 0,
        is_pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        self.is_pressed = is_pressed
        self.loads = 0
        self._bodies = bodies
        self._database = database
        self._ingester = ingester
        self._host_id = host_id
        self._clean = clean
        self._cursors: dict[str, CursorRow] = {}

    def load(self) -> None:
        """Read how far journals were read.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self._database.read() as connection:
            found = execution.cursors(connection, self._host_id)
        self._cursors = {path: row for path, row in found.items() if row.client != execution.MARKS}
        self._ingester.forget()
        self.loads += 1

    def refresh(self) -> None:
        """Load how far journals were read if the database says otherwise: it came back from a copy, say.

        Of ten thousand journals this takes 15 ms, loading them twenty times as long.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self._database.read() as connection:
            stored = execution.cursors_sum(connection, self._host_id)
        rows = self._cursors.values()
        latest = max((row.read_at for row in rows), default=None)
        if stored != CursorsSum(len(rows), sum(row.position for row in rows), latest):
            self._start_over()

    def _start_over(self) -> None:
        logger.warning(
            "the database says otherwise how far journals were read; read on from there",
            extra={"event": "journal.moved", "fields": {}},
        )
        self.load()

    def changed(self, adapter: Adapter, config_folder: Path) -> Iterator[JournalFile]:
        """Yield the journals that are not as they were when they were read last; blocks while it looks.

        Those that are gone are forgotten; what was read of them stays in the database.
        """
        top = stored_name(str(adapter.watched(config_folder))) + "/"
        gone = {path for path in self._cursors if path.startswith(top)}
        seen = False
        for journal in adapter.journals(config_folder):
            seen = True
            path = stored_name(str(journal.path))
            gone.discard(path)
            if not self._is_read(journal, self._cursors.get(path)):
                yield journal
        if gone and seen:
            self._forget(gone)

    def _forget(self, paths: set[str]) -> None:
        with self._database.write() as connection:
            execution.drop_cursors(connection, self._host_id, paths)
        for path in paths:
            self._cursors.pop(path, None)

    def _is_read(self, journal: JournalFile, cursor: CursorRow | None) -> bool:
        if cursor is None:
            return False
        try:
            seen = journal.path.lstat()
        except OSError:
            return True  # gone again
        if (seen.st_size, seen.st_mtime_ns) != (cursor.size, cursor.mtime_ns):
            return False
        return is_same(journal.beside, cursor.state.get(BESIDE))

    def read(self, adapter: Adapter, journal: JournalFile) -> Iterator[Looked]:
        """Read a journal on to its end, and yield after each portion that is stored.

        Raises:
            DatabaseError: What was yielded is stored, the rest is not.
        """
        path = stored_name(str(journal.path))
        ends = self.loads + _RELOADS
        while self.loads <= ends:
            known = self._cursors.get(path)
            try:
                seen = journal.path.lstat()
                most = SMALL_PORTION if self.is_pressed() else PORTION
                portion = read_on(journal.path, _cursor_of(known), most=most)
            except (FileNotFoundError, NotReadableError):
                return
            except OSError as error:
                logger.warning(
                    "journal cannot be read",
                    extra={"event": "journal.unreadable", "fields": {"path": path, "error": error.strerror}},
                )
                return
            if portion.is_anew:
                logger.info(
                    "journal was rewritten, read anew",
                    extra={"event": "journal.rewritten", "fields": {"path": path}},
                )
            work = _Work(adapter, journal, known, portion, seen.st_size, seen.st_mtime_ns)
            try:
                self._store(path, work)
            except CursorsMovedError:
                self._start_over()
                continue
            except DamagedValueError as error:
                # Of what is stored of its conversation: the other journals do not wait for it.
                logger.warning(
                    "journal cannot be stored",
                    extra={"event": "journal.unreadable", "fields": {"path": path, "error": error.message}},
                )
                return
            before = 0 if work.before is None else work.before.position
            yield Looked(len(portion.lines), portion.cursor.offset - before)
            if portion.is_all:
                return

    def _hearing(self, work: _Work) -> Hearing:
        state = None if work.before is None else work.before.state
        return Hearing(work.adapter, work.journal, state, clean=self._clean, bodies=self._bodies)

    def _store(self, path: str, work: _Work) -> None:
        """Store a portion, and how far was read with it.

        Raises:
            CursorsMovedError: The database does not hold the cursor from which it was read on.
            DatabaseError: Nothing was stored, or not that the small file beside it was read.
        """
        hearing = self._hearing(work)
        drafts = hearing.drafts(hearing.pieces(work.portion.lines))
        row = self._row(path, work, hearing)
        before = {path: work.known}
        # What the small file says of a conversation that nobody knows yet must be read again: that it was
        # read is noted when it is known to be stored.
        is_news = BESIDE in row.state and (
            work.known is None or work.known.state.get(BESIDE) != row.state[BESIDE]
        )
        first = row._replace(state=_without(row.state, BESIDE)) if is_news else row
        if work.known is not None and work.known._replace(read_at=first.read_at) == first:
            first = work.known
        try:
            done = self._stored(drafts, first, before)
        except RowRejectedError:
            self._cursors[path] = self._store_without_refused(work, first, before)
            return
        # Before anything else can fail: it says what the database holds.
        self._cursors[path] = first
        if is_news and not done.unplaced:
            self._ingester.store([], [row])
            self._cursors[path] = row

    def _row(self, path: str, work: _Work, hearing: Hearing) -> CursorRow:
        portion = work.portion
        problem = None if work.before is None else work.before.problem
        if portion.passed_over:
            problem = f"lines too long: {portion.passed_over}"
        # Only a file that was read to its end is known by how it looks.
        size, mtime_ns = (work.size, work.mtime_ns) if portion.is_all else (-1, -1)
        return CursorRow(
            self._host_id,
            path,
            work.adapter.name,
            portion.cursor.dev,
            portion.cursor.inode,
            portion.cursor.offset,
            portion.cursor.check,
            size,
            mtime_ns,
            hearing.state(),
            problem,
            utc_now(),
        )

    def _stored(
        self, drafts: Sequence[Draft], row: CursorRow, before: Mapping[str, CursorRow | None]
    ) -> Ingested:
        # One that is as it was is not written again: a look that finds nothing wakes nobody.
        cursors = [] if row == before[row.path] else [row]
        try:
            return self._ingester.store(drafts, cursors, before=before)
        except RowRejectedError:
            # Perhaps its project was merged into another one meanwhile.
            self._ingester.forget()
            return self._ingester.store(drafts, cursors, before=before)

    def _store_without_refused(
        self, work: _Work, row: CursorRow, before: Mapping[str, CursorRow | None]
    ) -> CursorRow:
        """Store a portion without the lines that the database refuses; return how far was read, with a note.

        Parts of it are stored to find them, without how far was read: killed in between, the next look finds
        them again, and what is told twice is stored once.
        """
        hearing = self._hearing(work)
        good, refused, error = self._told_apart(hearing, list(hearing.pieces(work.portion.lines)))
        row = row._replace(problem=f"lines refused: {refused}; {error}"[:500])
        logger.error(
            "lines passed over, the database refuses them",
            exc_info=error,
            extra={
                "event": "journal.refused",
                "fields": {"path": row.path, "lines": refused, "error": str(error)},
            },
        )
        try:
            self._ingester.store(hearing.drafts(good), [row], before=before)
        except RowRejectedError as whole:
            # Each line is good, but not all of them together; what could be stored is stored.
            row = row._replace(problem=f"refused as a whole: {whole}"[:500])
            self._ingester.store([], [row], before=before)
        return row

    def _told_apart(
        self, hearing: Hearing, pieces: Sequence[Piece]
    ) -> tuple[list[Piece], int, RowRejectedError | None]:
        """Return the pieces that can be stored, how many cannot, and the last reason."""
        good: list[Piece] = []
        refused = 0
        last = None
        rest = [pieces]
        while rest:
            some = rest.pop()
            try:
                self._ingester.store(hearing.drafts(some))
            except RowRejectedError as error:
                last = error
                if len(some) > 1 and refused < _SINGLED_OUT:
                    half = len(some) // 2
                    rest += [some[half:], some[:half]]
                else:
                    refused += len(some)
                continue
            good += some
        return good, refused, last


def _without(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key != name}


def _cursor_of(row: CursorRow | None) -> Cursor | None:
    return None if row is None else Cursor(row.dev, row.inode, row.position, row.check_hash)
