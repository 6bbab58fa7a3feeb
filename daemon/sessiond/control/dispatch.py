"""From a request to its answer: who may ask, which route, and what becomes of errors."""

import asyncio
import logging
import time

from aiohttp import web

from sessiond.control import routes
from sessiond.control.admission import Admission, unauthorized
from sessiond.control.answers import RequestError
from sessiond.control.connection import Connection
from sessiond.control.desk import Call, Desk
from sessiond.logs import event
from sessionlib.errors import SessionlibError

_LOG = logging.getLogger("sessiond.control")


class Dispatcher:
    """Answers every request of both listeners; aiohttp calls it on the event loop.

    Args:
        desk: What the routes share.
        admission: The rules of the loopback listener, if there is one.
    """

    def __init__(self, desk: Desk, admission: Admission | None) -> None:
        self._desk = desk
        self._admission = admission

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        connection = request.protocol
        if not isinstance(connection, Connection):
            raise TypeError("a request of a connection that is not ours")
        if request.version.major != 1:
            # aiohttp would answer in the version it was asked in, which neither of us speaks.
            connection.abort()
            raise ConnectionResetError("no HTTP/1")
        call = Call(desk=self._desk, request=request)
        started = time.perf_counter()
        connection.busy = True
        try:
            answer = await self._answered(call, connection)
        except ConnectionError:
            connection.abort()
            raise
        if not answer.prepared:
            answer.headers.update(self._desk.headers | call.headers)
        if self._desk.stopping.is_set():
            answer.force_close()
        if _LOG.isEnabledFor(logging.DEBUG):
            _log(request, answer, time.perf_counter() - started)
        return answer

    async def _answered(self, call: Call, connection: Connection) -> web.StreamResponse:
        try:
            return await self._routed(call, over_tcp=connection.over_tcp)
        except RequestError as error:
            return error.answer()
        except SessionlibError as error:
            return RequestError.of(error).answer()
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            _failed(call.request, error)
            if call.request.writer.output_size:
                # Half of an answer is out; only the end of the connection can tell.
                raise ConnectionResetError("the answer failed on its way") from error
            sentence = "this failed in a way nobody foresaw"
            hint = "the daemon's log says where, at control.failed; report it"
            return RequestError(500, sentence, hint=hint, kind="UnexpectedError", close=True).answer()

    async def _routed(self, call: Call, *, over_tcp: bool) -> web.StreamResponse:
        request = call.request
        if over_tcp and self._admission is not None:
            call.headers = self._admission.headers(request)
            self._admission.check_page(request)
            if self._admission.is_preflight(request):
                return self._admission.preflight()
            call.known = self._admission.is_known(request)
        if not call.known and not routes.is_open(request.path):
            raise unauthorized("this port needs the token")
        route, call.rest = routes.find(request.path)
        return await routes.handler_of(route, request.method)(call)


def _failed(request: web.BaseRequest, error: Exception) -> None:
    fields = {"method": request.method, "route": _route_of(request)}
    _LOG.error(
        "a request failed",
        exc_info=error,
        extra={"event": "control.failed", "fields": fields},
    )


def _log(request: web.BaseRequest, answer: web.StreamResponse, seconds: float) -> None:
    event(
        _LOG,
        logging.DEBUG,
        "control.request",
        "answered",
        method=request.method,
        route=_route_of(request),
        status=answer.status,
        ms=round(seconds * 1000, 1),
    )


def _route_of(request: web.BaseRequest) -> str:
    """Return the route without what the client asked about."""
    try:
        return routes.find(request.path)[0].name
    except RequestError:
        return "none"
