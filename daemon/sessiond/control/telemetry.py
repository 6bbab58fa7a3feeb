"""POST /v1/logs, /v1/metrics, /v1/traces: telemetry as OTLP over HTTP and JSON; logs alone tell of cost."""

import zlib

from aiohttp import web

from sessiond.control import asking
from sessiond.control.answers import RETRY_AFTER, RequestError, json_answer
from sessiond.control.desk import Call
from sessiond.control.exports import Exports, UnkeptError
from sessionlib.journal.adapter import BadPayloadError

BODY_MOST = 4 * 1024 * 1024
"""Bytes of a post, before and after it is inflated."""

_JSON = "application/json"
_GZIP = "gzip"
_WITH_HEADER = 31
"""What zlib calls the format of gzip, with windows of any size."""

_HINT = "set OTEL_EXPORTER_OTLP_PROTOCOL=http/json in the client's environment"
_SMALLER = "send fewer records at once: OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"
_LATE = "the spool has not been written within {most:g} s"


async def logs(call: Call) -> web.StreamResponse:
    """Keep what log records say of conversations."""
    exports, content = await _post(call)
    is_packed = asking.encoding_of(call.request) == _GZIP
    try:
        # One at a time: of a large post there are many small objects for a moment.
        async with call.desk.exporting:
            await call.desk.work(_keep, exports, content, is_packed, late=_LATE)
    except BadPayloadError as error:
        raise RequestError(400, f"the body is no OTLP export of logs: {error}", hint=_HINT) from error
    except UnkeptError as error:
        raise RequestError(
            503,
            str(error),
            hint="send it again later; `sessionctl doctor` tells how the spool is",
            kind=type(error).__name__,
            headers={"Retry-After": str(RETRY_AFTER)},
        ) from error
    return json_answer(b"{}")


async def nothing_of(call: Call) -> web.StreamResponse:
    """Accept metrics or traces, and keep nothing: a client that sends all to one place must see no errors."""
    await _post(call)
    return json_answer(b"{}")


async def _post(call: Call) -> tuple[Exports, bytes]:
    """Return where a post goes, and its body as it came.

    Raises:
        RequestError: Telemetry is off, or the body is too large, late, or of another kind.
    """
    exports = call.desk.backend.exports
    if exports is None:
        raise RequestError(
            404,
            "telemetry is not taken here: tracking.telemetry or tracking.hooks is off",
            hint="set both to true in [tracking] of the configuration, or have the client send none",
        )
    asking.parameters(call.request, {})
    if call.request.content_type != _JSON:
        raise RequestError(415, f"telemetry is taken as {_JSON} only", hint=_HINT, close=True)
    content = await asking.received(
        call.request,
        call.desk.request_timeout,
        most=BODY_MOST,
        smaller=_SMALLER,
        encodings=(asking.IDENTITY, _GZIP),
    )
    return exports, content


def _keep(exports: Exports, content: bytes, is_packed: bool) -> None:  # noqa: FBT001 - on a worker, by position
    exports.keep(inflated(content) if is_packed else content)


def inflated(content: bytes) -> bytes:
    """Return what was packed by gzip; never more than `BODY_MOST` bytes are unpacked.

    Raises:
        BadPayloadError: It is cut off, or no gzip.
        RequestError: It is larger (413).
    """
    unpacking = zlib.decompressobj(_WITH_HEADER)
    try:
        found = unpacking.decompress(content, BODY_MOST + 1)
    except zlib.error as error:
        raise BadPayloadError("it is no gzip") from error
    if len(found) > BODY_MOST:
        raise asking.too_large(BODY_MOST, _SMALLER)
    if not unpacking.eof or unpacking.unused_data:
        raise BadPayloadError("it is not one whole gzip")
    return found
