"""The copies of one session: which of them its row shows, and what a committed one says."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from sessionlib.db import store
from sessionlib.db.rows import FileRow
from sessionlib.db.store import Copy
from sessionlib.errors import DamagedValueError, RowRejectedError, StateInvalidError
from sessionlib.state.content import SessionContent
from sessionlib.state.document import interpret
from sessionlib.state.layout import PLAN_FILE
from sessionlib.sync import snapshot

_NEVER = datetime.min.replace(tzinfo=UTC)


def freshest(copies: Sequence[Copy]) -> FileRow | None:
    """Return the copy a session shows: the latest document time, then the newest file, then the path."""
    there = [
        copy.row
        for copy in copies
        if copy.row.content_hash is not None and copy.row.missing_since is None and not copy.workspace_missing
    ]
    return max(there, key=lambda row: (row.document_time or _NEVER, row.mtime_ns, row.path), default=None)


class DamagedContentError(RowRejectedError):
    """What is stored of a copy's last good content cannot be read, and no file that is there has it.

    Attributes:
        path: The copy's folder, as it is stored.
    """

    def __init__(self, path: str) -> None:
        super().__init__(
            f"the last good content of {path} is damaged in the database",
            hint="mend or save its state.json, then run sessionctl rebuild",
        )
        self.path = path


def restore(connection: Connection, file: FileRow) -> SessionContent:
    """Understand a copy again from its committed documents; its files may lie on another host.

    Raises:
        DamagedContentError: They are not there, or not what they were.
    """
    try:
        return _restored(connection, file)
    except (DamagedValueError, StateInvalidError, LookupError, AttributeError, TypeError) as error:
        raise DamagedContentError(file.path) from error


def _restored(connection: Connection, file: FileRow) -> SessionContent:
    inputs = store.inputs_of(connection, file)
    hashes: Mapping[str, str] = {row.name: row.content_hash for row in inputs if row.content_hash}
    trees = store.bodies(connection, file.project_id, {str(file.content_hash), *hashes.values()})
    research = [(snapshot.run_id(name), trees[found]) for name, found in hashes.items() if name != PLAN_FILE]
    plan = trees[hashes[PLAN_FILE]] if PLAN_FILE in hashes else None
    content = interpret(trees[str(file.content_hash)], plan, research)
    problems = tuple((row.name, row.problem) for row in inputs if row.problem is not None)
    return snapshot.with_problems(content, problems)
