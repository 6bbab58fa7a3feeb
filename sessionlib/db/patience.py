"""Connections to PostgreSQL that do not wait for ever.

A server ends a statement that takes too long, and the kernel a connection whose other side is silent. Neither
helps against a server, or something between, that acknowledges every packet and never answers.
"""

import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, Engine, event
from typing_extensions import override

T = TypeVar("T")

USUAL = 13.0
"""Seconds that a statement may take until there is no more hope of an answer."""
AT_REST = 5.0
"""Seconds that a connection, taken out of the pool, may take to show that it is alive."""
_MARGIN = 2.0
"""Seconds by which that is more than what the server itself allows."""
_TURN = 0.1
"""Seconds after which a wait looks at the clock, which is as often as the driver itself wakes up."""

# Without any schema the server's own error is the clear one: tables would be temporary ones, silently.
_PIN = (
    "SELECT CASE WHEN current_schema() IS NOT NULL THEN set_config('search_path', concat_ws(', ', VARIADIC"
    " ARRAY(SELECT quote_ident(s) FROM unnest(current_schemas(false)) AS s) || ARRAY['pg_temp']), false) END,"
    " (SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout')"
)


_LIMITS = (
    "SET LOCAL statement_timeout = '11s'; SET LOCAL lock_timeout = '10s';"
    " SET LOCAL idle_in_transaction_session_timeout = '30s'"
)
"""What start-up options say elsewhere: through PgBouncer only a transaction's own can be set."""


class NoAnswerError(psycopg.OperationalError):
    """The server took a statement and has said nothing since."""


class _AnsweredCursor(psycopg.Cursor[Any]):
    """Has the server say at once that it has done a pipeline's statement: it would be silent to the end.

    Who waits gives up after so long a silence as one statement may take, not all of them together.
    """

    @override
    def execute(self, *given: Any, **more: Any) -> Self:
        super().execute(*given, **more)
        if self.connection.pgconn.pipeline_status:
            self.connection.pgconn.send_flush_request()
        return self


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes longer than any may.

    Attributes:
        patience: Seconds without a sign of the server while a statement runs; None for any number.
    """

    patience: float | None = USUAL

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.cursor_factory = _AnsweredCursor

    @override
    def wait(self, gen: PQGen[T], interval: float = _TURN, timeout: float | None = None) -> T:
        patience = self.patience
        if patience is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(_bounded(gen, patience), interval)
        except NoAnswerError:
            # The answer may still come, and must not be taken for that of another statement.
            self.close()
            raise


def _bounded(work: PQGen[T], patience: float) -> PQGen[T]:
    """Do a driver's work; raise `NoAnswerError` when its socket has been silent for so many seconds."""
    try:
        state = next(work)
        ends = time.monotonic() + patience
        while True:
            ready = yield state
            now = time.monotonic()
            if ready:
                ends = now + patience
            elif now >= ends:
                raise NoAnswerError(f"no answer for {patience:.0f} s")
            state = work.send(ready)
    except StopIteration as end:
        found: T = end.value
        return found


def make_patient(engine: Engine, *, pgbouncer: bool) -> None:
    """Let an engine's connections be patient ones, with the schemas of their beginning.

    Args:
        engine: Of psycopg, not connected yet.
        pgbouncer: Whether settings made on a connection would stay with one that others use.
    """
    connect: Callable[..., PatientConnection] = PatientConnection.connect

    @event.listens_for(engine, "do_connect")
    def _connect(_: Any, __: Any, words: Any, options: Any) -> PatientConnection:
        return connect(*words, **options)

    @event.listens_for(engine, "connect")
    def _prepare(connection: PatientConnection, record: Any) -> None:
        if not pgbouncer:
            # Tables are looked for in the schemas of now, whatever is made later, and temporary ones last.
            connection.autocommit = True
            (_, allowed) = connection.execute(_PIN).fetchone() or (None, 0)
            connection.autocommit = False
            connection.patience = allowed / 1000 + _MARGIN if allowed else None
        record.info["patience"] = connection.patience

    if pgbouncer:

        @event.listens_for(engine, "begin")
        def _limit(connection: Connection) -> None:
            connection.exec_driver_sql(_LIMITS)

    @event.listens_for(engine, "checkin")
    def _rest(connection: PatientConnection | None, _: Any) -> None:
        if connection is not None:
            connection.patience = AT_REST

    @event.listens_for(engine, "checkout")
    def _work(connection: PatientConnection, record: Any, _: Any) -> None:
        connection.patience = record.info["patience"]
