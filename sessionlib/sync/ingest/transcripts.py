"""From journals that grow by lines into the database: each line once, how far was read beside its rows."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sessionlib.db import execution
from sessionlib.db.engine import Database
from sessionlib.db.execution_rows import CursorRow
from sessionlib.errors import RowRejectedError
from sessionlib.journal.adapter import Adapter, JournalFile, Reader
from sessionlib.journal.tail import Cursor, NotReadableError, read_on
from sessionlib.models.base import utc_now
from sessionlib.sync.ingest.drafts import CONVERSATION_FIRSTS, Clean, Draft, Folder
from sessionlib.sync.ingest.ingester import Ingested, Ingester
from sessionlib.sync.ingest.joining import observe
from sessionlib.sync.places import stored_name

logger = logging.getLogger("sessionlib.ingest")

PORTION, SMALL_PORTION = 256 * 1024, 64 * 1024
"""Bytes read and stored at once: 350 lines, which take the only writer of SQLite some 25 ms; or, while
others wait for it, a quarter of that at a third of the time."""
_BESIDE_MOST = 64 * 1024
_BESIDE = "beside"


class Looked(NamedTuple):
    """What one look at a journal brought."""

    lines: int
    size: int


class Transcripts:
    """Reads journals on, and remembers how far; used by one thread at a time.

    Args:
        database: With the current schema.
        ingester: Stores what they say.
        host_id: The machine they lie on.
        clean: Takes secrets out of texts.
        bodies: Characters of an event's text that are kept; 0 for none.
        is_pressed: Tells whether others wait for the database, so that transactions are to be short.
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
        self._is_pressed = is_pressed
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
            self._cursors = execution.cursors(connection, self._host_id)
        self._ingester.forget()

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
        is_same: bool = _stamp_of(journal.beside) == cursor.state.get(_BESIDE)
        return is_same

    def read(self, adapter: Adapter, journal: JournalFile) -> Iterator[Looked]:
        """Read a journal on to its end, and yield after each portion that is stored.

        Raises:
            DatabaseError: What was yielded is stored, the rest is not.
        """
        path = stored_name(str(journal.path))
        while True:
            known = self._cursors.get(path)
            try:
                seen = journal.path.lstat()
                most = SMALL_PORTION if self._is_pressed() else PORTION
                portion = read_on(journal.path, _cursor_of(known), most=most)
            except (FileNotFoundError, NotReadableError):
                return
            except OSError as error:
                logger.warning(
                    "journal cannot be read",
                    extra={"event": "journal.unreadable", "fields": {"path": path, "error": error.strerror}},
                )
                return
            is_anew = known is None or portion.is_anew
            state = None if known is None or is_anew else known.state
            reader = adapter.reader(journal, state, bodies=self._bodies > 0)
            if portion.is_anew:
                logger.info(
                    "journal was rewritten, read anew",
                    extra={"event": "journal.rewritten", "fields": {"path": path}},
                )
            drafts = self._drafts(adapter, journal, reader, portion.lines)
            beside = self._read_beside(adapter, journal, reader, drafts)
            made = portion.cursor
            row = CursorRow(
                self._host_id,
                path,
                adapter.name,
                made.dev,
                made.inode,
                made.offset,
                made.check,
                # Only a file that was read to its end is known by how it looks.
                seen.st_size if portion.is_all else -1,
                seen.st_mtime_ns if portion.is_all else -1,
                reader.state() | ({} if beside is None else {_BESIDE: beside}),
                f"{portion.passed_over} lines were too long" if portion.passed_over else None,
                utc_now(),
            )
            self._store(drafts, row)
            before = 0 if known is None or is_anew else known.position
            yield Looked(len(portion.lines), made.offset - before)
            if portion.is_all:
                return

    def _drafts(
        self, adapter: Adapter, journal: JournalFile, reader: Reader, lines: Sequence[bytes]
    ) -> dict[str, Draft]:
        drafts: dict[str, Draft] = {}
        folders: dict[str, Folder] = {}
        refused = 0
        for line in lines:
            try:
                said = reader.read(line)
                if said is None:
                    continue
                native_id, found = said
                folder = folders.get(native_id)
                if folder is None:
                    draft = drafts[native_id] = Draft(adapter.name, native_id)
                    folder = folders[native_id] = Folder(draft, self._clean, self._bodies)
                folder.fold(found)
            except Exception:  # one line that we stumble over must not keep the others from being read
                refused += 1
                if refused == 1:
                    logger.exception(
                        "line passed over",
                        extra={"event": "journal.stumbled", "fields": {"path": str(journal.path)}},
                    )
        for native_id, draft in drafts.items():
            if "last" in draft.observed:
                # Its place tells where the conversation was started.
                path = stored_name(str(adapter.transcript_of(journal, native_id)))
                observe(draft.observed, "transcript", [draft.observed["last"], path], CONVERSATION_FIRSTS)
        return drafts

    def _read_beside(
        self, adapter: Adapter, journal: JournalFile, reader: Reader, drafts: dict[str, Draft]
    ) -> Any:
        """Take what the small file says; return by what to know it again."""
        stamp = _stamp_of(journal.beside)
        if stamp is None or journal.beside is None:
            return None
        native_id = journal.native_id or reader.state().get("native_id")
        if native_id is None:
            return None
        try:
            content = read_small(journal.beside)
        except OSError:
            return None
        draft = drafts.setdefault(native_id, Draft(adapter.name, native_id))
        Folder(draft, self._clean).fold(adapter.beside(journal, content))
        return stamp

    def _store(self, drafts: Mapping[str, Draft], row: CursorRow) -> None:
        """Store a portion, and how far was read with it."""
        meant = [draft for draft in drafts.values() if draft]
        try:
            done = self._stored(meant, row)
        except RowRejectedError as error:
            logger.exception(
                "journal passed over",
                extra={"event": "journal.refused", "fields": {"path": row.path, "error": str(error)}},
            )
            row = row._replace(problem=str(error)[:500])
            self._ingester.store([], [row])
        else:
            if done.unplaced and _BESIDE in row.state:
                # What the small file said of a conversation that nobody knows yet must be read again.
                row = row._replace(state={name: one for name, one in row.state.items() if name != _BESIDE})
                self._ingester.store([], [row])
        self._cursors[row.path] = row

    def _stored(self, drafts: Sequence[Draft], row: CursorRow) -> Ingested:
        try:
            return self._ingester.store(drafts, [row])
        except RowRejectedError:
            # Perhaps its project was merged into another one meanwhile.
            self._ingester.forget()
            return self._ingester.store(drafts, [row])


def read_small(path: Path) -> bytes:
    """Read the beginning of a small regular file.

    Raises:
        OSError: It cannot be read.
    """
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return os.read(file, _BESIDE_MOST)
    finally:
        os.close(file)


def _stamp_of(path: Path | None) -> list[int] | None:
    try:
        seen = None if path is None else path.lstat()
    except OSError:
        return None
    return None if seen is None else [seen.st_mtime_ns, seen.st_size]


def _cursor_of(row: CursorRow | None) -> Cursor | None:
    return None if row is None else Cursor(row.dev, row.inode, row.position, row.check_hash)
