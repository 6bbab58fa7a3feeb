"""A schema that a newer program has upgraded while this one runs."""

from sessionlib.db import schema
from sessionlib.errors import SchemaMismatchError
from sessionlib.runtime import Runtime


class Upgrades:
    """Has nothing written any more once the schema is newer than this program, until that is mended.

    It takes our statements all the same, without what they know nothing of; so nobody but who looks notices.

    Args:
        runtime: Open.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._error: SchemaMismatchError | None = None

    def look(self) -> None:
        """Look at the schema; blocks as long as the database takes to answer.

        Raises:
            SchemaMismatchError: It is newer, or another program's.
            DatabaseError: The database does not answer, or has no schema.
        """
        try:
            schema.require_current(self._runtime.database)
        except SchemaMismatchError as error:
            self._error = error
            self._runtime.queue.suspend(error)
            raise
        self._error = None

    def refuse(self) -> None:
        """Raise what the last look found, if anything; from any thread.

        Raises:
            SchemaMismatchError: It was newer, or another program's.
        """
        if (error := self._error) is not None:
            raise SchemaMismatchError(error.message, hint=error.hint)
