"""What runs on the control thread's event loop: from the first connection until all are closed."""

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sessiond.control.admission import Admission
from sessiond.control.asking import BODY_MOST
from sessiond.control.backend import Backend
from sessiond.control.connection import Connection
from sessiond.control.desk import Desk
from sessiond.control.dispatch import Dispatcher
from sessiond.control.doors import Doors
from sessiond.logs import event

_LOG = logging.getLogger("sessiond.control")

_SETTLE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many clients there may be, and how long they may take (seconds)."""

    clients: int
    request_timeout: float


class Serving:
    """The serving of requests; made, run and ended on the event loop.

    Args:
        backend: The daemon.
        version: As clients see it.
        limits: For clients.
        admission: The rules of the loopback listener, if there is one.
    """

    def __init__(
        self, backend: Backend, *, version: str, limits: Limits, admission: Admission | None
    ) -> None:
        self._limits = limits
        self._desk = Desk(
            backend,
            version=version,
            request_timeout=limits.request_timeout,
            streams=max(limits.clients // 2, 1),
        )
        self._connections: set[Connection] = set()
        self._manager = web.Server(
            Dispatcher(self._desk, admission), request_factory=_request, handler_cancellation=True
        )
        self._doors = Doors(self._connection, self._connections, limits.clients, self._desk.headers)

    def open(self, listeners: Sequence[socket.socket]) -> None:
        """Begin to accept connections."""
        asyncio.get_running_loop().set_exception_handler(_unhandled)
        self._doors.open(listeners)

    async def refuse(self) -> None:
        """Accept no more connections; the caller closes the listeners then."""
        await self._doors.close()

    async def close(self, deadline: float) -> None:
        """Let every request end with its answer until the deadline (monotonic), then cut off what is left."""
        self._desk.stopping.set()
        for connection in list(self._connections):
            if connection.busy:
                connection.close()
            else:
                connection.force_close()
        while self._connections and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells of their end
            await asyncio.sleep(_SETTLE)
        self._desk.close()
        for connection in list(self._connections):
            connection.abort()
        await self._manager.shutdown(_SETTLE)

    def _connection(self, over_tcp: bool) -> Connection:  # noqa: FBT001 - called by position
        return Connection(
            self._manager,
            among=self._connections,
            over_tcp=over_tcp,
            request_timeout=self._limits.request_timeout,
            headers=self._desk.headers,
        )


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """Make a request whose body is limited."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_MOST)


def _unhandled(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio has nobody to raise to; a client that went away at a bad moment is none of it."""
    error = context.get("exception")
    if isinstance(error, ConnectionError):
        return
    event(
        _LOG,
        logging.ERROR,
        "control.failed",
        str(context.get("message", "an error nobody waited for")),
        error=None if error is None else repr(error),
    )
