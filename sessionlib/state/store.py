"""One session's state.json as a store: take a snapshot, change it under the lock, tell who wants to know."""

import contextlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessionlib.errors import (
    StateConflictError,
    StateExistsError,
    StateInvalidError,
    StateReadOnlyError,
    StateRefusedError,
    StateWriteError,
)
from sessionlib.models.base import iso_milliseconds, utc_now
from sessionlib.state.content import SessionContent
from sessionlib.state.draft import Draft
from sessionlib.state.files import Inputs, look
from sessionlib.state.layout import STATE_FILE, slug_problem
from sessionlib.state.lock import locked
from sessionlib.state.rewriting import rewrite, same
from sessionlib.state.snapshot import Snapshot, hash_of, meaning, take_snapshot
from sessionlib.state.writing import sync_folder, write_atomic

SaveCallback = Callable[[Path], None]
Edit = Callable[[Draft], None]

_log = logging.getLogger("sessionlib.state")

_ATTEMPTS = 3
"""How often a change starts over when somebody without the lock writes in between."""


class SessionStore:
    """Reads and replaces the state.json of one session; see `StateManager` for the promises.

    Args:
        session_dir: The session folder, absolute.
        on_save: Called with it once after each save.
        read_only: Refuse all changes, and never make the lock file.
        lock_timeout: Seconds to wait for the session's lock.
    """

    def __init__(
        self, session_dir: Path, on_save: SaveCallback | None, *, read_only: bool, lock_timeout: float
    ) -> None:
        self.session_dir = session_dir
        self._on_save = on_save
        self._read_only = read_only
        self._lock_timeout = lock_timeout

    def change(self, edit: Edit, *, if_hash: str | None, always: bool = False) -> tuple[Snapshot, bool]:
        """Apply an edit to the file as it is now; return the outcome and whether it was written.

        Args:
            edit: Changes the draft's document in place; may be called more than once.
            if_hash: Refuse unless the file has this content.
            always: Write even if the edit changed nothing.
        """
        self._check_writable()
        saving = False
        try:
            with locked(self.session_dir, self._lock_timeout):
                for _ in range(_ATTEMPTS):
                    before = take_snapshot(self.session_dir)
                    self._check_hash(before, if_hash)
                    data = self._edited(before, edit, always=always)
                    if data is None:
                        return before, False
                    after = self._understood(data, before.inputs)
                    # Editors do not know the lock: whoever saved since then must not be overwritten.
                    if not before.inputs.look.same_inputs(look(self.session_dir, follow=True)):
                        continue
                    saving = True
                    write_atomic(self.session_dir / STATE_FILE, data)
                    return after, True
            message = f"{STATE_FILE} kept changing while it was to be changed"
            raise StateConflictError(message, session_dir=self.session_dir, hint="try again")
        finally:
            if saving:
                self._tell()

    def create(self, data: bytes) -> None:
        """Make the session folder and its first state.json."""
        self._check_writable()
        saving = False
        try:
            self._make_folder()
            with locked(self.session_dir, self._lock_timeout):
                if look(self.session_dir, follow=True) is not None:
                    message = f"there is a session at {self.session_dir} already"
                    raise StateExistsError(message, session_dir=self.session_dir)
                saving = True
                write_atomic(self.session_dir / STATE_FILE, data)
        finally:
            if saving:
                self._tell()

    def _check_writable(self) -> None:
        if self._read_only:
            message = f"the session at {self.session_dir} was opened read-only"
            raise StateReadOnlyError(message, session_dir=self.session_dir)

    def _check_hash(self, before: Snapshot, if_hash: str | None) -> None:
        if if_hash is not None and if_hash != before.content_hash:
            message = f"{STATE_FILE} is not what it was when you read it"
            hint = "load it again, and decide again"
            raise StateConflictError(message, session_dir=self.session_dir, hint=hint)

    def _edited(self, before: Snapshot, edit: Edit, *, always: bool) -> bytes | None:
        document = before.document(self.session_dir)
        now = timestamp()
        edit(Draft(document, before.content, now, self.session_dir))
        if not always and same(document, before.document(self.session_dir)):
            return None
        document["updated_at"] = now
        return rewrite(before.inputs.state, document)

    def _understood(self, data: bytes, beside: Inputs) -> Snapshot:
        """Read what is about to be written: nobody shall find a file there that we refuse ourselves."""
        try:
            content: SessionContent = meaning(self.session_dir, data, beside)
        except StateInvalidError as error:
            message = f"the change would make a document nobody can read: {error.message}"
            raise StateRefusedError(message, session_dir=self.session_dir) from error
        inputs = Inputs(beside.look, data, beside.plan, beside.research, beside.problems, racy=True)
        return Snapshot(inputs, hash_of(data), content)

    def _make_folder(self) -> None:
        name = self.session_dir.name
        problem = slug_problem(name)
        if problem is not None:
            message = f"a session cannot be named {name!r}: the name {problem}"
            raise StateRefusedError(message, session_dir=self.session_dir)
        try:
            new = [folder for folder in self.session_dir.parents if not folder.exists()]
            self.session_dir.mkdir(parents=True, exist_ok=True)
            for folder in (self.session_dir, *new):
                # A power cut must not take the folder from the file that is kept in it; one that is there
                # may be of somebody who has not come that far. Where we may not list what is above it,
                # nobody can ask for that.
                with contextlib.suppress(PermissionError):
                    sync_folder(folder.parent)
        except OSError as error:
            message = f"cannot make {self.session_dir}: {error.strerror or error}"
            raise StateWriteError(message, session_dir=self.session_dir) from error

    def _tell(self) -> None:
        if self._on_save is None:
            return
        try:
            self._on_save(self.session_dir)
        except Exception:  # noqa: BLE001 - a caller's mishap must not undo a save that is done
            _log.exception(
                "save_callback_failed",
                extra={"event": "save_callback_failed", "session_dir": str(self.session_dir)},
            )


def timestamp() -> str:
    """Return the present moment as documents carry it: UTC, milliseconds, ``Z``."""
    return iso_milliseconds(utc_now())


def merged(draft: Draft, mine: dict[str, Any], loaded: dict[str, Any]) -> None:
    """Carry what changed between `loaded` and `mine` over to the draft, top-level key by key.

    Raises:
        StateRefusedError: `mine` holds something that is no JSON.
    """
    try:
        mine = json.loads(json.dumps(mine, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        message = f"the document holds a value that is no JSON: {error}"
        raise draft.refuse(message) from error
    document = draft.document
    for key in loaded.keys() - mine.keys():
        document.pop(key, None)
    for key, value in mine.items():
        if key not in loaded or not same(value, loaded[key]):
            document[key] = value
