"""What a client is told: JSON bodies, and every error as one sentence with a hint and an HTTP status."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from sessiond.control.backend import Freshness
from sessionlib.errors import (
    ConfigError,
    DatabaseError,
    RecordNotFoundError,
    RowRejectedError,
    SessionlibError,
    StateLockedError,
    StateNotFoundError,
    UsageError,
    printable,
)

RETRY_AFTER = 5
"""Seconds after which a client should ask again when the database is down."""

_STATUSES: tuple[tuple[type[SessionlibError], int], ...] = (
    (UsageError, 400),
    (RowRejectedError, 400),
    (RecordNotFoundError, 404),
    (StateNotFoundError, 404),
    (StateLockedError, 409),
    (ConfigError, 422),
    (DatabaseError, 503),
)
_UNAVAILABLE = 503
_HINTS = {
    400: "change the request, and send it again",
    404: "GET /projects and GET /sessions list what there is",
    409: "ask again in a moment",
    422: "mend the configuration, and ask again; `sessiond check-config` tells all that is wrong with it",
    503: "ask again in some seconds; GET /status tells when it can be answered",
}
"""What to do about errors of the library that have no hint of their own."""

_TEXT_MOST = 2000
_UNFORESEEN_HINT = "the daemon's log says more; report it if it happens again"


class RequestError(Exception):
    """A request that is answered with an error.

    What the client sent may stand in its texts: characters that are not printable are escaped in them.

    Args:
        status: The HTTP status.
        message: One sentence.
        hint: What the client can do next.
        kind: The name of an error's class, for programs.
        headers: Further headers of the answer.
        close: True to close the connection behind the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str,
        kind: str = "UsageError",
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = _shown(message)
        self.hint = _shown(hint)
        self.kind = kind
        self.headers = headers or {}
        self.close = close

    @classmethod
    def of(cls, error: SessionlibError) -> "RequestError":
        """Return what an error of the library is answered with."""
        status = next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
        if status is None:
            status = _UNAVAILABLE if error.transient else 500
        headers = {"Retry-After": str(RETRY_AFTER)} if status == _UNAVAILABLE else None
        hint = error.hint or _HINTS.get(status, _UNFORESEEN_HINT)
        return cls(status, error.message, hint=hint, kind=type(error).__name__, headers=headers)

    def body(self) -> bytes:
        """Return the JSON body."""
        return encode({"error": self.message, "hint": self.hint, "kind": self.kind})

    def answer(self) -> web.Response:
        """Return the answer."""
        answer = json_answer(self.body(), status=self.status)
        answer.headers.update(self.headers)
        if self.close:
            answer.force_close()
        return answer


def _shown(text: str) -> str:
    """Return a text short and on one line, with what terminals obey, or UTF-8 cannot carry, spelled out."""
    return printable(text if len(text) <= _TEXT_MOST else f"{text[:_TEXT_MOST]}…")


def json_answer(body: bytes, *, status: int = 200) -> web.Response:
    """Return an answer with a JSON body."""
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


def encode(value: Any) -> bytes:
    """Return a value as JSON: models, dataclasses and named tuples by their fields, times in UTC with a Z."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError:
        # A path that is not UTF-8, a number beyond 64 bits: the standard library escapes both.
        return json.dumps(value, default=_plain).encode()


def rows_answer(fresh: Freshness, rows: Sequence[Any], **more: Any) -> bytes:
    """Return the body that every reading route answers with, as ``sessionctl --json`` prints it."""
    return encode({"as_of": iso(fresh.as_of), "stale": fresh.stale, "rows": rows, **more})


def iso(moment: datetime | None) -> str | None:
    """Return a time as JSON carries it."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain_rows(rows: Sequence[Any]) -> list[Any]:
    """Return models and named tuples as plain values; takes time for many rows, so not on the event loop."""
    return [_plain_row(row) for row in rows]


def _plain_row(row: Any) -> Any:
    if hasattr(row, "model_dump"):
        return row.model_dump(mode="json")
    if hasattr(row, "_asdict"):
        return row._asdict()
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
