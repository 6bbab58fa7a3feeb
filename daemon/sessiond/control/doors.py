"""The listening sockets: who connects is looked at before a byte is parsed, and how many are let in."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from sessiond.control.answers import RequestError
from sessiond.control.connection import Connection
from sessiond.control.peers import is_loopback, is_ours, peer_of
from sessiond.logs import event

_LOG = logging.getLogger("sessiond.control")

_PAUSE = 0.2
"""Seconds to wait when the system gives no more sockets."""

_FAREWELL = 0.5
"""Seconds that a client who is turned away has to read why."""

_FAREWELLS_MOST = 16
_AT_ONCE = 32


class Doors:
    """Accepts connections. Lives on the event loop.

    The listeners are watched rather than awaited: a wait that is cancelled at the wrong moment loses the
    connection it has just accepted.

    Args:
        make: Makes the protocol of a new connection; its argument tells whether it is over TCP.
        open_connections: Those that are open now.
        clients: How many may be.
        headers: What every answer carries.
    """

    def __init__(
        self,
        make: Callable[[bool], Connection],
        open_connections: set[Connection],
        clients: int,
        headers: dict[str, str],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._make = make
        self._open = open_connections
        self._clients = clients
        self._farewell = _farewell(clients, headers)
        self._listeners: tuple[socket.socket, ...] = ()
        self._entering: set[asyncio.Task[None]] = set()
        # Of those entering some are open already: to count both would turn away too many.
        self._admitted: set[Connection] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_short = False

    def open(self, listeners: Sequence[socket.socket]) -> None:
        """Begin to accept connections."""
        self._listeners = tuple(listeners)
        for listener in self._listeners:
            self._watch(listener)

    async def close(self) -> None:
        """Accept no more; who has been accepted is in, or away, when this returns."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
        self._listeners = ()
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._entering, *self._leaving, return_exceptions=True)

    def _watch(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Accept those that wait, as many as there is time for beside other work."""
        for _ in range(_AT_ONCE):
            try:
                connection, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(listener, error)
                return
            self._is_short = False
            connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
            self._admit(connection, address)

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        """Give the system time: a listener that cannot be accepted from stays ready for ever."""
        if not self._is_short:
            self._is_short = True
            words = "no connection can be accepted now"
            event(_LOG, logging.ERROR, "control.failed", words, error=error.strerror or str(error))
        self._loop.remove_reader(listener)
        self._loop.call_later(_PAUSE, self._watch, listener)

    def _admit(self, connection: socket.socket, address: object) -> None:
        over_tcp = connection.family != socket.AF_UNIX
        if not (is_loopback(address) if over_tcp else is_ours(peer_of(connection))):
            _refuse(connection, address)
        elif len(self._open | self._admitted) >= self._clients:
            self._turn_away(connection)
        else:
            protocol = self._make(over_tcp)
            self._admitted.add(protocol)
            self._keep(self._entering, self._enter(connection, protocol))

    def _keep(self, among: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    async def _enter(self, connection: socket.socket, protocol: Connection) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError:
            # It went away before it was in.
            connection.close()
        finally:
            self._admitted.discard(protocol)

    def _turn_away(self, connection: socket.socket) -> None:
        if len(self._leaving) < _FAREWELLS_MOST:
            self._keep(self._leaving, self._say_farewell(connection))
        else:
            connection.close()

    async def _say_farewell(self, connection: socket.socket) -> None:
        """Say why, and read on for a moment: to close at once could destroy what was said."""
        with connection, suppress(OSError, TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self._loop.sock_sendall(connection, self._farewell)
                connection.shutdown(socket.SHUT_WR)
                while await self._loop.sock_recv(connection, 4096):
                    pass


def _refuse(connection: socket.socket, address: object) -> None:
    peer = peer_of(connection) if connection.family == socket.AF_UNIX else None
    with connection:
        event(
            _LOG,
            logging.WARNING,
            "control.refused",
            "another user may not use the control socket",
            uid=peer.uid if peer else None,
            pid=peer.pid if peer else None,
            address=str(address) if address else None,
        )


def _farewell(clients: int, headers: dict[str, str]) -> bytes:
    """Return the whole answer to a client too many."""
    body = RequestError(
        503,
        f"{clients} connections are open, and there may be no more",
        hint="close one, or raise control.clients",
        kind="ControlRefusedError",
    ).body()
    said = {
        **headers,
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(body)),
        "Retry-After": "1",
        "Connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{head}\r\n".encode() + body
