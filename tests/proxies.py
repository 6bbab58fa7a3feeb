"""A TCP proxy on loopback between a daemon and its PostgreSQL, that can hang or vanish."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from typing import Literal

import psycopg
from sqlalchemy.engine import make_url

from tests import postgres

Mode = Literal["pass", "blackhole", "refuse"]

_CHUNK = 65536


def upstream_of(server: postgres.Server) -> tuple[int, object]:
    """Return the socket family and the address of a server."""
    told = psycopg.conninfo.conninfo_to_dict(server.conninfo("postgres"))
    host, port = str(told.get("host") or "127.0.0.1"), int(told.get("port") or 5432)
    if host.startswith("/"):
        return socket.AF_UNIX, f"{host}/.s.PGSQL.{port}"
    return socket.AF_INET, (host, port)


class Proxy:
    """Forwards connections to a server.

    In the mode ``blackhole`` connections are accepted and nothing is forwarded, as if the server hung: the
    kernel still acknowledges what is sent, and what was held goes on when the mode is ``pass`` again. With
    ``refuse`` all connections end, and new ones do at once.

    Args:
        server: Where to.
    """

    def __init__(self, server: postgres.Server) -> None:
        self._upstream = upstream_of(server)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._waker, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._other: dict[socket.socket, socket.socket] = {}
        self._mode: Mode = "pass"
        self._asked: Mode | None = "pass"
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def url(self, url: str, password: str | None = None) -> str:
        """Return the URL of a database with the proxy in the place of its server."""
        parsed = make_url(url).set(host="127.0.0.1", port=self.port)
        if password is not None:
            parsed = parsed.set(password=password)
        return parsed.difference_update_query(["host", "port"]).render_as_string(hide_password=False)

    def set(self, mode: Mode | None) -> None:
        """Take a mode; it is in force when this returns. None ends the proxy."""
        self._done.clear()
        self._asked = mode
        self._waker.send(b"!")
        assert self._done.wait(10), "the proxy hangs"

    def close(self) -> None:
        """End everything."""
        self.set(None)
        self._thread.join(10)

    def _run(self) -> None:
        while self._asked is not None:
            for key, _ in self._selector.select():
                peer = key.fileobj
                assert isinstance(peer, socket.socket)
                if peer is self._woken:
                    self._take()
                elif peer is self._listener:
                    self._accept()
                elif peer in self._other and self._mode == "pass":
                    self._forward(peer)
        self._end(*self._other)
        self._selector.close()
        for mine in (self._listener, self._waker, self._woken):
            mine.close()
        self._done.set()

    def _take(self) -> None:
        self._woken.recv(_CHUNK)
        if self._asked is None:
            return
        before, self._mode = self._mode, self._asked
        if self._mode == "refuse":
            self._end(*self._other)
        elif before == "pass" != self._mode:
            # Nobody reads them from now on, and the kernel keeps what comes.
            for peer in self._other:
                self._selector.unregister(peer)
        elif before == "blackhole" != self._mode:
            for peer in self._other:
                self._selector.register(peer, selectors.EVENT_READ)
        self._done.set()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            client, _ = self._listener.accept()
            if self._mode == "refuse":
                client.close()
                return
            family, address = self._upstream
            server = socket.socket(family)
            try:
                server.connect(address)
            except OSError:
                client.close()
                server.close()
                return
            client.setblocking(True)
            self._other |= {client: server, server: client}
            if self._mode == "pass":
                for peer in (client, server):
                    self._selector.register(peer, selectors.EVENT_READ)

    def _forward(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            data = peer.recv(_CHUNK)
            if data:
                self._other[peer].sendall(data)
                return
        self._end(peer, self._other[peer])

    def _end(self, *peers: socket.socket) -> None:
        for peer in peers:
            with contextlib.suppress(KeyError):
                self._selector.unregister(peer)
            del self._other[peer]
            peer.close()


@contextlib.contextmanager
def proxied(server: postgres.Server) -> Iterator[Proxy]:
    """Give a proxy that passes, until the end of the block."""
    proxy = Proxy(server)
    try:
        yield proxy
    finally:
        proxy.close()
