"""StateManager: the one way in which our own tools change a session's state.json.

It knows files and nothing else. Each change reads the file anew under the session's lock, edits what the
document's generation keeps where it keeps it, and replaces the file in one step; then it calls one optional
callback with the session folder, so that a mirror can be told without being known here.
"""

import os
from pathlib import Path
from typing import Any

from sessionlib.models.base import SessionType
from sessionlib.state import edit_entries, edit_phase, edit_progress
from sessionlib.state.birth import first_draft
from sessionlib.state.content import SessionContent
from sessionlib.state.edit_entries import KEEP, Keep
from sessionlib.state.layout import STATE_FILE
from sessionlib.state.rewriting import render
from sessionlib.state.snapshot import Snapshot, take_snapshot
from sessionlib.state.store import Edit, SaveCallback, SessionStore, merged, timestamp

__all__ = ["KEEP", "Keep", "SaveCallback", "StateManager"]


class StateManager:
    """Reads and changes one session.

    Every change returns True when the file was written, and False when it already said so: to repeat a change
    is safe. `document`, `content` and `content_hash` show the file as of the last load or change, and load it
    when nothing was loaded yet. Each change takes ``if_hash``: with a `content_hash` it is done to that very
    content or not at all. One manager is for one thread; any number of managers, threads and processes may
    work on one session.

    All changes raise, beside what they name themselves, what `load` raises, and: StateReadOnlyError;
    StateLockedError after `lock_timeout`; StateConflictError when ``if_hash`` does not match, or the file
    never held still; StateRefusedError when a value or the document's shape does not fit; StateWriteError.

    Args:
        session_dir: The session folder; made absolute, links not resolved.
        on_save_callback: Called with the absolute session folder, once after each save, when the lock is free
            again, also when the write failed. An exception it raises is logged and goes no further.
        read_only: Refuse all changes, and never make the lock file.
        lock_timeout: Seconds to wait for the session's lock.
    """

    def __init__(
        self,
        session_dir: Path | str,
        on_save_callback: SaveCallback | None = None,
        *,
        read_only: bool = False,
        lock_timeout: float = 10.0,
    ) -> None:
        # Not resolved: the caller's own name for the folder is the one a mirror knows it by.
        self.session_dir = Path(os.path.abspath(session_dir))  # noqa: PTH100 - Path.resolve follows links
        self.state_file = self.session_dir / STATE_FILE
        self._store = SessionStore(
            self.session_dir, on_save_callback, read_only=read_only, lock_timeout=lock_timeout
        )
        self._snapshot: Snapshot | None = None
        self._document: dict[str, Any] = {}

    # --- the whole document ----------------------------------------------------------------------

    def load(self) -> SessionContent:
        """Read the session and return its content; waits up to 0.2 s for a write in place to end.

        Raises:
            StateNotFoundError: There is no state.json.
            StateInvalidError: It cannot be understood.
            StateUnreadableError: It cannot be read.
        """
        return self._adopt(take_snapshot(self.session_dir)).content

    @property
    def document(self) -> dict[str, Any]:
        """The document itself, every character of it; change it and `save`, or better use the verbs."""
        self._loaded()
        return self._document

    @property
    def content(self) -> SessionContent:
        """What the document says, whatever its generation."""
        return self._loaded().content

    @property
    def content_hash(self) -> str:
        """SHA-256 of state.json in hexadecimal, for ``if_hash``."""
        return self._loaded().content_hash

    def create(  # noqa: PLR0913 - a session has that many details, all but one optional
        self,
        topic: str,
        *,
        description: str | None = None,
        session_type: str = SessionType.FULL,
        phase: str | None = None,
        branch: str | None = None,
        worktree: str | None = None,
        base_branch: str | None = None,
        prior_session: str | None = None,
    ) -> SessionContent:
        """Make the session folder (its name is the session's) and a first state.json; return its content.

        Args:
            topic: What the session is about.
            description: More about it.
            session_type: full, quick or research.
            phase: A first phase of that type; the usual one by default.
            branch: Git branch.
            worktree: Git worktree.
            base_branch: The branch to merge into.
            prior_session: Name of the session this one goes on from.

        Raises:
            StateExistsError: There is a state.json already.
            StateRefusedError: The folder's name or a value does not fit.
            PhaseNotAllowedError: Such a session does not begin with this phase.
        """
        draft = first_draft(self.session_dir, session_type, phase, timestamp())
        edit_entries.set_details(draft, topic, description, prior_session or KEEP)
        edit_entries.set_git(draft, {"branch": branch, "worktree": worktree, "base_branch": base_branch})
        self._store.create(render(draft.document))
        return self.load()

    def save(self, *, if_unchanged: bool = False) -> bool:
        """Write what was changed in `document` since it was loaded, onto the file as it is now.

        Top-level keys that were not touched keep what others have written meanwhile. Always writes.

        Args:
            if_unchanged: Refuse if the file is not the one that was loaded (compare and swap).

        Raises:
            StateConflictError: It is another one, and `if_unchanged` was asked for.
        """
        snapshot = self._loaded()
        loaded, mine = snapshot.document(self.session_dir), self._document
        if_hash = snapshot.content_hash if if_unchanged else None
        return self._change(lambda draft: merged(draft, mine, loaded), if_hash, always=True)

    # --- the way through the phases --------------------------------------------------------------

    def transition_to_phase(self, phase: str, *, if_hash: str | None = None) -> bool:
        """Go to another phase; `sessionlib.state.phases` says which may follow which.

        Going forward ends the phase that is left. A phase entered again is open again: it keeps its first
        start. Entering ``complete`` sets the status complete, reopening sets it active.

        Raises:
            PhaseNotAllowedError: The phase cannot follow; the error names those that can.
        """
        return self._change(lambda draft: edit_phase.transition(draft, phase), if_hash)

    def complete_phase(self, phase: str | None = None, *, if_hash: str | None = None) -> bool:
        """Note that a phase (the current one by default) is done, without leaving it."""
        return self._change(lambda draft: edit_phase.complete(draft, phase), if_hash)

    def set_status(self, status: str, *, if_hash: str | None = None) -> bool:
        """Set the status: active, paused, complete or failed."""
        return self._change(lambda draft: edit_entries.set_status(draft, status), if_hash)

    # --- the build -------------------------------------------------------------------------------

    def init_build_progress(self, total: int, *, reset: bool = False, if_hash: str | None = None) -> bool:
        """Say how many checkpoints the build has.

        What is completed stays completed, so to call it twice does no harm.

        Args:
            total: 1 to 1,000, and no less than the highest one completed.
            reset: Forget what is completed and begin with checkpoint 1.
            if_hash: See the class.
        """
        return self._change(lambda draft: edit_progress.initialise(draft, total, reset=reset), if_hash)

    def start_checkpoint(self, number: int, *, if_hash: str | None = None) -> bool:
        """Make a checkpoint that is not completed the current one."""
        return self._change(lambda draft: edit_progress.start(draft, number), if_hash)

    def complete_checkpoint(self, number: int, *, if_hash: str | None = None) -> bool:
        """Complete a checkpoint; returns False when it was completed before.

        The current one becomes the lowest not completed after it, else the lowest not completed, else none.
        """
        return self._change(lambda draft: edit_progress.complete(draft, number), if_hash)

    def add_commit(
        self, sha: str, message: str, checkpoint: int | None = None, *, if_hash: str | None = None
    ) -> bool:
        """Add a commit; one known by the same or an abbreviated sha is updated instead.

        Args:
            sha: 7 to 64 hexadecimal digits.
            message: Its subject line.
            checkpoint: The checkpoint it belongs to; None leaves that of a known commit as it is.
            if_hash: See the class.
        """
        return self._change(lambda draft: edit_entries.add_commit(draft, sha, message, checkpoint), if_hash)

    # --- details and lists -----------------------------------------------------------------------

    def set_git(
        self,
        *,
        branch: str | Keep | None = KEEP,
        worktree: str | Keep | None = KEEP,
        base_branch: str | Keep | None = KEEP,
        if_hash: str | None = None,
    ) -> bool:
        """Set some of the git details in one save; None or an empty text clears one."""
        values = {"branch": branch, "worktree": worktree, "base_branch": base_branch}
        return self._change(lambda draft: edit_entries.set_git(draft, values), if_hash)

    def set_details(
        self,
        *,
        topic: str | Keep = KEEP,
        description: str | Keep | None = KEEP,
        prior_session: str | Keep | None = KEEP,
        if_hash: str | None = None,
    ) -> bool:
        """Set some of topic, description and prior session in one save; None clears one (not the topic)."""
        return self._change(
            lambda draft: edit_entries.set_details(draft, topic, description, prior_session), if_hash
        )

    def add_decision(
        self,
        title: str,
        rationale: str | None = None,
        source: str | None = None,
        *,
        if_hash: str | None = None,
    ) -> bool:
        """Add a decision, unless the same one for the same reason is there."""
        return self._change(lambda draft: edit_entries.add_decision(draft, title, rationale, source), if_hash)

    def add_doc_update(
        self,
        kind: str,
        path: str | None = None,
        description: str | None = None,
        *,
        if_hash: str | None = None,
    ) -> bool:
        """Add a change to the documentation, unless the same one is there; `kind` is a level or ``none``."""
        return self._change(
            lambda draft: edit_entries.add_doc_update(draft, kind, path, description), if_hash
        )

    def link_conversation(
        self,
        client: str,
        native_id: str,
        agent_native_id: str | None = None,
        source: str | None = None,
        *,
        if_hash: str | None = None,
    ) -> bool:
        """Say that a conversation (or one agent of it) works on this session from now on.

        Args:
            client: The coding client, such as ``claude-code``.
            native_id: The conversation's id in that client.
            agent_native_id: The agent's id there, or None for the conversation as a whole.
            source: Who says so.
            if_hash: See the class.
        """
        return self._change(
            lambda draft: edit_entries.link_conversation(draft, client, native_id, agent_native_id, source),
            if_hash,
        )

    # --- behind the verbs ------------------------------------------------------------------------

    def _change(self, edit: Edit, if_hash: str | None, *, always: bool = False) -> bool:
        snapshot, written = self._store.change(edit, if_hash=if_hash, always=always)
        self._adopt(snapshot)
        return written

    def _loaded(self) -> Snapshot:
        return self._snapshot or self._adopt(take_snapshot(self.session_dir))

    def _adopt(self, snapshot: Snapshot) -> Snapshot:
        self._snapshot, self._document = snapshot, snapshot.document(self.session_dir)
        return snapshot
