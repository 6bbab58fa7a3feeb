"""One connection: aiohttp's protocol, with the time limits it does not have and errors in our words."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from typing_extensions import override

from sessiond.control.answers import RequestError
from sessiond.logs import event

KEEP_ALIVE = 15.0
"""Seconds between two requests on one connection."""

READ_WITHIN = 30.0
"""Seconds in which a client must have read an answer."""

LINE_MOST = 8190
FIELD_MOST = 8190
FIELDS_MOST = 64

_READ_AT_ONCE = 64 * 1024
_LINGER = 2.0

_LOG = logging.getLogger("sessiond.control")

_TOO_LONG = RequestError(
    431,
    "a line of the request's head is too long",
    hint=f"a line may have {LINE_MOST} bytes; send less in the URL and in each header",
    close=True,
)
_NO_REQUEST = RequestError(
    400,
    "this is no HTTP request that is understood here",
    hint=f"send HTTP/1.1, with at most {FIELDS_MOST} headers and either a Content-Length or chunks",
    close=True,
)


class Connection(web.RequestHandler):
    """A connection of either listener. Lives on the event loop.

    Args:
        manager: aiohttp's server, which makes requests of what comes.
        among: The open connections; this one is in it while it is open.
        over_tcp: True on the loopback listener.
        request_timeout: Seconds in which the head of a request must come.
        headers: What every answer carries.

    Attributes:
        over_tcp: As given.
        busy: True from the head of a request until its answer is written.
    """

    def __init__(
        self,
        manager: web.Server,
        *,
        among: "set[Connection]",
        over_tcp: bool,
        request_timeout: float,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEP_ALIVE,
            tcp_keepalive=over_tcp,
            logger=_LOG,
            access_log=None,  # type: ignore[arg-type]  # what aiohttp's own runner passes for none
            max_line_size=LINE_MOST,
            max_field_size=FIELD_MOST,
            max_headers=FIELDS_MOST,
            read_bufsize=_READ_AT_ONCE,
            lingering_time=_LINGER,
            auto_decompress=False,
        )
        self.over_tcp = over_tcp
        self.busy = False
        self._among = among
        self._request_timeout = request_timeout
        self._headers = headers
        self._timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._among.add(self)
        super().connection_made(transport)
        self._start_timer()

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        self._among.discard(self)
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            # A whole head has come; for its body the route waits, no longer than we do.
            self._stop_timer()
        elif self._timer is None and not self.busy:
            self._start_timer()

    @override
    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            async with asyncio.timeout(READ_WITHIN):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            self.abort()
            return resp, True
        finally:
            self.busy = False

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP request; nothing about it is worth a line in the log."""
        answer = (_TOO_LONG if isinstance(exc, LineTooLong) else _NO_REQUEST).answer()
        answer.headers.update(self._headers)
        return answer

    @override
    def log_exception(self, *args: Any, **kw: Any) -> None:
        event(
            _LOG,
            logging.ERROR,
            "control.failed",
            "a connection was given up",
            error=repr(kw.get("exc_info") or args),
        )

    def abort(self) -> None:
        """Close the connection now, with whatever the client has not read yet."""
        transport = self.transport
        self.force_close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._request_timeout, self._late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self.busy:
            # Another request behind one that is still being answered: its time comes afterwards.
            self._start_timer()
        else:
            self.abort()
