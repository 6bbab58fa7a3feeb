"""What a portion of a journal says: its lines, and the small file beside it, folded into drafts."""

import errno
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sessionlib.journal.adapter import Adapter, JournalFile
from sessionlib.journal.facts import Fact
from sessionlib.sync.ingest.drafts import CONVERSATION_FIRSTS, Clean, Draft, Folder
from sessionlib.sync.ingest.joining import observe
from sessionlib.sync.places import stored_name

logger = logging.getLogger("sessionlib.ingest")

BESIDE = "beside"
"""In a journal's state: by what the small file beside it is known."""

_MOST = 64 * 1024
_CLOSED = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV})
"""What reading a file fails with for as long as nobody changes the file."""

Piece = tuple[str, Sequence[Fact]]
"""A conversation, and what one line says of it."""


class Hearing:
    """Reads one portion, once.

    Args:
        adapter: Of the client.
        journal: The journal.
        state: What the reader of the portion before left; None at the beginning.
        clean: Takes secrets out of texts.
        bodies: Characters of an event's text that are kept; 0 for none.
    """

    def __init__(
        self,
        adapter: Adapter,
        journal: JournalFile,
        state: Mapping[str, Any] | None,
        *,
        clean: Clean,
        bodies: int,
    ) -> None:
        self._adapter = adapter
        self._journal = journal
        self._clean = clean
        self._bodies = bodies
        self._reader = adapter.reader(journal, state, bodies=bodies > 0)
        self._stamp: list[int] | None = None
        self._has_stumbled = False

    def pieces(self, lines: Sequence[bytes]) -> Iterator[Piece]:
        """Yield what lines say, then what the small file says; blocks for reading that."""
        for line in lines:
            native_id = None
            facts: list[Fact] = []
            try:
                said = self._reader.read(line)
                if said is None:
                    continue
                native_id = said[0]
                facts.extend(said[1])
            except Exception as error:  # noqa: BLE001 - one line must not keep the others from being read
                self._stumble(error)
            if native_id is not None:
                yield native_id, facts
        yield from self._beside()

    def drafts(self, pieces: Iterable[Piece]) -> list[Draft]:
        """Fold what was said, by conversation; those that nothing was said of are left out."""
        drafts: dict[str, Draft] = {}
        folders: dict[str, Folder] = {}
        for native_id, facts in pieces:
            folder = folders.get(native_id)
            if folder is None:
                draft = drafts[native_id] = Draft(self._adapter.name, native_id)
                folder = folders[native_id] = Folder(draft, self._clean, self._bodies)
            try:
                folder.fold(facts)
            except Exception as error:  # noqa: BLE001 - as above
                self._stumble(error)
        for native_id, draft in drafts.items():
            if "last" in draft.observed:
                # Its place tells where the conversation was started.
                path = stored_name(str(self._adapter.transcript_of(self._journal, native_id)))
                observe(draft.observed, "transcript", [draft.observed["last"], path], CONVERSATION_FIRSTS)
        return [draft for draft in drafts.values() if draft]

    def state(self) -> dict[str, Any]:
        """Return what is to be known for the next portion, once all pieces were taken."""
        return self._reader.state() | ({} if self._stamp is None else {BESIDE: self._stamp})

    def _stumble(self, error: Exception) -> None:
        if not self._has_stumbled:
            self._has_stumbled = True
            logger.error(
                "line passed over",
                exc_info=error,
                extra={"event": "journal.stumbled", "fields": {"path": str(self._journal.path)}},
            )

    def _beside(self) -> Iterator[Piece]:
        beside = self._journal.beside
        seen = _looks(beside)
        native_id = self._journal.native_id or self._reader.state().get("native_id")
        if beside is None or seen is None or native_id is None:
            return
        try:
            content = _small(beside)
        except OSError as error:
            # One that may be read by then is another one, by the time of its change.
            self._stamp = seen if error.errno in _CLOSED else None
            return
        self._stamp = seen[:2]
        yield native_id, list(self._adapter.beside(self._journal, content))


def is_same(beside: Path | None, stamp: Any) -> bool:
    """Tell whether the small file beside a journal is as it was when it was read, or could not be read."""
    seen = _looks(beside)
    return stamp is None if seen is None else stamp in (seen, seen[:2])


def _looks(path: Path | None) -> list[int] | None:
    try:
        seen = None if path is None else path.lstat()
    except OSError:
        return None
    return None if seen is None else [seen.st_mtime_ns, seen.st_size, seen.st_ctime_ns]


def _small(path: Path) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return os.read(file, _MOST)
    finally:
        os.close(file)
